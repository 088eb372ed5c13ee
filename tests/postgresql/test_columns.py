"""
Rows that are inserted column by column, when a column is not all of one kind.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, Final

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("psycopg")

import attrs
from sqlalchemy import create_engine, event

from proxy_orchestration import RegistrationEntry
from proxy_orchestration.errors import RecordRefusedError
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing.contracts.registration.samples import (
    ACTIVITY,
    accepted,
    activity_record,
    batch_of,
    claim,
    ended,
    items_of,
    lease_of,
    mentors,
    result_of,
    store,
)

if TYPE_CHECKING:
    from sqlalchemy import URL

pytestmark = pytest.mark.postgresql(asyncio_only=True)

_BEYOND_TWO_BYTES: Final = 2**15 + 9


class _Id(str):
    """
    A host's own kind of id.
    """

    __slots__ = ()


class _Known(StrEnum):
    """
    Ids that a host has names for.
    """

    ANNE = "mentor-anne"


class _Length(IntEnum):
    """
    Durations that a host has names for.
    """

    SHORT = 15
    ENDLESS = 2**16


async def test_ids_of_several_kinds_are_texts(postgresql_url: URL) -> None:
    """
    A host's own string types are as good as strings, and one of them beside plain ones spoils no commit.
    """
    kinds: tuple[str, ...] = (_Id("mentor-own"), "mentor-plain", _Known.ANNE)
    entries = tuple(RegistrationEntry(kind, ACTIVITY) for kind in kinds)
    async with SqlActivityRepository.open(postgresql_url) as repository:
        batch_id = await accepted(repository, batch_of(3, entries=entries))
        lease = await lease_of(repository, batch_id)
        work = await claim(repository, lease, 3)
        answers = [attrs.evolve(ended(one), activity_id=kind) for one, kind in zip(work, kinds, strict=True)]
        await store(repository, lease, *answers)
        result = await result_of(repository, batch_id)

    assert ["mentor-own", "mentor-plain", "mentor-anne"] == [one.mentor_id for one in result.outcomes]
    assert ["mentor-own", "mentor-plain", "mentor-anne"] == [one.activity_id for one in result.outcomes]


async def test_a_column_may_be_empty_in_some_rows(postgresql_url: URL) -> None:
    """
    Outcomes with and without an id, a failure or a conflict, in any order.
    """
    states = (ItemState.FAILED, ItemState.SUCCEEDED, ItemState.NEEDS_REVIEW, ItemState.UNKNOWN)
    async with SqlActivityRepository.open(postgresql_url) as repository:
        batch_id = await accepted(repository, batch_of(4))
        lease = await lease_of(repository, batch_id)
        work = await claim(repository, lease, 4)
        outcomes = [ended(one, state) for one, state in zip(work, states, strict=True)]
        await store(repository, lease, *outcomes)
        result = await result_of(repository, batch_id)

    assert list(states) == [one.state for one in result.outcomes]
    assert [one.failure for one in outcomes] == [one.failure for one in result.outcomes]
    assert [one.activity_id for one in outcomes] == [one.activity_id for one in result.outcomes]
    assert [one.settled_at for one in outcomes] == [one.settled_at for one in result.outcomes]


async def test_many_rows_are_one_statement(postgresql_url: URL) -> None:
    """
    However many they are; only long texts are spread over several.
    """
    short = await _item_inserts(postgresql_url, "a word", 300)
    long = await _item_inserts(postgresql_url, "a long story " * 1_000, 300)

    assert [300] == short
    assert 300 == sum(long)
    assert 4 <= len(long) <= 16


async def _item_inserts(url: URL, notes: str, count: int) -> list[int]:
    """
    Accept that many items with these notes, and return the rows of each statement that inserted some.
    """
    engine = create_engine(url)
    seen: list[int] = []

    def note(
        _connection: object, _cursor: object, statement: str, values: Any, _context: object, many: Any
    ) -> None:
        if statement.startswith("INSERT INTO items"):
            seen.append(len(values) if many else len(values[0]))

    event.listen(engine, "before_cursor_execute", note)
    activity = attrs.evolve(ACTIVITY, notes=notes)
    entries = tuple(RegistrationEntry(mentor_id, activity) for mentor_id in mentors(count))
    repository = SqlActivityRepository(engine)
    batch_id = await accepted(repository, batch_of(count, entries=entries))
    stored = await items_of(repository, batch_id)
    engine.dispose()
    assert [notes] * count == [item.activity.notes for item in stored]
    return seen


async def test_records_that_do_not_fit_together_are_refused(postgresql_url: URL) -> None:
    """
    One moment with a zone beside one without: neither can be told from the other, and nothing is stored.
    """
    good, bad = activity_record(1, "mentor-1"), activity_record(2, "mentor-2")
    bad = attrs.evolve(bad, recorded_at=bad.recorded_at.replace(tzinfo=None))
    async with SqlActivityRepository.open(postgresql_url) as repository:
        with pytest.raises(RecordRefusedError):
            await repository.add_activities([good, bad], atomic=False)

        assert [] == list(await repository.activities_of_batch("batch-1"))


async def test_a_number_with_a_name_is_a_number(postgresql_url: URL) -> None:
    """
    A host's own names for durations, beside plain minutes.
    """
    records = [activity_record(number, f"mentor-{number}") for number in range(3)]
    lengths = (_Length.SHORT, 45, _Length.ENDLESS)
    named = [
        attrs.evolve(
            one,
            registration=attrs.evolve(
                one.registration, activity=attrs.evolve(ACTIVITY, duration_minutes=length)
            ),
        )
        for one, length in zip(records, lengths, strict=True)
    ]
    async with SqlActivityRepository.open(postgresql_url) as repository:
        await repository.add_activities(named, atomic=False)
        stored = await repository.activities_of_batch("batch-1")

    assert [15, 45, 2**16] == [one.registration.activity.duration_minutes for one in stored]


async def test_a_number_may_need_more_bytes_than_the_first(postgresql_url: URL) -> None:
    """
    Positions that need four bytes stand in one array with some that need two.
    """
    async with SqlActivityRepository.open(postgresql_url) as repository:
        batch_id = await accepted(repository, batch_of(_BEYOND_TWO_BYTES))
        lease = await lease_of(repository, batch_id)
        work = await claim(repository, lease, _BEYOND_TWO_BYTES)
        tail = await store(repository, lease, *map(ended, work[:3]), *map(ended, work[-3:]))

    assert 6 == tail
    assert _BEYOND_TWO_BYTES - 1 == work[-1].item
