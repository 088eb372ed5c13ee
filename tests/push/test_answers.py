"""
How answers are read, whatever they hold.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("httpx")
pytest.importorskip("google.auth")

from proxy_orchestration.push.fcm.answers import Action, read_answer, seconds_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "details", "@type"]), inner),
)
FORGETTING = {Action.TARGET_GONE, Action.TARGET_INVALID}


@given(status=st.integers(100, 599), body=st.binary(), header=st.none() | st.text())
def test_any_bytes_are_read_as_something_and_never_forget_a_device(status, body, header) -> None:
    """
    Whatever stands between us and FCM may answer.
    """
    answer = read_answer(status, body, retry_after=header, now=NOW)

    assert answer.action not in FORGETTING
    assert answer.retry_after is None or 10 <= answer.retry_after <= 3600


@given(status=st.integers(100, 599), value=JSON)
def test_any_json_is_read_as_something_and_never_forgets_a_device(status, value) -> None:
    """
    Parts of the right name and the wrong type are no errors of FCM's.
    """
    answer = read_answer(status, json.dumps({"error": value}).encode(), retry_after=None, now=NOW)

    assert answer.action not in FORGETTING


def test_unregistered_means_gone_under_its_own_status_only() -> None:
    """
    Forgetting is the one thing that cannot be taken back.
    """
    detail = {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "UNREGISTERED"}
    body = json.dumps({"error": {"details": [detail]}}).encode()

    forgetting = [
        status
        for status in range(100, 600)
        if read_answer(status, body, retry_after=None, now=NOW).action in FORGETTING
    ]

    assert [404] == forgetting


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("0", 10.0),
        (" 30 ", 30.0),
        ("9" * 5000, 3600.0),
        ("Thu, 01 Jan 2026 00:01:30 GMT", 90.0),
        ("Thu, 01 Jan 2026 00:01:30 -0000", 90.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 10.0),
        ("Fri, 01 Jan 2027 00:00:00 GMT", 3600.0),
        ("Thu, 41 Jan 2026 00:01:30 GMT", None),
        ("\u0663", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_bounds(header, seconds) -> None:
    """
    What cannot be read counts as absent.
    """
    assert seconds == seconds_of(header, now=NOW)
