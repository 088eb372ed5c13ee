"""
Small first runs that end at once, each with all of its outcomes: one set of statements for all.

What each of them stores is what `settling.finish` stores. Whose lease is lost
finds no row to change, and nothing of it is written; the others do not notice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import attrs
from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Row,
    Select,
    and_,
    func,
    insert,
    literal,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.errors import LeaseLostError
from proxy_orchestration.registration.runs import Commit, Lease
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql.database.waiting_writes import Joint, Refused
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.dialect.inserts import insert_rows, upserting
from proxy_orchestration.storage.sql.dialect.json_tables import (
    json_flag,
    json_instant,
    json_integer,
    json_number,
    json_rows,
    json_text,
)
from proxy_orchestration.storage.sql.dialect.lookups import looked_up, one_by_one
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.dialect.types import instant_text
from proxy_orchestration.storage.sql.registration.rows import (
    FIRST_RUN,
    event_text,
    further_text,
    outcome_row,
)
from proxy_orchestration.storage.sql.registration.settling import Ending, finish
from proxy_orchestration.storage.sql.schema import audit_events, batches, outcomes, runs, work

_MOST_OUTCOMES: Final = 100
"""A larger run gains nothing, and would hold the others up."""

_ENDED, (_OF, _HELD, _SETTLED, _DRIVEN, _SINCE, _AT, _REACHED, _BY_STATE, _UNTOLD) = json_rows(
    "ended",
    *[json_integer] * 3,
    *[json_number] * 2,
    json_instant,
    *[json_text] * 2,
    json_number,
)
_NAMED: Final[Mapping[str, ColumnElement[Any]]] = {
    "batch": _OF,
    "run": literal(FIRST_RUN),
    "actor": literal(""),
    "opened_at": _AT,
    "run_items": literal(0),
    "base": literal(0),
    "fence": _HELD,
    "tail": _SETTLED,
    "driven_for": _DRIVEN,
    "first_call_at": _SINCE,
    "settled_at": _AT,
    "status": _REACHED,
    "counts": _BY_STATE,
    "untold_until": _UNTOLD,
}
_LISTED, (_LISTED_ID, _LISTED_BATCH, _LISTED_AT, _LISTED_STATUS, _WAITS) = json_rows(
    "listed", json_integer, json_text, json_instant, json_text, json_flag
)
_NAMED_BATCH: Final[Mapping[str, ColumnElement[Any]]] = {
    "id": _LISTED_ID,
    "batch_id": _LISTED_BATCH,
    "organization_id": literal(""),
    "coordinator_id": literal(""),
    "total": literal(0),
    "submitted_at": _LISTED_AT,
    "run": literal(FIRST_RUN),
    "settled_run": literal(FIRST_RUN),
    "settled_status": _LISTED_STATUS,
    "needs_review": _WAITS,
}
_EVENTS, (_EVENT_ID, _PAYLOAD, _FURTHER, _SERVICE, _HOLD) = json_rows("events", *[json_text] * 4, json_number)
_STORE_EVENTS = insert(audit_events).from_select(
    ("event_id", "payload", "further", "service_name", "hold", "held_until", "delivered"),
    select(
        _EVENT_ID, _PAYLOAD, _FURTHER, _SERVICE, _HOLD, store_now() + _HOLD, literal(value=False)
    ).select_from(_EVENTS),
)


@attrs.frozen(eq=False)
class WholeRun:
    """
    A first run that ends, with all of its outcomes.
    """

    ending: Ending
    commit: Commit

    @property
    def batch_id(self) -> str:
        """
        Return whose run it is.
        """
        return self.ending.lease.batch_id

    def counts(self) -> Mapping[ItemState, int]:
        """
        Return how many items ended in each state.
        """
        return Counter(outcome.state for outcome in self.commit.outcomes)


@attrs.frozen(eq=False)
class _Closed:
    """
    What became of one: its rows, and what the audit is told.
    """

    whole: WholeRun
    batch: Row[Any]
    run: Row[Any]
    event: AuditEvent


def joint_end(
    lease: Lease, commit: Commit, /, *, settled_at: datetime, audit_hold: float, tell: bool = False
) -> Joint[WholeRun, AuditEvent] | None:
    """
    Return how the run ends with others, or `None` where it ends alone.
    """
    if lease.run != FIRST_RUN or lease.run_items != len(commit.outcomes) or lease.run_items > _MOST_OUTCOMES:
        return None
    ending = Ending(lease=lease, settled_at=settled_at, audit_hold=audit_hold, tell=tell)
    return Joint(finish_all, WholeRun(ending, commit))


def finish_all(connection: Connection, given: Sequence[WholeRun], /) -> Sequence[AuditEvent | Refused]:
    """
    Append the outcomes of these runs and close them; whose lease is lost is refused.

    A run with overrides, which its event names, and a second end of the same run
    are left to statements of their own, and so is who lost the lease.
    """
    batch_of = _locked(connection, (each.batch_id for each in given))
    plain = {
        each.batch_id: each
        for each in reversed(given)
        if each.batch_id in batch_of and not batch_of[each.batch_id].has_overrides
    }
    closed = _close(connection, list(plain.values()), batch_of) if plain else ()
    if closed:
        _append(connection, closed)
        _list_as_settled(connection, closed)
        _store_events(connection, closed)
    event_of = {each.whole: each.event for each in closed}
    return [event_of.get(each) or _finish_alone(connection, each) for each in given]


def _finish_alone(connection: Connection, whole: WholeRun) -> AuditEvent | Refused:
    ending = whole.ending
    try:
        return finish(
            connection,
            ending.lease,
            whole.commit,
            settled_at=ending.settled_at,
            audit_hold=ending.audit_hold,
            tell=ending.tell,
        )
    except LeaseLostError as error:  # nothing was written of it
        return Refused(error)


def _close(
    connection: Connection, given: Sequence[WholeRun], batch_of: Mapping[str, Row[Any]]
) -> Sequence[_Closed]:
    """
    Close those of the runs whose leases hold.
    """
    told = [_told(each, batch_of[each.batch_id].id) for each in given]
    rows = connection.execute(_finish(connection.dialect), {"ended": json.dumps(told)})
    run_of = {row.batch: row for row in rows}
    closed: list[_Closed] = []
    for each in given:
        batch = batch_of[each.batch_id]
        run = run_of.get(batch.id)
        if run is not None:
            closed.append(_Closed(each, batch, run, each.ending.event(run, batch, each.counts())))
    return closed


# The rows are always there. An upsert looks each up by its key, whatever PostgreSQL believes of the tables;
# an update of many reads a whole table whose statistics are those of an empty one. `excluded` has what the
# end says, under the names of the columns that it changes.
@lru_cache(maxsize=8)
def _finish(dialect: Dialect) -> ReturningInsert[*tuple[Any, ...]]:
    upsert = upserting(runs, dialect).from_select(
        list(_NAMED), select(*_NAMED.values()).select_from(_ENDED).where(true())
    )
    end = upsert.excluded
    return upsert.on_conflict_do_update(
        index_elements=["batch", "run"],
        set_={
            "tail": runs.c.tail + end.tail,
            "driven_for": runs.c.driven_for + end.driven_for,
            "first_call_at": func.coalesce(runs.c.first_call_at, store_now() - end.first_call_at),
            "alone": None,
            "lease_until": 0.0,
            "settled_at": end.settled_at,
            "status": end.status,
            "counts": end.counts,
            "untold_until": end.untold_until,
        },
        # Fenced, as each is alone: of who lost the lease nothing is written.
        where=and_(runs.c.settled_at.is_(None), runs.c.fence == end.fence, runs.c.tail == runs.c.base),
    ).returning(
        runs.c.batch,
        runs.c.base,
        runs.c.purpose,
        runs.c.cancel_wished_at,
        runs.c.cancelled_by,
        runs.c.cancel_reason,
    )


def _locked(connection: Connection, batch_ids: Iterable[str]) -> Mapping[str, Row[Any]]:
    """
    Lock the batches, in one order so that two of these never wait for each other; return their rows by id.
    """
    wanted = [[findable(each)] for each in sorted(set(batch_ids))]
    rows = connection.execute(_lock(connection.dialect), {"wanted_ids": json.dumps(wanted)})
    return {row.batch_id: row for row in rows}


@lru_cache(maxsize=8)
def _lock(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    wanted, (batch_id,) = json_rows("wanted_ids", json_text)
    joined, batch = looked_up(wanted, batches, batches.c.batch_id == batch_id, dialect, locked=True)
    has_overrides = one_by_one(
        work.c.batch == batch.c.id, work.c.run == FIRST_RUN, work.c.override_by.is_not(None)
    )
    return select(
        batch.c.id,
        batch.c.batch_id,
        batch.c.total,
        batch.c.organization_id,
        batch.c.coordinator_id,
        batch.c.service_name,
        has_overrides.label("has_overrides"),
    ).select_from(joined)


def _told(whole: WholeRun, batch: int) -> tuple[Any, ...]:
    says = whole.ending.columns(whole.counts())
    return (
        batch,
        whole.ending.lease.fence,
        len(whole.commit.outcomes),
        float(whole.commit.driven_for),
        whole.commit.since_first_call,
        instant_text(says["at"]),
        says["reached"],
        says["by_state"],
        says["untold"],
    )


def _append(connection: Connection, closed: Sequence[_Closed]) -> None:
    rows = [
        outcome_row(
            outcome, batch=each.run.batch, run=FIRST_RUN, sequence=sequence, dialect=connection.dialect
        )
        for each in closed
        for sequence, outcome in enumerate(each.whole.commit.outcomes, start=each.run.base + 1)
    ]
    insert_rows(connection, outcomes, rows)


def _list_as_settled(connection: Connection, closed: Sequence[_Closed]) -> None:
    rows = [
        (
            each.batch.id,
            each.whole.batch_id,
            instant_text(each.event.settled_at),
            each.event.status,
            ItemState.NEEDS_REVIEW in each.whole.counts(),
        )
        for each in closed
    ]
    connection.execute(_list(connection.dialect), {"listed": json.dumps(rows)})


@lru_cache(maxsize=8)
def _list(dialect: Dialect) -> sqlite.Insert | postgresql.Insert:
    upsert = upserting(batches, dialect).from_select(
        list(_NAMED_BATCH), select(*_NAMED_BATCH.values()).select_from(_LISTED).where(true())
    )
    changed = {name: upsert.excluded[name] for name in ("settled_run", "settled_status", "needs_review")}
    return upsert.on_conflict_do_update(index_elements=["id"], set_=changed)


def _store_events(connection: Connection, closed: Sequence[_Closed]) -> None:
    rows = [
        (
            each.event.event_id,
            event_text(each.event),
            further_text(each.event),
            each.batch.service_name,
            float(each.whole.ending.audit_hold),
        )
        for each in closed
    ]
    connection.execute(_STORE_EVENTS, {"events": json.dumps(rows)})
