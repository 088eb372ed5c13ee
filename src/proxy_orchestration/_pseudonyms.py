"""
The pseudonyms that replace ids of erased people.
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
    Return the pseudonym that replaces an id or a key.

    The same text has the same one, and it cannot be reversed.
    """
    digest = hashlib.sha256(_DOMAIN + text.encode(errors="surrogatepass")).hexdigest()
    return f"{PSEUDONYM}{digest[:32]}"


def mentor_pseudonym(mentor_id: str) -> str:
    """
    Return the pseudonym that replaces a mentor's id; each spelling of one id has the same pseudonym.
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
