"""
A night and a morning on Supabase: fifty mentors are registered, and told of their certificates.

The ledger and the notices are on SQL, through the project's pooler; what is registered goes over
PostgREST. Set the project up first, with `proxy-orchestration sql supabase --apply`, and put its
connection string, address and key into the environment. Whatever is killed meanwhile: run it again,
or leave it to itself, and each mentor has one record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import anyio
from sqlalchemy import URL

from proxy_orchestration import (
    Actor,
    BulkProgressUpdate,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    NotificationOrchestrator,
    PeerMentorCertificate,
    ProxyActivity,
    RepositoryUnavailableError,
    RetryPolicy,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.storage.postgrest import PostgrestActivityRecords
from proxy_orchestration.storage.sql import SqlActivityRepository, SqlNotificationRepository

MENTORS = [f"mentor-{number:02}" for number in range(1, 51)]
ANNA = Actor(user_id="anna", roles={Role.COORDINATOR}, organization_id="oslo")
SETTINGS = BulkSettings(
    max_per_call=5,  # 500 in earnest: here something is to happen in the middle
    lease_ttl=3.0,
    retry=RetryPolicy(max_attempts=30, initial=0.05, max_delay=0.5),
)


def certificates(today: date) -> Iterator[PeerMentorCertificate]:
    """
    Yield a certificate for each mentor; ten of them in each tier, and ten that are good for long.
    """
    for number, mentor_id in enumerate(MENTORS):
        yield PeerMentorCertificate(
            certificate_id=f"certificate-of-{mentor_id}",
            mentor_id=mentor_id,
            certificate_type="first_aid",
            expires=today + timedelta(days=(200, 45, 20, 3, -2)[number % 5]),
            organization_id=ANNA.organization_id,
        )


async def register(
    database: str | URL, records: PostgrestActivityRecords, *, tell: Callable[[BulkProgressUpdate], object]
) -> None:
    """
    Register an hour for each mentor; where the ledger is away for a moment, go on where it stood.
    """
    walk = ProxyActivity(activity_type="walk", activity_date=datetime.now(UTC).date(), duration_minutes=60)
    request = BulkRegistrationRequest.for_mentors(
        MENTORS, walk, idempotency_key=f"walks of {walk.activity_date}"
    )
    async with SqlActivityRepository.open(database) as ledger:
        orchestrator = BulkRegistrationOrchestrator(
            registration_service=StandardRegistrationService(repository=records),
            repository=ledger,
            settings=SETTINGS,
        )
        while True:
            try:
                async with orchestrator.stream_bulk_registration(request, actor=ANNA) as run:
                    async for update in run:
                        tell(update)
                break
            except RepositoryUnavailableError as error:
                print(f"The ledger is away ({error.reason}); going on.")
                await anyio.sleep(0.2)
        result = run.result
        written = await records.activities_of_batch(result.batch_id)
    print(f"{result.status.value}: {len(result.succeeded)} of {result.total} registered.")
    print(f"{len(written)} records of {len({one.registration.mentor_id for one in written})} mentors.")


async def notify(database: str | URL) -> None:
    """
    Tell of certificates that end; the second time there is nothing left to tell.
    """
    today = datetime.now(UTC).date()
    async with SqlNotificationRepository.open(database) as notices:
        orchestrator = NotificationOrchestrator(repository=notices)
        for time in ("first", "second"):
            run = await orchestrator.run(certificates(today))
            print(f"The {time} run: {run.processed} certificates, {run.created} notices.")


async def main() -> None:
    """
    Register and notify, over the project that the environment names.
    """
    database = os.environ["PROXY_ORCHESTRATION_DB"]
    async with PostgrestActivityRecords.open(os.environ["SUPABASE_URL"]) as records:
        await register(database, records, tell=lambda update: print(update.outcome.mentor_id))
    await notify(database)


if __name__ == "__main__":
    anyio.run(main)
