"""
Limits and times of the router.
"""

from __future__ import annotations

import attrs

from proxy_orchestration._validators import is_not_negative, is_positive, is_positive_count


@attrs.frozen(kw_only=True)
class WebSettings:
    """
    Limits and times of one router; all times in seconds.

    Attributes:
        max_body_bytes: a larger body is refused before it is read to its end.
        heartbeat: how often a stream sends a comment while nothing settles. It also sets how
            soon a proxy notices that its client has left.
        reconnect_after: how long a browser waits before it asks again, when a stream was cut.
        retry_after: what `Retry-After` says where the store does not know better.
        max_wait: the longest that a long-poll waits.
        max_streams: streams and long-polls that one router keeps open at once.
    """

    max_body_bytes: int = attrs.field(default=8 * 1024 * 1024, validator=is_positive_count)
    heartbeat: float = attrs.field(default=15.0, validator=is_positive)
    reconnect_after: float = attrs.field(default=2.0, validator=is_not_negative)
    retry_after: float = attrs.field(default=5.0, validator=is_not_negative)
    max_wait: float = attrs.field(default=30.0, validator=is_not_negative)
    max_streams: int = attrs.field(default=1000, validator=is_positive_count)
