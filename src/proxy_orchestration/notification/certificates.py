"""
A certificate, as the host's register has it.
"""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from typing import TypeAlias

import attrs

from proxy_orchestration._normal_forms import code_form

Expiry: TypeAlias = date | datetime
"""
The end of a certificate: a `date` through which it is valid, or an aware `datetime` from which it
is not valid.
"""


def _moment(value: object) -> str:
    """
    Show a date, and of anything else its type: nothing is checked here, and a name may stand in its place.
    """
    return repr(value) if isinstance(value, date) else type(value).__name__


@attrs.frozen(kw_only=True)
class PeerMentorCertificate:
    """
    One certificate of one mentor.

    Nothing is checked here. In a run, a wrong record fails on its own, with a code, and does not
    stop the others.

    Attributes:
        certificate_id: the host's id of the record, such as the certificate's number; not empty,
            and never in a repr or a log.
        mentor_id: the id of its holder; not empty.
        certificate_type: the host's code for the kind of certificate. Differences in case, in
            surrounding spaces and in Unicode composition do not make another type.
        expires: when it ends: a `date` through which it is valid, or an aware `datetime` until
            which it is valid.
        revoked: whether it was revoked; a revoked certificate leads to no notice.
        holder_name: the mentor's name for the texts; personal data, never in a repr or a log.
        organization_id: the mentor's organization, or `None`.
        chapter_id: the mentor's chapter, or `None`.
        locale: the mentor's language, for example `nb-NO`; `None` for the catalogue's own.
    """

    certificate_id: str = attrs.field(repr=False)
    mentor_id: str
    certificate_type: str
    expires: Expiry = attrs.field(repr=_moment)
    revoked: bool = False
    holder_name: str = attrs.field(default="", repr=False)
    organization_id: str | None = None
    chapter_id: str | None = None
    locale: str | None = None


@lru_cache(maxsize=1024)
def type_code(certificate_type: str) -> str:
    """
    Return the spelling under which a type is compared and stored.
    """
    # Registers spell codes as people type them; two spellings would be two notices; decisions 37 and 184.
    return code_form(certificate_type)
