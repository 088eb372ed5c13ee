"""
Databases that the first versions wrote, opened by this one: nobody is registered or told twice.

`databases/0.1.0.sql` and `databases/0.3.0.sql` are dumps (`iterdump`) of files
that the code of these versions wrote, with their own orchestrators and the
standard service, for people who do not exist. Coordinator Kari submits three
batches under keys: a meeting that settles, with herself among the mentors and
refused; calls that nobody drives; and visits, one at a time, whose process is
cut off when the third record is written and its reply is not read. In 0.3.0
five certificates run out besides: three notices are sent, with a digest for
Kari, and two more are queued after it. Leases were given an end in the past.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import attrs
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import select

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkStatus,
    NotificationOrchestrator,
    PeerMentorCertificate,
    ProxyActivity,
    PushDispatcher,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.ports import MentorRecipients, ProxyRegistration, RegistrationReceipt
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    SqlVisibilityRegistry,
)
from proxy_orchestration.storage.sql.schema import activities
from proxy_orchestration.testing import FakeClock, ScriptedPushSender

_DATABASES: Final = Path(__file__).parent / "databases"
_NOON: Final = datetime(2026, 11, 4, 12, tzinfo=UTC)
_NIGHT: Final = datetime(2200, 3, 4, 10, tzinfo=UTC)
_KARI: Final = Actor(user_id="coord-kari", roles={Role.COORDINATOR}, organization_id="chapter-nowhere")
_MENTORS: Final = {
    "meeting": ("group_meeting", ["mentor-ask", "mentor-embla", "coord-kari"]),
    "calls": ("phone_call", ["mentor-ask", "mentor-embla"]),
    "visits": ("visit", ["mentor-ask", "mentor-embla", "mentor-idunn", "mentor-loke", "mentor-tor"]),
}
_ENDS: Final = {
    "mentor-ask": date(2200, 3, 20),
    "mentor-embla": date(2200, 3, 8),
    "mentor-idunn": date(2200, 3, 1),
    "mentor-loke": date(2200, 4, 20),
    "mentor-tor": date(2200, 3, 30),
}


@pytest.fixture(params=["0.1.0", "0.3.0"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlActivityRepository]:
    """
    Yield this version's store over a database of that one.
    """
    async with SqlActivityRepository.open(_written_by(request.param, tmp_path)) as repository:
        yield repository


def _written_by(version: str, folder: Path) -> str:
    file = folder / "store.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((_DATABASES / f"{version}.sql").read_text(encoding="utf-8"))
    return f"sqlite:///{file}"


def _request(key: str) -> BulkRegistrationRequest:
    kind, mentors = _MENTORS[key]
    activity = ProxyActivity(
        activity_type=kind, activity_date=date(2026, 11, 2), duration_minutes=90, notes="Blåbærtur"
    )
    return BulkRegistrationRequest.for_mentors(mentors, activity, idempotency_key=key, label=key)


@attrs.define(eq=False)
class _Counting:
    """
    The standard service, and whom it was called for.
    """

    inner: StandardRegistrationService
    called: list[str] = attrs.field(factory=list)

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        self.called.append(registration.mentor_id)
        return await self.inner.register(registration)


def _host(store: SqlActivityRepository) -> tuple[BulkRegistrationOrchestrator, _Counting]:
    clock = FakeClock(_NOON)
    service = _Counting(StandardRegistrationService(repository=store, clock=clock))
    return BulkRegistrationOrchestrator(registration_service=service, repository=store, clock=clock), service


async def _records(store: SqlActivityRepository) -> list[tuple[str, str, str]]:
    columns = (activities.c.activity_id, activities.c.activity_type, activities.c.attributed_to)
    with store.engine.connect() as connection:
        return [(row[0], row[1], row[2]) for row in connection.execute(select(*columns))]


async def test_what_a_first_version_left_unfinished_is_driven_to_its_end(
    store: SqlActivityRepository,
) -> None:
    """
    The record whose reply was never read is found and not written again; whoever was registered stays so.
    """
    orchestrator, service = _host(store)
    before = await _records(store)
    await orchestrator.resume_interrupted()
    page = await orchestrator.list_batches(actor=_KARI)
    after = await _records(store)
    wanted = Counter((kind, mentor) for kind, mentors in _MENTORS.values() for mentor in mentors)
    wanted.subtract([("group_meeting", "coord-kari")])

    assert 5 == len(before)
    assert set(before) <= set(after)
    assert +wanted == Counter((kind, mentor) for _, kind, mentor in after)
    assert {
        "meeting": BulkStatus.PARTIAL_SUCCESS,
        "calls": BulkStatus.SUCCESS,
        "visits": BulkStatus.SUCCESS,
    } == {batch.label: batch.status for batch in page.batches}
    assert [f"mentor-{name}" for name in ("ask", "embla", "idunn", "loke", "tor")] == sorted(service.called)


async def test_who_submits_to_a_first_version_again_gets_the_same_batch(
    store: SqlActivityRepository,
) -> None:
    """
    The key and the request are known by what they were then, and nobody is registered again.
    """
    orchestrator, _ = _host(store)
    known = {batch.label: batch.batch_id for batch in (await orchestrator.list_batches(actor=_KARI)).batches}
    results = {key: await orchestrator.submit_bulk_registration(_request(key), actor=_KARI) for key in known}
    registered = [(kind, mentor) for _, kind, mentor in await _records(store)]

    assert set(_MENTORS) == set(known)
    assert known == {key: result.batch_id for key, result in results.items()}
    assert [BulkStatus.PARTIAL_SUCCESS, BulkStatus.SUCCESS, BulkStatus.SUCCESS] == [
        results[key].status for key in ("meeting", "calls", "visits")
    ]
    assert 9 == len(registered) == len(set(registered))


async def test_what_a_first_version_refused_is_retried(store: SqlActivityRepository) -> None:
    """
    Only that, and the history of the batch shows both runs.
    """
    orchestrator, _ = _host(store)
    (meeting,) = [
        batch for batch in (await orchestrator.list_batches(actor=_KARI)).batches if batch.label == "meeting"
    ]
    result = await orchestrator.retry_failed_items(meeting.batch_id, actor=_KARI, mentor_ids=["coord-kari"])

    assert (2, BulkStatus.PARTIAL_SUCCESS) == (result.run, result.status)
    assert 5 == len(await _records(store))


class _Chapter:
    async def resolve(self, mentor_ids: Iterable[str], /) -> Mapping[str, MentorRecipients]:
        return {
            mentor: MentorRecipients(coordinator_id="coord-kari", chapter_admin_ids=())
            for mentor in mentor_ids
        }


async def test_notices_of_a_first_version_are_told_once(tmp_path: Path) -> None:
    """
    What was sent stays sent, what was queued is sent, and the same night again makes no notice.
    """
    register = [
        PeerMentorCertificate(
            certificate_id=f"cert-{mentor}", mentor_id=mentor, certificate_type="first_aid", expires=expires
        )
        for mentor, expires in _ENDS.items()
    ]
    clock, sender = FakeClock(_NIGHT), ScriptedPushSender()
    async with SqlNotificationRepository.open(_written_by("0.3.0", tmp_path)) as store:
        nightly = NotificationOrchestrator(
            repository=store,
            recipients=_Chapter(),
            visibility=SqlVisibilityRegistry(store.engine),
            clock=clock,
        )
        again = await nightly.run(register, as_of=_NIGHT)
        dispatcher = PushDispatcher(repository=store, sender=sender, clock=clock)
        for _ in range(3):
            await dispatcher.drain()
            clock.advance(timedelta(days=1).total_seconds())

    assert (0, 5) == (again.created, again.skipped)
    told = {message.recipient_id: message for message in sender.sent}
    assert ["coord-kari", "mentor-loke", "mentor-tor"] == sorted(
        message.recipient_id for message in sender.sent
    )
    assert {"mentor-loke", "mentor-tor"} == {name for name in _ENDS if name in told["coord-kari"].body}
