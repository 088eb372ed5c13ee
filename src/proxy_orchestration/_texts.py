"""
Which texts a store can keep.
"""

from __future__ import annotations

from typing import Final

_LONGEST_ID: Final = 200


def is_storable(text: str) -> bool:
    """
    Tell whether every database keeps the text as it is: no NUL, and no half of a surrogate pair.
    """
    if "\0" in text:
        return False
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
