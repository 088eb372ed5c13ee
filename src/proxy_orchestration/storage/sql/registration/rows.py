"""
Between rows and the library's values.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import attrs
from sqlalchemy import ColumnElement, Dialect, FromClause, func

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.audit import AuditedOverride, AuditEvent
from proxy_orchestration.registration.activities import decode_activity
from proxy_orchestration.registration.batches import Failure, MentorOutcome
from proxy_orchestration.registration.runs import ItemOutcome, WorkItem
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql.dialect.types import stored_instant
from proxy_orchestration.storage.sql.schema import work

FIRST_RUN: Final = 1

STATES = {state.value: state for state in ItemState}
_TEXTS = {state: text for text, state in STATES.items()}


def actor_text(actor: Actor) -> str:
    """
    Return the actor as JSON.
    """
    return json.dumps(
        {
            "user_id": actor.user_id,
            "roles": sorted(role.value for role in actor.roles),
            "organization_id": actor.organization_id,
        }
    )


def actor_of(text: str) -> Actor:
    """
    Return the actor that `actor_text` wrote.
    """
    fields = json.loads(text)
    return Actor(
        user_id=fields["user_id"],
        roles=frozenset(Role(role) for role in fields["roles"]),
        organization_id=fields["organization_id"],
    )


def work_columns(item: FromClause, of: FromClause = work) -> tuple[ColumnElement[Any], ...]:
    """
    Return the columns of a piece of work and of the item that it is joined with.
    """
    return (
        of.c.item,
        item.c.mentor_id,
        item.c.item_key,
        func.coalesce(item.c.edited, item.c.activity).label("activity"),
        of.c.epoch,
        of.c.in_doubt,
        of.c.override_of,
        of.c.position,
    )


def work_item(row: Sequence[Any]) -> WorkItem:
    """
    Return the work item of a row, its columns in the order of `work_columns`.
    """
    item, mentor_id, own_key, activity, epoch, in_doubt, override_of, place = row
    return WorkItem(
        item=item,
        mentor_id=mentor_id,
        activity=decode_activity(activity),
        epoch=epoch,
        in_doubt=in_doubt,
        override_of=override_of,
        place=place,
        item_key=own_key or mentor_id,
    )


def outcome_row(
    outcome: ItemOutcome, *, batch: int, run: int, sequence: int, dialect: Dialect
) -> tuple[Any, ...]:
    """
    Return the log's row for an outcome, in the order of the table's columns.
    """
    failure = outcome.failure
    return (
        batch,
        sequence,
        run,
        outcome.work.item,
        _TEXTS[outcome.state],
        outcome.activity_id,
        failure and failure.code,
        failure and failure.message,
        failure and failure.retryable,
        outcome.conflicting_activity_id,
        outcome.attempts,
        stored_instant(outcome.settled_at, dialect),
        outcome.work.epoch,
        outcome.in_doubt,
    )


def mentor_outcome(mentor_id: str, own_key: str | None, row: tuple[Any, ...]) -> MentorOutcome:
    """
    Return the outcome of a row of the log, its columns in the order of `outcomes.LOG_COLUMNS`.

    `own_key` is the item's own key, `None` where that is the mentor's id.
    """
    sequence, state, activity_id, code, message, retryable, conflicting, attempts, settled_at = row
    return MentorOutcome(
        mentor_id=mentor_id,
        state=STATES[state],
        activity_id=activity_id,
        failure=None if code is None else Failure(code=code, message=message, retryable=retryable),
        conflicting_activity_id=conflicting,
        attempts=attempts,
        sequence=sequence,
        settled_at=settled_at,
        item_key=own_key or mentor_id,
    )


def event_text(event: AuditEvent) -> str:
    """
    Return the event as JSON.
    """
    return json.dumps(
        {
            "event_id": event.event_id,
            "batch_id": event.batch_id,
            "run": event.run,
            "coordinator_id": event.coordinator_id,
            "actor_id": event.actor_id,
            "organization_id": event.organization_id,
            "status": event.status,
            "total": event.total,
            "counts": dict(event.counts),
            "settled_at": event.settled_at.isoformat(),
            "overrides": [
                attrs.asdict(override) | {"decided_at": override.decided_at.isoformat()}
                for override in event.overrides
            ],
        }
    )


_FURTHER: Final = ("retried_by", "decided_by", "cancelled_by", "cancel_reason")
"""Fields of an event that code of revision 0007 does not know; it would choke on them in the payload."""


def further_text(event: AuditEvent) -> str | None:
    """
    Return as JSON what an event says beside its payload; `None` for nothing.
    """
    said = {name: getattr(event, name) for name in _FURTHER if getattr(event, name) is not None}
    return json.dumps(said) if said else None


def event_of(text: str, further: str | None) -> AuditEvent:
    """
    Return the event that `event_text` and `further_text` wrote, or that an earlier version did.
    """
    fields = json.loads(text) | json.loads(further or "{}")
    overrides = tuple(
        AuditedOverride(**{**override, "decided_at": datetime.fromisoformat(override["decided_at"])})
        for override in fields.pop("overrides", ())
    )
    settled_at = datetime.fromisoformat(fields.pop("settled_at"))
    return AuditEvent(**fields, settled_at=settled_at, overrides=overrides)
