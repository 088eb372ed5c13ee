"""
How a run ends: its last outcomes, its counts, its audit event, all or nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import attrs
from sqlalchemy import (
    Connection,
    Dialect,
    Double,
    Row,
    Select,
    bindparam,
    func,
    select,
    update,
)

from proxy_orchestration.audit import AuditedOverride, AuditEvent, audit_event_id
from proxy_orchestration.errors import BatchStateError, LeaseLostError
from proxy_orchestration.registration.ledger import RunPurpose
from proxy_orchestration.registration.runs import Commit, Lease
from proxy_orchestration.registration.states import ItemState, settled_status
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.dialect.lookups import looked_up
from proxy_orchestration.storage.sql.registration.audit import store_event
from proxy_orchestration.storage.sql.registration.counts import count_settled_states
from proxy_orchestration.storage.sql.registration.locks import lock_batch
from proxy_orchestration.storage.sql.registration.rows import FIRST_RUN
from proxy_orchestration.storage.sql.registration.runs import (
    BATCH,
    COUNTED,
    FENCED,
    ITEM_OF_WORK,
    append_outcomes,
    key_of,
    told_by,
    write,
)
from proxy_orchestration.storage.sql.schema import batches, items, runs, work

_LOCK = update(runs).where(FENCED).values(lease_until=0.0).returning(*COUNTED)
_IS_OVERRIDDEN = (
    select(work.c.position)
    .where(work.c.batch == bindparam("b"), work.c.run == bindparam("r"), work.c.override_by.is_not(None))
    .exists()
)
_SETTLE = (
    update(runs)
    .where(runs.c.batch == bindparam("b"), runs.c.run == bindparam("r"))
    .values(
        lease_until=0.0,
        settled_at=bindparam("at"),
        status=bindparam("reached"),
        counts=bindparam("by_state"),
        untold_until=bindparam("untold"),
    )
    .returning(runs, _IS_OVERRIDDEN.label("is_overridden"))
)
_LIST_AS_SETTLED = (
    update(batches)
    .where(batches.c.id == bindparam("b"))
    .values(settled_run=bindparam("r"), settled_status=bindparam("reached"), needs_review=bindparam("waits"))
    .returning(batches.c.total, batches.c.organization_id, batches.c.coordinator_id)
)


# By the batch's id: SQLite's RETURNING names no tables, so that the row's own columns would be those of work.
_IS_OVERRIDDEN_IN_RUN = (
    select(work.c.position)
    .where(work.c.batch == BATCH, work.c.run == bindparam("r"), work.c.override_by.is_not(None))
    .exists()
)
# For a run whose outcomes all come at once: nothing has to be counted, and its row is written once.
_FINISH_WHOLE = (
    update(runs)
    .where(FENCED, runs.c.tail == runs.c.base)
    .values(
        tail=runs.c.tail + bindparam("settled"),
        driven_for=runs.c.driven_for + bindparam("driven"),
        first_call_at=func.coalesce(
            runs.c.first_call_at, store_now() - bindparam("since_first_call", type_=Double)
        ),
        alone=None,
        lease_until=0.0,
        settled_at=bindparam("at"),
        status=bindparam("reached"),
        counts=bindparam("by_state"),
        untold_until=bindparam("untold"),
    )
    .returning(runs, _IS_OVERRIDDEN_IN_RUN.label("is_overridden"))
)


@lru_cache(maxsize=8)
def _overrides_of_run(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    joined, item = looked_up(work, items, ITEM_OF_WORK, dialect)
    return (
        select(item.c.mentor_id, item.c.item_key, work.c.override_of, work.c.override_by, work.c.override_at)
        .select_from(joined)
        .where(
            work.c.batch == bindparam("b"),
            work.c.run == bindparam("r"),
            work.c.override_by.is_not(None),
        )
        .order_by(work.c.position)
    )


@attrs.frozen(kw_only=True)
class Ending:
    """
    What a driver says of the end of its run.
    """

    lease: Lease
    settled_at: datetime
    audit_hold: float
    tell: bool

    def columns(self, counts: Mapping[ItemState, int]) -> dict[str, Any]:
        """
        Return what the run's row says of it.
        """
        return {
            "at": self.settled_at,
            "reached": settled_status(counts).value,
            "by_state": json.dumps(_by_state(counts)),
            "untold": 0.0 if self.tell else None,
        }

    def event(
        self,
        run: Row[Any],
        batch: Any,  # noqa: ANN401 - a row of batches
        counts: Mapping[ItemState, int],
        overrides: tuple[AuditedOverride, ...] = (),
    ) -> AuditEvent:
        """
        Return what the audit is told, from the rows as they are now.
        """
        lease = self.lease
        return AuditEvent(
            event_id=audit_event_id(lease.batch_id, lease.run),
            batch_id=lease.batch_id,
            run=lease.run,
            coordinator_id=batch.coordinator_id,
            actor_id=lease.actor.user_id,
            organization_id=batch.organization_id,
            status=settled_status(counts).value,
            total=batch.total,
            counts=_by_state(counts),
            settled_at=self.settled_at,
            overrides=overrides,
            **_people(run, lease.actor.user_id),
        )


def settle(
    connection: Connection,
    lease: Lease,
    /,
    *,
    settled_at: datetime,
    audit_hold: float,
    tell: bool = False,
) -> AuditEvent:
    """
    Close the run with its counts and its audit event.
    """
    ending = Ending(lease=lease, settled_at=settled_at, audit_hold=audit_hold, tell=tell)
    lock_batch(connection, lease.batch_id)
    held = connection.execute(_LOCK, key_of(lease)).one_or_none()
    if held is None:
        raise LeaseLostError(lease.batch_id, lease.run)
    return _close(connection, ending, held)


def finish(  # noqa: PLR0913 - the port's arguments, and the connection
    connection: Connection,
    lease: Lease,
    commit: Commit,
    /,
    *,
    settled_at: datetime,
    audit_hold: float,
    tell: bool = False,
) -> AuditEvent:
    """
    Append the last outcomes and close the run, all or nothing.
    """
    ending = Ending(lease=lease, settled_at=settled_at, audit_hold=audit_hold, tell=tell)
    lock_batch(connection, lease.batch_id)
    if lease.run == FIRST_RUN and lease.run_items == len(commit.outcomes):
        return _finish_whole(connection, ending, commit)
    return _close(connection, ending, write(connection, lease, commit))


def _finish_whole(connection: Connection, ending: Ending, commit: Commit) -> AuditEvent:
    """
    Close a first run all of whose outcomes come in this commit: what it counts is known, and written at once.
    """
    counts = Counter(outcome.state for outcome in commit.outcomes)
    told = {**key_of(ending.lease), **ending.columns(counts), **told_by(commit)}
    run = connection.execute(_FINISH_WHOLE, told).one_or_none()
    if run is None:
        raise LeaseLostError(ending.lease.batch_id, ending.lease.run)
    append_outcomes(connection, ending.lease, commit, batch=run.batch, tail=run.tail)
    return _store_end(connection, ending, run, counts)


def _close(connection: Connection, ending: Ending, held: Any) -> AuditEvent:  # noqa: ANN401 - a row
    counts = count_settled_states(connection, held)
    key = {"b": held.batch, "r": ending.lease.run}
    run = connection.execute(_SETTLE, {**key, **ending.columns(counts)}).one()
    if run.tail - run.base < run.run_items:
        raise BatchStateError(
            ending.lease.batch_id, "not every item of the run has an outcome. Drive it to its end."
        )
    return _store_end(connection, ending, run, counts)


def _store_end(
    connection: Connection,
    ending: Ending,
    run: Row[Any],
    counts: Mapping[ItemState, int],
) -> AuditEvent:
    status, waits = settled_status(counts).value, ItemState.NEEDS_REVIEW in counts
    batch = connection.execute(
        _LIST_AS_SETTLED, {"b": run.batch, "r": run.run, "reached": status, "waits": waits}
    ).one()
    event = ending.event(run, batch, counts, _overrides(connection, run) if run.is_overridden else ())
    store_event(connection, event, hold=ending.audit_hold)
    return event


def _by_state(counts: Mapping[ItemState, int]) -> dict[str, int]:
    return {state.value: count for state, count in counts.items()}


def _people(run: Row[Any], opener: str) -> dict[str, str | None]:
    """
    Return who had a part in this run, for its event.
    """
    cancelled = run.cancel_wished_at is not None
    return {
        "retried_by": opener if run.purpose == RunPurpose.RETRY.value else None,
        "decided_by": opener if run.purpose == RunPurpose.REVIEW.value else None,
        "cancelled_by": run.cancelled_by if cancelled else None,
        "cancel_reason": run.cancel_reason if cancelled else None,
    }


def _overrides(connection: Connection, run: Row[Any]) -> tuple[AuditedOverride, ...]:
    return tuple(
        AuditedOverride(
            mentor_id=mentor_id,
            activity_id=activity_id,
            decided_by=by,
            decided_at=decided_at,
            item_key=own_key or mentor_id,
        )
        for mentor_id, own_key, activity_id, by, decided_at in connection.execute(
            _overrides_of_run(connection.dialect), {"b": run.batch, "r": run.run}
        )
    )
