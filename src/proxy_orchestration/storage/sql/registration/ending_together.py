"""
What ends of first runs have in common that are written together: their batches, their lists, their events.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import attrs
from sqlalchemy import ColumnElement, Connection, Dialect, Row, Select, insert, literal, select
from sqlalchemy.sql.dml import ReturningInsert

from proxy_orchestration.audit import AuditEvent
from proxy_orchestration.errors import LeaseLostError
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql.database.waiting_writes import Refused
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.dialect.inserts import upserting_rows
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
from proxy_orchestration.storage.sql.registration.changed_runs import NotAsFoundError
from proxy_orchestration.storage.sql.registration.rows import FIRST_RUN, event_text, further_text
from proxy_orchestration.storage.sql.registration.settling import Ending, finish
from proxy_orchestration.storage.sql.schema import audit_events, batches, work

_LISTED, (_ID, _BATCH_ID, _ORGANIZATION, _COORDINATOR, _TOTAL, _AT, _STATUS, _WAITS) = json_rows(
    "listed", json_integer, *[json_text] * 3, json_integer, json_instant, json_text, json_flag
)
_NAMED_BATCH: Final[Mapping[str, ColumnElement[Any]]] = {
    "id": _ID,
    "batch_id": _BATCH_ID,
    "organization_id": _ORGANIZATION,
    "coordinator_id": _COORDINATOR,
    "total": _TOTAL,
    "submitted_at": _AT,
    "run": literal(FIRST_RUN),
    "settled_run": literal(FIRST_RUN),
    "settled_status": _STATUS,
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
class EndingRun:
    """
    A first run that ends, with its last outcomes.
    """

    ending: Ending
    commit: Commit

    @property
    def batch_id(self) -> str:
        """
        Return whose run it is.
        """
        return self.ending.lease.batch_id


@attrs.frozen(eq=False)
class ClosedRun:
    """
    What became of one: its batch as it was locked, and what the audit is told.
    """

    given: EndingRun
    batch: Row[Any]
    event: AuditEvent


def locked(connection: Connection, batch_ids: Iterable[str]) -> Mapping[str, Row[Any]]:
    """
    Lock the batches, in one order so that two of these never wait for each other; return their rows by id.

    Those with an override in their first run, which its event names, are not among them:
    their ends are left to statements of their own.
    """
    wanted = [[findable(each)] for each in sorted(set(batch_ids))]
    rows = connection.execute(_lock(connection.dialect), {"wanted_ids": json.dumps(wanted)})
    return {row.batch_id: row for row in rows if not row.has_overrides}


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
        batch.c.submitted_at,
        batch.c.service_name,
        has_overrides.label("has_overrides"),
    ).select_from(joined)


def one_of_each(given: Sequence[EndingRun], batch_of: Mapping[str, Row[Any]]) -> Sequence[EndingRun]:
    """
    Return the first end of each of these batches; a second one comes too late.
    """
    first = {each.batch_id: each for each in reversed(given) if each.batch_id in batch_of}
    return list(first.values())


def answers_of(
    connection: Connection, given: Sequence[EndingRun], closed: Sequence[ClosedRun]
) -> Sequence[AuditEvent | Refused]:
    """
    List as settled what was closed, store the events, and answer all; what is not among them ends alone.
    """
    if closed:
        _list_as_settled(connection, closed)
        _store_events(connection, closed)
    event_of = {each.given: each.event for each in closed}
    return [event_of.get(each) or _finish_alone(connection, each) for each in given]


def _finish_alone(connection: Connection, given: EndingRun) -> AuditEvent | Refused:
    ending = given.ending
    try:
        return finish(
            connection,
            ending.lease,
            given.commit,
            settled_at=ending.settled_at,
            audit_hold=ending.audit_hold,
            tell=ending.tell,
        )
    except LeaseLostError as error:  # nothing was written of it
        return Refused(error)


def _list_as_settled(connection: Connection, closed: Sequence[ClosedRun]) -> None:
    rows = [
        (
            each.batch.id,
            each.given.batch_id,
            each.batch.organization_id,
            each.batch.coordinator_id,
            each.batch.total,
            instant_text(each.batch.submitted_at),
            each.event.status,
            ItemState.NEEDS_REVIEW.value in each.event.counts,
        )
        for each in closed
    ]
    listed = connection.execute(_list(connection.dialect), {"listed": json.dumps(rows)}).all()
    if len(listed) != len(rows):  # a host's trigger on what is inserted lets some not pass
        raise NotAsFoundError


@lru_cache(maxsize=8)
def _list(dialect: Dialect) -> ReturningInsert[*tuple[Any, ...]]:
    upsert = upserting_rows(batches, _NAMED_BATCH, _LISTED, dialect)
    changed = {name: upsert.excluded[name] for name in ("settled_run", "settled_status", "needs_review")}
    return upsert.on_conflict_do_update(index_elements=["id"], set_=changed).returning(batches.c.id)


def _store_events(connection: Connection, closed: Sequence[ClosedRun]) -> None:
    rows = [
        (
            each.event.event_id,
            event_text(each.event),
            further_text(each.event),
            each.batch.service_name,
            float(each.given.ending.audit_hold),
        )
        for each in closed
    ]
    connection.execute(_STORE_EVENTS, {"events": json.dumps(rows)})
