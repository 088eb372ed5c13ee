"""
What takes the place of somebody's id once they are erased.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from proxy_orchestration._normal_forms import id_form

PSEUDONYM: Final = "erased-"
"""What each pseudonym begins with."""

_PSEUDONYM: Final = re.compile(PSEUDONYM + "[0-9a-f]{32}")
# Pseudonyms are stored and looked for, so it never changes.
_DOMAIN: Final = b"proxy-orchestration, erased: "


def pseudonym_of(text: str) -> str:
    """
    Return what takes the place of an id or a key; the same for the same text, and nothing leads back.
    """
    digest = hashlib.sha256(_DOMAIN + text.encode(errors="surrogatepass")).hexdigest()
    return f"{PSEUDONYM}{digest[:32]}"


def mentor_pseudonym(mentor_id: str) -> str:
    """
    Return what takes the place of a mentor's id: the same for each spelling of it.
    """
    return pseudonym_of(id_form(mentor_id))


def is_same_mentor(one: str, other: str) -> bool:
    """
    Tell whether two ids are spellings of one.
    """
    return id_form(one) == id_form(other)


def is_pseudonym(text: str) -> bool:
    """
    Tell whether an id or a key is that of somebody who was erased.
    """
    return _PSEUDONYM.fullmatch(text) is not None
