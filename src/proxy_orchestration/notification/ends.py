"""
Decides which end of a mentor's certificates of one type counts. Every store uses this.

Ends are kept for each certificate by itself, so that a corrected end replaces
the wrong one and a revoked certificate leaves the one before it (decision 217).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

import attrs

from proxy_orchestration.notification.records import CertificateEnd, FeedCount

Certificate: TypeAlias = tuple[str, str]
"""Mentor and type: what a notice is about."""

LARGEST_SHARE: Final = 5
"""More than one of so many certificates are not withdrawn at once: such a feed was hardly whole."""


class EndKey(NamedTuple):
    """
    Which of a mentor's certificates of one type an end is of; empty where that is not known.
    """

    organization_id: str
    certificate_id: str


UNNAMED: Final = EndKey("", "")
"""The one end of a pair that was known before ends had ids."""


class KnownEnd(NamedTuple):
    """
    A certificate's end as it was told last, and when; `None` for one that counts no more.
    """

    ends_at: datetime | None
    seen_at: datetime


KnownEnds: TypeAlias = Mapping[Certificate, Mapping[EndKey, KnownEnd]]
"""What a store knows of the certificates of some mentors and types."""


class Place(NamedTuple):
    """
    Where a known end stands.
    """

    about: Certificate
    key: EndKey


@attrs.frozen(kw_only=True)
class NotedEnds:
    """
    What is to be written when ends are told, and what counts then.

    Attributes:
        written: ends that are new, or that were seen again by a whole feed.
        forgotten: ends without a name that one with a name replaces.
        changed: the pairs of which an end is another one now.
        counting: the end that counts, of each pair that is told of.
    """

    written: Mapping[Place, KnownEnd]
    forgotten: Collection[Place]
    changed: Collection[Certificate]
    counting: Mapping[Certificate, CertificateEnd]

    def known(self, about: Certificate) -> datetime | None:
        """
        Return the end that counts of that mentor and type, or `None`.
        """
        end = self.counting.get(about)
        return None if end is None else end.ends_at

    def voids(self, about: Certificate, ends_at: datetime) -> bool:
        """
        Return whether what is for that end of the mentor and type is over.
        """
        return about in self.changed and self.known(about) != ends_at


def certificate_about(end: CertificateEnd) -> Certificate:
    """
    Return mentor and type of an end.
    """
    return end.mentor_id, end.certificate_type


def key_of(end: CertificateEnd) -> EndKey:
    """
    Return which of its mentor's certificates an end is of.
    """
    return EndKey(end.organization_id or "", end.certificate_id)


def counting_end(about: Certificate, known: Mapping[EndKey, KnownEnd]) -> CertificateEnd:
    """
    Return the one end that counts of these of one mentor and type: the latest.
    """
    valid = [(end.ends_at, key) for key, end in known.items() if end.ends_at is not None]
    if not valid:
        return CertificateEnd(mentor_id=about[0], certificate_type=about[1], ends_at=None)
    ends_at, key = max(valid)
    return CertificateEnd(
        mentor_id=about[0],
        certificate_type=about[1],
        ends_at=ends_at,
        certificate_id=key.certificate_id,
        organization_id=key.organization_id or None,
    )


def note_ends(
    known: KnownEnds,
    told: Iterable[CertificateEnd],
    *,
    at: datetime,
    complete: bool = False,
    by_host: bool = False,
) -> NotedEnds:
    """
    Return what follows when these ends are told at that moment.

    Args:
        known: what is known of the mentors and types that are told of.
        told: of two ends of one certificate the last counts.
        at: when they are told, by the caller's clock.
        complete: whether they are of a whole feed, and each sighting is kept.
        by_host: whether it is the host's own word, before which no end without a name stands.
    """
    ends: dict[Certificate, dict[EndKey, KnownEnd]] = {}
    last: dict[Certificate, CertificateEnd] = {}
    written: dict[Place, KnownEnd] = {}
    changed: set[Certificate] = set()
    for end in told:
        about, key = certificate_about(end), key_of(end)
        of_pair = ends.get(about)
        if of_pair is None:
            of_pair = ends[about] = dict(known[about]) if about in known else {}
        last[about] = end
        before = of_pair.get(key)
        is_new = before is None or before.ends_at != end.ends_at
        if is_new or (complete and before is not None and before.seen_at < at):
            seen_at = at if before is None else max(at, before.seen_at)
            written[Place(about, key)] = of_pair[key] = KnownEnd(end.ends_at, seen_at)
        if is_new:
            changed.add(about)
    forgotten = [
        Place(about, UNNAMED)
        for about, of_pair in ends.items()
        if len(of_pair) > 1 and _is_named(of_pair, by_host=by_host)
    ]
    for place in forgotten:
        del ends[place.about][place.key]
        written.pop(place, None)
        changed.add(place.about)
    counting = {about: _counting(about, of_pair, last[about]) for about, of_pair in ends.items()}
    return NotedEnds(written=written, forgotten=forgotten, changed=changed, counting=counting)


def _counting(about: Certificate, known: Mapping[EndKey, KnownEnd], last: CertificateEnd) -> CertificateEnd:
    """
    Return the one end that counts; mostly a mentor has one certificate of a type, which was just told.
    """
    if len(known) == 1 and last.ends_at is not None and last.organization_id != "":
        return last
    return counting_end(about, known)


def _is_named(ends: Mapping[EndKey, KnownEnd], *, by_host: bool) -> bool:
    """
    Tell whether the end without a name is another's of these: it ends when that one does.
    """
    unnamed = ends.get(UNNAMED)
    if unnamed is None:
        return False
    return by_host or any(end.ends_at == unnamed.ends_at for key, end in ends.items() if key != UNNAMED)


def is_too_much(count: FeedCount) -> bool:
    """
    Tell whether a feed lacks so much that it was hardly whole.
    """
    return count.unseen * LARGEST_SHARE > count.known
