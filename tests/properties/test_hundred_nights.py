"""
A hundred nights against a model that is not the code: mentor and coordinator are told of each tier once.

Beside every run a dispatcher works. One night the provider is away for six
hours; ends are corrected, a renewal is revoked again, and the hours are quiet
over midnight. What ought to have been told follows from the calendar alone.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import attrs
import pytest

from proxy_orchestration import DispatchSettings, NotificationOrchestrator, PushDispatcher, QuietHours
from proxy_orchestration._backoff import RetryPolicy
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.notices import PushMessage, PushOutcome
from proxy_orchestration.notification.records import MentorRecipients
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.testing import FakeClock
from proxy_orchestration.testing.notification import ScriptedPushSender, ScriptedRecipientDirectory

FIRST_NIGHT = datetime(2026, 10, 1, 0, 5, tzinfo=UTC)  # the hundred nights end a summer time
NIGHTS = 100
MENTORS = 40
FEW, ONE_EACH = 3, MENTORS  # coordinators: digests of many notices, and digests that one notice opens
OUTAGE = range(50 * 24 + 6, 50 * 24 + 12)  # from the sixth hour after the run of the fiftieth night
_TIERS = (("lapsed", None, -1), ("urgent_7", 0, 7), ("warning_30", 8, 30), ("advance_60", 31, 60))


@attrs.define
class Register:
    """
    The certificates as the register shows them night by night.

    Attributes:
        ends: each mentor's own certificate.
        corrected: in which night an end is found to be wrong, and what it is.
        renewed: from which night on a renewal is shown, and from which it is revoked.
    """

    ends: dict[str, date]
    corrected: dict[str, tuple[int, date]]
    renewed: dict[str, tuple[int, int]]

    @classmethod
    def drawn(cls, seed: int) -> Register:
        """
        Draw a register in which most certificates come to an end in these nights.
        """
        chance = random.Random(seed)  # noqa: S311 - plays nights, keeps no secret
        names = [f"mentor-{number}" for number in range(MENTORS)]
        moved = chance.sample(names, 20)
        ends = {name: day_of(chance.randrange(5, 190)) for name in names}
        # Nobody is pushed about a certificate that lapsed more than thirty days before.
        ends |= {name: day_of(chance.randrange(65, 150)) for name in moved[10:]}
        corrected = {}
        for name in moved[:10]:
            night, by = chance.randrange(5, 60), chance.choice([-80, -50, -20, 20, 50, 80])
            corrected[name] = (night, max(ends[name] + timedelta(days=by), day_of(night - 25)))
        begins = {name: chance.randrange(5, 50) for name in moved[10:]}
        renewed = {name: (night, night + chance.randrange(5, 30)) for name, night in begins.items()}
        return cls(ends=ends, corrected=corrected, renewed=renewed)

    def shown(self, night: int) -> Iterator[PeerMentorCertificate]:
        """
        Yield what a run of that night is given.
        """
        for name in self.ends:
            yield _certificate(f"first of {name}", name, self.end_of(name, night))
            begins, revoked = self.renewed.get(name, (NIGHTS, NIGHTS))
            if night >= begins:
                yield _certificate(f"second of {name}", name, _FAR, revoked=night >= revoked)

    def end_of(self, name: str, night: int) -> date:
        """
        Return how long the mentor's first certificate is valid, as far as that night knows.
        """
        corrected_in, end = self.corrected.get(name, (NIGHTS, self.ends[name]))
        return end if night >= corrected_in else self.ends[name]

    def due(self, name: str) -> list[tuple[str, date]]:
        """
        Return the tiers that the mentor ought to have been told of, each with the day it began.
        """
        told: list[tuple[str, date]] = []
        for night in range(NIGHTS):
            begins, revoked = self.renewed.get(name, (NIGHTS, NIGHTS))
            if begins <= night < revoked:
                continue  # the renewal counts
            end = self.end_of(name, night)
            left = (end - day_of(night)).days
            for tier, least, most in _TIERS:
                if left <= most and (least is None or left >= least):
                    entry = (tier, end - timedelta(days=most))
                    told += [entry] if entry not in told else []
        return told


_FAR = date(2030, 1, 1)


def day_of(night: int) -> date:
    """
    Return the calendar day of that night's run.
    """
    return FIRST_NIGHT.date() + timedelta(days=night)


def _certificate(name: str, mentor_id: str, expires: date, *, revoked: bool = False) -> PeerMentorCertificate:
    return PeerMentorCertificate(
        certificate_id=name,
        mentor_id=mentor_id,
        certificate_type="first_aid",
        expires=expires,
        revoked=revoked,
    )


def _coordinator_of(mentor_id: str, coordinators: int) -> str:
    return f"coord-{int(mentor_id.rpartition('-')[2]) % coordinators}"


@attrs.define(eq=False)
class Nights:
    """
    What is played, and what was told.
    """

    repository: Any
    clock: FakeClock
    coordinators: int
    away: bool = False
    mentors: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    digests: Counter[str] = attrs.field(factory=Counter)
    told_on: Counter[tuple[str, date]] = attrs.field(factory=Counter)
    failed: list[str] = attrs.field(factory=list)

    def answer(self, message: PushMessage, _call: int) -> PushOutcome:
        """
        Take the message, or be away.
        """
        if self.away:
            return PushOutcome.retry(message)
        if message.recipient_id.startswith("coord-"):
            self.digests[message.recipient_id] += _counted_in(message.body)
            self.told_on[message.recipient_id, self.clock.now().date()] += 1
        else:
            self.mentors[message.recipient_id, message.tier.value] += 1
        return PushOutcome.delivered(message)

    async def play(self, register: Register) -> None:
        """
        Let the nights pass, hour by hour, and a week more for what waits.
        """
        names = {
            name: MentorRecipients(coordinator_id=_coordinator_of(name, self.coordinators))
            for name in register.ends
        }
        orchestrator = NotificationOrchestrator(
            repository=self.repository,
            recipients=ScriptedRecipientDirectory(names, clock=self.clock),
            clock=self.clock,
        )
        for night in range(NIGHTS):
            async with orchestrator.stream(register.shown(night)) as outcomes:
                async for number, outcome in _numbered(outcomes):
                    self.failed += [outcome.code] if outcome.code else []
                    if number % 9 == 0:
                        await self.dispatch()
            for hour in range(24):
                self.away = night * 24 + hour in OUTAGE
                await self.dispatch()
                self.clock.advance(3600.0)
        for _ in range(7 * 24):
            await self.dispatch()
            self.clock.advance(3600.0)

    async def dispatch(self) -> None:
        """
        Send what is due, as a dispatcher does that has just started.
        """
        dispatcher = PushDispatcher(
            repository=self.repository,
            sender=ScriptedPushSender(script=self.answer, clock=self.clock),
            clock=self.clock,
            settings=DispatchSettings(
                quiet_hours=QuietHours(start=time(22), end=time(7), timezone="Europe/Oslo"),
                retry=RetryPolicy(max_attempts=3, initial=60.0, max_delay=600.0, jitter=0.0),
            ),
        )
        await dispatcher.drain()


def _counted_in(body: str) -> int:
    """
    Return how many certificates a digest counts: a line for each tier, which ends in a number.
    """
    last_words = (line.rpartition(" ")[2] for line in body.splitlines())
    return sum(int(word) for word in last_words if word.isdigit())


async def _numbered(outcomes: AsyncIterator[Any]) -> AsyncIterator[tuple[int, Any]]:
    number = 0
    async for outcome in outcomes:
        number += 1
        yield number, outcome


@asynccontextmanager
async def _in_memory(clock: FakeClock, _folder: Any) -> AsyncIterator[Any]:
    yield MemoryNotificationRepository(clock)


@asynccontextmanager
async def _in_a_file(_clock: FakeClock, folder: Any) -> AsyncIterator[Any]:
    pytest.importorskip("sqlalchemy")
    from proxy_orchestration.storage.sql import SqlNotificationRepository  # noqa: PLC0415 - an extra

    async with SqlNotificationRepository.open(f"sqlite:///{folder / 'notices.db'}") as store:
        yield store


_MEMORY = [pytest.param(_in_memory, FEW, seed, id=f"memory-{seed}") for seed in range(3)]
_FILE = [
    pytest.param(_in_a_file, ONE_EACH, 2, id="sqlite-one-each-2"),
    pytest.param(_in_a_file, FEW, 3, id="sqlite-3", marks=pytest.mark.full),
]


@pytest.mark.parametrize(("opened", "coordinators", "seed"), [*_MEMORY, *_FILE])
async def test_a_hundred_nights_tell_everybody_once(
    opened: Callable[..., Any], coordinators: int, seed: int, tmp_path: Any
) -> None:
    """
    Each due notice was pushed to its mentor once and told to its coordinator once, at most one digest a day.

    No record of any night failed.
    """
    clock = FakeClock(FIRST_NIGHT)
    register = Register.drawn(seed)
    async with opened(clock, tmp_path) as repository:
        nights = Nights(repository=repository, clock=clock, coordinators=coordinators)
        await nights.play(register)

    due = {name: register.due(name) for name in register.ends}
    mentors = Counter((name, tier) for name, told in due.items() for tier, _ in told)
    told = Counter(_coordinator_of(name, coordinators) for name, told in due.items() for _ in told)
    assert any(tier == "lapsed" for _, tier in mentors)
    assert mentors == nights.mentors
    assert told == nights.digests
    assert 1 == max(nights.told_on.values())
    assert [] == nights.failed
