"""
Small first runs that end at once, each with all of its outcomes: one set of statements for all.

What each of them stores is what `settling.finish` stores. Whose lease is lost
finds no row to change, and nothing of it is written; the others do not notice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Dialect, Row, and_, func, literal, select, true
from sqlalchemy.sql.dml import ReturningInsert

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.registration.runs import Commit, Lease
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql.database.waiting_writes import Joint, Refused
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.dialect.inserts import insert_rows, upserting
from proxy_orchestration.storage.sql.dialect.json_tables import (
    json_instant,
    json_integer,
    json_number,
    json_rows,
    json_text,
)
from proxy_orchestration.storage.sql.dialect.types import instant_text
from proxy_orchestration.storage.sql.registration.committing_together import only_tells
from proxy_orchestration.storage.sql.registration.ending_together import (
    ClosedRun,
    EndingRun,
    answers_of,
    locked,
    one_of_each,
)
from proxy_orchestration.storage.sql.registration.rows import (
    FIRST_RUN,
    NOBODY,
    check_was_there,
    outcome_row,
)
from proxy_orchestration.storage.sql.registration.settling import Ending
from proxy_orchestration.storage.sql.registration.settling_together import settle_all
from proxy_orchestration.storage.sql.schema import outcomes, runs

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
    "actor": literal(NOBODY),
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


def joint_end(
    lease: Lease, commit: Commit, /, *, settled_at: datetime, audit_hold: float, tell: bool = False
) -> Joint[EndingRun, AuditEvent] | None:
    """
    Return how the run ends with others, or `None` where it ends alone.
    """
    if lease.run != FIRST_RUN or len(commit.outcomes) > _MOST_OUTCOMES:
        return None
    ending = EndingRun(Ending(lease=lease, settled_at=settled_at, audit_hold=audit_hold, tell=tell), commit)
    if lease.run_items == len(commit.outcomes):
        return Joint(finish_all, ending, size=len(commit.outcomes))
    return Joint(settle_all, ending, size=len(commit.outcomes)) if only_tells(commit) else None


def finish_all(connection: Connection, given: Sequence[EndingRun], /) -> Sequence[AuditEvent | Refused]:
    """
    Append the outcomes of these runs and close them; whose lease is lost is refused.

    Raises:
        NotAsFoundError: somebody's own SQL took a row away; what was done is to be undone.
    """
    batch_of = locked(connection, (each.batch_id for each in given))
    ended = one_of_each(given, batch_of)
    return answers_of(connection, given, _close(connection, ended, batch_of) if ended else ())


def _close(
    connection: Connection, given: Sequence[EndingRun], batch_of: Mapping[str, Row[Any]]
) -> Sequence[ClosedRun]:
    """
    Close those of the runs whose leases hold, and append their outcomes.
    """
    counted = {each: Counter(outcome.state for outcome in each.commit.outcomes) for each in given}
    told = [_told(each, batch_of[each.batch_id].id, counts) for each, counts in counted.items()]
    rows = connection.execute(_finish(connection.dialect), {"ended": json.dumps(told)}).all()
    check_was_there(rows)
    run_of = {row.batch: row for row in rows}
    closed = {each: run_of[batch] for each in given if (batch := batch_of[each.batch_id].id) in run_of}
    insert_rows(
        connection, outcomes, [row for each, run in closed.items() for row in _log(each, run, connection)]
    )
    return [
        ClosedRun(each, batch, each.ending.event(closed[each], batch, counted[each]))
        for each, batch in ((each, batch_of[each.batch_id]) for each in closed)
    ]


def _log(given: EndingRun, run: Row[Any], connection: Connection) -> Iterator[tuple[Any, ...]]:
    for sequence, outcome in enumerate(given.commit.outcomes, start=run.base + 1):
        yield outcome_row(
            outcome, batch=run.batch, run=FIRST_RUN, sequence=sequence, dialect=connection.dialect
        )


def _told(given: EndingRun, batch: int, counts: Mapping[ItemState, int]) -> tuple[Any, ...]:
    says = given.ending.columns(counts)
    return (
        batch,
        given.ending.lease.fence,
        len(given.commit.outcomes),
        float(given.commit.driven_for),
        given.commit.since_first_call,
        instant_text(says["at"]),
        says["reached"],
        says["by_state"],
        says["untold"],
    )


# The rows are there, unless somebody's own SQL takes one away meanwhile. An upsert looks each up by its key,
# whatever PostgreSQL believes of the tables; an update of many reads a whole table whose statistics are those
# of an empty one. `excluded` has what the end says, under the names of the columns that it changes.
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
        runs.c.actor,
        runs.c.base,
        runs.c.purpose,
        runs.c.cancel_wished_at,
        runs.c.cancelled_by,
        runs.c.cancel_reason,
    )
