"""
Decides what FCM's answers mean. Pure: an answer in, a decision out.

The table follows Google's page on the error codes of HTTP v1. One status may
mean several things, and details may be absent: where an answer can be read in
two ways, the one is taken that forgets no device.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import attrs

SHORTEST_WAIT: Final = 10.0
"""Seconds that Google asks to wait at least before a repetition."""

LONGEST_WAIT: Final = 3600.0
"""Seconds that no answer may keep us waiting for."""

_MOST_DIGITS: Final = 9
_OK: Final = 200
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404
_SERVER_ERROR: Final = 500
_SAY_LITTLE: Final = frozenset({200, 502, 504})
"""Half an answer, and those of a gateway that lost its own connection; FCM's own ones hold an error."""

_BAD_ADDRESS: Final = "not a valid fcm registration token"


class Action(enum.Enum):
    """
    What an answer asks for.
    """

    DELIVERED = "delivered"  # FCM accepted it
    PAYLOAD_INVALID = "payload_invalid"  # no device would take it
    TARGET_INVALID = "target_invalid"  # the address is none, as far as this answer can tell
    TARGET_GONE = "target_gone"  # the address was one and is no more
    SENDER_MISMATCH = "sender_mismatch"  # the device belongs to another sender
    UNAUTHENTICATED = "unauthenticated"  # the access token is not accepted
    PLATFORM_REFUSED = "platform_refused"  # FCM's own key for Apple or the web is not accepted
    CHANNEL_REFUSED = "channel_refused"  # permissions, a disabled API, a project that is not there
    QUOTA = "quota"  # too much, too fast
    TRANSIENT = "transient"  # worth another attempt; it may have been taken all the same
    REFUSED = "refused"  # refused for a reason that this table does not know


_BY_CODE: Final = {
    "THIRD_PARTY_AUTH_ERROR": Action.PLATFORM_REFUSED,
    "APNS_AUTH_ERROR": Action.PLATFORM_REFUSED,
    "SENDER_ID_MISMATCH": Action.SENDER_MISMATCH,
}
"""Codes that mean the same under any status."""

_BY_STATUS: Final = {
    401: Action.UNAUTHENTICATED,
    403: Action.CHANNEL_REFUSED,
    408: Action.TRANSIENT,
    429: Action.QUOTA,
}
"""Statuses that mean the same with any other code, and without a body."""


@attrs.frozen
class Answer:
    """
    What one call came to.

    Attributes:
        action: what is to be done.
        retry_after: seconds that FCM asks to wait, from 10 to 3600, where it does.
        in_doubt: whether the message may have been taken, although there is no word of it.
    """

    action: Action
    retry_after: float | None = None
    in_doubt: bool = False


def read_answer(status: int, body: bytes, *, retry_after: str | None, now: datetime) -> Answer:
    """
    Return what an answer asks for, whatever it holds.

    Args:
        status: of HTTP.
        body: as it came; may be empty or no JSON.
        retry_after: the header, if there is one.
        now: the present moment, which a date in that header is counted from.
    """
    content = _json_object(body)
    action = _action(status, content)
    in_doubt = action is Action.TRANSIENT and status in _SAY_LITTLE and "error" not in (content or {})
    return Answer(action, seconds_of(retry_after, now=now), in_doubt)


def seconds_of(retry_after: str | None, *, now: datetime) -> float | None:
    """
    Return the seconds that a `Retry-After` header asks for (RFC 9110, 10.2.3), between 10 and 3600.

    `None` where there is none that can be read.
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return _clamped(float(text) if len(text) <= _MOST_DIGITS else LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _clamped((aware - now).total_seconds())


def _clamped(seconds: float) -> float:
    return min(LONGEST_WAIT, max(SHORTEST_WAIT, seconds))


def _action(status: int, body: Mapping[str, Any] | None) -> Action:
    if status == _OK:
        name = body.get("name") if body else None
        return Action.DELIVERED if isinstance(name, str) and name else Action.TRANSIENT
    code, has_violations, text = _details(body)
    known = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if known is not None:
        return known
    if status == _NOT_FOUND:
        return _not_found(code)
    if body is None or not _BAD_REQUEST <= status < _SERVER_ERROR:
        return Action.TRANSIENT
    is_about_message = status == _BAD_REQUEST
    return _bad_request(code, text, has_violations=has_violations) if is_about_message else Action.REFUSED


def _not_found(code: str) -> Action:
    """
    Tell a device that is gone from a project or an address of ours that is not there.
    """
    if code == "UNREGISTERED":
        return Action.TARGET_GONE
    return Action.REFUSED if code else Action.CHANNEL_REFUSED


def _bad_request(code: str, text: str, *, has_violations: bool) -> Action:
    about_address = code == "INVALID_ARGUMENT" and _BAD_ADDRESS in text.lower()
    return Action.TARGET_INVALID if about_address and not has_violations else Action.PAYLOAD_INVALID


def _details(body: Mapping[str, Any] | None) -> tuple[str, bool, str]:
    """
    Return FCM's own code or an empty string, whether fields were found fault with, and the text.
    """
    error = (body or {}).get("error")
    if not isinstance(error, dict):
        return "", False, ""
    listed = error.get("details")
    details = [part for part in listed if isinstance(part, dict)] if isinstance(listed, list) else []
    codes = [part.get("errorCode") for part in details if _is_of_type(part, "fcm.v1.FcmError")]
    violations = [part.get("fieldViolations") for part in details if _is_of_type(part, "rpc.BadRequest")]
    code = next((code for code in codes if isinstance(code, str)), "")
    text = error.get("message")
    return code, any(violations), text if isinstance(text, str) else ""


def _is_of_type(detail: Mapping[str, Any], name: str) -> bool:
    return str(detail.get("@type", "")).endswith(f".{name}")


def _json_object(body: bytes) -> Mapping[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
