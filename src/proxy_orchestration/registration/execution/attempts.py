"""
Decides what an answer of the service means for an item. Pure, over frozen values, no I/O.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias, TypeGuard

import attrs

from proxy_orchestration._backoff import RetryPolicy
from proxy_orchestration.access import Actor
from proxy_orchestration.errors import (
    DuplicateActivityError,
    OutcomeUnknownError,
    RecordRefusedError,
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
    BAD_ANSWER,
    DRIVER_LOST,
    DUPLICATE,
    MAYBE_OWN,
    OUT_OF_TIME,
    ROLLED_BACK,
    UNAVAILABLE,
    UNEXPECTED,
    UNKNOWN,
)
from proxy_orchestration.registration.runs import ItemOutcome, WorkItem
from proxy_orchestration.registration.states import ItemState, transition

_SUCCEEDED: Final = transition(ItemState.RUNNING, ItemState.SUCCEEDED)


class StopReason(enum.Enum):
    """
    Why a driver makes no further calls.
    """

    CANCEL_REQUESTED = "cancel_requested"  # somebody cancelled the batch
    TIME_BUDGET_SPENT = "time_budget_spent"  # the run was driven for as long as it may be


class Question(enum.Enum):
    """
    What a service is asked about one item.
    """

    REGISTER = "register"  # a call: the record may be written
    LOOK_UP = "look_up"  # whether an earlier call wrote it


class Attempt(NamedTuple):
    """
    How far the work on one item has come. Immutable: what follows is a new one.

    Attributes:
        work: the item.
        key: its registration id.
        in_doubt: whether a call under its key may have been executed.
        calls: calls made to the service.
        rounds: look-ups and calls that brought no outcome.
        not_seen: whether the newest look-up did not see a record, or failed, and no call followed.
        reason: why it gets no outcome of its own, where that is more than a lost or
            missing answer: BAD_ANSWER or, after a call for many was refused, UNEXPECTED.
    """

    # A tuple, since one is made for every item: attrs' frozen classes take three times as long; decision 61.
    work: WorkItem
    key: str
    in_doubt: bool
    calls: int = 0
    rounds: int = 0
    not_seen: bool = False
    reason: Failure | None = None

    @classmethod
    def at(cls, work: WorkItem, *, batch_id: str) -> Attempt:
        """
        Return the start of work on that item.
        """
        return cls(work, registration_id_of(batch_id, work.item_key), work.in_doubt)

    @property
    def begun(self) -> bool:
        """
        Return whether a call for the item was made, or may have been.
        """
        return self.in_doubt or self.calls > 0

    def asked(self) -> Attempt:
        """
        Return the attempt once the service was asked to register it.
        """
        return self._replace(calls=self.calls + 1, not_seen=False)

    def doubted(self, reason: Failure | None = None) -> Attempt:
        """
        Return the attempt once nobody knows whether its newest call was executed.
        """
        return self._replace(in_doubt=True, reason=reason)

    def refused_among_many(self, error: BaseException) -> Attempt:
        """
        Return the attempt once a call for many failed, should it get no answer of its own.
        """
        asked = self.asked()
        return asked if is_definite(error) else asked._replace(reason=UNEXPECTED)

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
        Return how the item ended, short of success.
        """
        return ItemOutcome(
            work=self.work,
            state=transition(ItemState.RUNNING, state),
            settled_at=now,
            attempts=self.calls,
            failure=failure,
            conflicting_activity_id=conflicting_activity_id,
            in_doubt=in_doubt,
        )


@attrs.frozen
class RetryAfter:
    """
    The item is asked about again.

    Attributes:
        attempt: how far it has come by then.
        seconds: how long to wait before.
        everyone: whether the whole run waits for that long.
    """

    attempt: Attempt
    seconds: float
    everyone: bool = False


@attrs.frozen
class OutOfAttempts:
    """
    The item has no attempt left, and may still be looked up.

    Attributes:
        attempt: how far it has come.
    """

    attempt: Attempt


Step: TypeAlias = ItemOutcome | RetryAfter | OutOfAttempts
"""What follows an answer."""


def reason_of(code: str | None) -> Failure | None:
    """
    Return an attempt's reason by its code, as it is stored.
    """
    return next((reason for reason in (BAD_ANSWER, UNEXPECTED) if reason.code == code), None)


def is_definite(error: BaseException) -> bool:
    """
    Tell whether an error is one of the three that say for certain how a call ended.
    """
    return isinstance(error, RegistrationRejected | DuplicateActivityError | RegistrationUnavailable)


def is_reasoned(error: BaseException) -> bool:
    """
    Tell whether an error that refused a call for many says that it is about a row, and not about the call.
    """
    return is_definite(error) or isinstance(error, RecordRefusedError)


def is_receipt(answer: object, key: str) -> TypeGuard[RegistrationReceipt]:
    """
    Tell whether an answer is the receipt of the registration under that key.
    """
    return isinstance(answer, RegistrationReceipt) and answer.registration_id == key


def after_call(attempt: Attempt, answer: object, *, policy: RetryPolicy, now: datetime) -> Step:
    """
    Return what follows the answer of a call; what is no receipt of this registration says nothing.
    """
    if is_receipt(answer, attempt.key):
        return succeeded(attempt, answer, calls=attempt.calls + 1, now=now)
    return again(attempt.asked().doubted(BAD_ANSWER), policy=policy)


def after_look_up(attempt: Attempt, answer: object, *, policy: RetryPolicy, now: datetime) -> Step:
    """
    Return what follows the answer of a look-up; a record that is not seen may be written yet.

    What is neither a receipt nor `None` counts as a look-up that failed.
    """
    if is_receipt(answer, attempt.key):
        return succeeded(attempt, answer, calls=attempt.calls, now=now)
    if answer is None:
        return RetryAfter(attempt._replace(not_seen=True), 0.0)
    return after_doubt(attempt, question=Question.LOOK_UP, policy=policy)


def after_error(
    attempt: Attempt, error: BaseException, *, policy: RetryPolicy, on_conflict: ConflictPolicy, now: datetime
) -> Step:
    """
    Return what follows an error of a call.

    Only three errors are definite answers. All others leave the key in doubt,
    and a key in doubt ends by a definite answer to that very key or UNKNOWN.
    """
    called = attempt.asked()
    match error:
        case RegistrationRejected():
            # Definite also under a key in doubt: the service looked for its own record first; decision 9.
            return called.outcome(ItemState.FAILED, rejection(error), now=now)
        case DuplicateActivityError():
            return duplicate(called, error.existing_activity_id, on_conflict=on_conflict, now=now)
        case RegistrationUnavailable():
            return again(called, policy=policy, retry_after=error.retry_after, everyone=error.everyone)
        case OSError() | OutcomeUnknownError():
            return again(called.doubted(), policy=policy)
        case Exception() if not attempt.in_doubt:
            return unexpected(called, now=now)
        case _:  # no plain exception, or the key was in doubt before; decision 13
            return again(called.doubted(), policy=policy)


def after_doubt(attempt: Attempt, *, question: Question, policy: RetryPolicy) -> RetryAfter | OutOfAttempts:
    """
    Return what follows a call or a look-up whose answer is not known.

    A look-up that failed says nothing, so the call is repeated under its key;
    that call, and not the look-up, is what counts as an attempt; decision 111.
    """
    if question is Question.LOOK_UP:
        delay = policy.delay_before(attempt.rounds + 2, key=attempt.key)
        return RetryAfter(attempt._replace(not_seen=True), delay)
    return again(attempt.asked().doubted(), policy=policy)


def again(
    attempt: Attempt, *, policy: RetryPolicy, retry_after: float | None = None, everyone: bool = False
) -> RetryAfter | OutOfAttempts:
    """
    Return the next attempt of an item that was asked about in vain, or that there is none.
    """
    rounds = attempt.rounds + 1
    following = attempt._replace(rounds=rounds)
    if rounds >= policy.max_attempts:
        return OutOfAttempts(following)
    delay = policy.delay_before(rounds + 1, key=attempt.key, retry_after=retry_after)
    return RetryAfter(following, delay, everyone)


def succeeded(attempt: Attempt, receipt: RegistrationReceipt, *, calls: int, now: datetime) -> ItemOutcome:
    """
    Return the outcome of an item whose record exists, after that many calls.
    """
    # The count comes by itself, so that the common way, one call and one receipt, makes no further attempt.
    return ItemOutcome(
        work=attempt.work,
        state=_SUCCEEDED,
        settled_at=now,
        attempts=calls,
        activity_id=receipt.activity_id,
    )


def duplicate(
    attempt: Attempt, existing_activity_id: str, *, on_conflict: ConflictPolicy, now: datetime
) -> ItemOutcome:
    """
    Return the outcome of an item that the service found to be a duplicate.

    Nobody saw that record before, so even under OVERRIDE a person decides.
    Under a key in doubt it may be the item's own, whatever the service says.
    """
    if attempt.in_doubt:
        return maybe_own(attempt, existing_activity_id, now=now)
    skip = on_conflict is ConflictPolicy.SKIP
    state = ItemState.SKIPPED if skip else ItemState.NEEDS_REVIEW
    return attempt.outcome(state, DUPLICATE, now=now, conflicting_activity_id=existing_activity_id)


def maybe_own(attempt: Attempt, existing_activity_id: str | None, *, now: datetime) -> ItemOutcome:
    """
    Return the outcome of an item that conflicts with a record it may have written itself.

    A service that commits, loses the reply and does not look for its own
    record first answers the repetition so. The key stays in doubt.
    """
    return attempt.outcome(
        ItemState.NEEDS_REVIEW,
        MAYBE_OWN,
        now=now,
        in_doubt=True,
        conflicting_activity_id=existing_activity_id,
    )


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


def rejection(error: RegistrationRejected) -> Failure:
    """
    Return the reason that a definite refusal gives.
    """
    return Failure(code=error.code, message=error.message, retryable=False)


def failure_of(answer: RegistrationFailure) -> Failure:
    """
    Return the reason that a service's answer gives, in lengths that any store keeps.
    """
    plain = RegistrationRejected(answer.code, answer.message)
    return Failure(code=plain.code, message=plain.message, retryable=answer.code == ROLLED_BACK.code)


def unexpected(attempt: Attempt, *, now: datetime) -> ItemOutcome:
    """
    Return the outcome after an error that says nothing; it may hide a lost reply, so the key is kept.
    """
    return attempt.outcome(ItemState.FAILED, UNEXPECTED, now=now, in_doubt=True)


def given_up(attempt: Attempt, *, now: datetime) -> ItemOutcome:
    """
    Return the outcome of an item that was begun and gets no further attempt.
    """
    # Doubt comes first: what a later call was refused with says nothing about the earlier one; decision 9.
    if attempt.in_doubt:
        failure = BAD_ANSWER if attempt.reason is BAD_ANSWER else UNKNOWN
        return attempt.outcome(ItemState.UNKNOWN, failure, now=now, in_doubt=True)
    if attempt.reason is not None:
        return unexpected(attempt, now=now)
    return attempt.outcome(ItemState.FAILED, UNAVAILABLE, now=now)


def driver_lost(attempt: Attempt, *, now: datetime) -> ItemOutcome:
    """
    Return the outcome of an item that the process died of too often.
    """
    return attempt.outcome(ItemState.UNKNOWN, DRIVER_LOST, now=now, in_doubt=True)


def never_begun(attempt: Attempt, stop: StopReason, *, now: datetime) -> ItemOutcome:
    """
    Return the outcome of an item that was claimed, never called, and not in doubt.
    """
    if stop is StopReason.CANCEL_REQUESTED:
        return attempt.outcome(ItemState.CANCELLED, CANCELLED, now=now)
    return attempt.outcome(ItemState.FAILED, OUT_OF_TIME, now=now)
