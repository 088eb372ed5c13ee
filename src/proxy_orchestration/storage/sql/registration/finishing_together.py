"""
Small first runs that end at once, each with all of its outcomes: one set of statements for all.

What each of them stores is what `settling.finish` stores. Whose lease is lost
finds no row to change, and nothing of it is written; the others do not notice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Dialect, Row, and_, func, literal
from sqlalchemy.sql.dml import ReturningInsert

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.registration.runs import Commit, Lease
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql.database.waiting_writes import Joint, Refused
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.dialect.inserts import insert_rows
from proxy_orchestration.storage.sql.dialect.json_tables import (
    json_instant,
    json_integer,
    json_number,
    json_rows,
    json_text,
)
from proxy_orchestration.storage.sql.dialect.types import instant_text
from proxy_orchestration.storage.sql.registration.changed_runs import KEY, change, changing
from proxy_orchestration.storage.sql.registration.committing_together import MOST_OUTCOMES, only_tells
from proxy_orchestration.storage.sql.registration.ending_together import (
    ClosedRun,
    EndingRun,
    answers_of,
    locked,
    one_of_each,
)
from proxy_orchestration.storage.sql.registration.outcomes import log_rows
from proxy_orchestration.storage.sql.registration.rows import FIRST_RUN
from proxy_orchestration.storage.sql.registration.settling import Ending
from proxy_orchestration.storage.sql.registration.settling_together import settle_all
from proxy_orchestration.storage.sql.schema import outcomes, runs

_ENDED, (_OF, _HELD, _SETTLED, _DRIVEN, _SINCE, _AT, _REACHED, _BY_STATE, _UNTOLD) = json_rows(
    "ended",
    *[json_integer] * 3,
    *[json_number] * 2,
    json_instant,
    *[json_text] * 2,
    json_number,
)
_SAID: Final[Mapping[str, ColumnElement[Any]]] = {
    "batch": _OF,
    "run": literal(FIRST_RUN),
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
    if lease.run != FIRST_RUN or len(commit.outcomes) > MOST_OUTCOMES:
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
    run_of = change(connection, _finish(connection.dialect), "ended", told)
    closed = {each: run_of[batch] for each in given if (batch := batch_of[each.batch_id].id) in run_of}
    insert_rows(
        connection, outcomes, [row for each, run in closed.items() for row in _log(each, run, connection)]
    )
    return [
        ClosedRun(each, batch, each.ending.event(closed[each], batch, counted[each]))
        for each, batch in ((each, batch_of[each.batch_id]) for each in closed)
    ]


def _log(given: EndingRun, run: Row[Any], connection: Connection) -> list[tuple[Any, ...]]:
    settled = given.commit.outcomes
    return log_rows(settled, batch=run.batch, run=FIRST_RUN, after=run.base, dialect=connection.dialect)


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


@lru_cache(maxsize=8)
def _finish(dialect: Dialect) -> ReturningInsert[*tuple[Any, ...]]:
    upsert = changing(_ENDED, _SAID, dialect)
    end = upsert.excluded
    return upsert.on_conflict_do_update(
        index_elements=KEY,
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
