"""
Which texts a database can store: all without NUL characters and unpaired surrogates.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy_orchestration._texts import check_texts, is_storable

__all__ = ["as_text", "check_texts", "findable", "keepable"]


def findable(text: str) -> str:
    """
    Return the id as it may be looked for: what no row can hold is the empty id, which no row has.
    """
    return text if is_storable(text) else ""


def keepable(texts: Iterable[str]) -> list[str]:
    """
    Return those of the texts that a row can hold.
    """
    return [text for text in texts if is_storable(text)]


def as_text(words: str) -> str:
    """
    Return the words without what cannot be kept.
    """
    return words.encode(errors="replace").decode().replace("\0", "")
