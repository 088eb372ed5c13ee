"""
Bulk requests, and how a repeated request is recognised.
"""

from __future__ import annotations

import enum
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, cast

import attrs

from proxy_orchestration._arguments import of_kind, optional, storable_text
from proxy_orchestration._normal_forms import id_form
from proxy_orchestration._validators import is_a, is_identifier, member_of, members_in
from proxy_orchestration.errors import (
    BatchTooLargeError,
    DuplicateSelectionError,
    EmptySelectionError,
    InvalidValueError,
)
from proxy_orchestration.ids import IdRule
from proxy_orchestration.registration.activities import ProxyActivity, check_storable, encode_activities
from proxy_orchestration.registration.conflicts import ConflictPolicy

_LONGEST_LABEL = 200


class SubmissionMode(enum.Enum):
    """
    Whether one mentor's failure affects the others.
    """

    INDEPENDENT = "independent"  # each mentor has an independent outcome
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


def _is_none_or_identifier(entry: RegistrationEntry, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        is_identifier(entry, attribute, value)


def _item_key(value: str | None) -> str:
    return cast("str", value)  # none is given the mentor's id once that is known


@attrs.frozen
class RegistrationEntry:
    """
    One mentor, and the activity to register for that mentor.

    Attributes:
        mentor_id: the mentor for whom the activity is registered.
        activity: the activity to register.
        item_key: the entry's key in its batch; by default the mentor's id. Give one if the batch
            has several activities of the mentor. It may be as long as an id, and must never change:
            the record's registration id is made from it.
    """

    mentor_id: str = attrs.field(validator=is_identifier)
    activity: ProxyActivity = attrs.field(validator=is_a(ProxyActivity))
    item_key: str = attrs.field(
        default=cast("str", None), converter=_item_key, validator=_is_none_or_identifier
    )

    def __attrs_post_init__(self) -> None:
        if cast("str | None", self.item_key) is None:
            object.__setattr__(self, "item_key", self.mentor_id)


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
    A request to register activities of mentors as one batch.

    Attributes:
        entries: the entries, in the order in which outcomes are reported. Each item key, by default
            the mentor's id, may appear only once.
        idempotency_key: the submitter's own key; the same key with the same entries always means
            the same batch. `None`: every submission is a new batch.
        label: a label for people, up to 200 characters; not part of the batch's identity; never in
            a repr or a log.
        mode: whether one mentor's failure affects the others.
        on_conflict: how mentors are treated whose registration conflicts.
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
    Accept a request with 1 to `limit` entries, each key once, whose activities every store keeps.

    Raises:
        EmptySelectionError: no entry is in it.
        BatchTooLargeError: more than `limit` are.
        DuplicateSelectionError: a mentor or an item key is in it more than once, or an
            item key is another mentor's id.
        InvalidValueError: an activity cannot be kept by every store.
    """
    size = len(request.entries)
    if size == 0:
        raise EmptySelectionError
    if size > limit:
        raise BatchTooLargeError(size, limit)
    _check_names(request.entries)
    # Here and not at the first registration: what cannot be written is not accepted; decision 132.
    for activity in {id(entry.activity): entry.activity for entry in request.entries}.values():
        check_storable(activity)


def _check_names(entries: Sequence[RegistrationEntry]) -> None:
    # Composed letters or decomposed ones make no two of one; what was accepted as two was joined before.
    seen = Counter(id_form(entry.item_key) for entry in entries)
    if len(seen) < len(entries):
        twice = [entry.item_key for entry in entries if seen[id_form(entry.item_key)] > 1]
        raise DuplicateSelectionError(list(dict.fromkeys(twice)))
    named = [entry for entry in entries if entry.item_key != entry.mentor_id]
    # A verb that is given the name would not know whom it means.
    mentor_ids = {id_form(entry.mentor_id) for entry in entries} if named else set()
    if taken := [entry.item_key for entry in named if id_form(entry.item_key) in mentor_ids]:
        raise DuplicateSelectionError(taken)


def check_mentor_ids(mentor_ids: Sequence[str], rule: IdRule, *, place: str) -> None:
    """
    Accept ids that the rule accepts.

    Args:
        mentor_ids: who is to be registered for.
        rule: the host's, or the usual one.
        place: what to call an id in the error; `{}` in it becomes its position, from 0.

    Raises:
        InvalidValueError: one is nobody's id; its position is told and its text is not.
    """
    flawed = [position for position, mentor_id in enumerate(mentor_ids) if rule(mentor_id) is not None]
    if flawed:
        more = f", nor are {len(flawed) - 1} more" if flawed[1:] else ""
        raise InvalidValueError(
            place.format(flawed[0]),
            f"is not a valid id{more}. Correct it at its source, for example a spreadsheet whose column is "
            "not formatted as text. If your ids do look like this, give your own id_rule",
        )


def fingerprint_of(request: BulkRegistrationRequest) -> str:
    """
    Return the SHA-256 of all that will be registered, as 64 hexadecimal digits.

    The label is left out: it is a name for people and registers nothing. Mode,
    policy and item keys count where they are not the usual ones. See decision 3.
    """
    digest = hashlib.sha256()
    # Unmarked where usual: stored fingerprints are older than the other modes and policies.
    if request.mode is not SubmissionMode.INDEPENDENT:
        digest.update(f"mode={request.mode.value};".encode())
    if request.on_conflict is not ConflictPolicy.REVIEW:
        digest.update(f"on_conflict={request.on_conflict.value};".encode())
    texts = encode_activities(entry.activity for entry in request.entries)
    for entry, text in zip(request.entries, texts, strict=True):
        # Unmarked where usual, too; every unmarked entry begins with a digit.
        if entry.item_key != entry.mentor_id:
            key = entry.item_key
            digest.update(f"item_key={len(key)}:{key};".encode(errors="surrogatepass"))
        # Lengths come first, so that no two requests give the same bytes.
        digest.update(
            f"{len(entry.mentor_id)}:{entry.mentor_id}{len(text)}:{text}".encode(errors="surrogatepass")
        )
    return digest.hexdigest()
