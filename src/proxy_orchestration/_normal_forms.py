"""
The forms in which ids and codes are compared. What is stored and shown is what was given.
"""

from __future__ import annotations

from typing import Final
from unicodedata import normalize

_HAVE_OTHERS: Final = frozenset("K;`")
"""What the Kelvin sign, the Greek question mark and the Greek varia are composed as."""


def id_form(text: str) -> str:
    """
    Return what an id is compared by: with its letters composed. Case is part of an id.
    """
    return text if text.isascii() else normalize("NFC", text)


def has_one_spelling(text: str) -> bool:
    """
    Return whether no other text is the same id.
    """
    return text.isascii() and _HAVE_OTHERS.isdisjoint(text)


def code_form(text: str) -> str:
    """
    Return what a code is compared by: composed, without case and without blanks at its ends.
    """
    plain = text.strip()
    if plain.isascii():
        return plain.casefold()
    # Decomposed before it is folded, as in Unicode's caseless matching: folding may move marks.
    return normalize("NFC", normalize("NFD", plain).casefold())
