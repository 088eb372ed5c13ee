"""
Which texts a store can keep.
"""

from __future__ import annotations


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
