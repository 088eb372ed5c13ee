"""
Certificate-expiry notices: classifying, round trips, a whole run on SQLite against the raw limit, and sending.
"""

from __future__ import annotations

import resource
import sqlite3
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import anyio
from _harness import Story, Table, Target, medians, tell
from sqlalchemy import event

from proxy_orchestration import (
    NotificationOrchestrator,
    OrchestrationResult,
    PeerMentorCertificate,
    PushDispatcher,
    RecordOutcome,
    RecordState,
)
from proxy_orchestration.notification.tiers import TierClassifier
from proxy_orchestration.ports import (
    MentorRecipients,
    NoticeChunk,
    PushMessage,
    PushOutcome,
    RecordedChunk,
    RunRecord,
)
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.storage.sql import SqlNotificationRepository
from proxy_orchestration.testing import FakeClock

CLASSIFIED: Final = 1_000_000
CERTIFICATES: Final = 200_000
PER_COMMIT: Final = 500
GROUP: Final = 200
ROUND_TRIP: Final = 0.05
PER_LEASE: Final = 100
NIGHT: Final = datetime(2026, 11, 21, 0, 5, tzinfo=UTC)

_TABLES: Final = ("notifications", "push_outbox")


def certificate(number: int) -> PeerMentorCertificate:
    """
    Return a certificate in one of the tiers.
    """
    return PeerMentorCertificate(
        certificate_id=f"certificate-{number}",
        mentor_id=f"mentor-{number:07}",
        certificate_type="first_aid",
        expires=NIGHT.date() + timedelta(days=number % 60),
        holder_name="Mentor",
    )


def classify_all() -> float:
    """
    Classify a million certificates into outcomes; return µs per record.
    """
    certificates = [certificate(number) for number in range(1000)]
    classifier = TierClassifier(NIGHT)
    begin = time.perf_counter()
    for _ in range(CLASSIFIED // 1000):
        for each in certificates:
            classification = classifier.classify(each.expires)
            RecordOutcome(
                certificate_id=each.certificate_id,
                mentor_id=each.mentor_id,
                certificate_type=each.certificate_type,
                tier=classification and classification.tier,
                state=RecordState.SKIPPED,
            )
    return (time.perf_counter() - begin) / CLASSIFIED * 1e6


class FarAway(MemoryNotificationRepository):
    """
    A store and a directory behind a network: every call of a run is a round trip, and is counted.
    """

    trips: int = 0

    async def record(self, chunk: NoticeChunk, /) -> RecordedChunk:
        """
        Travel, and record.
        """
        await self._travel()
        return await super().record(chunk)

    async def log_run(self, run: RunRecord, /) -> None:
        """
        Travel, and log.
        """
        await self._travel()
        await super().log_run(run)

    async def forget_ends(self, *, before: datetime) -> int:
        """
        Travel, and forget.
        """
        await self._travel()
        return await super().forget_ends(before=before)

    async def resolve(self, mentor_ids: Collection[str], /) -> dict[str, MentorRecipients]:
        """
        Travel, and name the coordinator.
        """
        await self._travel()
        return {mentor_id: MentorRecipients(coordinator_id="coord-1") for mentor_id in mentor_ids}

    async def _travel(self) -> None:
        self.trips += 1
        await anyio.sleep(ROUND_TRIP)


def far_away() -> tuple[int, float]:
    """
    Run a night's group over a slow network; return the round trips and the milliseconds.
    """

    async def run() -> tuple[int, float]:
        far = FarAway()
        begin = time.perf_counter()
        orchestrator = NotificationOrchestrator(repository=far, recipients=far)
        result = await orchestrator.run(map(certificate, range(GROUP)), as_of=NIGHT)
        assert result.created == GROUP
        return far.trips, (time.perf_counter() - begin) * 1000

    return anyio.run(run)


def whole_runs(file: Path) -> tuple[float, float, float]:
    """
    Run twice; return certificates per second of both, and by how much memory grew after the first fifth.
    """

    async def run(store: SqlNotificationRepository, count: int) -> OrchestrationResult:
        orchestrator = NotificationOrchestrator(repository=store, clock=FakeClock(NIGHT))
        return await orchestrator.run(map(certificate, range(count)), as_of=NIGHT)

    async def both() -> tuple[float, float, float]:
        async with SqlNotificationRepository.open(f"sqlite:///{file}") as store:
            begin = time.perf_counter()
            await run(store, CERTIFICATES // 5)
            early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            await NotificationOrchestrator(repository=store, clock=FakeClock(NIGHT)).run(
                map(certificate, range(CERTIFICATES // 5, CERTIFICATES)), as_of=NIGHT
            )
            first = time.perf_counter() - begin
            late = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            begin = time.perf_counter()
            again = await run(store, CERTIFICATES)
            second = time.perf_counter() - begin
        assert (again.created, again.skipped) == (0, CERTIFICATES)
        return CERTIFICATES / first, CERTIFICATES / second, late / early

    return anyio.run(both)


def raw(file: Path, filled: Path) -> float:
    """
    Insert the same two rows into the same tables by executemany; return certificates per second.
    """
    with closing(sqlite3.connect(filled)) as source:
        rows = {name: list(_rows(source, name)) for name in _TABLES}

    async def make() -> None:
        async with SqlNotificationRepository.open(f"sqlite:///{file}"):
            pass

    anyio.run(make)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        begin = time.perf_counter()
        for first in range(0, CERTIFICATES, PER_COMMIT):
            connection.execute("BEGIN IMMEDIATE")
            for name, all_rows in rows.items():
                page = all_rows[first : first + PER_COMMIT]
                places = ", ".join("?" * len(page[0]))
                connection.executemany(f"INSERT INTO {name} VALUES ({places})", page)  # noqa: S608 - our own names
            connection.execute("COMMIT")
        return CERTIFICATES / (time.perf_counter() - begin)


def _rows(source: sqlite3.Connection, name: str) -> Iterator[tuple[Any, ...]]:
    yield from source.execute(f"SELECT * FROM {name} ORDER BY mentor_id")  # noqa: S608 - our own names


class TakesAll:
    """
    A provider that takes everything at once.
    """

    async def send(self, messages: Sequence[PushMessage], /) -> list[PushOutcome]:
        """
        Deliver.
        """
        return [PushOutcome.delivered(message) for message in messages]


def dispatched(file: Path) -> tuple[float, float]:
    """
    Send what the runs queued; return messages per second, and statements per hundred of them.
    """

    async def drain() -> tuple[float, float]:
        async with SqlNotificationRepository.open(f"sqlite:///{file}") as store:
            statements: list[str] = []
            event.listen(
                store.engine, "before_cursor_execute", lambda *about: statements.append(about[2].split()[0])
            )
            dispatcher = PushDispatcher(
                repository=store, sender=TakesAll(), clock=FakeClock(NIGHT + timedelta(hours=2))
            )
            begin = time.perf_counter()
            result = await dispatcher.drain()
            seconds = time.perf_counter() - begin
        assert result.sent == CERTIFICATES
        counted = len(statements) - statements.count("BEGIN")
        return CERTIFICATES / seconds, counted / CERTIFICATES * 100

    return anyio.run(drain)


def sent_by_hand(file: Path) -> float:
    """
    Lease and complete the same messages by executemany, a hundred per commit; return messages per second.
    """
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        due = "SELECT message_id, payload FROM push_outbox WHERE state = 'queued' ORDER BY due_at LIMIT ?"
        begin = time.perf_counter()
        sent: list[tuple[str, str]] = []
        while True:
            connection.execute("BEGIN IMMEDIATE")
            ended = [(message_id,) for message_id, _ in sent]
            connection.executemany("UPDATE push_outbox SET state = 'sent' WHERE message_id = ?", ended)
            sent = connection.execute(due, (PER_LEASE,)).fetchall()
            leased = [(message_id,) for message_id, _ in sent]
            connection.executemany("UPDATE push_outbox SET state = 'leased' WHERE message_id = ?", leased)
            connection.execute("COMMIT")
            if not sent:
                return CERTIFICATES / (time.perf_counter() - begin)


def measure() -> Story:
    """
    Read, travel, run, run again, let sqlite3 alone do the same writes, and send.
    """
    micros = medians({"classify": classify_all}, rounds=3)["classify"]
    trips, milliseconds = far_away()
    with tempfile.TemporaryDirectory() as folder:
        filled = Path(folder) / "ours.db"
        first, again, growth = whole_runs(filled)
        by_raw = Path(folder) / "raw.db"
        limit = raw(by_raw, filled)
        rate, statements = dispatched(filled)
        by_hand = sent_by_hand(by_raw)
    return Story(
        title=f"Notices: {CERTIFICATES:,} certificates on SQLite FULL, {PER_COMMIT} per write",
        tables=[
            Table(
                heading=("", "certificates/s", "ratio to the raw limit"),
                rows=[
                    ("raw limit: executemany of the same two rows", f"{limit:,.0f}", "1.00"),
                    ("a first run, all notices are new", f"{first:,.0f}", f"{first / limit:.2f}"),
                    (
                        "the same run again, all notices are duplicates",
                        f"{again:,.0f}",
                        f"{again / limit:.2f}",
                    ),
                ],
            ),
            Table(
                heading=(
                    f"{GROUP} certificates, {ROUND_TRIP * 1000:.0f} ms per round trip",
                    "round trips",
                    "ms",
                ),
                rows=[("a run: directory, notices with pushes, log", f"{trips}", f"{milliseconds:.0f}")],
            ),
            Table(
                heading=(f"sending, {PER_LEASE} per lease", "messages/s", "statements per 100"),
                rows=[
                    ("plain sqlite3, without notices, tokens and messages", f"{by_hand:,.0f}", "200"),
                    (
                        "the dispatcher, with a provider that accepts all at once",
                        f"{rate:,.0f}",
                        f"{statements:.0f}",
                    ),
                ],
            ),
        ],
        targets=[
            Target(what="classifying a certificate, with its objects, µs", figure=micros, at_most=2),
            Target(what="round trips for 200 certificates", figure=trips, at_most=7, digits=0),
            Target(what="first run, ratio to the raw limit", figure=first / limit, at_least=0.4),
            Target(what="speed of the second run, ratio to the first", figure=again / first, at_least=1.5),
            Target(what="statements for 100 messages", figure=statements, at_most=8, digits=0),
            Target(what="memory at the end, ratio to memory after a fifth", figure=growth, at_most=1.2),
        ],
    )


if __name__ == "__main__":
    tell(measure)
