"""
What a certificate's type is called, in single notices and in digests. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from proxy_orchestration.notification.certificates import type_code

_LONGEST_NAME: Final = 100
"""A push has room for 4096 bytes in all."""


def plain_line(text: str) -> str:
    """
    Return a name as one short line that any store can keep.
    """
    line = " ".join(text.replace("\0", " ").split())[:_LONGEST_NAME]
    return line if line.isascii() else line.encode(errors="replace").decode()


def labels_by_code(labels: Mapping[str, str]) -> Mapping[str, str]:
    """
    Return the names of types by the codes under which types are compared.
    """
    return MappingProxyType({type_code(code): label for code, label in labels.items()})


def label_of(certificate_type: str, *labels: Mapping[str, str]) -> str:
    """
    Return the first name that the type has in these, else its code.
    """
    code = type_code(certificate_type)
    for each in labels:
        if label := each.get(code):
            return label
    return plain_line(certificate_type)


def labels_in_all(*labels: Mapping[str, str]) -> dict[str, str]:
    """
    Return the name that `label_of` finds in these, of each type that has one.
    """
    # A host's name may be a translation that becomes a text when it is read.
    found = [(code, str(label)) for each in reversed(labels) for code, label in each.items() if label]
    return {type_code(code): label for code, label in found}
