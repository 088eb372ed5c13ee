"""
The endpoints of notices, runs, data quality, dead messages and hidden mentors, after one night.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
httpx = pytest.importorskip("httpx")

from live_server import live  # noqa: E402 - after what may be missing
from web_host import ORGANIZATION, Coordinator, Host, whole_host  # noqa: E402 - as above

pytestmark = pytest.mark.dateless

API = "/api/v1"


@pytest.fixture(scope="module")
def host() -> Host:
    """
    A host of both halves.
    """
    return whole_host()


@pytest.fixture
def address(host: Host) -> Iterator[str]:
    """
    Where it answers, after a night.
    """
    with live(host.app) as url:
        httpx.post(f"{url}/night").raise_for_status()
        yield url


SignIn = Callable[..., Coordinator]


@pytest.fixture
def coordinator(sign_in: SignIn) -> Coordinator:
    """
    Who answers for two of the mentors.
    """
    return sign_in("coord-1", org=ORGANIZATION)


@pytest.fixture
def admin(sign_in: SignIn) -> Coordinator:
    """
    Who oversees the organization.
    """
    return sign_in("admin-1", org=ORGANIZATION, roles="chapter_admin")


def test_a_coordinator_reads_acknowledges_and_puts_off(coordinator: Coordinator, sign_in: SignIn) -> None:
    """
    In the words of the contract; a second acknowledgement changes nothing, another's notice is not there.
    """
    ask = coordinator.client
    inbox = ask.get(f"{API}/expiry-notifications").json()
    notices = {each["mentor_id"]: each for each in inbox["data"]}
    lapsed, urgent = notices["mentor-1"], notices["mentor-2"]

    assert ("expired", "active", "coord-1", -3, True) == tuple(
        lapsed[name] for name in ("threshold", "status", "coordinator_id", "days_until_expiry", "has_expired")
    )
    assert ("7_day", "2026-02-06") == (urgent["threshold"], urgent["expiry_date"])
    assert (2, None) == (inbox["unread"], inbox["pagination"]["next_after"])

    one = f"{API}/expiry-notifications/{urgent['notification_id']}"
    put_off = ask.post(f"{one}/remind-later").json()
    read = [ask.post(f"{one}/read").json()["marked"] for _ in range(2)]
    rest = ask.post(f"{API}/expiry-notifications/read").json()
    body = {"notification_id": lapsed["notification_id"], "notes": "Called.", "coordinator_id": "else"}
    answers = [ask.post(f"{API}/lapse-acknowledgements", json=body).json()["result"] for _ in range(2)]
    stranger = sign_in("coord-2", org=ORGANIZATION).client.post(f"{API}/lapse-acknowledgements", json=body)
    (after,) = [
        each
        for each in ask.get(f"{API}/expiry-notifications").json()["data"]
        if each["mentor_id"] == "mentor-1"
    ]

    assert ["acknowledged", "already_acknowledged"] == answers
    assert (404, "notification_not_found") == (stranger.status_code, stranger.json()["code"])
    assert "2026-02-02T08:00:00Z" == put_off["remind_at"]
    assert ([1, 0], 1) == (read, rest["marked"])
    assert ("acknowledged", "coord-1") == (after["status"], after["acknowledged_by"])


def test_an_admin_reads_runs_and_what_is_to_be_corrected(
    admin: Coordinator, coordinator: Coordinator
) -> None:
    """
    Counts by threshold; mentors of whom nobody answers; a coordinator may read neither.
    """
    runs = admin.client.get(f"{API}/expiry-orchestration", params={"limit": 1}).json()["data"]
    report = admin.client.get(f"{API}/expiry-data-quality").json()
    refused = [
        coordinator.client.get(f"{API}/{path}") for path in ("expiry-orchestration", "expiry-data-quality")
    ]

    assert ("completed", 3) == (runs[0]["status"], runs[0]["expirations_evaluated"])
    assert 3 == report["processed"]
    assert [{"mentor_id": "mentor-3", "code": "missing_coordinator_assignment"}] == report["data_quality"]
    assert [403, 403] == [each.status_code for each in refused]
    assert all("ask a chapter admin" in each.json()["detail"] for each in refused)


def test_dead_messages_are_listed_and_queued_again(admin: Coordinator) -> None:
    """
    Those that are named, or all.
    """
    url = f"{API}/dead-messages"
    listed = admin.client.get(url).json()["data"]
    named = admin.client.post(f"{url}/replay", json={"message_ids": [listed[0]["message_id"]]}).json()
    rest = admin.client.post(f"{url}/replay").json()

    assert {"payload_invalid"} == {each["error_code"] for each in listed}
    assert {"expired", "7_day", "30_day"} >= {each["threshold"] for each in listed}
    assert (1, len(listed) - 1) == (named["replayed"], rest["replayed"])


def test_a_hidden_mentor_is_shown_again(coordinator: Coordinator) -> None:
    """
    With a reason that stays; a second time nothing changes.
    """
    url = f"{API}/mentor-suppressions"
    (hidden,) = coordinator.client.get(url).json()["data"]
    body = {"is_active": False, "restore_reason": "Renewed on paper."}
    (shown,) = coordinator.client.put(f"{url}/mentor-1", json=body).json()["data"]
    again = coordinator.client.put(f"{url}/mentor-1", json=body).json()["data"]
    hide = coordinator.client.put(f"{url}/mentor-1", json={"is_active": True})

    assert ("mentor-1", True, "certificate_expired") == tuple(
        hidden[name] for name in ("mentor_id", "is_active", "reason")
    )
    assert (False, "restored_by_person", "coord-1", "Renewed on paper.") == tuple(
        shown[name] for name in ("is_active", "reason", "restored_by", "restore_reason")
    )
    assert [] == again
    assert 422 == hide.status_code
