"""
The checks of arguments for the public methods of registration, by name of the argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Final

from proxy_orchestration._arguments import (
    Rule,
    aware,
    collection_of,
    mapping_of,
    of_kind,
    optional,
    storable_text,
    whole_number,
)
from proxy_orchestration._validators import check_identifier, member_of
from proxy_orchestration.access import Actor
from proxy_orchestration.errors import InvalidTypeError, InvalidValueError
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.batches import BatchFilter
from proxy_orchestration.registration.conflicts import ConflictDecision
from proxy_orchestration.registration.records import RecordFilter
from proxy_orchestration.registration.requests import BulkRegistrationRequest, check_label
from proxy_orchestration.registration.states import BulkStatus, ItemState

_MOST_PER_PAGE: Final = 100
_LONGEST_NOTE: Final = 500
_LONGEST_NAME: Final = 200


def _label(_name: str, value: object) -> None:
    check_label(value)


def _cursor(name: str, value: object) -> None:
    of_kind(str)(name, value)
    BatchFilter(cursor=str(value)).position()


def _decision(_name: str, value: object) -> None:
    member_of(ConflictDecision, value)


def _day(name: str, value: object) -> None:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise InvalidTypeError(name, f"must be a date, not {type(value).__name__}")


def _note(name: str, value: object) -> None:
    storable_text(at_most=_LONGEST_NOTE)(name, value)
    if not str(value).strip():
        raise InvalidValueError(name, "must not be empty: write what is wrong")


_RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "request": of_kind(BulkRegistrationRequest),
        "actor": of_kind(Actor),
        "service_name": optional(storable_text(at_most=_LONGEST_NAME)),
        "drive": of_kind(bool),
        "batch_id": of_kind(str),
        "mentor_id": check_identifier,
        "organization_id": check_identifier,
        "activity": of_kind(ProxyActivity),
        "idempotency_key": of_kind(str),
        "mentor_ids": optional(collection_of(str)),
        "activities": optional(mapping_of(str, of_kind(ProxyActivity))),
        "expected_run": optional(of_kind(int)),
        "run": optional(of_kind(int)),
        "decisions": mapping_of(str, _decision),
        "reason": optional(storable_text()),
        "label": _label,
        "after": whole_number(at_least=0),
        "page": whole_number(at_least=1, hint=f"; one has at most {_MOST_PER_PAGE} batches"),
        "limit": whole_number(at_least=1, at_most=_MOST_PER_PAGE),
        "statuses": optional(collection_of(BulkStatus)),
        "states": optional(collection_of(ItemState)),
        "settled_before": aware,
        "needs_review": optional(of_kind(bool)),
        "coordinator_id": optional(of_kind(str)),
        "submitted_from": optional(aware),
        "submitted_before": optional(aware),
        "cursor": optional(_cursor),
        "with_open_reviews": of_kind(bool),
        "with_untold": of_kind(bool),
        "accepted_before": aware,
        "activity_id": of_kind(str),
        "activity_from": optional(_day),
        "activity_through": optional(_day),
        "note": _note,
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


def check_record_cursor(cursor: str | None) -> None:
    """
    Accept what a page of records may be asked to follow.

    Raises:
        InvalidTypeError, InvalidValueError: it is no cursor of such a page.
    """
    optional(of_kind(str))("cursor", cursor)
    RecordFilter(cursor=cursor).position()
