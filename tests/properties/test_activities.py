from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_orchestration import ProxyActivity
from proxy_orchestration.registration.activities import (
    decode_activity,
    encode_activities,
    encode_activity,
    idempotency_key_of,
    registration_id_of,
)

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts
)
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
_activities = st.builds(
    ProxyActivity,
    activity_type=st.sampled_from(["visit", "call", "møte"]),
    activity_date=st.dates(),
    duration_minutes=st.integers(1, 2000),
    notes=_texts,
    details=st.dictionaries(_texts, _json, max_size=4),
)


def _plain(value: object) -> Any:
    """
    Return the JSON value with its types written out, since True == 1 == 1.0.
    """
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return type(value).__name__, repr(value)


@given(_activities)
def test_an_activity_comes_back_as_it_was(activity: ProxyActivity) -> None:
    """
    Nothing is lost in the text, not even the kind of a number.
    """
    decoded = decode_activity(encode_activity(activity))

    assert activity == decoded
    assert _plain(activity.details) == _plain(decoded.details)


@given(_activities)
def test_the_text_of_an_activity_is_canonical(activity: ProxyActivity) -> None:
    """
    Encoding what was decoded gives the same text, and it is JSON for everybody else.
    """
    text = encode_activity(activity)

    assert text == encode_activity(decode_activity(text))
    assert activity.notes == json.loads(text)["notes"]


@given(st.dictionaries(_texts, _json, min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_details_makes_no_difference(details: dict[str, Any], draw: Any) -> None:
    """
    Two mappings with the same content are one content.
    """
    names = list(details)
    draw.shuffle(names)
    one, other = (_with(details), _with({name: details[name] for name in names}))

    assert one == other
    assert hash(one) == hash(other)
    assert encode_activity(one) == encode_activity(other)


@given(_activities, st.lists(st.booleans(), min_size=1, max_size=6))
def test_encoding_many_is_encoding_each(activity: ProxyActivity, picks: list[bool]) -> None:
    """
    Sharing the work for one object many times in a row changes no text.
    """
    other = _with({"other": True})
    row = [activity if pick else other for pick in picks]

    assert [encode_activity(one) for one in row] == list(encode_activities(row))


@pytest.mark.parametrize("pair", [(True, 1), (1, 1.0), (False, 0), (0, 0.0), (1.0, True)], ids=str)
def test_a_stored_detail_keeps_its_kind_when_an_equal_one_was_read_before(
    pair: tuple[object, object],
) -> None:
    """
    Texts are told apart, although the values in them are equal to Python.
    """
    first, second = (decode_activity(encode_activity(_with({"value": value}))) for value in pair)

    assert [_plain(value) for value in pair] == [
        _plain(first.details["value"]),
        _plain(second.details["value"]),
    ]


@given(_texts, _texts, st.integers(0, 99))
def test_every_epoch_of_a_registration_has_its_own_key(batch_id: str, mentor_id: str, epoch: int) -> None:
    """
    The key tells the epoch, and the registration does not.
    """
    registration_id = registration_id_of(batch_id, mentor_id)

    assert idempotency_key_of(registration_id, epoch) != idempotency_key_of(registration_id, epoch + 1)


def _with(details: Mapping[str, object]) -> ProxyActivity:
    return ProxyActivity(
        activity_type="visit", activity_date=date(2026, 3, 3), duration_minutes=30, details=details
    )
