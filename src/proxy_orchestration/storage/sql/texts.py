"""
What a database keeps as text: everything but NUL and halves of surrogate pairs.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy_orchestration.errors import RecordRefusedError


def check_texts(texts: Iterable[str | None]) -> None:
    """
    Accept what every database keeps as it is; half a surrogate pair is the drivers' to refuse.

    Raises:
        RecordRefusedError: a text holds NUL.
    """
    # SQLite would keep a NUL, and then cut the text there in its functions.
    if "\0" in "".join(map(str, texts)):
        raise RecordRefusedError


def findable(text: str) -> str:
    """
    Return the id as it may be looked for: what no row can hold is the empty id, which no row has.
    """
    return text if _can_be_kept(text) else ""


def keepable(texts: Iterable[str]) -> list[str]:
    """
    Return those of the texts that a row can hold.
    """
    return [text for text in texts if _can_be_kept(text)]


def as_text(words: str) -> str:
    """
    Return the words without what cannot be kept.
    """
    return words.encode(errors="replace").decode().replace("\0", "")


def _can_be_kept(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
