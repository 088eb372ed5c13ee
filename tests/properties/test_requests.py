from __future__ import annotations

from datetime import date

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_orchestration import (
    BatchTooLargeError,
    BulkRegistrationRequest,
    DuplicateSelectionError,
    EmptySelectionError,
    OrchestrationError,
    ProxyActivity,
    RegistrationEntry,
)
from proxy_orchestration.registration.requests import check_selection, fingerprint_of

_ACTIVITY = ProxyActivity(activity_type="visit", activity_date=date(2026, 3, 3), duration_minutes=45)

_names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)
_values = st.sampled_from([None, True, False, 0, 0.0, 1, 1.0, "1", "", "true"])
_activities = st.builds(
    ProxyActivity,
    activity_type=st.sampled_from(["visit", "call"]),
    activity_date=st.dates(date(2026, 1, 1), date(2026, 1, 3)),
    duration_minutes=st.integers(1, 3),
    notes=st.sampled_from(["", "1", '"', "ø"]),
    details=st.dictionaries(st.sampled_from(["a", "b"]), _values, max_size=2),
)
_entries = st.lists(
    st.builds(RegistrationEntry, _names, _activities), min_size=1, max_size=4, unique_by=lambda e: e.mentor_id
)


def _content(entries: list[RegistrationEntry]) -> list[object]:
    """
    Return all that an entry registers, with the types of its details, since True == 1 == 1.0.
    """
    return [
        (
            entry.mentor_id,
            attrs.evolve(entry.activity, details={}),
            sorted(
                (name, type(value).__name__, repr(value)) for name, value in entry.activity.details.items()
            ),
        )
        for entry in entries
    ]


@given(_entries, _entries)
def test_two_fingerprints_are_equal_if_and_only_if_the_contents_are(
    one: list[RegistrationEntry], other: list[RegistrationEntry]
) -> None:
    """
    Whatever will be registered is in the fingerprint, in its order.
    """
    same = _content(one) == _content(other)

    assert same == (_fingerprint(one) == _fingerprint(other))


@given(_entries, st.data())
def test_any_changed_entry_changes_the_fingerprint(
    entries: list[RegistrationEntry], data: st.DataObject
) -> None:
    """
    One other value in one entry is another request.
    """
    place = data.draw(st.integers(0, len(entries) - 1))
    changed = list(entries)
    changed[place] = RegistrationEntry(entries[place].mentor_id, data.draw(_activities))
    same = _content(entries) == _content(changed)

    assert same == (_fingerprint(entries) == _fingerprint(changed))


@given(_entries)
def test_name_key_and_label_are_no_part_of_the_fingerprint(entries: list[RegistrationEntry]) -> None:
    """
    What people call a batch registers nothing.
    """
    named = BulkRegistrationRequest(entries=entries, idempotency_key="key", label="Monday")

    assert _fingerprint(entries) == fingerprint_of(named)


@pytest.mark.parametrize("pair", [(True, 1), (1, 1.0), (False, 0), ("1", 1), (None, "")], ids=str)
def test_values_that_are_equal_to_python_make_two_fingerprints(pair: tuple[object, object]) -> None:
    """
    A detail of another kind is another content.
    """
    prints = {
        _fingerprint([RegistrationEntry("mentor-1", attrs.evolve(_ACTIVITY, details={"value": value}))])
        for value in pair
    }

    assert 2 == len(prints)


def test_the_seam_between_two_entries_is_part_of_the_fingerprint() -> None:
    """
    No mentor's name can swallow the beginning of what follows it.
    """
    split = [RegistrationEntry("a", _ACTIVITY), RegistrationEntry("b", _ACTIVITY)]
    merged = [RegistrationEntry("a1:b", _ACTIVITY)]

    assert _fingerprint(split) != _fingerprint(merged)


@given(st.lists(st.sampled_from("abcdef"), max_size=8), st.integers(1, 8))
def test_a_selection_is_accepted_or_refused_for_the_first_reason(names: list[str], limit: int) -> None:
    """
    Empty, too many, or somebody twice; otherwise it is fine.
    """
    request = BulkRegistrationRequest.for_mentors(names, _ACTIVITY)
    twice = sorted({name for name in names if names.count(name) > 1})
    refusals = {
        EmptySelectionError: not names,
        BatchTooLargeError: len(names) > limit,
        DuplicateSelectionError: bool(twice),
    }
    expected = next((error for error, holds in refusals.items() if holds), None)
    refusal: Exception | None = None

    try:
        check_selection(request, limit=limit)
    except OrchestrationError as error:
        refusal = error

    assert expected is (None if refusal is None else type(refusal))
    if isinstance(refusal, DuplicateSelectionError):
        assert twice == sorted(refusal.mentor_ids)


def _fingerprint(entries: list[RegistrationEntry]) -> str:
    return fingerprint_of(BulkRegistrationRequest(entries=entries))
