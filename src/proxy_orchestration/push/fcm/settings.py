"""
How a host tunes the FCM sender.
"""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from proxy_orchestration._validators import is_a, is_positive, is_positive_count
from proxy_orchestration.errors import InvalidValueError

_ADDRESS: Final = re.compile(r"https?://[^\s/?#]+(?:/[^\s?#]*)?", re.ASCII)


def _is_share(_instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value <= 1:
        msg = f"FcmSettings.{attribute.name} must be above 0 and at most 1, not {value!r}"
        raise ValueError(msg)


def _is_address(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    is_a(str)(instance, attribute, value)
    if not _ADDRESS.fullmatch(value):
        rule = "must be an address of HTTP such as https://fcm.googleapis.com or http://localhost:8991"
        name = f"FcmSettings.{attribute.name}"
        raise InvalidValueError(name, rule)


@attrs.frozen(kw_only=True)
class FcmSettings:
    """
    Limits and times of a sender; all times in seconds.

    Attributes:
        base_url: where FCM is.
        project_id: the Firebase project; `None` for the one that the service account names.
        max_concurrency: calls in flight for one `send`.
        call_timeout: after this long a call is cut, a renewal of the access token included.
            Google asks for 10 at least.
        time_budget: no call of a `send` begins later than that after its start; what is
            left is sent another time. With `call_timeout` and four seconds it has to stay
            below `DispatchSettings.send_timeout`.
        quota_pause: the first pause after a refusal for quota that names no time itself.
        channel_pause: the first pause after a refusal that no message is to blame for:
            credentials, permissions, a project that is not there, a platform's own key.
        longest_pause: what no pause exceeds; each refusal in a row doubles the pause.
        quarantine: for how long a device of another sender is left alone.
        prune_share: the share of devices FCM calls gone among those it answered for
            above which none is pruned.
        prune_minimum: devices called gone from which on that share is looked at.
        prune_window: how many answers, about, the share is taken of: beyond that many,
            older ones count half each time.
    """

    base_url: str = attrs.field(default="https://fcm.googleapis.com", validator=_is_address)
    project_id: str | None = attrs.field(default=None, validator=attrs.validators.optional(is_a(str)))
    max_concurrency: int = attrs.field(default=20, validator=is_positive_count)
    call_timeout: float = attrs.field(default=15.0, validator=is_positive)
    time_budget: float = attrs.field(default=40.0, validator=is_positive)
    quota_pause: float = attrs.field(default=60.0, validator=is_positive)
    channel_pause: float = attrs.field(default=60.0, validator=is_positive)
    longest_pause: float = attrs.field(default=3600.0, validator=is_positive)
    quarantine: float = attrs.field(default=3600.0, validator=is_positive)
    prune_share: float = attrs.field(default=0.25, validator=_is_share)
    prune_minimum: int = attrs.field(default=20, validator=is_positive_count)
    prune_window: int = attrs.field(default=1000, validator=is_positive_count)
