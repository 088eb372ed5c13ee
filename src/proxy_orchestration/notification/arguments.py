"""
The checks of arguments for the public methods of notification, by name of the argument.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from proxy_orchestration._arguments import (
    Rule,
    aware,
    collection_of,
    of_kind,
    optional,
    storable_text,
    whole_number,
)
from proxy_orchestration._validators import check_identifier
from proxy_orchestration.access import Actor
from proxy_orchestration.errors import InvalidTypeError
from proxy_orchestration.notification.inbox_pages import place_of

_LONGEST_NOTE: Final = 500
_MOST_PER_PAGE: Final = 100


def _certificates(name: str, value: object) -> None:
    # A record among them that is none fails alone; what holds no records at all is the caller's mistake.
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable | AsyncIterable):
        raise InvalidTypeError(
            name, f"must be a list or an async stream of PeerMentorCertificate, not {type(value).__name__}"
        )


def _place(name: str, value: object) -> None:
    of_kind(str)(name, value)
    place_of(str(value))


_RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "certificates": _certificates,
        "as_of": optional(aware),
        "allow_future": of_kind(bool),
        "complete": of_kind(bool),
        "notification_id": of_kind(str),
        "actor": of_kind(Actor),
        "note": storable_text(at_most=_LONGEST_NOTE),
        "cursor": optional(of_kind(str)),
        "recipient_id": check_identifier,
        "mentor_id": check_identifier,
        "certificate_type": optional(check_identifier),
        "reason": storable_text(at_most=_LONGEST_NOTE),
        "created_before": aware,
        "due_before": aware,
        "started_before": aware,
        "changed_before": aware,
        "after": optional(_place),
        "limit": whole_number(at_least=1, at_most=_MOST_PER_PAGE),
        "message_ids": optional(collection_of(str)),
    }
)


def check_arguments(**arguments: object) -> None:
    """
    Accept arguments that mean something under these names.

    Raises:
        InvalidTypeError, InvalidValueError: one does not; the message says what to give.
    """
    for name, value in arguments.items():
        _RULES[name](name, value)
