"""
Audit events of settled runs and single registrations, and the loggers that take them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Protocol

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._plain_json import PlainModel


@attrs.frozen(kw_only=True)
class AuditedOverride(PlainModel):
    """
    One decision to register a mentor although an existing record conflicts.

    Attributes:
        mentor_id: the mentor.
        activity_id: the overridden record; `None` if none was known.
        decided_by: the id of the person who decided.
        decided_at: when the person decided; aware, UTC.
        item_key: the entry's name in its batch; the mentor's id unless it has its own.
    """

    mentor_id: str
    activity_id: str | None
    decided_by: str
    decided_at: datetime
    item_key: str = attrs.field(default=attrs.Factory(attrgetter("mentor_id"), takes_self=True))


@attrs.frozen(kw_only=True)
class RegistrationAuditEvent(PlainModel):
    """
    The audit event of one activity that was registered on its own, not in a batch.

    Ids and codes, no personal data.

    Attributes:
        event_id: the same at every delivery of this event.
        activity_id: the id of the new record.
        mentor_id: on whose behalf.
        actor_id: the id of the person who registered it.
        organization_id: the organization to which both belong.
        activity_type: the host's code for the kind of activity.
        override_of: the record that was overridden, or `None`.
        recorded_at: when the record was written; aware, UTC.
    """

    event_id: str
    activity_id: str
    mentor_id: str
    actor_id: str
    organization_id: str
    activity_type: str
    override_of: str | None
    recorded_at: datetime


@attrs.frozen(kw_only=True)
class AuditEvent(PlainModel):
    """
    The audit event of one settled run of a batch: ids, codes and counts, and the reason for a cancel.

    Attributes:
        event_id: the same at every delivery of this event, so that you can recognise a repeated
            delivery.
        batch_id: the batch.
        run: the number of the settled run, from 1.
        coordinator_id: who submitted the batch.
        actor_id: who opened this run.
        organization_id: the organization in which both acted.
        status: the batch's status after the run, as a `BulkStatus` value.
        total: the number of items of the whole batch.
        counts: the number of items of the whole batch by state (`ItemState` values); the sum is
            `total`.
        settled_at: when the run settled; aware, UTC.
        overrides: every decision to override that this run carried out, in request order.
        retried_by: who opened this run, if it is a retry; else `None`.
        decided_by: who opened this run, if it carries out decisions about conflicts; else `None`.
        cancelled_by: who requested the cancel of this run; `None` if nobody did.
        cancel_reason: the reason for the cancel, in a person's own words. It is the only field that
            may hold personal data, so it is never in a repr or a log.
    """

    event_id: str
    batch_id: str
    run: int
    coordinator_id: str
    actor_id: str
    organization_id: str
    status: str
    total: int
    counts: Mapping[str, int]
    settled_at: datetime
    overrides: tuple[AuditedOverride, ...] = ()
    retried_by: str | None = None
    decided_by: str | None = None
    cancelled_by: str | None = None
    cancel_reason: str | None = attrs.field(default=None, repr=False)


def audit_event_id(batch_id: str, run: int) -> str:
    """
    Return the id of the audit event of this run.
    """
    return f"{batch_id}:run-{run}"


class ProxyAuditLogger(Protocol):
    """
    Records settled runs in the host's audit log.

    An event is stored in the transaction that settles the run, and delivered after it. It is
    delivered once. If the first answer was lost, late or an error, it is delivered again with the
    same `event_id`. Several tasks may call this at once.
    """

    async def log_bulk_submission(self, event: AuditEvent, /) -> None:
        """
        Store the event durably, then return.

        An exception, or no answer within `BulkSettings.audit_timeout`, is logged and leads to
        another delivery. It never reaches the submitter.
        """
        ...


class RegistrationAuditLogger(Protocol):
    """
    Records single registrations in the host's audit log. Several tasks may call it at once.
    """

    async def log_proxy_registration(self, event: RegistrationAuditEvent, /) -> None:
        """
        Store the event, then return.

        An exception, or no answer within the service's time for it, is logged
        and never reaches the coordinator; the activity stays registered.
        """
        ...


@attrs.define(eq=False)
class LoggingAuditLogger:
    """
    Writes each event to the standard library's logging at INFO.

    Attributes:
        logger: the logger to write to; `proxy_orchestration.audit` by default.
    """

    logger: logging.Logger = attrs.field(factory=lambda: logging.getLogger(_loggers.AUDIT))

    async def log_bulk_submission(self, event: AuditEvent, /) -> None:
        """
        Log the event's ids and counts, as the message and as `extra` fields.
        """
        self.logger.info(
            "run %d of batch %s settled: %s",
            event.run,
            event.batch_id,
            event.status,
            extra={
                "event_id": event.event_id,
                "batch_id": event.batch_id,
                "run": event.run,
                "coordinator_id": event.coordinator_id,
                "actor_id": event.actor_id,
                "organization_id": event.organization_id,
                "status": event.status,
                "total": event.total,
                "settled_at": event.settled_at,
                "counts": dict(event.counts),
                "overrides": [attrs.asdict(override) for override in event.overrides],
                "retried_by": event.retried_by,
                "decided_by": event.decided_by,
                "cancelled_by": event.cancelled_by,
            },
        )

    async def log_proxy_registration(self, event: RegistrationAuditEvent, /) -> None:
        """
        Log the event's ids, as the message and as `extra` fields.
        """
        self.logger.info(
            "activity %s was registered",
            event.activity_id,
            extra={
                "event_id": event.event_id,
                "activity_id": event.activity_id,
                "mentor_id": event.mentor_id,
                "actor_id": event.actor_id,
                "organization_id": event.organization_id,
                "activity_type": event.activity_type,
                "override_of": event.override_of,
                "recorded_at": event.recorded_at,
            },
        )
