from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy_orchestration import RetryPolicy

_seconds = st.floats(0, 1e6)
_policies = st.builds(
    RetryPolicy,
    initial=_seconds,
    multiplier=st.floats(1e-3, 1e3),
    max_delay=_seconds,
    jitter=st.floats(0, 1),
)
_attempts = st.integers(2, 10_000)


@given(_policies, _attempts, st.text())
def test_a_delay_is_within_its_bounds(policy: RetryPolicy, attempt: int, key: str) -> None:
    """
    Never negative, never more than the longest, however many attempts there were.
    """
    assert 0 <= policy.delay_before(attempt, key=key) <= policy.max_delay


@given(_policies, _attempts, st.text(), st.floats(0, 1e6))
def test_a_delay_never_falls_short_of_what_the_service_asked_for(
    policy: RetryPolicy, attempt: int, key: str, retry_after: float
) -> None:
    """
    The service's own word counts, also beyond the longest delay.
    """
    own = policy.delay_before(attempt, key=key)

    assert max(own, retry_after) == policy.delay_before(attempt, key=key, retry_after=retry_after)


@given(_seconds, st.floats(1, 1e3), _seconds, _attempts, st.text())
def test_without_jitter_delays_grow(
    initial: float, multiplier: float, max_delay: float, attempt: int, key: str
) -> None:
    """
    Each delay is at least as long as the one before it.
    """
    policy = RetryPolicy(initial=initial, multiplier=multiplier, max_delay=max_delay, jitter=0.0)

    assert min(initial, max_delay) == policy.delay_before(2, key=key)
    assert policy.delay_before(attempt, key=key) <= policy.delay_before(attempt + 1, key=key)


@given(_policies, _attempts, st.text())
def test_jitter_takes_away_at_most_its_share(policy: RetryPolicy, attempt: int, key: str) -> None:
    """
    A spread delay lies between its share and the whole.
    """
    whole = RetryPolicy(
        initial=policy.initial, multiplier=policy.multiplier, max_delay=policy.max_delay, jitter=0.0
    ).delay_before(attempt, key=key)

    # One part in a million for the rounding of floats.
    assert whole * (1 - policy.jitter) * (1 - 1e-6) <= policy.delay_before(attempt, key=key) <= whole


@given(_policies, _attempts, st.text())
def test_the_same_key_and_attempt_wait_equally_long(policy: RetryPolicy, attempt: int, key: str) -> None:
    """
    A test, or a process that takes over, sees the same delay again.
    """
    assert policy.delay_before(attempt, key=key) == policy.delay_before(attempt, key=key)
