"""
What a driver does to its run: acquire, commit, settle, release.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import attrs
from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Double,
    Integer,
    Row,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    update,
)

from proxy_orchestration.audit import AuditedOverride, AuditEvent, audit_event_id
from proxy_orchestration.errors import BatchStateError, LeaseLostError
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.ledger import RunPurpose
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.runs import (
    Acquisition,
    Commit,
    Committed,
    Lease,
    LeaseHeld,
    RunPaused,
    RunSettled,
    WorkItem,
)
from proxy_orchestration.registration.states import ItemState, settled_status
from proxy_orchestration.storage.sql.database.errors import refused_as
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.dialect.lookups import looked_up
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.registration.audit import store_event
from proxy_orchestration.storage.sql.registration.counts import count_settled_states
from proxy_orchestration.storage.sql.registration.drivable import IS_FROM_A_LATER_CLOCK
from proxy_orchestration.storage.sql.registration.locks import lock_batch
from proxy_orchestration.storage.sql.registration.outcomes import SETTLED_IN_RUN, append
from proxy_orchestration.storage.sql.registration.pausing import is_paused
from proxy_orchestration.storage.sql.registration.rows import actor_of, work_columns, work_item
from proxy_orchestration.storage.sql.registration.unfinished import (
    NOTHING_LEFT,
    count_death,
    doubt_all,
    parts_of_lease,
    tell,
)
from proxy_orchestration.storage.sql.schema import LARGEST, batches, items, runs, work


def _of_batch(column: Column[Any]) -> ScalarSelect[Any]:
    return select(column).where(batches.c.id == runs.c.batch).scalar_subquery()


_BATCH = select(batches.c.id).where(batches.c.batch_id == bindparam("wanted")).scalar_subquery()
_OPEN_RUN = and_(runs.c.batch == _BATCH, runs.c.run == bindparam("r"), runs.c.settled_at.is_(None))
_COUNTED = (runs.c.batch, runs.c.run, runs.c.base, runs.c.tail, runs.c.counts_outside)
_FENCED = and_(_OPEN_RUN, runs.c.fence == bindparam("held"))

TAKEN: Final[dict[str, Any]] = {
    "fence": runs.c.fence + 1,
    "called_fence": case((runs.c.called_fence == runs.c.fence, runs.c.fence + 1), else_=runs.c.called_fence),
    "lease_until": store_now() + bindparam("ttl"),
    "lease_ttl": bindparam("ttl"),
    "due_at": 0.0,
}
"""What becomes of a run whose lease is taken."""

LEASED: Final = (
    runs,
    (store_now() - runs.c.first_call_at).label("since_first_call"),
    _of_batch(batches.c.mode).label("mode"),
    _of_batch(batches.c.on_conflict).label("on_conflict"),
)
"""What `lease_on` reads of it then."""

_TAKE_OVER = update(runs).where(_OPEN_RUN).values(TAKEN).returning(*LEASED)
_IS_FREE = or_(runs.c.lease_until <= store_now(), IS_FROM_A_LATER_CLOCK)
_ACQUIRE = _TAKE_OVER.where(_IS_FREE, ~is_paused(runs))
_HOLDER = select(
    runs.c.fence, runs.c.lease_until - store_now(), and_(_IS_FREE, is_paused(runs)).label("waits")
).where(_OPEN_RUN)
_CLAIM = case((is_paused(runs), 0), else_=bindparam("claim", type_=Integer))
_CALLED = func.coalesce(bindparam("called", type_=Integer), runs.c.claimed + _CLAIM)
_COMMIT = (
    update(runs)
    .where(_FENCED)
    .values(
        tail=runs.c.tail + bindparam("settled"),
        claimed=runs.c.claimed + _CLAIM,
        called=case(
            (runs.c.called > _CALLED, runs.c.called),
            (and_(is_paused(runs), runs.c.claimed < _CALLED), runs.c.claimed),
            else_=_CALLED,
        ),
        called_fence=runs.c.fence,
        alone=bindparam("alone"),
        first_call_at=func.coalesce(
            runs.c.first_call_at, store_now() - bindparam("since_first_call", type_=Double)
        ),
        driven_for=runs.c.driven_for + bindparam("driven"),
        lease_until=store_now() + bindparam("ttl"),
        lease_ttl=bindparam("ttl"),
    )
    .returning(*_COUNTED, runs.c.claimed, runs.c.cancel_wished_at, runs.c.paused_at)
)
_MOVE_WATERMARK = (
    update(runs)
    .where(runs.c.batch == bindparam("b"), runs.c.run == bindparam("r"))
    .values(
        claimed=runs.c.claimed + bindparam("further"),
        called=case(
            (runs.c.called == runs.c.claimed, runs.c.called + bindparam("further")), else_=runs.c.called
        ),
    )
)
# A cancel that came meanwhile made everything due.
_RELEASE = (
    update(runs)
    .where(_FENCED)
    .values(
        lease_until=0.0,
        alone=None,
        waits=bindparam("due_in"),
        due_at=case(
            (runs.c.cancel_wished_at.is_(None), bindparam("waits") * store_now() + bindparam("due_in")),
            else_=0.0,
        ),
    )
)
_UNCLAIM = update(runs).where(_FENCED).values(claimed=0, called=0)
_LOCK = update(runs).where(_FENCED).values(lease_until=0.0).returning(*_COUNTED)
_ITEM_OF_WORK = and_(items.c.batch == work.c.batch, items.c.position == work.c.item)
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


@lru_cache(maxsize=8)
def _work(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    joined, item = looked_up(work, items, _ITEM_OF_WORK, dialect)
    return (
        select(*work_columns(item))
        .select_from(joined)
        .where(
            work.c.batch == bindparam("b"),
            work.c.run == bindparam("r"),
            work.c.position > bindparam("low"),
            work.c.position <= bindparam("high"),
        )
        .order_by(work.c.position)
    )


@lru_cache(maxsize=8)
def _unsettled_work(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    return _work(dialect).where(~SETTLED_IN_RUN).limit(bindparam("most"))


@lru_cache(maxsize=8)
def _overrides_of_run(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    joined, item = looked_up(work, items, _ITEM_OF_WORK, dialect)
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


def _key(lease: Lease) -> dict[str, Any]:
    return {"wanted": lease.batch_id, "r": lease.run, "held": lease.fence}


def acquire(
    connection: Connection, batch_id: str, run: int, /, *, ttl: float, take_over: bool = False
) -> Acquisition:
    """
    Take the run's lease if it is free, or from whoever holds it, or say who that is.
    """
    key = {"wanted": findable(batch_id), "r": run}
    taken = connection.execute(
        _TAKE_OVER if take_over else _ACQUIRE, {**key, "ttl": float(ttl)}
    ).one_or_none()
    if taken is not None:
        return lease_on(connection, batch_id, taken)
    holder = connection.execute(_HOLDER, key).one_or_none()
    if holder is None:
        return RunSettled()
    if holder.waits:
        return RunPaused()
    return LeaseHeld(fence=holder[0], remaining=max(holder[1], 0.001))


def lease_on(
    connection: Connection,
    batch_id: str,
    run: Row[Any],
    claimed_now: tuple[WorkItem, ...] | None = None,
) -> Lease:
    """
    Return the lease on a run that was just taken, with what others left of it unless it was claimed now.
    """
    # Code of revision 0005 raises the fence alone: what it called is not known; decision 101.
    is_known = run.called_fence == run.fence
    called = run.called if is_known else run.claimed
    if not is_known:
        doubt_all(connection, run)
    if run.alone is not None:
        count_death(connection, run)
    parts = NOTHING_LEFT if claimed_now is not None else parts_of_lease(connection, run, called=called)
    return Lease(
        batch_id=batch_id,
        run=run.run,
        fence=run.fence,
        actor=actor_of(run.actor),
        run_items=run.run_items,
        base=run.base,
        tail=run.tail,
        begun=parts.begun,
        uncalled=parts.uncalled,
        unfinished=parts.unfinished,
        claimed_now=claimed_now or (),
        called=called,
        claimed=run.claimed,
        cancel_wished=run.cancel_wished_at is not None,
        driven_for=run.driven_for,
        since_first_call=None if run.since_first_call is None else max(0.0, run.since_first_call),
        mode=SubmissionMode(run.mode),
        on_conflict=ConflictPolicy(run.on_conflict),
    )


def commit(connection: Connection, lease: Lease, commit: Commit, /) -> Committed:
    """
    Append outcomes, claim items and renew the lease, all or nothing.
    """
    run = _write(connection, lease, commit)
    cancel_wished = run.cancel_wished_at is not None
    paused = run.paused_at is not None and not cancel_wished
    claim = 0 if paused else commit.claim
    claimed = _claim(connection, run, lease.run, claim, cancel_wished=cancel_wished)
    return Committed(tail=run.tail, claimed=claimed, cancel_wished=cancel_wished, paused=paused)


def _write(connection: Connection, lease: Lease, commit: Commit) -> Any:  # noqa: ANN401 - a row
    # The fenced update comes first: it locks the run, so that a stale driver has written nothing yet.
    run = connection.execute(
        _COMMIT,
        {
            **_key(lease),
            "settled": len(commit.outcomes),
            "claim": commit.claim,
            "driven": float(commit.driven_for),
            "ttl": float(commit.ttl),
            "called": commit.called,
            "alone": commit.alone,
            "since_first_call": commit.since_first_call,
        },
    ).one_or_none()
    if run is None:
        raise LeaseLostError(lease.batch_id, lease.run)
    with refused_as(
        BatchStateError(lease.batch_id, "an item has an outcome in this run already. Drop the second.")
    ):
        append(
            connection,
            commit.outcomes,
            batch=run.batch,
            run=lease.run,
            after=run.tail - len(commit.outcomes),
        )
    tell(connection, commit.unfinished, batch=run.batch, run=lease.run)
    return run


def _claim(
    connection: Connection,
    run: Any,  # noqa: ANN401 - a row
    number: int,
    claim: int,
    *,
    cancel_wished: bool,
) -> tuple[WorkItem, ...]:
    """
    Read what the watermark has just passed.

    Nothing above it has an outcome, unless a cancel came: then what the
    cancel settled is passed over, and the watermark moves on for that.
    """
    if not claim:
        return ()
    key = {"b": run.batch, "r": number, "low": run.claimed - claim}
    if not cancel_wished:
        rows = connection.execute(_work(connection.dialect), {**key, "high": run.claimed}).all()
        return tuple(map(work_item, rows))
    asked = {**key, "high": LARGEST, "most": claim}
    rows = connection.execute(_unsettled_work(connection.dialect), asked).all()
    if rows and rows[-1].position > run.claimed:
        further = rows[-1].position - run.claimed
        connection.execute(_MOVE_WATERMARK, {"b": run.batch, "r": number, "further": further})
    return tuple(map(work_item, rows))


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
    lock_batch(connection, lease.batch_id)
    held = connection.execute(_LOCK, _key(lease)).one_or_none()
    if held is None:
        raise LeaseLostError(lease.batch_id, lease.run)
    return _close(connection, lease, held, settled_at=settled_at, audit_hold=audit_hold, tell=tell)


def _close(  # noqa: PLR0913 - the ports' arguments, and the connection
    connection: Connection,
    lease: Lease,
    held: Any,  # noqa: ANN401 - a row
    *,
    settled_at: datetime,
    audit_hold: float,
    tell: bool,
) -> AuditEvent:
    counts = count_settled_states(connection, held)
    by_state = {state.value: count for state, count in counts.items()}
    status = settled_status(counts)
    key = {"b": held.batch, "r": lease.run, "at": settled_at}
    run = connection.execute(
        _SETTLE,
        {
            **key,
            "reached": status.value,
            "by_state": json.dumps(by_state),
            "untold": 0.0 if tell else None,
        },
    ).one()
    if run.tail - run.base < run.run_items:
        raise BatchStateError(
            lease.batch_id, "not every item of the run has an outcome. Drive it to its end."
        )
    waits = ItemState.NEEDS_REVIEW in counts
    batch = connection.execute(
        _LIST_AS_SETTLED, {"b": run.batch, "r": run.run, "reached": status.value, "waits": waits}
    ).one()
    event = AuditEvent(
        event_id=audit_event_id(lease.batch_id, lease.run),
        batch_id=lease.batch_id,
        run=lease.run,
        coordinator_id=batch.coordinator_id,
        actor_id=lease.actor.user_id,
        organization_id=batch.organization_id,
        status=status.value,
        total=batch.total,
        counts=by_state,
        settled_at=settled_at,
        overrides=_overrides(connection, run) if run.is_overridden else (),
        **_people(run, lease.actor.user_id),
    )
    store_event(connection, event, hold=audit_hold)
    return event


def begin(  # noqa: PLR0913 - the port's arguments, and the connection
    connection: Connection, batch_id: str, run: int, /, *, ttl: float, claim: int, called: int
) -> Acquisition:
    """
    Take the run's lease, and claim the first items of a run that nobody claimed from before.
    """
    lease = acquire(connection, batch_id, run, ttl=ttl)
    if not isinstance(lease, Lease) or lease.claimed or lease.cancel_wished:
        return lease
    claim = min(claim, lease.base + lease.run_items - lease.tail)
    if lease.mode is SubmissionMode.ATOMIC or not claim:
        return lease
    called = min(claim, called)
    committed = commit(connection, lease, Commit(claim=claim, called=called, ttl=ttl))
    return attrs.evolve(lease, claimed_now=committed.claimed, claimed=claim, called=called)


def give_back(connection: Connection, lease: Lease, /) -> None:
    """
    Give up a lease under which nothing was called, with what was claimed under it.
    """
    if lease.claimed_now:
        connection.execute(_UNCLAIM, _key(lease))
    release(connection, lease)


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
    lock_batch(connection, lease.batch_id)
    run = _write(connection, lease, commit)
    return _close(connection, lease, run, settled_at=settled_at, audit_hold=audit_hold, tell=tell)


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


def release(connection: Connection, lease: Lease, /, *, due_in: float = 0.0) -> None:
    """
    Give up the lease; nothing happens under an old fence.
    """
    waits = 1.0 if due_in > 0 else 0.0
    connection.execute(_RELEASE, {**_key(lease), "waits": waits, "due_in": waits * due_in})
