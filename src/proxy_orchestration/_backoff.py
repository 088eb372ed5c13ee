"""
The retry policy: how often, and after which delays, a refused call is repeated.
"""

from __future__ import annotations

import zlib

import attrs

from proxy_orchestration._validators import is_not_negative, is_positive, is_positive_count, is_share

_HASHES = 2**32


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """
    Exponential backoff with jitter.

    Attributes:
        max_attempts: the number of attempts, including the first.
        initial: seconds before the second attempt.
        multiplier: each further delay is this many times the one before.
        max_delay: the longest delay in seconds; a service's own `retry_after` may be longer.
        jitter: the share of a delay, from 0 to 1, that is random.
    """

    max_attempts: int = attrs.field(default=3, validator=is_positive_count)
    initial: float = attrs.field(default=0.5, validator=is_not_negative)
    multiplier: float = attrs.field(default=2.0, validator=is_positive)
    max_delay: float = attrs.field(default=30.0, validator=is_not_negative)
    jitter: float = attrs.field(default=0.5, validator=is_share)

    def delay_before(self, attempt: int, *, key: str, retry_after: float | None = None) -> float:
        """
        Return the seconds to wait before the given attempt (attempt 2 is the first repetition).

        The jitter is computed from the key and the attempt. So items spread out, and a test sees
        the same delays again. No delay is shorter than the service asked for.

        Args:
            attempt: the attempt that follows the delay, from 2.
            key: identifies the item; different keys give different jitter.
            retry_after: the seconds that the service asked for.
        """
        try:
            full = min(self.max_delay, self.initial * self.multiplier ** (attempt - 2))
        except OverflowError:
            full = self.max_delay
        draw = zlib.crc32(f"{key}:{attempt}".encode()) / _HASHES
        return max(full * (1 - self.jitter * draw), retry_after or 0.0)
