"""
What a driver does to its run: acquire, commit, release. How it ends is `settling`'s.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import attrs
from sqlalchemy import (
    Column,
    ColumnElement,
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

from proxy_orchestration.errors import BatchStateError, LeaseLostError
from proxy_orchestration.registration.conflicts import ConflictPolicy
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
from proxy_orchestration.storage.sql.database.errors import refused_as
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.dialect.lookups import looked_up
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.registration.drivable import IS_FROM_A_LATER_CLOCK
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


BATCH = select(batches.c.id).where(batches.c.batch_id == bindparam("wanted")).scalar_subquery()
_OPEN_RUN = and_(runs.c.batch == BATCH, runs.c.run == bindparam("r"), runs.c.settled_at.is_(None))
COUNTED = (runs.c.batch, runs.c.run, runs.c.base, runs.c.tail, runs.c.counts_outside)
FENCED = and_(_OPEN_RUN, runs.c.fence == bindparam("held"))

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
    _of_batch(batches.c.trace_context).label("trace_context"),
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


def called_after(told: ColumnElement[int]) -> ColumnElement[int]:
    """
    Return up to which place a run's items may be called, once its driver has told up to which.
    """
    return case(
        (runs.c.called > told, runs.c.called),
        (and_(is_paused(runs), runs.c.claimed < told), runs.c.claimed),
        else_=told,
    )


_COMMIT = (
    update(runs)
    .where(FENCED)
    .values(
        tail=runs.c.tail + bindparam("settled"),
        claimed=runs.c.claimed + _CLAIM,
        called=called_after(_CALLED),
        called_fence=runs.c.fence,
        alone=bindparam("alone"),
        first_call_at=func.coalesce(
            runs.c.first_call_at, store_now() - bindparam("since_first_call", type_=Double)
        ),
        driven_for=runs.c.driven_for + bindparam("driven"),
        lease_until=store_now() + bindparam("ttl"),
        lease_ttl=bindparam("ttl"),
    )
    .returning(*COUNTED, runs.c.claimed, runs.c.cancel_wished_at, runs.c.paused_at)
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
    .where(FENCED)
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
# After a cancel nothing may lie above the watermark but what is in doubt.
_UNCLAIM = (
    update(runs)
    .where(FENCED)
    .values(claimed=case((runs.c.cancel_wished_at.is_(None), 0), else_=runs.c.claimed), called=0)
)
ITEM_OF_WORK = and_(items.c.batch == work.c.batch, items.c.position == work.c.item)


@lru_cache(maxsize=8)
def _work(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    joined, item = looked_up(work, items, ITEM_OF_WORK, dialect)
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


def key_of(lease: Lease) -> dict[str, Any]:
    """
    Return what a fenced write is bound to.
    """
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
        trace_context=run.trace_context,
    )


def commit(connection: Connection, lease: Lease, commit: Commit, /) -> Committed:
    """
    Append outcomes, claim items and renew the lease, all or nothing.
    """
    run = write(connection, lease, commit)
    answer = without_a_claim(run)
    claim = 0 if answer.paused else commit.claim
    claimed = _claim(connection, run, lease.run, claim, cancel_wished=answer.cancel_wished)
    return attrs.evolve(answer, claimed=claimed) if claimed else answer


def without_a_claim(run: Any) -> Committed:  # noqa: ANN401 - a row
    """
    Return what a commit brought back that claimed nothing, from the run's row as it is now.
    """
    cancel_wished = run.cancel_wished_at is not None
    paused = run.paused_at is not None and not cancel_wished
    return Committed(tail=run.tail, claimed=(), cancel_wished=cancel_wished, paused=paused)


def write(connection: Connection, lease: Lease, commit: Commit) -> Any:  # noqa: ANN401 - a row
    """
    Do what a commit says of the run's row, its log and its items; return the row.
    """
    # The fenced update comes first: it locks the run, so that a stale driver has written nothing yet.
    told = {"claim": commit.claim, "ttl": float(commit.ttl), "called": commit.called, "alone": commit.alone}
    run = connection.execute(_COMMIT, {**key_of(lease), **told_by(commit), **told}).one_or_none()
    if run is None:
        raise LeaseLostError(lease.batch_id, lease.run)
    append_outcomes(connection, lease, commit, batch=run.batch, tail=run.tail)
    tell(connection, commit.unfinished, batch=run.batch, run=lease.run)
    return run


def told_by(commit: Commit) -> dict[str, Any]:
    """
    Return what the run's row learns from every commit.
    """
    return {
        "settled": len(commit.outcomes),
        "driven": float(commit.driven_for),
        "since_first_call": commit.since_first_call,
    }


def append_outcomes(connection: Connection, lease: Lease, commit: Commit, *, batch: int, tail: int) -> None:
    """
    Append a commit's outcomes to the log, which ends at `tail` then.
    """
    with refused_as(
        BatchStateError(lease.batch_id, "an item already has an outcome in this run. Discard the second one.")
    ):
        append(connection, commit.outcomes, batch=batch, run=lease.run, after=tail - len(commit.outcomes))


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
    It moves back where less was left than was asked for.
    """
    if not claim:
        return ()
    low = run.claimed - claim
    key = {"b": run.batch, "r": number, "low": low}
    if cancel_wished:
        asked = {**key, "high": LARGEST, "most": claim}
        rows = connection.execute(_unsettled_work(connection.dialect), asked).all()
    else:
        rows = connection.execute(_work(connection.dialect), {**key, "high": run.claimed}).all()
    further = (rows[-1].position if rows else low) - run.claimed
    if further:
        connection.execute(_MOVE_WATERMARK, {"b": run.batch, "r": number, "further": further})
    return tuple(map(work_item, rows))


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
        connection.execute(_UNCLAIM, key_of(lease))
    release(connection, lease)


def release(connection: Connection, lease: Lease, /, *, due_in: float = 0.0) -> None:
    """
    Give up the lease; nothing happens under an old fence.
    """
    waits = 1.0 if due_in > 0 else 0.0
    connection.execute(_RELEASE, {**key_of(lease), "waits": waits, "due_in": waits * due_in})
