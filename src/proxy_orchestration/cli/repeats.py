"""
Recognises a file that was registered before in another way, before an override registers it twice.
"""

from __future__ import annotations

from proxy_orchestration.access import Actor
from proxy_orchestration.cli.session import Session
from proxy_orchestration.registration.activities import (
    ProxyRegistration,
    idempotency_key_of,
    registration_id_of,
)
from proxy_orchestration.registration.ledger import BatchRecord
from proxy_orchestration.registration.requests import BulkRegistrationRequest, RegistrationEntry
from proxy_orchestration.registration.standard.checks import same_mentor_type_and_day


async def submitted_otherwise(
    session: Session, request: BulkRegistrationRequest, actor: Actor
) -> BatchRecord | None:
    """
    Return the actor's batch of the same entries under another mode or policy that registered some; or `None`.
    """
    keys = [same_mentor_type_and_day(_registration(entry, actor)) for entry in request.entries]
    standing = await session.repository.find_duplicates(actor.organization_id, keys)
    for batch_id in {record.registration.batch_id for record in standing.values()}:
        batch = await session.repository.get(batch_id)
        if (
            batch is not None
            and batch.coordinator_id == actor.user_id
            and (batch.mode, batch.on_conflict) != (request.mode, request.on_conflict)
            and await _holds(session, batch, request)
        ):
            return batch
    return None


async def _holds(session: Session, batch: BatchRecord, request: BulkRegistrationRequest) -> bool:
    if batch.total != len(request.entries):
        return False
    items = await session.repository.read_items(batch.batch_id)
    return tuple(RegistrationEntry(item.mentor_id, item.activity) for item in items) == request.entries


def _registration(entry: RegistrationEntry, actor: Actor) -> ProxyRegistration:
    registration_id = registration_id_of("asked", entry.mentor_id)
    return ProxyRegistration(
        registration_id=registration_id,
        idempotency_key=idempotency_key_of(registration_id, 0),
        batch_id="asked",
        mentor_id=entry.mentor_id,
        activity=entry.activity,
        registered_by=actor,
    )
