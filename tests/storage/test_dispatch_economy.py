"""
How few statements the SQL store takes to send what is due.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import Connection, Engine, event

from proxy_orchestration import PushDispatcher
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.notification.records import NoticeDraft
from proxy_orchestration.notification.results import DispatchResult
from proxy_orchestration.notification.settings import DispatchSettings
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.storage.sql import SqlNotificationRepository
from proxy_orchestration.testing import FakeClock, ScriptedPushSender, fail_at
from proxy_orchestration.testing.contracts.notification.samples import (
    MORNING,
    chunk_of,
    coordinator,
    draft_of,
    run_with,
)
from proxy_orchestration.testing.notification_faults import FaultyNotificationRepository

_FIRST: Final = MORNING - timedelta(days=9)
_NOT_COUNTED: Final = ("BEGIN", "PRAGMA")


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql(asyncio_only=True))]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """
    An empty database of each kind.
    """
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return request.getfixturevalue("postgresql_url")


@contextmanager
def _statements(engine: Engine) -> Iterator[list[str]]:
    """
    Note each statement, one that is executed for a list of rows as often as there are rows.
    """
    seen: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_: Connection, _cursor: object, text: str, values: Any, _context: object, many: Any) -> None:
        if not text.startswith(_NOT_COUNTED):
            seen.extend([" ".join(text.split())] * (len(values) if many else 1))

    yield seen
    event.remove(engine, "before_cursor_execute", note)


def _drafts(mentors: int, coordinators: int) -> list[NoticeDraft]:
    """
    Return what so many mentors are told, and so many coordinators about the first of them.
    """
    tier = NotificationThresholdTier.WARNING_30
    return [
        draft_of(f"mentor-{number}", tier, *[coordinator(f"coordinator-{number}")] * (number < coordinators))
        for number in range(mentors)
    ]


@pytest.mark.parametrize(("mentors", "coordinators", "most"), [(100, 0, 4), (80, 20, 8)])
async def test_a_hundred_messages_take_a_few_statements(
    url: Any, mentors: int, coordinators: int, most: int
) -> None:
    """
    One leases them, one finds their notices, one completes them, and one finds that no more are due.

    For digests one more stamps what they tell of, one counts it, one covers it, and
    one looks for what came meanwhile, however many coordinators they are for.
    """
    async with SqlNotificationRepository.open(url) as store:
        await run_with(store, chunk_of(draft_of("mentor-of-the-first-transaction", at=_FIRST), at=_FIRST))
        dispatcher = PushDispatcher(repository=store, sender=ScriptedPushSender(), clock=FakeClock(MORNING))
        await dispatcher.drain()
        await run_with(store, chunk_of(*_drafts(mentors, coordinators)))
        with _statements(store.engine) as seen:
            result = await dispatcher.drain()

    assert DispatchResult(sent=100) == result
    assert most >= len(seen), "\n".join(seen)


@pytest.mark.parametrize(
    ("side", "states"), [("before", {"leased": 2, "queued": 1}), ("after", {"sent": 2, "leased": 1})]
)
async def test_what_ended_and_what_comes_next_are_one_write(
    tmp_path: Path, side: str, states: dict[str, int]
) -> None:
    """
    A fault leaves both or neither.
    """
    lost = RepositoryUnavailableError("The disk is full.", advice="Make room.")
    async with SqlNotificationRepository.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        await run_with(store, chunk_of(*_drafts(3, 0)))
        faulty = FaultyNotificationRepository(store, **{side: fail_at(2, lost)})
        dispatcher = PushDispatcher(
            repository=faulty,
            sender=ScriptedPushSender(),
            clock=FakeClock(MORNING),
            settings=DispatchSettings(batch_size=2),
        )
        with pytest.raises(RepositoryUnavailableError):
            await dispatcher.drain()
        left = {state.value: number for state, number in (await store.count_pushes()).items()}

    assert ["claim_pushes", "complete_and_claim"] == [point.method for point in faulty.writes]
    assert states == left
