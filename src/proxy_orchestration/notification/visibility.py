"""
Hiding mentors whose certificates are lapsed, whatever became of their notices.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Final

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee, is_being_cancelled
from proxy_orchestration._normal_forms import id_form
from proxy_orchestration._texts import is_storable_id
from proxy_orchestration.notification.certificates import PeerMentorCertificate, type_code
from proxy_orchestration.notification.records import CertificateEnd
from proxy_orchestration.notification.results import RecordProblem
from proxy_orchestration.notification.tiers import end_of
from proxy_orchestration.notification.visibility_port import VisibilityRegistry

_log = logging.getLogger(_loggers.VISIBILITY)

VISIBILITY_UNKNOWN: Final = "visibility_unknown"
"""The code of a chunk whose mentors may be shown or hidden wrongly until the next run."""


def certificate_end(certificate: PeerMentorCertificate, timezone: tzinfo) -> CertificateEnd:
    """
    Return when that certificate ends; a date ends with its day in the zone.

    Raises:
        ValueError: its expiry is a naive datetime.
    """
    return end_at(certificate, None if certificate.revoked else end_of(certificate.expires, timezone))


def end_at(certificate: PeerMentorCertificate, ends_at: datetime | None) -> CertificateEnd:
    """
    Return the end of that certificate, which is at that moment; `None` for a revoked one.
    """
    return CertificateEnd(
        mentor_id=certificate.mentor_id,
        certificate_type=type_code(certificate.certificate_type),
        ends_at=ends_at,
        # One certificate, however a night's feed composes its letters.
        certificate_id=id_form(certificate.certificate_id),
        organization_id=_kept(certificate.organization_id),
    )


def _kept(organization_id: object) -> str | None:
    # What no store can keep fails a record that is told, and no other; it is not part of an end.
    if isinstance(organization_id, str) and is_storable_id(organization_id):
        return id_form(organization_id)
    return None


def is_hidden(ends: Iterable[CertificateEnd], *, at: datetime) -> bool:
    """
    Tell whether a mentor with these ends is not to be shown at that moment: one of them is over.

    Compares the moments themselves, so that a late run hides nobody late. A
    revocation has no moment and hides nobody.
    """
    return any(end.ends_at is not None and end.ends_at <= at for end in ends)


async def track_ends(
    registry: VisibilityRegistry | None,
    ends: Sequence[CertificateEnd],
    *,
    at: datetime,
    statuses: Mapping[str, str] | None = None,
    withdrawn: bool = False,
) -> RecordProblem | None:
    """
    Let the registry suppress and restore by these ends; return what went wrong, if anything.

    A registry that fails stops nothing: the next run tracks the same ends.
    """
    if registry is None or not ends:
        return None
    try:
        suppressed = await registry.track(tuple(ends), at=at, statuses=statuses, withdrawn=withdrawn)
    except BaseException as error:
        if not comes_from_callee(error) or is_being_cancelled():
            raise
        _log.error(
            "visibility could not be updated; the next run updates it",
            extra={"code": VISIBILITY_UNKNOWN, "error": type(error).__name__, "mentors": len(ends)},
        )
        return RecordProblem("", VISIBILITY_UNKNOWN)
    _log.info("visibility is up to date", extra={"mentors": len(ends), "suppressed": suppressed})
    return None
