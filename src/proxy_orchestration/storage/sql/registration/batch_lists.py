"""
Lists of batches, newest first: a page is read through an index, whatever is looked for.

A settled batch tells its status, and whether somebody is waited for, in
columns of its own, which indexes begin with. They count where `settled_run`
is the current run. Opening a run leaves it behind, and so does code of
revision 0016 when it settles one: what such a batch is follows from its run,
which is looked up (decision 210).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import reduce
from itertools import product
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    Select,
    and_,
    false,
    func,
    or_,
    select,
    union_all,
)

from proxy_orchestration._texts import is_storable
from proxy_orchestration.access import Visibility
from proxy_orchestration.registration.batches import BatchFilter, BatchPage, cursor_of
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.storage.sql.dialect.differences import by_code_point
from proxy_orchestration.storage.sql.dialect.lookups import looked_up
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.registration.batches import (
    IS_CURRENT_RUN,
    status_of,
    summary_of,
    with_run,
)
from proxy_orchestration.storage.sql.schema import IS_SETTLED, IS_UNSETTLED, batches, runs

_OPEN: Final = frozenset({BulkStatus.PENDING, BulkStatus.RUNNING, BulkStatus.CANCELLING, BulkStatus.PAUSED})
_SETTLED: Final = [status for status in BulkStatus if status not in _OPEN]
_NEWEST: Final = (batches.c.submitted_at.desc(), batches.c.id.desc())


class _Part(NamedTuple):
    """
    Batches that one index has in order; a list is of one or several such parts.
    """

    source: FromClause
    conditions: tuple[ColumnElement[bool], ...]

    def select(self, *columns: ColumnElement[Any]) -> Select[Any]:
        return select(*columns).select_from(self.source).where(*self.conditions)


def list_batches(  # noqa: PLR0913 - the port's arguments, and the connection
    connection: Connection,
    visibility: Visibility,
    /,
    *,
    page: int,
    limit: int,
    statuses: Collection[BulkStatus] | None,
    found_by: BatchFilter = BatchFilter(),  # noqa: B008 - frozen
) -> BatchPage:
    """
    Return one page of the visible batches, newest first.
    """
    sought = tuple(_sought(visibility, found_by))
    parts = [
        part._replace(conditions=(*part.conditions, *sought))
        for part in _parts(statuses, found_by, connection.dialect)
    ]
    total = connection.execute(select(_total(parts))).scalar_one()
    rows = connection.execute(_page(parts, connection.dialect, page=page, limit=limit)).all()
    return BatchPage(
        batches=tuple(summary_of(connection, row) for row in rows),
        page=page,
        limit=limit,
        total=total,
        next_cursor=cursor_of(rows[-1].submitted_at, rows[-1].id) if rows and total > page * limit else None,
    )


def _sought(visibility: Visibility, found_by: BatchFilter) -> Iterator[ColumnElement[bool]]:
    """
    Yield what every batch of the list has, settled or not.
    """
    yield batches.c.organization_id == visibility.organization_id
    if visibility.coordinator_id is not None:
        yield batches.c.coordinator_id == visibility.coordinator_id
    if found_by.coordinator_id is not None:
        yield batches.c.coordinator_id == findable(found_by.coordinator_id)
    if found_by.label is not None:
        # A label may be the empty text, so what no row can hold is looked for as nothing.
        is_kept = is_storable(found_by.label)
        yield by_code_point(batches.c.label) == found_by.label if is_kept else false()
    if found_by.submitted_from is not None:
        yield batches.c.submitted_at >= found_by.submitted_from
    if found_by.submitted_before is not None:
        yield batches.c.submitted_at < found_by.submitted_before
    if (position := found_by.position()) is not None:
        moment, number = position
        # The first half alone is where an index begins to be read.
        yield batches.c.submitted_at <= moment
        yield or_(batches.c.submitted_at < moment, batches.c.id < number)


def _parts(
    statuses: Collection[BulkStatus] | None, found_by: BatchFilter, dialect: Dialect
) -> Iterator[_Part]:
    """
    Yield each way to be in the list: settled with that status, and the others, looked up.
    """
    if statuses is None and found_by.needs_review is None:
        yield _Part(batches, ())
        return
    answers = (False, True) if found_by.needs_review is None else (found_by.needs_review,)
    wanted = _SETTLED if statuses is None else [one for one in _SETTLED if one in statuses]
    for status, waits in product(wanted, answers):
        yield _Part(
            batches,
            (IS_SETTLED, batches.c.settled_status == status.value, batches.c.needs_review == waits),
        )
    source, run = looked_up(batches, runs, IS_CURRENT_RUN, dialect)
    yield _Part(source, (IS_UNSETTLED, *_derived(run, statuses, found_by)))


def _derived(
    run: FromClause, statuses: Collection[BulkStatus] | None, found_by: BatchFilter
) -> Iterator[ColumnElement[bool]]:
    if statuses is not None:
        yield status_of(run).in_([status.value for status in statuses])
    if found_by.needs_review is not None:
        # The counts of a settled run name the states that items are in, and no others.
        waits = func.coalesce(run.c.counts, "").contains(f'"{ItemState.NEEDS_REVIEW.value}"')
        yield waits if found_by.needs_review else ~waits


def _total(parts: list[_Part]) -> ColumnElement[int]:
    return reduce(
        lambda total, one: total + one, (part.select(func.count()).scalar_subquery() for part in parts)
    )


def _page(parts: list[_Part], dialect: Dialect, *, page: int, limit: int) -> Select[*tuple[Any, ...]]:
    """
    Return the statement for the page: no part is read further than the page goes.
    """
    firsts = [
        part.select(batches.c.id, batches.c.submitted_at).order_by(*_NEWEST).limit(page * limit)
        for part in parts
    ]
    merged = union_all(*(select(first.subquery()) for first in firsts)).subquery()
    chosen = (
        select(merged)
        .order_by(merged.c.submitted_at.desc(), merged.c.id.desc())
        .limit(limit)
        .offset((page - 1) * limit)
        .subquery("chosen")
    )
    with_batch, batch = looked_up(chosen, batches, batches.c.id == chosen.c.id, dialect)
    is_current = and_(runs.c.batch == batch.c.id, runs.c.run == batch.c.run)
    with_both, run = looked_up(with_batch, runs, is_current, dialect)
    return (
        with_run(batch, run).select_from(with_both).order_by(chosen.c.submitted_at.desc(), chosen.c.id.desc())
    )
