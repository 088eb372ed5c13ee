"""
Batches, read and put in order.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    Row,
    Select,
    and_,
    bindparam,
    case,
    func,
    select,
    update,
)

from proxy_orchestration.errors import BatchStateError
from proxy_orchestration.registration.batches import (
    BatchSummary,
    BulkSubmissionResult,
    PurgedBatches,
)
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.ledger import BatchRecord
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.states import BulkStatus, ItemState
from proxy_orchestration.storage.sql.dialect.differences import is_any_of, listed
from proxy_orchestration.storage.sql.dialect.lookups import looked_up
from proxy_orchestration.storage.sql.dialect.texts import check_texts, findable
from proxy_orchestration.storage.sql.registration.counts import count_states
from proxy_orchestration.storage.sql.registration.locks import lock_batch, lock_batches
from proxy_orchestration.storage.sql.registration.outcomes import newest_outcomes
from proxy_orchestration.storage.sql.registration.rows import STATES, actor_of
from proxy_orchestration.storage.sql.schema import batch_keys, batches, items, outcomes, runs, work

IS_CURRENT_RUN: Final = and_(runs.c.batch == batches.c.id, runs.c.run == batches.c.run)
_RELABEL = (
    update(batches).where(batches.c.batch_id == bindparam("wanted")).values(label=bindparam("new_label"))
)
_WAITS = f'"{ItemState.NEEDS_REVIEW.value}"'
"""In the counts of a settled run, which name the states that items are in, and no others."""

_ANY_RUN = runs.alias("any_run")
_SETTLED_BEFORE = (
    select(
        batches.c.id,
        func.coalesce(runs.c.counts, "").contains(_WAITS).label("is_reviewed"),
        select(_ANY_RUN.c.run)
        .where(_ANY_RUN.c.batch == batches.c.id, _ANY_RUN.c.untold_until.is_not(None))
        .exists()
        .label("is_untold"),
    )
    .join(runs, IS_CURRENT_RUN)
    .where(runs.c.settled_at < bindparam("moment"), batches.c.id > bindparam("after"))
    .order_by(batches.c.id)
    .limit(bindparam("most"))
)
_FORGET_KEYS = (
    batch_keys.delete()
    .where(
        batch_keys.c.accepted_at < bindparam("moment"),
        ~select(batches.c.id).where(batches.c.batch_id == batch_keys.c.batch_id).exists(),
    )
    .execution_options(preserve_rowcount=True)
)
_DELETES = (
    *(table.delete().where(table.c.batch == bindparam("b")) for table in (outcomes, work, runs, items)),
    batches.delete().where(batches.c.id == bindparam("b")),
)


def status_of(run: FromClause) -> ColumnElement[str]:
    """
    Return the status of the batch whose current run that is.
    """
    return case(
        (run.c.settled_at.is_not(None), run.c.status),
        (run.c.fence == 0, BulkStatus.PENDING.value),
        (run.c.cancel_wished_at.is_not(None), BulkStatus.CANCELLING.value),
        (run.c.paused_at.is_not(None), BulkStatus.PAUSED.value),
        else_=BulkStatus.RUNNING.value,
    )


@lru_cache(maxsize=8)
def _record(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    joined, run = looked_up(batches, runs, IS_CURRENT_RUN, dialect)
    return with_run(batches, run).select_from(joined).where(batches.c.batch_id == bindparam("wanted"))


@lru_cache(maxsize=8)
def _records(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    joined, run = looked_up(batches, runs, IS_CURRENT_RUN, dialect)
    is_wanted = is_any_of(batches.c.batch_id, "wanted", dialect)
    return with_run(batches, run).select_from(joined).where(is_wanted)


def with_run(batch: FromClause, run: FromClause) -> Select[*tuple[Any, ...]]:
    """
    Return what is read of batches and their runs.
    """
    return select(
        batch,
        run.c.batch,
        run.c.counts_outside,
        run.c.run_items,
        run.c.base,
        run.c.tail,
        run.c.claimed,
        run.c.fence,
        run.c.cancel_wished_at,
        run.c.settled_at,
        run.c.counts,
        run.c.actor,
        run.c.retried_by,
        run.c.decided_by,
        run.c.cancelled_by,
        run.c.cancel_reason,
        run.c.paused_at,
        run.c.paused_by,
        run.c.pause_code,
        status_of(run).label("status"),
    )


_OF_RUN = (
    with_run(batches, runs)
    .add_columns(runs.c.run.label("number"))
    .select_from(batches.join(runs, runs.c.batch == batches.c.id))
    .where(batches.c.id == bindparam("b"), runs.c.run == bindparam("r"))
)


def _read_record(connection: Connection, batch_id: str) -> Row[*tuple[Any, ...]] | None:
    return connection.execute(_record(connection.dialect), {"wanted": findable(batch_id)}).one_or_none()


def get(connection: Connection, batch_id: str, /) -> BatchRecord | None:
    """
    Return the batch's header and current run, or `None`.
    """
    row = _read_record(connection, batch_id)
    return None if row is None else _batch_record(row)


def get_many(connection: Connection, batch_ids: Collection[str], /) -> Mapping[str, BatchRecord]:
    """
    Return the headers and current runs of those batches that are there.
    """
    wanted = listed([findable(each) for each in batch_ids], connection.dialect)
    rows = connection.execute(_records(connection.dialect), {"wanted": wanted})
    return {row.batch_id: _batch_record(row) for row in rows}


def _batch_record(row: Row[Any]) -> BatchRecord:
    return BatchRecord(
        batch_id=row.batch_id,
        organization_id=row.organization_id,
        coordinator_id=row.coordinator_id,
        label=row.label,
        total=row.total,
        submitted_at=row.submitted_at,
        run=row.run,
        run_items=row.run_items,
        base=row.base,
        tail=row.tail,
        driven=row.fence > 0,
        cancel_wished_at=row.cancel_wished_at,
        settled_at=row.settled_at,
        mode=SubmissionMode(row.mode),
        on_conflict=ConflictPolicy(row.on_conflict),
        paused_at=row.paused_at if _is_paused(row) else None,
        service_name=row.service_name,
    )


def read_result(connection: Connection, batch_id: str, /) -> BulkSubmissionResult | None:
    """
    Return the batch with all outcomes as of one moment, or `None`.
    """
    row = _read_record(connection, batch_id)
    if row is None:
        return None
    settled = row.settled_at is not None
    found = newest_outcomes(connection, batch=row.id, run=row.run, claimed=row.claimed, settled=settled)
    counts: dict[ItemState, int] = {}
    for outcome in found:
        counts[outcome.state] = counts.get(outcome.state, 0) + 1
    return BulkSubmissionResult(**_summary_fields(row), counts=counts, outcomes=found)


def read_summary(connection: Connection, batch_id: str, /) -> BatchSummary | None:
    """
    Return the batch without its outcomes, or `None`.
    """
    row = _read_record(connection, batch_id)
    return None if row is None else summary_of(connection, row)


def read_settled(connection: Connection, key: dict[str, int]) -> BatchSummary:
    """
    Return the batch as it stood when that run settled.
    """
    row = connection.execute(_OF_RUN, key).one()
    fields = _summary_fields(row) | {"run": row.number}
    return BatchSummary(**fields, counts=_counts(connection, row))


def summary_of(connection: Connection, row: Row[Any]) -> BatchSummary:
    """
    Return the batch of a row of `with_run`, without its outcomes.
    """
    return BatchSummary(**_summary_fields(row), counts=_counts(connection, row))


def _counts(connection: Connection, row: Row[Any]) -> dict[ItemState, int]:
    if row.counts is not None:
        return {STATES[state]: count for state, count in json.loads(row.counts).items()}
    return count_states(connection, row)


def _is_paused(row: Row[Any]) -> bool:
    return row.paused_at is not None and row.settled_at is None and row.cancel_wished_at is None


def _summary_fields(row: Row[Any]) -> dict[str, Any]:
    paused = _is_paused(row)
    return {
        "batch_id": row.batch_id,
        "coordinator_id": row.coordinator_id,
        "status": BulkStatus(row.status),
        "run": row.run,
        "total": row.total,
        "label": row.label,
        "submitted_at": row.submitted_at,
        "settled_at": row.settled_at,
        "organization_id": row.organization_id,
        "mode": SubmissionMode(row.mode),
        "on_conflict": ConflictPolicy(row.on_conflict),
        "opened_by": actor_of(row.actor).user_id,
        "retried_by": row.retried_by,
        "decided_by": row.decided_by,
        "cancelled_by": row.cancelled_by,
        "cancel_reason": row.cancel_reason,
        "paused_at": row.paused_at if paused else None,
        "paused_by": row.paused_by if paused else None,
        "pause_code": row.pause_code if paused else None,
    }


def relabel(connection: Connection, batch_id: str, label: str | None, /) -> bool:
    """
    Change the label; return whether the batch exists.
    """
    check_texts((label,))
    return connection.execute(_RELABEL, {"wanted": findable(batch_id), "new_label": label}).rowcount == 1


def delete(connection: Connection, batch_id: str, /) -> bool:
    """
    Remove a settled batch; return whether it existed.
    """
    lock_batch(connection, batch_id)
    row = _read_record(connection, batch_id)
    if row is None:
        return False
    if row.settled_at is None:
        raise BatchStateError(batch_id, "its current run is not settled. Cancel it, and try again.")
    _remove_rows(connection, row.id)
    return True


def purge(  # noqa: PLR0913 - what may be said of a purge, and which part of it this is
    connection: Connection,
    *,
    settled_before: datetime,
    with_open_reviews: bool,
    with_untold: bool,
    after: int,
    limit: int,
) -> tuple[PurgedBatches, int | None]:
    """
    Look at the `limit` batches that follow the row `after` and settled before that moment; remove some.

    Returns:
        what became of them, and the row after which to go on; `None` when none are left.
    """
    values = {"moment": settled_before, "after": after, "most": limit}
    found = connection.execute(_SETTLED_BEFORE, values).scalars().all()
    lock_batches(connection, found)
    # Another run may have been opened between the look and the lock; decision 45.
    still = [row for row in connection.execute(_SETTLED_BEFORE, values) if row.id in found] if found else []
    reviewed = [row.id for row in still if row.is_reviewed and not with_open_reviews]
    untold = [row.id for row in still if row.is_untold and not with_untold and row.id not in reviewed]
    removed = [row.id for row in still if row.id not in {*reviewed, *untold}]
    for batch in removed:
        _remove_rows(connection, batch)
    done = PurgedBatches(deleted=len(removed), left_for_review=len(reviewed), left_untold=len(untold))
    return done, found[-1] if len(found) == limit else None


def purge_tombstones(connection: Connection, *, accepted_before: datetime) -> int:
    """
    Forget the keys of batches that are gone and were accepted before that moment; return how many.
    """
    return connection.execute(_FORGET_KEYS, {"moment": accepted_before}).rowcount


def _remove_rows(connection: Connection, batch: int) -> None:
    for statement in _DELETES:
        connection.execute(statement, {"b": batch})
