"""
The forms in which ids and codes are compared. What is stored and shown is what was given.
"""

from __future__ import annotations

from unicodedata import normalize


def id_form(text: str) -> str:
    """
    Return what an id is compared by: with its letters composed. Case is part of an id.
    """
    return text if text.isascii() else normalize("NFC", text)


def code_form(text: str) -> str:
    """
    Return what a code is compared by: composed, without case and without blanks at its ends.
    """
    plain = text.strip()
    if plain.isascii():
        return plain.casefold()
    # Decomposed before it is folded, as in Unicode's caseless matching: folding may move marks.
    return normalize("NFC", normalize("NFD", plain).casefold())
