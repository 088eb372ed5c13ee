"""
The settings of the REST router.
"""

from __future__ import annotations

import attrs

from proxy_orchestration._validators import is_not_negative, is_positive, is_positive_count


@attrs.frozen(kw_only=True)
class WebSettings:
    """
    Limits and times of a REST router; all times in seconds.

    Attributes:
        max_body_bytes: the largest body of a request, in bytes. A larger one is refused before it
            is read completely.
        heartbeat: the time between two comments that a stream sends while nothing settles. It also
            decides how soon a proxy notices that its client has left.
        reconnect_after: the time that a browser waits before it reconnects after a stream was cut.
        retry_after: the value of `Retry-After` if the store gives no time.
        max_wait: the longest time that a long poll waits.
        max_streams: the most streams and long polls that one router keeps open at once.
    """

    max_body_bytes: int = attrs.field(default=8 * 1024 * 1024, validator=is_positive_count)
    heartbeat: float = attrs.field(default=15.0, validator=is_positive)
    reconnect_after: float = attrs.field(default=2.0, validator=is_not_negative)
    retry_after: float = attrs.field(default=5.0, validator=is_not_negative)
    max_wait: float = attrs.field(default=30.0, validator=is_not_negative)
    max_streams: int = attrs.field(default=1000, validator=is_positive_count)
