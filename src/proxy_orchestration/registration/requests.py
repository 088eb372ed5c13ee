"""
What a coordinator asks for, and how a request that comes twice is recognised.
"""

from __future__ import annotations

import enum
import hashlib
from collections import Counter
from collections.abc import Iterable

import attrs

from proxy_orchestration._arguments import of_kind, optional, storable_text
from proxy_orchestration._validators import is_a, is_identifier, member_of, members_in
from proxy_orchestration.errors import (
    BatchTooLargeError,
    DuplicateSelectionError,
    EmptySelectionError,
)
from proxy_orchestration.registration.activities import ProxyActivity, check_storable, encode_activities
from proxy_orchestration.registration.conflicts import ConflictPolicy

_LONGEST_LABEL = 200


class SubmissionMode(enum.Enum):
    """
    Whether one mentor's failure concerns the others.
    """

    INDEPENDENT = "independent"  # each mentor ends as it may
    ATOMIC = "atomic"  # all records exist, or none; needs a service that is `SupportsBulk`


_is_label = optional(storable_text(at_most=_LONGEST_LABEL))


def check_label(label: object) -> None:
    """
    Accept no label, or up to 200 characters that every store keeps.

    Raises:
        InvalidTypeError: the label is no string.
        InvalidValueError: it is longer, or holds what no store keeps.
    """
    _is_label("label", label)


@attrs.frozen
class RegistrationEntry:
    """
    One mentor and the activity to register for that mentor.
    """

    mentor_id: str = attrs.field(validator=is_identifier)
    activity: ProxyActivity = attrs.field(validator=is_a(ProxyActivity))


_is_entry = of_kind(RegistrationEntry)


def _entries(entries: Iterable[RegistrationEntry]) -> tuple[RegistrationEntry, ...]:
    kept = tuple(members_in("entries", entries))
    for entry in kept:
        _is_entry("each of entries", entry)
    return kept


def _mode(value: object) -> SubmissionMode:
    return member_of(SubmissionMode, value)


def _policy(value: object) -> ConflictPolicy:
    return member_of(ConflictPolicy, value)


@attrs.frozen(kw_only=True)
class BulkRegistrationRequest:
    """
    One activity per mentor, to be registered as one batch.

    Attributes:
        entries: in the order in which outcomes are reported; each mentor once.
        idempotency_key: the submitter's own key; the same key and entries are the
            same batch, for ever. `None`: every submission is a batch of its own.
        label: what people call the batch; up to 200 characters, no part of its identity;
            never in a repr or a log.
        mode: whether one mentor's failure concerns the others.
        on_conflict: what becomes of mentors whose registration conflicts.
    """

    entries: tuple[RegistrationEntry, ...] = attrs.field(converter=_entries)
    idempotency_key: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(is_identifier)
    )
    label: str | None = attrs.field(
        default=None, validator=lambda _i, _a, value: check_label(value), repr=False
    )
    mode: SubmissionMode = attrs.field(default=SubmissionMode.INDEPENDENT, converter=_mode)
    on_conflict: ConflictPolicy = attrs.field(default=ConflictPolicy.REVIEW, converter=_policy)

    @classmethod
    def for_mentors(  # noqa: PLR0913 - a request's own fields
        cls,
        mentor_ids: Iterable[str],
        activity: ProxyActivity,
        *,
        idempotency_key: str | None = None,
        label: str | None = None,
        mode: SubmissionMode = SubmissionMode.INDEPENDENT,
        on_conflict: ConflictPolicy = ConflictPolicy.REVIEW,
    ) -> BulkRegistrationRequest:
        """
        Return a request that registers one shared activity for every mentor.
        """
        return cls(
            entries=tuple(
                RegistrationEntry(mentor_id, activity) for mentor_id in members_in("mentor_ids", mentor_ids)
            ),
            idempotency_key=idempotency_key,
            label=label,
            mode=mode,
            on_conflict=on_conflict,
        )


def check_selection(request: BulkRegistrationRequest, *, limit: int) -> None:
    """
    Accept a request with 1 to `limit` mentors, each once, whose activities every store keeps.

    Raises:
        EmptySelectionError: no mentor is in it.
        BatchTooLargeError: more than `limit` are.
        DuplicateSelectionError: a mentor is in it more than once.
        InvalidValueError: an activity cannot be kept by every store.
    """
    size = len(request.entries)
    if size == 0:
        raise EmptySelectionError
    if size > limit:
        raise BatchTooLargeError(size, limit)
    if len({entry.mentor_id for entry in request.entries}) < size:
        seen = Counter(entry.mentor_id for entry in request.entries)
        raise DuplicateSelectionError([mentor_id for mentor_id, times in seen.items() if times > 1])
    # Here and not at the first registration: what cannot be written is not accepted; decision 132.
    for activity in {id(entry.activity): entry.activity for entry in request.entries}.values():
        check_storable(activity)


def fingerprint_of(request: BulkRegistrationRequest) -> str:
    """
    Return the SHA-256 of all that will be registered, as 64 hexadecimal digits.

    The label is left out: it is a name for people and registers nothing. Mode
    and policy count where they are not the usual ones. See decision 3.
    """
    digest = hashlib.sha256()
    # Unmarked where usual: stored fingerprints are older than the other modes and policies.
    if request.mode is not SubmissionMode.INDEPENDENT:
        digest.update(f"mode={request.mode.value};".encode())
    if request.on_conflict is not ConflictPolicy.REVIEW:
        digest.update(f"on_conflict={request.on_conflict.value};".encode())
    texts = encode_activities(entry.activity for entry in request.entries)
    for entry, text in zip(request.entries, texts, strict=True):
        # Lengths come first, so that no two requests give the same bytes.
        digest.update(
            f"{len(entry.mentor_id)}:{entry.mentor_id}{len(text)}:{text}".encode(errors="surrogatepass")
        )
    return digest.hexdigest()
