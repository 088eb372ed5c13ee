from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_orchestration import (
    ConflictPolicy,
    DuplicateActivityError,
    ItemState,
    OutcomeUnknownError,
    ProxyActivity,
    RegistrationReceipt,
    RegistrationRejected,
    RegistrationUnavailable,
    RetryPolicy,
)
from proxy_orchestration.registration.execution.attempts import (
    Attempt,
    OutOfAttempts,
    Question,
    RetryAfter,
    StopReason,
    after_call,
    after_doubt,
    after_error,
    after_look_up,
    again,
    given_up,
    never_begun,
)
from proxy_orchestration.registration.reasons import BAD_ANSWER, UNEXPECTED
from proxy_orchestration.registration.runs import ItemOutcome, WorkItem

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_VISIT = ProxyActivity(activity_type="visit", activity_date=date(2025, 12, 30), duration_minutes=45)
_WORK = WorkItem(item=0, mentor_id="mentor-1", activity=_VISIT, epoch=0, in_doubt=False)
_policies = st.builds(RetryPolicy, max_attempts=st.integers(1, 5))
_errors = st.sampled_from(
    [
        RegistrationRejected("closed", "The month is closed."),
        DuplicateActivityError("activity-1"),
        RegistrationUnavailable(2.0),
        TimeoutError(),
        OutcomeUnknownError(),
        KeyError("a"),
        BaseExceptionGroup("cut", [KeyboardInterrupt()]),
    ]
)
_attempts = st.builds(
    Attempt,
    st.just(_WORK),
    st.just("batch:mentor-1"),
    st.booleans(),
    calls=st.integers(0, 5),
    rounds=st.integers(0, 5),
    not_seen=st.booleans(),
    reason=st.sampled_from([None, UNEXPECTED]),
)


@given(_attempts, _errors, _policies, st.sampled_from(ConflictPolicy))
def test_a_key_in_doubt_leaves_it_by_a_definite_answer_only(
    attempt: Attempt, error: BaseException, policy: RetryPolicy, on_conflict: ConflictPolicy
) -> None:
    """
    Whatever else the service raises, the doubt goes into the next attempt, or into UNKNOWN.
    """
    step = after_error(attempt, error, policy=policy, on_conflict=on_conflict, now=_NOW)

    if not isinstance(step, ItemOutcome):
        assert step.attempt.in_doubt >= attempt.in_doubt
        assert attempt.calls + 1 == step.attempt.calls
    elif attempt.in_doubt:
        assert isinstance(error, RegistrationRejected | DuplicateActivityError)


@given(_attempts, _errors, _policies)
def test_an_error_that_says_nothing_leaves_the_key_in_doubt(
    attempt: Attempt, error: BaseException, policy: RetryPolicy
) -> None:
    """
    An outcome after it says so too: the next run asks first.
    """
    step = after_error(attempt, error, policy=policy, on_conflict=ConflictPolicy.REVIEW, now=_NOW)

    if not isinstance(error, RegistrationRejected | DuplicateActivityError | RegistrationUnavailable):
        assert step.in_doubt if isinstance(step, ItemOutcome) else step.attempt.in_doubt


@given(_attempts, _policies)
def test_attempts_run_out_after_as_many_rounds_as_the_policy_allows(
    attempt: Attempt, policy: RetryPolicy
) -> None:
    """
    Until then each has a delay.
    """
    step = again(attempt, policy=policy)

    assert attempt.rounds + 1 == step.attempt.rounds
    assert isinstance(step, OutOfAttempts) == (step.attempt.rounds >= policy.max_attempts)


@given(_attempts, _policies)
def test_a_receipt_is_success_and_counts_the_calls(attempt: Attempt, policy: RetryPolicy) -> None:
    """
    A look-up is no call.
    """
    receipt = RegistrationReceipt(registration_id=attempt.key, activity_id="activity-1")

    called = after_call(attempt, receipt, policy=policy, now=_NOW)
    looked_up = after_look_up(attempt, receipt, policy=policy, now=_NOW)

    assert isinstance(called, ItemOutcome)
    assert isinstance(looked_up, ItemOutcome)
    assert (ItemState.SUCCEEDED, attempt.calls + 1) == (called.state, called.attempts)
    assert (ItemState.SUCCEEDED, attempt.calls) == (looked_up.state, looked_up.attempts)


@given(_attempts, _policies, st.sampled_from([None, "yes", 7]))
def test_an_answer_that_is_no_receipt_is_no_answer(
    attempt: Attempt, policy: RetryPolicy, answer: object
) -> None:
    """
    A receipt of another registration neither; only a look-up may say that it sees nothing.
    """
    foreign = RegistrationReceipt(registration_id="batch:mentor-2", activity_id="activity-1")
    doubt = again(attempt.asked().doubted(BAD_ANSWER), policy=policy)

    assert doubt == after_call(attempt, answer, policy=policy, now=_NOW)
    assert doubt == after_call(attempt, foreign, policy=policy, now=_NOW)
    expected = (
        RetryAfter(attempt._replace(not_seen=True), 0.0)
        if answer is None
        else after_doubt(attempt, question=Question.LOOK_UP, policy=policy)
    )
    assert expected == after_look_up(attempt, answer, policy=policy, now=_NOW)


@given(_attempts)
def test_what_is_given_up_in_doubt_is_unknown(attempt: Attempt) -> None:
    """
    Never FAILED: that would say that nothing was written.
    """
    outcome = given_up(attempt, now=_NOW)

    assert attempt.in_doubt == (outcome.state is ItemState.UNKNOWN)
    assert outcome.in_doubt == (attempt.in_doubt or attempt.reason is not None)


@pytest.mark.parametrize(
    ("stop", "expected"),
    [(StopReason.CANCEL_REQUESTED, ItemState.CANCELLED), (StopReason.TIME_BUDGET_SPENT, ItemState.FAILED)],
)
def test_what_was_never_begun_ends_by_the_reason_of_the_stop(stop: StopReason, expected: ItemState) -> None:
    """
    Its key is not in doubt.
    """
    outcome = never_begun(Attempt.at(_WORK, batch_id="batch"), stop, now=_NOW)

    assert (expected, 0, False) == (outcome.state, outcome.attempts, outcome.in_doubt)


def test_an_attempt_does_not_change() -> None:
    """
    What follows is another one.
    """
    attempt = Attempt.at(_WORK, batch_id="batch")

    with pytest.raises(AttributeError):
        attempt.in_doubt = True  # type: ignore[misc]  # the refusal under test
    assert attempt.asked() == attempt._replace(calls=1)
