"""
What an answer of the service means for an item: pure decisions, no I/O.
"""

from __future__ import annotations

import enum
from datetime import datetime

import attrs

from proxy_orchestration._backoff import RetryPolicy
from proxy_orchestration.access import Actor
from proxy_orchestration.errors import (
    DuplicateActivityError,
    OutcomeUnknownError,
    RegistrationRejected,
    RegistrationUnavailable,
)
from proxy_orchestration.registration.activities import (
    ProxyRegistration,
    RegistrationFailure,
    RegistrationReceipt,
    idempotency_key_of,
    registration_id_of,
)
from proxy_orchestration.registration.batches import CANCELLED, Failure
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.reasons import (
    DUPLICATE,
    OUT_OF_TIME,
    ROLLED_BACK,
    UNAVAILABLE,
    UNKNOWN,
)
from proxy_orchestration.registration.runs import ItemOutcome, WorkItem
from proxy_orchestration.registration.states import ItemState


class StopReason(enum.Enum):
    """
    Why a driver makes no further calls.
    """

    CANCEL_WISHED = "cancel_wished"  # somebody cancelled the batch
    TIME_BUDGET_SPENT = "time_budget_spent"  # the run was driven for as long as it may be


@attrs.define(eq=False)
class Attempt:
    """
    One item in a worker's hands.

    Attributes:
        work: the item.
        key: its registration id.
        in_doubt: whether a call under its key may have been executed.
        calls: calls made to the service.
        rounds: look-ups and calls that brought no outcome.
        delay: seconds to wait before the next round.
        not_seen: whether the newest look-up did not see a record, and no call followed.
        concluding: whether the last look-up, after a stop, was begun.
        suspect: the error of a call for many that said nothing definite; its key is kept.
    """

    work: WorkItem
    key: str
    in_doubt: bool
    calls: int = 0
    rounds: int = 0
    delay: float = 0.0
    not_seen: bool = False
    concluding: bool = False
    suspect: BaseException | None = attrs.field(default=None, repr=False)

    @classmethod
    def at(cls, work: WorkItem, *, batch_id: str) -> Attempt:
        """
        Return the start of attending to that item.
        """
        key = registration_id_of(batch_id, work.mentor_id)
        return cls(work=work, key=key, in_doubt=work.in_doubt)

    def note_refusal(self, error: BaseException) -> None:
        """
        Keep in mind why a call for many failed, should the item get no answer of its own.
        """
        if not is_definite(error):
            self.suspect = error

    @property
    def begun(self) -> bool:
        """
        Return whether a call for the item was made, or may have been.
        """
        return self.in_doubt or self.calls > 0

    def registration(self, *, batch_id: str, actor: Actor) -> ProxyRegistration:
        """
        Return what the service is asked to register.
        """
        work = self.work
        return ProxyRegistration(
            registration_id=self.key,
            idempotency_key=idempotency_key_of(self.key, work.epoch),
            batch_id=batch_id,
            mentor_id=work.mentor_id,
            activity=work.activity,
            registered_by=actor,
            override_of=work.override_of,
        )

    def succeeded(self, receipt: RegistrationReceipt, *, now: datetime) -> ItemOutcome:
        """
        Return the outcome of an item whose record exists.
        """
        return ItemOutcome(
            work=self.work,
            state=ItemState.SUCCEEDED,
            settled_at=now,
            attempts=self.calls,
            activity_id=receipt.activity_id,
        )

    def outcome(
        self,
        state: ItemState,
        failure: Failure | None,
        *,
        now: datetime,
        in_doubt: bool = False,
        conflicting_activity_id: str | None = None,
    ) -> ItemOutcome:
        """
        Return how the item ended.
        """
        return ItemOutcome(
            work=self.work,
            state=state,
            settled_at=now,
            attempts=self.calls,
            failure=failure,
            conflicting_activity_id=conflicting_activity_id,
            in_doubt=in_doubt,
        )


def is_definite(error: BaseException) -> bool:
    """
    Tell whether an error is one of the three that say for certain how a call ended.
    """
    return isinstance(error, RegistrationRejected | DuplicateActivityError | RegistrationUnavailable)


def after_error(
    attempt: Attempt, error: BaseException, *, policy: RetryPolicy, on_conflict: ConflictPolicy, now: datetime
) -> ItemOutcome | float:
    """
    Return the outcome that an error settles the item with, or the seconds to the next attempt.

    Only three errors are definite answers. All others leave the key in doubt,
    and a key in doubt ends by a definite answer to that very key or UNKNOWN.
    """
    match error:
        case RegistrationRejected():
            failure = Failure(code=error.code, message=error.message, retryable=False)
            return attempt.outcome(ItemState.FAILED, failure, now=now)
        case DuplicateActivityError():
            return duplicate(attempt, error.existing_activity_id, on_conflict=on_conflict, now=now)
        case RegistrationUnavailable():
            return again(attempt, policy=policy, now=now, retry_after=error.retry_after)
        case OSError() | OutcomeUnknownError():
            return after_doubt(attempt, policy=policy, now=now)
        case _ if attempt.in_doubt:
            return after_doubt(attempt, policy=policy, now=now)
        case _:
            return unexpected(attempt, error, now=now)


def duplicate(
    attempt: Attempt, existing_activity_id: str, *, on_conflict: ConflictPolicy, now: datetime
) -> ItemOutcome:
    """
    Return the outcome of an item that the service found to be a duplicate.

    Nobody saw that record before, so even under OVERRIDE a person decides.
    """
    skip = on_conflict is ConflictPolicy.SKIP
    state = ItemState.SKIPPED if skip else ItemState.NEEDS_REVIEW
    return attempt.outcome(state, DUPLICATE, now=now, conflicting_activity_id=existing_activity_id)


def refused(
    attempt: Attempt, answer: RegistrationFailure, *, on_conflict: ConflictPolicy, now: datetime
) -> ItemOutcome:
    """
    Return the outcome of an item that a service refused among many.
    """
    if answer.existing_activity_id is not None:
        existing = DuplicateActivityError(answer.existing_activity_id).existing_activity_id
        return duplicate(attempt, existing, on_conflict=on_conflict, now=now)
    return attempt.outcome(ItemState.FAILED, failure_of(answer), now=now)


def failure_of(answer: RegistrationFailure) -> Failure:
    """
    Return the reason that a service's answer gives, in lengths that any store keeps.
    """
    plain = RegistrationRejected(answer.code, answer.message)
    return Failure(code=plain.code, message=plain.message, retryable=answer.code == ROLLED_BACK.code)


def unexpected(attempt: Attempt, error: BaseException, *, now: datetime) -> ItemOutcome:
    """
    Return the outcome after an error that says nothing; its key is kept, since it may hide a lost reply.
    """
    failure = Failure(code="unexpected", message=type(error).__name__, retryable=True)
    return attempt.outcome(ItemState.FAILED, failure, now=now, in_doubt=True)


def after_doubt(attempt: Attempt, *, policy: RetryPolicy, now: datetime) -> ItemOutcome | float:
    """
    Return what follows a call or a look-up whose answer is not known.
    """
    attempt.in_doubt = True
    return again(attempt, policy=policy, now=now, retry_after=None)


def again(
    attempt: Attempt, *, policy: RetryPolicy, now: datetime, retry_after: float | None
) -> ItemOutcome | float:
    """
    Return the seconds to the next attempt, or the outcome where there is none.
    """
    attempt.rounds += 1
    if attempt.rounds >= policy.max_attempts:
        return given_up(attempt, now=now)
    return policy.delay_before(attempt.rounds + 1, key=attempt.key, retry_after=retry_after)


def given_up(attempt: Attempt, *, now: datetime) -> ItemOutcome:
    """
    Return the outcome of an item that was begun and gets no further attempt.
    """
    if attempt.in_doubt:
        return attempt.outcome(ItemState.UNKNOWN, UNKNOWN, now=now, in_doubt=True)
    if attempt.suspect is not None:
        return unexpected(attempt, attempt.suspect, now=now)
    return attempt.outcome(ItemState.FAILED, UNAVAILABLE, now=now)


def never_begun(attempt: Attempt, stop: StopReason, *, now: datetime) -> ItemOutcome:
    """
    Return the outcome of an item that was claimed, never called, and not in doubt.
    """
    if stop is StopReason.CANCEL_WISHED:
        return attempt.outcome(ItemState.CANCELLED, CANCELLED, now=now)
    return attempt.outcome(ItemState.FAILED, OUT_OF_TIME, now=now)
