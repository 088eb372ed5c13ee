"""
Requests that make no sense, or that are somebody else's: each a problem that says what to do, nothing stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("httpx")

from web_host import BATCHES, Coordinator, Host, item

from proxy_orchestration.web import WebSettings

pytestmark = pytest.mark.dateless

SMALL = 2000


@pytest.fixture(scope="module")
def host() -> Host:
    """
    A host that takes small bodies only.
    """
    return Host(settings=WebSettings(max_body_bytes=SMALL))


def told(answer: Any) -> tuple[int, str]:
    """
    Return what a problem is.
    """
    assert "application/problem+json" == answer.headers["content-type"]
    return answer.status_code, answer.json()["code"]


def places(answer: Any) -> list[str]:
    """
    Return where in the body something is wrong.
    """
    assert (422, "invalid_request") == told(answer)
    return [each["pointer"] for each in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("activity_date", "1761955200"),  # Pydantic takes it for a day
        ("activity_date", 1761955200),
        ("activity_date", "2026-01-31T00:00:00"),
        ("activity_date", "2026-02-30"),
        ("activity_date", "20260131"),
        ("duration_minutes", "45"),
        ("duration_minutes", 45.0),
        ("duration_minutes", True),
        ("duration_minutes", 0),
        ("mentor_id", 482),
        ("mentor_id", ""),
        ("notes", None),
        ("details", ["a list"]),
        ("coordinator", "nobody knows it"),
    ],
)
def test_a_field_that_does_not_fit_is_named(anna: Coordinator, field: str, value: object) -> None:
    """
    Its place in the body, no value of it, and nothing is stored.
    """
    answer = anna.client.post(BATCHES, json={"items": [item("mentor-1"), item("mentor-2", **{field: value})]})

    assert [f"#/items/1/{field}"] == places(answer)
    assert "1761955200" not in answer.text
    assert 0 == anna.client.get(BATCHES).json()["pagination"]["total"]


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ([], "empty_selection"),
        ([item("mentor-1"), item("mentor-1")], "duplicate_selection"),
        ([item(" mentor-1")], "invalid_value"),
        ([item("#REF!")], "invalid_value"),
        ([item("mentor-1", notes="\u0000")], "invalid_value"),
    ],
)
def test_a_selection_that_the_library_refuses_is_that_problem(
    anna: Coordinator, items: list[object], code: str
) -> None:
    """
    The rules are the library's, once.
    """
    assert (422, code) == told(anna.client.post(BATCHES, json={"items": items}))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", (400, "malformed_body")),
        (b"\xff\xfe", (400, "malformed_body")),
        (b'{"items": [{"duration_minutes": ' + b"9" * 5000 + b"}]}", (413, "body_too_large")),
        (b"[" * 1500, (400, "malformed_body")),
        (b"", (422, "invalid_request")),
        (b"null", (422, "invalid_request")),
        (b'{"items": [], "mode": "wild"}', (422, "invalid_request")),
    ],
)
def test_a_body_that_is_none_is_told_apart(anna: Coordinator, body: bytes, expected: tuple[int, str]) -> None:
    """
    No JSON, too much of it, or JSON of another shape.
    """
    headers = {"Content-Type": "application/json"}

    assert expected == told(anna.client.post(BATCHES, content=body, headers=headers))


def test_a_body_that_hides_its_length_is_cut_as_well(anna: Coordinator) -> None:
    """
    A chunked upload is counted as it comes.
    """
    sent = []

    def parts() -> Iterator[bytes]:
        for number in range(100):
            sent.append(number)
            yield b" " * SMALL

    answer = anna.client.post(BATCHES, content=parts(), headers={"Content-Type": "application/json"})

    assert (413, "body_too_large") == told(answer)


def test_what_is_no_number_of_json_is_refused(anna: Coordinator) -> None:
    """
    Python reads NaN; what it would be stored as, nobody can read.
    """
    content = json.dumps({"items": [item("mentor-1", details={"km": float("nan")})]}).encode()
    headers = {"Content-Type": "application/json"}

    assert (422, "invalid_value") == told(anna.client.post(BATCHES, content=content, headers=headers))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("?status=done", "status.0"),
        ("?limit=101", "limit"),
        ("?submitted_from=1761955200", "submitted_from"),
        ("?submitted_from=2026-01-31", "submitted_from"),
        ("?statuss=failed", "statuss"),
    ],
)
def test_a_filter_that_means_nothing_is_named(anna: Coordinator, path: str, name: str) -> None:
    """
    A misspelt one would show everything.
    """
    answer = anna.client.get(f"{BATCHES}{path}")

    assert (422, "invalid_request") == told(answer)
    assert [{"in": "query", "name": name}] == [
        {key: each[key] for key in ("in", "name")} for each in answer.json()["errors"]
    ]


def test_a_cursor_of_no_page_is_a_value_that_breaks_a_rule(anna: Coordinator) -> None:
    """
    The library's own check, under its own type.
    """
    assert (422, "invalid_value") == told(anna.client.get(BATCHES, params={"cursor": "x"}))


def test_other_tenants_batches_are_not_there(sign_in: Callable[..., Coordinator]) -> None:
    """
    Every endpoint of a batch answers as for one that never was; another coordinator's too.
    """
    batch_id = sign_in().registered("mentor-1")["batch_id"]
    decided = {"decisions": {"mentor-1": "skip"}}
    asked = [
        ("GET", "", None),
        ("PUT", "", {"label": "mine"}),
        ("DELETE", "", None),
        ("POST", "/retry", None),
        ("POST", "/cancel", None),
        ("POST", "/decisions", decided),
        ("POST", "/pause", None),
        ("POST", "/resume", None),
        ("GET", "/events", None),
        ("GET", "/events?wait=0", None),
    ]
    for stranger in (sign_in("mallory", org="elsewhere"), sign_in("mallory")):
        for method, path, body in asked:
            theirs, nobodys = (
                stranger.client.request(method, f"{BATCHES}/{each}{path}", json=body)
                for each in (batch_id, "b" * len(batch_id))
            )
            assert (404, "batch_not_found") == told(theirs), (method, path)
            assert theirs.text.replace(batch_id, "") == nobodys.text.replace("b" * len(batch_id), "")


def test_who_may_do_nothing_is_told_so(sign_in: Callable[..., Coordinator]) -> None:
    """
    A mentor who calls the endpoints directly is refused by the library itself.
    """
    mentor = sign_in("mentor-1", roles="peer_mentor")

    assert (403, "not_authorized") == told(mentor.submit("mentor-2"))
    assert (403, "not_authorized") == told(mentor.client.get(BATCHES))


def test_a_store_that_is_away_is_a_503_that_says_when_to_come_back(anna: Coordinator) -> None:
    """
    `Retry-After` in seconds, and afterwards everything is there.
    """
    batch_id = anna.registered("mentor-1")["batch_id"]
    anna.client.post("/away/true")
    away = anna.client.get(f"{BATCHES}/{batch_id}")
    anna.client.post("/away/false")

    assert (503, "repository_unavailable") == told(away)
    assert "5" == away.headers["retry-after"]
    assert 200 == anna.client.get(f"{BATCHES}/{batch_id}").status_code
