"""
The settings of the FCM sender.
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
        rule = "must be an HTTP address such as https://fcm.googleapis.com or http://localhost:8991"
        name = f"FcmSettings.{attribute.name}"
        raise InvalidValueError(name, rule)


@attrs.frozen(kw_only=True)
class FcmSettings:
    """
    Limits and times of an `FcmPushSender`; all times in seconds.

    Attributes:
        base_url: the address of FCM.
        project_id: the id of the Firebase project; `None`: the one in the service account's key.
        max_concurrency: the most calls in progress at once in one `send`.
        call_timeout: the longest time of a call, also of one that renews the access token. Google
            asks for at least 10.
        time_budget: the time after the start of a `send` in which its calls begin; messages that
            are left are sent later. This time, `call_timeout` and four seconds together must be
            less than `DispatchSettings.send_timeout`.
        quota_pause: the first pause after a refusal because of the quota, if FCM gives no time.
        channel_pause: the first pause after a refusal that is not caused by a message: wrong
            credentials, missing permissions, an unknown project, or a problem with a platform's own
            key.
        longest_pause: the longest pause; each further refusal in a row doubles the pause up to
            this.
        quarantine: the time for which nothing is sent to a device that belongs to another sender.
        prune_share: if FCM reports more than this share of the answered devices as unregistered,
            none is removed.
        prune_minimum: the number of unregistered devices from which `prune_share` is checked.
        prune_window: the approximate number of answers of which the share is computed. Above it,
            older answers count half each time.
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
