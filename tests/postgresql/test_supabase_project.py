"""
A project's whole story: three organizations, certificates in every tier, and nothing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

pytest.importorskip("psycopg")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkStatus,
    NotificationOrchestrator,
    NotificationThresholdTier,
    PeerMentorCertificate,
    ProxyActivity,
    PushDispatcher,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.ports import MentorRecipients
from proxy_orchestration.storage.sql import SqlActivityRepository, SqlNotificationRepository
from proxy_orchestration.testing.notification import ScriptedPushSender, ScriptedRecipientDirectory

if TYPE_CHECKING:
    import httpx
    from supabase_project import Project

pytestmark = pytest.mark.postgresql(asyncio_only=True)

_ORGANIZATIONS: Final = ("oslo", "bergen", "tromsø")
_DAYS_LEFT: Final = (200, 45, 20, 3, -2)
_EACH: Final = 50
_PAGE: Final = 100
_TABLE: Final = (
    "DROP TABLE IF EXISTS certificates",
    (
        "CREATE TABLE certificates (certificate_id text PRIMARY KEY, mentor_id text NOT NULL,"
        " organization_id text NOT NULL, certificate_type text NOT NULL, expires date NOT NULL)"
    ),
    "REVOKE ALL ON certificates FROM anon, authenticated",
    "NOTIFY pgrst, 'reload schema'",
)


def _headers() -> dict[str, str]:
    from supabase_project import service_key  # noqa: PLC0415 - needs the driver

    return {"Authorization": f"Bearer {service_key()}", "Prefer": "return=minimal"}


def _seed() -> list[dict[str, str]]:
    """
    Return certificates of three organizations, so many of each tier and of none.
    """
    today = datetime.now(UTC).date()
    return [
        {
            "certificate_id": f"{organization_id}-{days_left}-{number:03}",
            "mentor_id": f"{organization_id}-mentor-{days_left}-{number:03}",
            "organization_id": organization_id,
            "certificate_type": "first_aid",
            "expires": (today + timedelta(days=days_left)).isoformat(),
        }
        for organization_id in _ORGANIZATIONS
        for days_left in _DAYS_LEFT
        for number in range(_EACH)
    ]


async def _certificates(client: httpx.AsyncClient) -> AsyncIterator[PeerMentorCertificate]:
    """
    Yield what the host's table holds, page by page, by the last id seen.
    """
    last = ""
    while True:
        asked: Mapping[str, Any] = {
            "certificate_id": f"gt.{last}", "order": "certificate_id", "limit": _PAGE,
        }  # fmt: skip
        answer = await client.get("/certificates", params=asked, headers=_headers())
        page: Sequence[Mapping[str, str]] = answer.raise_for_status().json()
        for row in page:
            last = row["certificate_id"]
            expires = datetime.fromisoformat(row["expires"]).date()
            yield PeerMentorCertificate(**{**row, "expires": expires})
        if len(page) < _PAGE:
            return


async def _notices_of(client: httpx.AsyncClient, coordinator_id: str) -> list[dict[str, str]]:
    """
    Return what that coordinator reads over HTTP with a token of one's own.
    """
    from supabase_project import person_key  # noqa: PLC0415 - needs the driver

    key = person_key(coordinator_id, "coordinator", organization_id=coordinator_id.partition("-")[0])
    asked = {"select": "recipient_id,audience,threshold_tier", "limit": 1000}
    answer = await client.get("/notifications", params=asked, headers={"Authorization": f"Bearer {key}"})
    found: list[dict[str, str]] = answer.raise_for_status().json()
    return found


async def test_certificates_of_three_organizations_are_told_once(project: Project) -> None:
    """
    In every tier, read over PostgREST; a second run over the same data adds nothing, and sends nothing.
    """
    seed = _seed()
    project.execute(*_TABLE)
    project.gateway.start()  # it knows the table from its start
    sender = ScriptedPushSender()
    directory = ScriptedRecipientDirectory(
        {row["mentor_id"]: MentorRecipients(coordinator_id=f"{row['organization_id']}-coord") for row in seed}
    )
    runs = []
    async with project.client() as client, SqlNotificationRepository.open(project.url) as notices:
        (await client.post("/certificates", json=seed, headers=_headers())).raise_for_status()
        orchestrator = NotificationOrchestrator(repository=notices, recipients=directory)
        for _ in range(2):
            runs.append(await orchestrator.run(_certificates(client)))
            await PushDispatcher(repository=notices, sender=sender).drain()
        read = {name: await _notices_of(client, f"{name}-coord") for name in _ORGANIZATIONS}
    first, second = runs
    told = len(_ORGANIZATIONS) * _EACH

    assert len(seed) == first.processed == second.processed
    assert dict.fromkeys(NotificationThresholdTier, told) == first.by_tier
    assert (4 * told, 0, 0) == (first.created, first.failed, second.created)
    assert Counter(told_to(sender)) == Counter(set(told_to(sender)))
    assert {f"{name}-coord" for name in _ORGANIZATIONS} == {
        each["recipient_id"] for notices_of in read.values() for each in notices_of
    }
    assert {4 * _EACH} == {len(notices_of) for notices_of in read.values()}


def told_to(sender: ScriptedPushSender) -> list[tuple[str, str]]:
    """
    Return whom the pushes were for, and about which notice.
    """
    return [(message.recipient_id, message.notification_id) for message in sender.sent]


async def test_batches_of_three_organizations_are_registered_once(project: Project) -> None:
    """
    Over PostgREST in pages, the ledger over SQL; the same requests again are the same batches.
    """
    activity = ProxyActivity(
        activity_type="visit", activity_date=datetime.now(UTC).date(), duration_minutes=45
    )
    statuses = []
    async with project.records() as records, SqlActivityRepository.open(project.url) as ledger:
        orchestrator = BulkRegistrationOrchestrator(
            registration_service=StandardRegistrationService(repository=records), repository=ledger
        )
        for organization_id in _ORGANIZATIONS * 2:
            actor = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id=organization_id)
            mentors = [f"mentor-{number}" for number in range(250)]
            request = BulkRegistrationRequest.for_mentors(mentors, activity, idempotency_key="Tuesday")
            result = await orchestrator.submit_bulk_registration(request, actor=actor)
            statuses.append((result.status, len(result.succeeded)))

    counted = "SELECT organization_id, count(*), count(DISTINCT attributed_to) FROM activities GROUP BY 1"
    assert [(BulkStatus.SUCCESS, 250)] * 6 == statuses
    assert {(name, 250, 250) for name in _ORGANIZATIONS} == set(project.execute(counted))
