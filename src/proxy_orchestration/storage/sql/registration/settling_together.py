"""
First runs that end at once, each with its last outcomes: one set of statements for all.

As `finishing_together`, for runs of which some outcomes are stored already,
so that what they count has to be read.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Dialect, Row, Select, and_, func, literal, select
from sqlalchemy.sql.dml import ReturningInsert

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.errors import BatchStateError
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql.database.waiting_writes import Refused
from proxy_orchestration.storage.sql.dialect.json_tables import (
    json_instant,
    json_integer,
    json_number,
    json_rows,
    json_text,
)
from proxy_orchestration.storage.sql.dialect.lookups import looked_up
from proxy_orchestration.storage.sql.dialect.types import instant_text
from proxy_orchestration.storage.sql.registration.changed_runs import KEY, change, changing
from proxy_orchestration.storage.sql.registration.committing_together import Told, write_all
from proxy_orchestration.storage.sql.registration.ending_together import (
    ClosedRun,
    EndingRun,
    answers_of,
    locked,
    one_of_each,
)
from proxy_orchestration.storage.sql.registration.rows import FIRST_RUN, STATES
from proxy_orchestration.storage.sql.schema import DID_NOT_SUCCEED, outcomes, runs

_COUNTED, (_COUNTED_BATCH,) = json_rows("counted", json_integer)
_SETTLED, (_OF, _AT, _REACHED, _BY_STATE, _UNTOLD) = json_rows(
    "settled", json_integer, json_instant, *[json_text] * 2, json_number
)
_SAID: Final[Mapping[str, ColumnElement[Any]]] = {
    "batch": _OF,
    "run": literal(FIRST_RUN),
    "settled_at": _AT,
    "status": _REACHED,
    "counts": _BY_STATE,
    "untold_until": _UNTOLD,
}


def settle_all(connection: Connection, given: Sequence[EndingRun], /) -> Sequence[AuditEvent | Refused]:
    """
    Append the last outcomes of these runs and close them; whose lease is lost is refused.

    Raises:
        BatchStateError: an item of one of them has no outcome yet.
    """
    batch_of = locked(connection, (each.batch_id for each in given))
    told = {Told(each.ending.lease, each.commit): each for each in one_of_each(given, batch_of)}
    if not told:
        return answers_of(connection, given, ())
    id_of = {batch_id: batch.id for batch_id, batch in batch_of.items()}
    written = {told[each]: run for each, run in write_all(connection, list(told), id_of).items()}
    return answers_of(connection, given, _close(connection, written, batch_of) if written else ())


def _close(
    connection: Connection, written: Mapping[EndingRun, Row[Any]], batch_of: Mapping[str, Row[Any]]
) -> Sequence[ClosedRun]:
    for each, run in written.items():
        if run.tail - run.base < each.ending.lease.run_items:
            reason = "not every item of the run has an outcome. Drive it to its end."
            raise BatchStateError(each.batch_id, reason)
    counted = _count(connection, written.values())
    told = [_told(each, run.batch, counted[run.batch]) for each, run in written.items()]
    run_of = change(connection, _settle(connection.dialect), "settled", told)
    return [
        ClosedRun(each, batch, each.ending.event(run_of[batch.id], batch, counted[batch.id]))
        for each, batch in ((each, batch_of[each.batch_id]) for each in written)
    ]


def _count(connection: Connection, written: Iterable[Row[Any]]) -> Mapping[int, Mapping[ItemState, int]]:
    """
    Return the items of each by state: those that did not succeed are counted, and the others are the rest.
    """
    runs_by_batch = {run.batch: run for run in written}
    counted: defaultdict[int, Counter[ItemState]] = defaultdict(Counter)
    asked = {"counted": json.dumps([[batch] for batch in runs_by_batch])}
    for batch, state, count in connection.execute(_count_others(connection.dialect), asked):
        counted[batch][STATES[state]] = count
    for batch, run in runs_by_batch.items():
        if succeeded := run.tail - run.base - counted[batch].total():
            counted[batch][ItemState.SUCCEEDED] = succeeded
    return counted


@lru_cache(maxsize=8)
def _count_others(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    joined, outcome = looked_up(
        _COUNTED, outcomes, and_(outcomes.c.batch == _COUNTED_BATCH, DID_NOT_SUCCEED), dialect
    )
    grouped = outcome.c.batch, outcome.c.state
    return select(*grouped, func.count()).select_from(joined).group_by(*grouped)


def _told(each: EndingRun, batch: int, counts: Mapping[ItemState, int]) -> tuple[Any, ...]:
    says = each.ending.columns(counts)
    return batch, instant_text(says["at"]), says["reached"], says["by_state"], says["untold"]


@lru_cache(maxsize=8)
def _settle(dialect: Dialect) -> ReturningInsert[*tuple[Any, ...]]:
    upsert = changing(_SETTLED, _SAID, dialect)
    changed = {name: upsert.excluded[name] for name in ("settled_at", "status", "counts", "untold_until")}
    return upsert.on_conflict_do_update(index_elements=KEY, set_={"lease_until": 0.0, **changed}).returning(
        runs.c.batch,
        runs.c.actor,
        runs.c.purpose,
        runs.c.cancel_wished_at,
        runs.c.cancelled_by,
        runs.c.cancel_reason,
    )
