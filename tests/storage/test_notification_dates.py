"""
The ends of the calendar, in every part of a run that counts days: no date of a register ends a run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.ports import NotificationRepository
from proxy_orchestration.notification.records import MentorRecipients
from proxy_orchestration.notification.tiers import ExpiryPolicy, WindowPolicy
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.storage.sql import SqlNotificationRepository
from proxy_orchestration.testing import FakeClock
from proxy_orchestration.testing.notification import ScriptedPushSender, ScriptedRecipientDirectory

pytestmark = pytest.mark.one_loop

ZONES = ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"]
EDGES = [datetime.min, datetime.max, datetime(1, 1, 2), datetime(9999, 12, 30)]  # noqa: DTZ001, DTZ901 - zones come below
HUGE = 10**12


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[NotificationRepository]:
    """
    A new store of each kind.
    """
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemoryNotificationRepository()
        else:
            url = f"sqlite:///{tmp_path / 'store.db'}"
            yield await stack.enter_async_context(SqlNotificationRepository.open(url))


def _expiries() -> list[date | datetime]:
    zones: list[tzinfo] = [UTC, *map(ZoneInfo, ZONES[1:])]
    moments = [edge.replace(tzinfo=zone) for edge in EDGES for zone in zones]
    return [*(edge.date() for edge in EDGES), *moments, date(2026, 1, 20)]


def _register() -> list[PeerMentorCertificate]:
    return [
        PeerMentorCertificate(
            certificate_id=f"certificate-{number}",
            mentor_id=f"mentor-{number}",
            certificate_type="first_aid",
            expires=expires,
        )
        for number, expires in enumerate(_expiries())
    ]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("window", "days"), [(WindowPolicy.ONCE_PER_TIER, HUGE), (WindowPolicy.DAILY, 0)])
@pytest.mark.parametrize(
    "as_of",
    [
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=ZoneInfo("Pacific/Pago_Pago")),
        datetime.min.replace(tzinfo=ZoneInfo("Pacific/Kiritimati")),
    ],
    ids=["now", "the last moment", "the last in the west", "the first in the east"],
)
async def test_no_date_ends_a_run(
    store: NotificationRepository, zone: str, window: WindowPolicy, days: int, as_of: datetime
) -> None:
    """
    Every certificate is dealt with, a plan says the same, and what is queued can be sent or is too late.
    """
    clock, register = FakeClock(datetime(2026, 1, 1, tzinfo=UTC)), _register()
    directory = ScriptedRecipientDirectory(
        {each.mentor_id: MentorRecipients(coordinator_id="coord-1") for each in register}, clock=clock
    )
    nightly = NotificationOrchestrator(
        repository=store,
        recipients=directory,
        clock=clock,
        policy=ExpiryPolicy(timezone=zone, window=window, lapsed_push_days=days),
    )

    planned = await nightly.plan(register, as_of=as_of)
    result = await nightly.run(register, as_of=as_of, allow_future=True)
    sent = await PushDispatcher(repository=store, sender=ScriptedPushSender(clock=clock), clock=clock).drain()

    assert (0, len(register)) == (result.failed, result.processed)
    assert planned.result == result
    assert 0 == sent.dead


@pytest.mark.parametrize("days", [-1, 30.5, 1e300, True, timedelta(days=30)])
def test_days_are_whole_numbers(days: object) -> None:
    """
    A policy that no calendar can follow is refused when it is made.
    """
    with pytest.raises(ValueError, match="lapsed_push_days"):
        ExpiryPolicy(lapsed_push_days=days)  # type: ignore[arg-type]  # that is the point
