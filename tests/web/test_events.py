"""
Live progress through a real server: each event as it comes, cuts that lose nothing, and ends that are ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("httpx")

from web_host import BATCHES, Coordinator, Host

from proxy_orchestration import BulkSettings
from proxy_orchestration.web import WebSettings

pytestmark = pytest.mark.dateless

MOST_STREAMS = 3


@pytest.fixture(scope="module")
def host() -> Host:
    """
    A host with a heart that beats fast, and room for few streams.
    """
    settings = WebSettings(heartbeat=0.05, reconnect_after=1.5, max_streams=MOST_STREAMS)
    return Host(settings=settings, bulk_settings=BulkSettings(poll_interval=0.05))


@attrs.define
class Event:
    """
    One block of a stream.
    """

    event: str = ""
    id: str = ""
    data: Any = None
    retry: int | None = None
    comment: str = ""


def events_of(answer: Any) -> Iterator[Event]:
    """
    Read a stream as a browser does, comments included.
    """
    event = Event()
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if not line:
            yield event
            event = Event()
        elif not name:
            event.comment = value
        else:
            known = {"data": json.loads, "retry": int}.get(name, str)
            setattr(event, name, known(value))


@contextmanager
def stream(
    who: Coordinator, batch_id: str, *, last: str = "", query: str = ""
) -> Iterator[tuple[Any, Iterator[Event]]]:
    """
    Open a stream, as a browser does at first or again.
    """
    headers = {"Last-Event-ID": last} if last else {}
    with who.client.stream("GET", f"{BATCHES}/{batch_id}/events{query}", headers=headers) as answer:
        yield answer, events_of(answer)


def told(events: Iterator[Event]) -> list[Event]:
    """
    Return the events of a stream that a browser hands on.
    """
    return [each for each in events if each.event]


def test_each_item_is_told_as_it_settles_and_the_result_at_the_end(anna: Coordinator) -> None:
    """
    The second mentor is released only once the first one was seen.
    """
    batch_id = anna.submit("held-e1", "held-e2").json()["batch_id"]
    with stream(anna, batch_id) as (answer, events):
        opening = next(events)
        anna.client.post("/release/held-e1")
        first = next(each for each in events if each.event)
        anna.client.post("/release/held-e2")
        second, result = told(events)

    assert ("text/event-stream", "no", "no-store") == (
        answer.headers["content-type"].partition(";")[0],
        answer.headers["x-accel-buffering"],
        answer.headers["cache-control"],
    )
    assert 1500 == opening.retry
    assert [("update", "1"), ("update", "2"), ("result", "2-run-1")] == [
        (each.event, each.id) for each in (first, second, result)
    ]
    assert ["held-e1", "held-e2"] == [each.data["item"]["mentor_id"] for each in (first, second)]
    assert (1, 2) == (first.data["settled"], first.data["total_items"])
    assert ("completed", 2) == (result.data["status"], result.data["completed"])


def test_a_silent_stream_has_a_heartbeat(anna: Coordinator) -> None:
    """
    A comment, which no browser hands on.
    """
    batch_id = anna.submit("held-h").json()["batch_id"]
    with stream(anna, batch_id) as (_, events):
        comments = [next(events).comment for _ in range(3)]

    assert ["open", "heartbeat", "heartbeat"] == comments
    anna.client.post("/release/held-h")


@pytest.mark.parametrize(
    ("last", "query", "expected"), [("2", "", [3, 4]), ("", "?after=3", [4]), ("3", "?after=1", [4])]
)
def test_a_stream_that_was_cut_goes_on_where_it_was(
    anna: Coordinator, last: str, query: str, expected: list[int]
) -> None:
    """
    The header counts before the address: a page that was loaded again has only that.
    """
    batch_id = anna.registered(*(f"mentor-{number}" for number in range(4)))["batch_id"]
    with stream(anna, batch_id, last=last, query=query) as (_, events):
        *updates, result = told(events)

    assert expected == [each.data["sequence"] for each in updates]
    assert ("result", "4-run-1") == (result.event, result.id)


def test_who_was_cut_before_the_last_event_gets_it_and_who_had_it_gets_204(anna: Coordinator) -> None:
    """
    204 is what ends a browser's attempts; a retry begins them anew.
    """
    batch_id = anna.registered("mentor-1", "refused-1")["batch_id"]
    with stream(anna, batch_id, last="2") as (_, events):
        (result,) = told(events)
    with stream(anna, batch_id, last=result.id) as (answer, _):
        had_it = answer.status_code

    anna.client.post(f"{BATCHES}/{batch_id}/retry").raise_for_status()
    with stream(anna, batch_id, last=result.id) as (_, events):
        again, last = told(events)

    assert ("2-run-1", 204) == (result.id, had_it)
    assert (3, "3-run-2") == (again.data["sequence"], last.id)


def test_a_store_that_is_away_is_told_inside_a_200(anna: Coordinator) -> None:
    """
    A browser would not come again after a 503. It comes when `retry` says, and misses nothing.
    """
    batch_id = anna.submit("mentor-1", "held-s").json()["batch_id"]
    with stream(anna, batch_id) as (_, events):
        seen = next(each for each in events if each.event)
        anna.client.post("/away/true")
        (cut,) = told(events)
    with stream(anna, batch_id, last=seen.id) as (answer, events):
        (away,) = told(events)
    anna.client.post("/away/false")
    anna.client.post("/release/held-s")
    with stream(anna, batch_id, last=seen.id) as (_, events):
        rest = told(events)

    assert ("problem", "repository_unavailable", 1500) == (cut.event, cut.data["code"], cut.retry)
    assert (200, "problem", 1500) == (answer.status_code, away.event, away.retry)
    assert "" == away.id  # a browser keeps the id that it had
    assert ["update", "result"] == [each.event for each in rest]


def test_a_long_poll_of_a_store_that_is_away_is_a_503(anna: Coordinator) -> None:
    """
    Whoever asks in JSON understands a status, and `Retry-After`.
    """
    batch_id = anna.registered("mentor-1")["batch_id"]
    anna.client.post("/away/true")
    answer = anna.client.get(f"{BATCHES}/{batch_id}/events?wait=0")
    anna.client.post("/away/false")

    assert (503, "5") == (answer.status_code, answer.headers["retry-after"])


def test_a_long_poll_answers_as_soon_as_there_is_something(anna: Coordinator) -> None:
    """
    Nothing within its time is an answer too; after the last run it says that nothing follows.
    """
    batch_id = anna.submit("held-l").json()["batch_id"]
    url = f"{BATCHES}/{batch_id}/events"

    nothing = anna.client.get(url, params={"wait": 0}).json()
    anna.client.post("/release/held-l")
    something = anna.client.get(url, params={"wait": 30}).json()
    end = anna.client.get(url, params={"wait": 30, "after": something["next_after"]}).json()

    assert ([], 0, False) == (nothing["updates"], nothing["next_after"], nothing["settled"])
    assert ["held-l"] == [each["item"]["mentor_id"] for each in something["updates"]]
    assert ([], 1, True, "completed") == (
        end["updates"],
        end["next_after"],
        end["settled"],
        end["batch"]["status"],
    )


@pytest.mark.parametrize("last", ["x", "-1", "1-run-", "99999999999", "3000000000", "1-run-3000000000"])
def test_an_id_of_no_event_is_refused(anna: Coordinator, last: str) -> None:
    """
    By name.
    """
    batch_id = anna.registered("mentor-1")["batch_id"]
    answer = anna.client.get(f"{BATCHES}/{batch_id}/events", headers={"Last-Event-ID": last})

    assert (422, "Last-Event-ID") == (answer.status_code, answer.json()["errors"][0]["name"])


def test_streams_beyond_the_room_are_told_when_to_come_back(
    anna: Coordinator,
) -> None:
    """
    A browser inside a 200, everybody else by 429; a place is free again once its client has left.
    """
    batch_id = anna.submit("held-m").json()["batch_id"]
    url = f"{BATCHES}/{batch_id}/events"
    with ExitStack() as open_streams:
        kept = [open_streams.enter_context(stream(anna, batch_id)) for _ in range(MOST_STREAMS)]
        for _, each in kept:
            next(each)
        with stream(anna, batch_id) as (answer, events):
            (refused,) = told(events)
        poll = anna.client.get(url, params={"wait": 0})
    while anna.client.get(url, params={"wait": 0}).status_code == 429:
        pass  # until the server has noticed that they left

    assert (200, "problem", "too_many_streams", 1500) == (
        answer.status_code,
        refused.event,
        refused.data["code"],
        refused.retry,
    )
    assert (429, "5", "too_many_streams") == (
        poll.status_code,
        poll.headers["retry-after"],
        poll.json()["code"],
    )
    anna.client.post("/release/held-m")
    anna.settled(batch_id)


def test_a_batch_that_is_deleted_meanwhile_ends_its_stream_with_a_problem(anna: Coordinator) -> None:
    """
    And whoever comes again is told 404, which ends a browser's attempts.
    """
    batch_id = anna.submit("held-x").json()["batch_id"]
    with stream(anna, batch_id) as (_, events):
        next(events)
        anna.client.post("/release/held-x")
        anna.settled(batch_id)
        anna.client.delete(f"{BATCHES}/{batch_id}").raise_for_status()
        told(events)  # its result, or that it is gone: whichever came first
    with stream(anna, batch_id, last="1") as (answer, _):
        status = answer.status_code

    assert 404 == status
