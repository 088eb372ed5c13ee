"""
The endpoints of batches, through a real server: what the contract names, and what each does.
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("httpx")

from web_host import BATCHES, Coordinator, Host, item

pytestmark = pytest.mark.dateless


def code_of(answer: Any) -> tuple[int, str]:
    """
    Return the status of a problem, and the last part of its type.
    """
    assert "application/problem+json" == answer.headers["content-type"]
    problem = answer.json()
    assert answer.status_code == problem["status"]
    assert problem["type"] == f"urn:proxy-orchestration:problem:{problem['code']}"
    return problem["status"], problem["code"]


def test_a_submission_is_accepted_at_once_and_says_where_it_is(anna: Coordinator) -> None:
    """
    202 with `Location`; whoever is signed in registers, whatever the body says.
    """
    answer = anna.submit("held-1", "mentor-2", coordinator_id="somebody-else", label="January")
    body = answer.json()

    assert 202 == answer.status_code
    assert f"{BATCHES}/{body['batch_id']}" == answer.headers["location"]
    assert ("processing", 2, "coord-119") == (body["status"], body["total_items"], body["coordinator_id"])
    assert body["submitted_at"].endswith("Z")
    assert body["batch_id"] == anna.client.get(answer.headers["location"]).json()["batch_id"]


def test_each_item_is_registered_with_the_activity_that_describes_it(anna: Coordinator) -> None:
    """
    Alike or not, one after the other; to JSON 1 and true are two values.
    """
    described = [
        {},
        {},
        {"notes": "By bus."},
        {"details": {"rooms": 1}},
        {"details": {"rooms": True}},
        {"duration_minutes": 61},
        {},
    ]
    items = [{**item(f"held-{number}"), **words} for number, words in enumerate(described)]

    answer = anna.client.post(BATCHES, json={"items": items})
    batch = anna.client.get(answer.headers["location"]).json()

    for sent, kept in zip(items, batch["items"], strict=True):
        assert sent == {name: kept[name] for name in sent}
        assert repr(sent.get("details", {})) == repr(kept["details"])


def test_a_settled_batch_tells_every_item_in_the_words_of_the_contract(anna: Coordinator) -> None:
    """
    Thirteen of fifteen succeed: `partial`, and what failed says why.
    """
    mentors = [f"mentor-{number}" for number in range(13)]
    batch = anna.registered(*mentors, "refused-1", "refused-2")
    first, failed = batch["items"][0], batch["items"][-1]

    assert ("partial", 15, 13, 2) == tuple(
        batch[name] for name in ("status", "total_items", "completed", "failed")
    )
    assert {"success": 13, "failed": 2} == batch["counts"]
    assert {
        "item_id": "mentor-0",
        "status": "success",
        "activity_type": "home_visit",
    }.items() <= first.items()
    assert ("2026-01-31", None) == (first["activity_date"], first["error"])
    assert first["activity_id"]
    assert ("failed", None, "This mentor is not known.", "mentor_unknown") == tuple(
        failed[name] for name in ("status", "activity_id", "error", "error_code")
    )
    assert batch["completed_at"].endswith("Z")


def test_a_list_has_data_and_a_pagination(anna: Coordinator) -> None:
    """
    The newest first, filtered by status, and nobody else's.
    """
    for label, mentor in (("a", "mentor-1"), ("b", "refused-1"), ("c", "mentor-2")):
        anna.registered(mentor, label=label)

    first = anna.client.get(BATCHES, params={"limit": 2}).json()
    rest = anna.client.get(BATCHES, params={"cursor": first["pagination"]["next_cursor"]}).json()
    failed = anna.client.get(BATCHES, params={"status": ["failed", "processing"]}).json()

    assert ["c", "b"] == [each["label"] for each in first["data"]]
    assert {"page": 1, "limit": 2, "total": 3}.items() <= first["pagination"].items()
    assert ["a"] == [each["label"] for each in rest["data"]]
    assert ["b"] == [each["label"] for each in failed["data"]]


def test_items_are_paged_and_filtered(anna: Coordinator) -> None:
    """
    A page says where the next one begins.
    """
    batch_id = anna.registered("mentor-1", "refused-2", "mentor-3", "refused-4")["batch_id"]
    url = f"{BATCHES}/{batch_id}"

    page = anna.client.get(url, params={"status": "failed", "limit": 1}).json()
    rest = anna.client.get(url, params={"status": "failed", "after": page["next_after"]}).json()

    assert ["refused-2"] == [each["mentor_id"] for each in page["items"]]
    assert ["refused-4"] == [each["mentor_id"] for each in rest["items"]]
    assert rest["next_after"] is None


def test_the_same_key_is_the_same_batch_and_with_other_items_a_problem(anna: Coordinator) -> None:
    """
    A double click registers once; the header's draft standard quotes its value.
    """
    once = anna.submit("mentor-1", headers={"Idempotency-Key": "k-1"}).json()
    again = anna.submit("mentor-1", headers={"Idempotency-Key": '"k-1"'}).json()
    other = anna.submit("mentor-2", headers={"Idempotency-Key": "k-1"})

    assert once["batch_id"] == again["batch_id"]
    assert (422, "idempotency_key_reused") == code_of(other)
    assert once["batch_id"] == other.json()["batch_id"]


def test_a_retry_takes_up_what_failed_and_a_stale_one_is_refused(anna: Coordinator, host: Host) -> None:
    """
    Successes stay as they are; the redelivered request names a run that is over.
    """
    batch = anna.registered("mentor-1", "refused-a")
    host.mended.add("refused-a")
    url = f"{BATCHES}/{batch['batch_id']}/retry"

    accepted = anna.client.post(url, json={"expected_run": 1})
    after = anna.settled(batch["batch_id"])

    assert (202, 2) == (accepted.status_code, accepted.json()["run"])
    assert ("completed", 2) == (after["status"], after["completed"])
    assert ["failed", "success"] == [each["status"] for each in after["items"][1]["history"]]
    stale = anna.client.post(url, json={"expected_run": 1})
    assert (409, "stale_run") == code_of(stale)
    assert (1, 2) == (stale.json()["expected_run"], stale.json()["current_run"])
    assert (409, "batch_state") == code_of(anna.client.post(url))


def test_a_retry_may_register_something_else(anna: Coordinator, host: Host) -> None:
    """
    Edit and retry: the item keeps its place and says what it registers now.
    """
    batch = anna.registered("refused-b")
    host.mended.add("refused-b")
    edited = {"activity_type": "phone_call", "activity_date": "2026-01-30", "duration_minutes": 20}
    url = f"{BATCHES}/{batch['batch_id']}/retry"

    anna.client.post(url, json={"activities": {"refused-b": edited}}).raise_for_status()
    (now,) = anna.settled(batch["batch_id"])["items"]

    assert ("success", "phone_call", 20) == (now["status"], now["activity_type"], now["duration_minutes"])
    unknown = anna.client.post(url, json={"mentor_ids": ["nobody"]})
    assert (422, "unknown_mentor") == code_of(unknown)
    assert ["nobody"] == unknown.json()["mentor_ids"]


def test_a_cancel_tells_what_became_of_every_item(anna: Coordinator) -> None:
    """
    Four numbers that sum to the total, whichever of the two ways it is asked for.
    """
    held = [f"held-c{number}" for number in range(8)]
    batch_id = anna.submit(*held).json()["batch_id"]
    url = f"{BATCHES}/{batch_id}"
    while "processing" not in anna.client.get(url).json()["counts"]:
        pass  # until calls are under way

    body = {"status": "cancelled", "cancellation_reason": "Wrong day.", "label": "void"}
    told = anna.client.put(url, json=body).json()
    again = anna.client.post(f"{url}/cancel").json()
    after = anna.settled(batch_id)

    assert ("cancelling", "void", "coord-119", "Wrong day.") == tuple(
        told[name] for name in ("status", "label", "cancelled_by", "cancellation_reason")
    )
    assert {"never_started": 3, "finished": 0, "in_doubt": 5, "already_settled": 0} == told["cancellation"]
    assert 8 == sum(again["cancellation"].values())
    assert ("cancelled", {"cancelled": 3, "unknown": 5}) == (after["status"], after["counts"])


def test_a_label_is_changed_by_itself_and_taken_away(anna: Coordinator) -> None:
    """
    No cancel comes with it; a change of nothing is refused, and so is a reason without a cancel.
    """
    url = f"{BATCHES}/{anna.registered('mentor-1', label='a')['batch_id']}"

    labels = [anna.client.put(url, json={"label": label}).json()["label"] for label in ("b", None)]
    nothing = anna.client.put(url, json={})
    pointless = anna.client.put(url, json={"label": "c", "cancellation_reason": "?"})

    assert ["b", None] == labels
    assert (422, "invalid_request") == code_of(nothing)
    assert "#/cancellation_reason" == pointless.json()["errors"][0]["pointer"]


def test_a_batch_is_deleted_once_it_is_settled(anna: Coordinator) -> None:
    """
    409 while it runs; then it is gone, and its key is no new one.
    """
    running = anna.submit("held-d").json()["batch_id"]
    batch_id = anna.submit("mentor-1", headers={"Idempotency-Key": "k-del"}).json()["batch_id"]
    anna.settled(batch_id)

    refused = anna.client.delete(f"{BATCHES}/{running}")
    deleted = anna.client.delete(f"{BATCHES}/{batch_id}")
    again = anna.submit("mentor-1", headers={"Idempotency-Key": "k-del"})

    assert (409, "batch_state") == code_of(refused)
    assert {"success": True, "deleted_id": batch_id} == deleted.json()
    assert (404, "batch_not_found") == code_of(anna.client.get(f"{BATCHES}/{batch_id}"))
    assert (422, "idempotency_key_reused", True) == (*code_of(again), again.json()["deleted"])
    anna.client.post("/release/held-d")
    anna.settled(running)


def test_conflicts_are_previewed_and_decided_one_by_one(anna: Coordinator) -> None:
    """
    What waits for a decision is decided item by item; a second, different decision has nothing to decide.
    """
    batch = anna.registered("mentor-1", "taken-2", "taken-3")
    url = f"{BATCHES}/{batch['batch_id']}/decisions"
    assert ["success", "needs_review", "needs_review"] == [each["status"] for each in batch["items"]]
    assert "activity-0" == batch["items"][1]["conflicting_activity_id"]

    body = {"decisions": {"taken-2": "override", "taken-3": "skip"}, "expected_run": 1}
    accepted = anna.client.post(url, json=body)
    after = anna.settled(batch["batch_id"])
    preview = anna.client.post(f"{BATCHES}/preview", json={"items": [item("coord-119"), item("mentor-4")]})

    assert 202 == accepted.status_code
    assert ["success", "success", "skipped"] == [each["status"] for each in after["items"]]
    assert "coord-119" == after["decided_by"]
    assert {"total": 2, "conflicts": [], "clean": ["mentor-4"], "refused": ["coord-119"]} == preview.json()
    assert (409, "stale_run") == code_of(
        anna.client.post(url, json=body | {"decisions": {"taken-2": "skip"}})
    )


def test_a_batch_is_paused_and_goes_on(anna: Coordinator) -> None:
    """
    What is under way ends, and nothing more begins before it is resumed.
    """
    held = [f"held-p{number}" for number in range(6)]
    batch_id = anna.submit(*held).json()["batch_id"]
    url = f"{BATCHES}/{batch_id}"
    while "processing" not in anna.client.get(url).json()["counts"]:
        pass  # until calls are under way

    paused = anna.client.post(f"{url}/pause").json()
    for mentor_id in held:
        anna.client.post(f"/release/{mentor_id}")
    resumed = anna.client.post(f"{url}/resume").json()
    after = anna.settled(batch_id)

    assert ("paused", "coord-119") == (paused["status"], paused["paused_by"])
    assert resumed["paused_at"] is None
    assert ("completed", 6) == (after["status"], after["completed"])
    assert (409, "batch_state") == code_of(anna.client.post(f"{url}/pause"))
