"""
Registers one activity for one mentor without a batch: checks, record, warning, audit event.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime
from typing import TypeAlias

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee
from proxy_orchestration._concurrency import NoAnswerError, ask
from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration._pseudonyms import is_pseudonym, mentor_pseudonym
from proxy_orchestration._validators import is_a, is_identifier
from proxy_orchestration.access import Action, Actor, refusal
from proxy_orchestration.audit import RegistrationAuditEvent, RegistrationAuditLogger
from proxy_orchestration.errors import IdempotencyKeyReusedError, RecordRefusedError
from proxy_orchestration.ids import IdRule
from proxy_orchestration.registration.activities import (
    ActivityRecord,
    ProxyActivity,
    ProxyRegistration,
    idempotency_key_of,
)
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.erasure import erased_activity
from proxy_orchestration.registration.requests import (
    BulkRegistrationRequest,
    RegistrationEntry,
    check_mentor_ids,
)
from proxy_orchestration.registration.standard.checks import RECORD_REFUSED, CheckedRecords

_log = logging.getLogger(_loggers.SINGLE_REGISTRAR)


@attrs.frozen(kw_only=True)
class ActivityRegistered(PlainModel):
    """
    The result of a single registration whose record exists.

    Attributes:
        activity_id: the id of the record.
        mentor_id: the mentor for whom it was registered.
        recorded_at: when it was written; aware, UTC. A repeated call returns the time of the first.
    """

    activity_id: str
    mentor_id: str
    recorded_at: datetime


@attrs.frozen(kw_only=True)
class DuplicateWarning(PlainModel):
    """
    Nothing was written, because such an activity exists.

    To register anyway, pass this to `confirm_despite_duplicate`.

    Attributes:
        existing_activity_id: the id of the existing record.
        mentor_id, activity, idempotency_key: the arguments of the call.
    """

    existing_activity_id: str = attrs.field(validator=is_a(str))
    mentor_id: str = attrs.field(validator=is_identifier)
    activity: ProxyActivity = attrs.field(validator=is_a(ProxyActivity))
    idempotency_key: str = attrs.field(validator=is_identifier)


@attrs.frozen(kw_only=True)
class RegistrationRefused(PlainModel):
    """
    The registration was refused: nothing was written, and repeating the call will not help.

    Attributes:
        reasons: all reasons of the refusal, at least one.
    """

    reasons: tuple[Failure, ...]


ProxyActivityResult: TypeAlias = ActivityRegistered | DuplicateWarning | RegistrationRefused
"""The result of registering one activity."""


@attrs.define(eq=False, kw_only=True)
class SingleRegistrations:
    """
    The verbs for a single registration, over the same rules and the same store.
    """

    records: CheckedRecords
    audit_logger: RegistrationAuditLogger
    audit_timeout: float
    id_rule: IdRule

    async def register(
        self, mentor_id: str, activity: ProxyActivity, *, actor: Actor, idempotency_key: str
    ) -> ProxyActivityResult:
        """
        Register, or say what speaks against it.
        """
        self._authorize(actor, Action.SUBMIT)
        plain = _registration(mentor_id, activity, actor, idempotency_key)
        return await self._register(plain, idempotency_key)

    async def confirm(self, warning: DuplicateWarning, *, actor: Actor) -> ProxyActivityResult:
        """
        Register over the warned record, and over no other.
        """
        self._authorize(actor, Action.SUBMIT)
        self._authorize(actor, Action.OVERRIDE)
        plain = _registration(warning.mentor_id, warning.activity, actor, warning.idempotency_key)
        # Asked anew without the override: only the record that was seen may be overridden; decision 34.
        result = await self._register(plain, warning.idempotency_key)
        seen = warning.existing_activity_id
        if not isinstance(result, DuplicateWarning) or result.existing_activity_id != seen:
            return result
        return await self._register(attrs.evolve(plain, override_of=seen), warning.idempotency_key)

    def _authorize(self, actor: Actor, action: Action) -> None:
        if not self.records.access_policy.allows(actor, action):
            raise refusal(actor, action)

    async def _register(self, registration: ProxyRegistration, key: str) -> ProxyActivityResult:
        repository = self.records.repository
        for existing in await repository.find_activities([registration.registration_id]):
            return _registered(_same(existing, registration))
        check_mentor_ids([registration.mentor_id], self.id_rule, place="mentor_id")
        (reasons,) = await self.records.reasons_against([registration])
        if reasons:
            return RegistrationRefused(reasons=tuple(reasons))
        record = self.records.record_for(registration)
        try:
            (answer,) = await repository.add_activities([record], atomic=False)
        except RecordRefusedError as error:
            reason = Failure(code=RECORD_REFUSED, message=str(error), retryable=False)
            return RegistrationRefused(reasons=(reason,))
        if answer.registration.registration_id != registration.registration_id:
            return DuplicateWarning(
                existing_activity_id=answer.activity_id,
                mentor_id=registration.mentor_id,
                activity=registration.activity,
                idempotency_key=key,
            )
        # Only who wrote the record tells of it, so that a repeated call does not tell again; decision 30.
        if answer == record:
            await self._tell(answer)
        return _registered(_same(answer, registration))

    async def _tell(self, record: ActivityRecord) -> None:
        """
        Tell the audit logger, for `audit_timeout` at most; the activity stays registered whatever it says.
        """
        event = _event(record)
        try:
            await ask(
                lambda: self.audit_logger.log_proxy_registration(event),
                clock=self.records.clock,
                seconds=self.audit_timeout,
            )
        except NoAnswerError:
            _log_untaken(event, "no answer in time", TimeoutError.__name__)
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            _log_untaken(event, type(error).__name__, type(error).__name__)


def single_registration_id(actor: Actor, idempotency_key: str) -> str:
    """
    Return the id of the one registration of that key; it is the id of its batch too.

    The key belongs to the pair of coordinator and organization.
    """
    digest = hashlib.sha256()
    for part in (actor.organization_id, actor.user_id, idempotency_key):
        digest.update(f"{len(part)}:{part}".encode())
    return f"single-{digest.hexdigest()[:32]}"


def _registration(mentor_id: str, activity: ProxyActivity, actor: Actor, key: str) -> ProxyRegistration:
    entry = RegistrationEntry(mentor_id, activity)
    # Made for its checks alone: a batch and a single registration take the same keys.
    BulkRegistrationRequest(entries=(entry,), idempotency_key=key)
    registration_id = single_registration_id(actor, key)
    return ProxyRegistration(
        registration_id=registration_id,
        idempotency_key=idempotency_key_of(registration_id, 0),
        batch_id=registration_id,
        mentor_id=entry.mentor_id,
        activity=entry.activity,
        registered_by=actor,
    )


def _same(record: ActivityRecord, registration: ProxyRegistration) -> ActivityRecord:
    stored = record.registration
    asked = registration.mentor_id, registration.activity
    if is_pseudonym(stored.mentor_id):
        asked = mentor_pseudonym(registration.mentor_id), erased_activity(registration.activity)
    if (stored.mentor_id, stored.activity) != asked:
        raise IdempotencyKeyReusedError(registration.batch_id)
    return record


def _registered(record: ActivityRecord) -> ActivityRegistered:
    return ActivityRegistered(
        activity_id=record.activity_id,
        mentor_id=record.registration.mentor_id,
        recorded_at=record.recorded_at,
    )


def _event(record: ActivityRecord) -> RegistrationAuditEvent:
    registration = record.registration
    return RegistrationAuditEvent(
        event_id=f"{registration.registration_id}:registered",
        activity_id=record.activity_id,
        mentor_id=registration.mentor_id,
        actor_id=registration.registered_by.user_id,
        organization_id=registration.registered_by.organization_id,
        activity_type=registration.activity.activity_type,
        override_of=registration.override_of,
        recorded_at=record.recorded_at,
    )


def _log_untaken(event: RegistrationAuditEvent, why: str, error: str) -> None:
    _log.error(
        "the audit logger did not take event %s (%s)",
        event.event_id,
        why,
        extra={
            "event_id": event.event_id,
            "activity_id": event.activity_id,
            "error": error,
        },
    )
