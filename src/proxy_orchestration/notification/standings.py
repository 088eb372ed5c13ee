"""
Who is hidden by which end; every registry asks here, and none decides by itself.

A mentor is suppressed while a standing of theirs is: each type on its own, so
that one renewal does not show whom another type still hides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import attrs

from proxy_orchestration._texts import is_storable_id
from proxy_orchestration.notification.ends import Certificate
from proxy_orchestration.notification.records import CertificateEnd
from proxy_orchestration.notification.visibility_records import (
    Restoration,
    VisibilityCause,
    VisibilityChange,
)


@attrs.frozen(kw_only=True)
class Standing:
    """
    What a registry knows of one mentor and type.

    Attributes:
        ends_at: the end that counts.
        suppressed_at: since when the mentor is suppressed for it; `None`: not.
        previous_status: the host's own status from before, where it is known.
        restored_at: when a person last had the mentor shown: no end up to then hides any more.
        certificate_id: whose end it is; empty where that is not known.
        organization_id: likewise.
    """

    ends_at: datetime
    suppressed_at: datetime | None = None
    previous_status: str | None = None
    restored_at: datetime | None = None
    certificate_id: str = attrs.field(default="", repr=False)
    organization_id: str | None = None

    def hides(self, at: datetime) -> bool:
        """
        Tell whether the mentor is not to be shown at that moment.
        """
        return self.ends_at <= at and not (self.restored_at is not None and self.ends_at <= self.restored_at)


Standings: TypeAlias = Mapping[Certificate, Standing]


@attrs.frozen(kw_only=True)
class Settled:
    """
    What follows for some mentors.

    Attributes:
        standings: all of theirs, as they are to be.
        changes: the audit rows.
        suppressed: mentors who are newly suppressed.
    """

    standings: Standings
    changes: Sequence[VisibilityChange]
    suppressed: frozenset[str] = frozenset()


def settle_ends(
    known: Standings,
    told: Mapping[Certificate, CertificateEnd],
    *,
    at: datetime,
    statuses: Mapping[str, str],
    withdrawn: bool,
) -> Settled:
    """
    Return what follows when these ends are told.

    Args:
        known: all standings of the mentors that are told of.
        told: the end that counts of each.
        at: the moment of the run.
        statuses: the host's own statuses, of mentors who may be hidden now.
        withdrawn: whether an end of `None` was withdrawn, and not revoked.
    """
    before_all = _suppressed(known)
    standings: dict[Certificate, Standing] = {}
    changes: list[VisibilityChange] = []
    for about in sorted({*known, *told}):
        before = known.get(about)
        told_of = _told(before, told.get(about))
        if told_of is not None:
            previous = before_all.get(about[0], statuses.get(about[0]))
            standings[about] = _settled(before, told_of, at=at, previous=previous)
        change = _change(about, before, standings.get(about), at=at, withdrawn=withdrawn)
        if change is not None:
            changes.append(change)
    newly = frozenset(_suppressed(standings).keys() - before_all.keys())
    return Settled(standings=standings, changes=changes, suppressed=newly)


def settle_restoration(known: Standings, wanted: Restoration) -> Settled:
    """
    Return what follows when a person has a mentor shown again; nothing where we do not hide.
    """
    standings = dict(known)
    changes: list[VisibilityChange] = []
    for (mentor_id, certificate_type), standing in sorted(known.items()):
        is_meant = wanted.certificate_type in {None, certificate_type}
        is_theirs = standing.organization_id in {None, wanted.organization_id}
        is_hidden = standing.suppressed_at is not None or standing.hides(wanted.at)
        if not (is_meant and is_theirs and is_hidden):
            continue
        standings[mentor_id, certificate_type] = attrs.evolve(
            standing, suppressed_at=None, previous_status=None, restored_at=wanted.at
        )
        changes.append(
            VisibilityChange(
                mentor_id=mentor_id,
                certificate_type=certificate_type,
                hidden=False,
                cause=VisibilityCause.RESTORED,
                ends_at=standing.ends_at,
                previous_status=standing.previous_status,
                at=wanted.at,
                by=wanted.by,
                reason=wanted.reason,
                organization_id=standing.organization_id,
            )
        )
    return Settled(standings=standings, changes=changes)


def erasures(known: Standings, *, at: datetime) -> list[VisibilityChange]:
    """
    Return the audit rows of a mentor who is forgotten while they are suppressed, still by name.
    """
    return [
        _row(about, standing, VisibilityCause.ERASED, at=at)
        for about, standing in sorted(known.items())
        if standing.suppressed_at is not None
    ]


def _suppressed(standings: Standings) -> dict[str, str | None]:
    """
    Return who is suppressed, with the status from before.
    """
    return {
        mentor_id: standing.previous_status
        for (mentor_id, _), standing in standings.items()
        if standing.suppressed_at is not None
    }


def _told(before: Standing | None, end: CertificateEnd | None) -> Standing | None:
    """
    Return an end as a standing that nothing is known of; what is not told of stays as it is.
    """
    if end is None:
        return before
    if end.ends_at is None:
        return None
    return Standing(
        ends_at=end.ends_at,
        restored_at=None if before is None else before.restored_at,
        # Of a record that the notices' store refused, the end alone is sure to be kept.
        certificate_id=end.certificate_id if is_storable_id(end.certificate_id) else "",
        organization_id=_kept(end.organization_id),
    )


def _kept(organization_id: str | None) -> str | None:
    return organization_id if organization_id and is_storable_id(organization_id) else None


def _settled(before: Standing | None, told: Standing, *, at: datetime, previous: str | None) -> Standing:
    # What is suppressed stays so until its end is another one, whatever moment a run is for.
    is_kept = before is not None and before.suppressed_at is not None and before.ends_at == told.ends_at
    if not is_kept and not told.hides(at):
        return attrs.evolve(told, suppressed_at=None, previous_status=None)
    since = None if before is None else before.suppressed_at
    return attrs.evolve(told, suppressed_at=since or at, previous_status=previous)


def _change(
    about: Certificate, before: Standing | None, after: Standing | None, *, at: datetime, withdrawn: bool
) -> VisibilityChange | None:
    was = before if before is not None and before.suppressed_at is not None else None
    now = after if after is not None and after.suppressed_at is not None else None
    if was is None and now is not None:
        return _row(about, now, VisibilityCause.LAPSED, at=at)
    if was is None or now is not None:
        return None
    return _row(about, was, _cause(was, after, withdrawn=withdrawn), at=at)


def _cause(was: Standing, after: Standing | None, *, withdrawn: bool) -> VisibilityCause:
    if after is None:
        return VisibilityCause.WITHDRAWN if withdrawn else VisibilityCause.REVOKED
    whose = (after.organization_id, after.certificate_id)
    is_same = bool(after.certificate_id) and whose == (was.organization_id, was.certificate_id)
    return VisibilityCause.CORRECTED if is_same else VisibilityCause.RENEWED


def _row(about: Certificate, standing: Standing, cause: VisibilityCause, *, at: datetime) -> VisibilityChange:
    return VisibilityChange(
        mentor_id=about[0],
        certificate_type=about[1],
        hidden=cause is VisibilityCause.LAPSED,
        cause=cause,
        ends_at=standing.ends_at,
        previous_status=standing.previous_status,
        at=at,
        organization_id=standing.organization_id,
    )
