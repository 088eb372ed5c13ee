"""
The options of all pushes: sound, badge, channel and label.
"""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from proxy_orchestration._validators import is_a
from proxy_orchestration.errors import InvalidValueError

_LABEL: Final = re.compile(r"[a-zA-Z0-9\-_.~%]{0,50}", re.ASCII)
_LARGEST_BADGE: Final = 99_999


def _is_label(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    is_a(str)(instance, attribute, value)
    if not _LABEL.fullmatch(value):
        rule = "must have at most 50 characters: letters, digits and -_.~%, as FCM requires"
        raise InvalidValueError(_name_of(attribute), rule)


def _is_badge(instance: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is None:
        return
    is_a(int)(instance, attribute, value)
    if not 0 <= value <= _LARGEST_BADGE:
        rule = f"must be from 0, which removes the badge, to {_LARGEST_BADGE}"
        raise InvalidValueError(_name_of(attribute), rule)


def _name_of(attribute: attrs.Attribute[Any]) -> str:
    return f"FcmOptions.{attribute.name}"


@attrs.frozen(kw_only=True)
class FcmOptions:
    """
    How devices show pushes, and how FCM counts them.

    Attributes:
        android_channel: the app's notification channel, with which the user sets sound and
            importance; empty: the app's default channel.
        ios_sound: a sound of the app, or `default`; empty: no sound.
        ios_badge: the number on the app's icon; 0 removes it, `None` leaves it unchanged.
        analytics_label: the label under which FCM counts the pushes; empty: none.
        one_collapse_key: whether all pushes to an Android device have the same collapse key. For a
            device that is offline, FCM keeps pushes with at most four different keys, and chooses
            which. With more than four certificate types, the newest push is better than any four.
            Which pushes a device shows side by side does not change.
        validate_only: whether FCM only checks the pushes and delivers none. They stay queued, none
            becomes dead, and no device is removed.

    Raises:
        InvalidInputError: a field is not valid; the message says which.
    """

    android_channel: str = attrs.field(default="", validator=is_a(str))
    ios_sound: str = attrs.field(default="", validator=is_a(str))
    ios_badge: int | None = attrs.field(default=None, validator=_is_badge)
    analytics_label: str = attrs.field(default="", validator=_is_label)
    one_collapse_key: bool = attrs.field(default=False, validator=is_a(bool))
    validate_only: bool = attrs.field(default=False, validator=is_a(bool))
