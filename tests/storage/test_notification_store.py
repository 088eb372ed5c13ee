"""
What the SQL store of notices promises beyond the ports: migrations, refusals, two writers on one file.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from waits import LONGEST_WAIT

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine

from proxy_orchestration.errors import RecordRefusedError
from proxy_orchestration.notification.records import DraftFate, DraftState, NoticeChunk
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    SqlVisibilityRegistry,
    create_schema,
)
from proxy_orchestration.storage.sql.database.migrate import MIGRATIONS
from proxy_orchestration.storage.sql.database.versions import VERSION_TABLE
from proxy_orchestration.testing.contracts.notification.samples import (
    ENDS,
    MORNING,
    acknowledgement,
    chunk_of,
    coordinator,
    draft_of,
    end_of,
)
from proxy_orchestration.testing.contracts.registration.samples import accepted, batch_of

_WARNING = NotificationThresholdTier.WARNING_30


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'store.db'}"


def _migrate(engine: Engine, move: Callable[[ScriptDirectory], Callable[[Any, Any], Any]]) -> None:
    options = {"version_table": VERSION_TABLE, "fn": move(ScriptDirectory(str(MIGRATIONS)))}
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts=options)
        with Operations.context(context):
            context.run_migrations()


@pytest.mark.parametrize("before", ["0001", "0002"])
async def test_an_older_database_keeps_its_rows(tmp_path: Path, before: str) -> None:
    """
    Registrations stay as they are when notices move in.
    """
    engine = create_engine(_url(tmp_path))
    create_schema(engine)
    batch_id = await accepted(SqlActivityRepository(engine), batch_of(2))
    _migrate(engine, lambda script: lambda revision, _: script._downgrade_revs(before, revision))
    create_schema(engine)

    recorded = await SqlNotificationRepository(engine).record(chunk_of(draft_of()))
    assert (DraftFate(state=DraftState.CREATED),) == recorded.fates
    assert await SqlActivityRepository(engine).get(batch_id) is not None
    engine.dispose()


def test_two_writers_of_one_chunk_create_each_notice_once(tmp_path: Path) -> None:
    """
    Two processes may run the same day at once on one file.
    """
    chunk = chunk_of(
        *(draft_of(f"mentor-{number}", _WARNING, coordinator()) for number in range(50)),
    )
    engine = create_engine(_url(tmp_path))
    create_schema(engine)
    engine.dispose()
    together = threading.Barrier(2)
    fates: list[list[DraftFate]] = []

    def run() -> None:
        async def record() -> None:
            async with SqlNotificationRepository.open(_url(tmp_path)) as repository:
                together.wait(LONGEST_WAIT)
                fates.append(list((await repository.record(chunk)).fates))

        anyio.run(record)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONGEST_WAIT)

    created, duplicate = sorted(fates, key=lambda answered: answered[0].state.value)
    assert [DraftFate(state=DraftState.CREATED, others=1)] * 50 == created
    assert [DraftFate(state=DraftState.DUPLICATE)] * 50 == duplicate
    assert (100, 51) == _counts(tmp_path)


def _counts(folder: Path) -> tuple[int, int]:
    with sqlite3.connect(folder / "store.db") as connection:
        (notices,) = connection.execute("SELECT count(*) FROM notifications").fetchone()
        (messages,) = connection.execute("SELECT count(*) FROM push_outbox").fetchone()
    connection.close()
    return notices, messages


def _chunk_with(**changed: Any) -> NoticeChunk:
    draft = draft_of("mentor-2")
    return chunk_of(draft_of(), attrs.evolve(draft, notice=attrs.evolve(draft.notice, **changed)))


@pytest.mark.parametrize(
    "changed",
    [
        {"recipient_id": ""},
        {"mentor_id": ""},
        {"title": "half a pair: \ud800"},
        {"body": "cut\0off"},
        {"mentor_id": "mentor\0"},
        {"recipient_id": "\udfff"},
    ],
)
async def test_a_record_that_cannot_be_kept_leaves_nothing_behind(
    tmp_path: Path, changed: dict[str, str]
) -> None:
    """
    The whole chunk is refused, so that halving it finds the one to blame.
    """
    async with SqlNotificationRepository.open(_url(tmp_path)) as repository:
        with pytest.raises(RecordRefusedError):
            await repository.record(_chunk_with(**changed))

        assert (0, 0) == _counts(tmp_path)
        assert [DraftState.CREATED] == [
            fate.state for fate in (await repository.record(chunk_of(draft_of()))).fates
        ]


async def test_words_that_cannot_be_kept_acknowledge_nothing(tmp_path: Path) -> None:
    """
    The notice waits until somebody takes note of it in words that can be kept.
    """
    notice = draft_of().notice
    async with SqlNotificationRepository.open(_url(tmp_path)) as repository:
        await repository.record(chunk_of(draft_of()))
        for note in ("\0", "\ud800"):
            with pytest.raises(RecordRefusedError):
                await repository.acknowledge(acknowledgement(notice, note=note))

        assert notice == await repository.notification(notice.notification_id)
        assert [] == list(await repository.acknowledgements("org-1", limit=9))


@pytest.mark.parametrize("mentor_id", ["", "\0", "\ud800"])
async def test_an_end_without_a_name_is_not_tracked(tmp_path: Path, mentor_id: str) -> None:
    """
    The others of the call are not tracked either.
    """
    async with SqlVisibilityRegistry.open(_url(tmp_path)) as registry:
        with pytest.raises(RecordRefusedError):
            await registry.track([end_of(ends_at=MORNING), end_of(mentor_id, MORNING)], at=MORNING)

        assert set() == await registry.hidden(["mentor-1"], at=MORNING)


@pytest.mark.parametrize("store", [SqlNotificationRepository, SqlVisibilityRegistry])
def test_a_database_in_memory_is_refused(store: type[Any]) -> None:
    """
    Each thread would see another one.
    """
    with pytest.raises(ValueError, match="use a file"):
        store(create_engine("sqlite://"))


async def test_a_guard_longer_than_the_calendar_lets_nothing_pass_twice(tmp_path: Path) -> None:
    """
    The first notice is told all the same.
    """
    for_ever = timedelta.max
    first = attrs.evolve(chunk_of(draft_of()), guard=for_ever)
    second = attrs.evolve(chunk_of(draft_of(tier=NotificationThresholdTier.URGENT_7)), guard=for_ever)
    async with SqlNotificationRepository.open(_url(tmp_path)) as repository:
        states = [fate.state for chunk in (first, second) for fate in (await repository.record(chunk)).fates]

        assert [DraftState.CREATED, DraftState.DEFERRED] == states
        assert [DraftState.DEFERRED] == [fate.state for fate in (await repository.weigh(second)).fates]


async def test_a_registry_beside_the_store_goes_by_what_the_store_knows(tmp_path: Path) -> None:
    """
    Of two runs at once the one that knew less may come last; of others it goes by what it is told.
    """
    engine = create_engine(_url(tmp_path))
    create_schema(engine)
    await SqlNotificationRepository(engine).record(chunk_of(ends=[end_of(), end_of("mentor-2", None)]))
    registry = SqlVisibilityRegistry(engine)
    names = ["mentor-1", "mentor-2", "mentor-3"]

    assert 1 == await registry.track([end_of(name, ENDS) for name in names], at=ENDS)
    assert {"mentor-3"} == set(await registry.hidden(names, at=ENDS))
    engine.dispose()
