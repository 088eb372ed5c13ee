"""
Which texts a store can keep.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxy_orchestration.errors import RecordRefusedError

UNSTORABLE: Final = (
    "must not contain a NUL character or an unpaired surrogate, which no store can keep: remove it"
)
"""What is said of a text that is not storable."""

_LONGEST_ID: Final = 200


def is_storable(text: str) -> bool:
    """
    Tell whether every database keeps the text as it is: no NUL, and no half of a surrogate pair.
    """
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_storable_id(text: str) -> bool:
    """
    Tell whether every database keeps the text and finds it by an index: at most 200 characters.
    """
    return len(text) <= _LONGEST_ID and is_storable(text)


def check_texts(texts: Iterable[str | None]) -> None:
    """
    Accept what every database keeps as it is.

    Raises:
        RecordRefusedError: a text holds NUL, or half a surrogate pair.
    """
    # SQLite would keep a NUL, and then cut the text there in its functions.
    if not is_storable("\n".join(map(str, texts))):
        raise RecordRefusedError
