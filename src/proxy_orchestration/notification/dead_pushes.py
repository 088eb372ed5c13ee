"""
Pages of messages that were given up. Pure, no I/O.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Final

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.notification.records import DeadPush

_BEFORE_ID: Final = "~push~"
_NO_CURSOR: Final = "is not a valid cursor: give the next_cursor of a page, unchanged"


@attrs.frozen(kw_only=True)
class DeadPushPage(PlainModel):
    """
    One page of messages that were given up, the oldest first.

    Attributes:
        pushes: the messages.
        next_cursor: pass it as `cursor` to get those that follow; `None` on the last page.
    """

    pushes: tuple[DeadPush, ...]
    next_cursor: str | None = None


def page_of(found: tuple[DeadPush, ...], *, limit: int) -> DeadPushPage:
    """
    Return the page of these messages, of which there is one more than fits where more follow.
    """
    shown = found[:limit]
    return DeadPushPage(pushes=shown, next_cursor=_cursor_of(shown[-1]) if len(found) > limit else None)


def position_of(cursor: str | None) -> tuple[datetime, str] | None:
    """
    Return behind which message the page begins; `None` for the first one.

    Raises:
        InvalidValueError: it is no cursor.
    """
    if cursor is None:
        return None
    written, _, message_id = cursor.partition(_BEFORE_ID)
    with suppress(ValueError):
        claimed_at = datetime.fromisoformat(written)
        if claimed_at.tzinfo is not None and message_id:
            return claimed_at, message_id
    raise InvalidValueError("cursor", _NO_CURSOR)  # noqa: EM101 - a field's name


def _cursor_of(push: DeadPush) -> str:
    return f"{push.claimed_at.isoformat()}{_BEFORE_ID}{push.message_id}"
