"""
Texts that no database keeps, wherever a host's text reaches a statement; alike on both databases.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from proxy_orchestration.access import Visibility
from proxy_orchestration.errors import BatchStateError, RecordRefusedError
from proxy_orchestration.notification.notices import PushState
from proxy_orchestration.registration.runs import RunSettled
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    SqlVisibilityRegistry,
)
from proxy_orchestration.testing.contracts.notification.samples import (
    ENDS,
    HOLD,
    MORNING,
    chunk_of,
    draft_of,
    end_of,
    ended,
    the_push,
)
from proxy_orchestration.testing.contracts.registration.samples import (
    LONG,
    NOON,
    accepted,
    activity_record,
    batch_of,
    rerun,
    settled_batch,
)

pytestmark = pytest.mark.parametrize("odd", ["cut\0off", "half \ud800"], ids=["NUL", "surrogate"])


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


@asynccontextmanager
async def _store(url: Any) -> AsyncIterator[SqlActivityRepository]:
    async with SqlActivityRepository.open(url) as repository:
        yield repository


async def test_nothing_is_found_under_an_id_that_no_row_can_hold(url: Any, odd: str) -> None:
    """
    It is answered like any other id that nobody has.
    """
    async with _store(url) as store:
        assert await store.get(odd) is None
        assert await store.read_result(odd) is None
        assert [] == list(await store.read_updates(odd, after=0, limit=9))
        assert [] == list(await store.read_items(odd))
        assert [] == list(await store.activities_of_batch(odd))
        assert not await store.relabel(odd, "label")
        assert not await store.delete(odd)
        assert not await store.void_activity(odd, voided_at=NOON)
        assert isinstance(await store.acquire(odd, 1, ttl=LONG), RunSettled)
        await store.mark_audited(odd)


async def test_a_batch_that_no_row_can_name_is_gone(url: Any, odd: str) -> None:
    """
    Nothing of it can be cancelled or run again.
    """
    async with _store(url) as store:
        with pytest.raises(BatchStateError, match="deleted or purged"):
            await store.cancel_run(odd, reason=None, wished_at=NOON)
        with pytest.raises(BatchStateError, match="deleted or purged"):
            await store.open_run(rerun(odd, ["mentor-1"]))


async def test_one_such_id_among_others_hides_none_of_them(url: Any, odd: str) -> None:
    """
    The others are found.
    """
    record = activity_record(1, key="key")
    async with _store(url) as store:
        await store.add_activities([record], atomic=False)

        assert [record] == list(await store.find_activities([odd, record.registration.registration_id]))
        assert {"key": record} == await store.find_duplicates("org-1", [odd, "key"])


async def test_a_batch_with_such_a_text_is_refused_whole(url: Any, odd: str) -> None:
    """
    Its label, its key or a reason to cancel it.
    """
    async with _store(url) as store:
        for changes in ({"label": odd}, {"idempotency_key": odd}):
            with pytest.raises(RecordRefusedError):
                await store.accept(attrs.evolve(batch_of(1), **changes))
        batch_id = await accepted(store, batch_of(1))
        with pytest.raises(RecordRefusedError):
            await store.cancel_run(batch_id, reason=odd, wished_at=NOON)
        with pytest.raises(RecordRefusedError):
            await store.relabel(batch_id, odd)
        page = await store.list_batches(Visibility(organization_id="org-1"), page=1, limit=9, statuses=None)

        assert [batch_id] == [batch.batch_id for batch in page.batches]


@pytest.mark.parametrize("atomic", [False, True])
async def test_a_record_with_such_a_text_is_refused_with_its_call(
    url: Any, odd: str, *, atomic: bool
) -> None:
    """
    The service then looks for it among the others, and fails it alone.
    """
    good, bad = activity_record(1, key="a"), activity_record(2, key="b")
    activity = attrs.evolve(bad.registration.activity, notes=odd)
    bad = attrs.evolve(bad, registration=attrs.evolve(bad.registration, activity=activity))
    async with _store(url) as store:
        with pytest.raises(RecordRefusedError):
            await store.add_activities([good, bad], atomic=atomic)

        assert [] == list(await store.activities_of_batch("batch-1"))


async def test_the_inbox_of_such_a_recipient_is_empty(url: Any, odd: str) -> None:
    """
    Nobody is told, nothing is found, and nobody is hidden.
    """
    async with SqlNotificationRepository.open(url) as store, SqlVisibilityRegistry.open(url) as registry:
        await registry.track([end_of("mentor-1", ENDS)], at=ENDS)

        assert [] == list(await store.notifications_for(odd))
        assert await store.notification(odd) is None
        assert [] == list(await store.acknowledgements(odd, limit=9))
        assert 0 == await store.replay_dead([odd], now=MORNING)
        assert {"mentor-1"} == set(await registry.hidden([odd, "mentor-1"], at=ENDS))


async def test_a_code_of_a_sender_is_kept_without_what_cannot_be(url: Any, odd: str) -> None:
    """
    How an attempt ended is stored, whatever word a host's sender has for it.
    """
    async with SqlNotificationRepository.open(url) as store:
        await store.record(chunk_of(draft_of()))
        push = await the_push(store, at=MORNING + HOLD)

        assert 1 == await store.complete_pushes([ended(push, PushState.DEAD, code=odd)])
        assert {PushState.DEAD: 1} == await store.count_pushes()


async def test_a_further_run_takes_no_mentor_of_such_a_name(url: Any, odd: str) -> None:
    """
    A settled batch stays as it is.
    """
    async with _store(url) as store:
        batch_id = await settled_batch(store, ItemState.FAILED)
        with pytest.raises(Exception, match="Not part of this batch"):
            await store.open_run(rerun(batch_id, [odd]))
