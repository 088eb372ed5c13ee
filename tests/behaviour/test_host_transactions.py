"""
Submitting within a transaction of the host's, over a ledger that takes part in one.
"""

from __future__ import annotations

from datetime import date
from typing import Self

import pytest

from proxy_orchestration import (
    Actor,
    BatchNotFoundError,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkStatus,
    BulkSubmissionResult,
    HostTransactionError,
    MisconfiguredError,
    ProxyActivity,
    Role,
)
from proxy_orchestration.ports import SupportsHostTransactions
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import ScriptedRegistrationService

pytestmark = pytest.mark.dateless

COORDINATOR = Actor(user_id="coord-119", roles={Role.COORDINATOR}, organization_id="chapter-oslo")
VISIT = ProxyActivity(activity_type="visit", activity_date=date(2025, 12, 30), duration_minutes=45)
NOT_HERE = HostTransactionError("Not here.", advice="Commit.")
REQUEST = BulkRegistrationRequest.for_mentors(["m-1", "m-2"], VISIT, idempotency_key="form-7")


class JoiningRepository(MemoryActivityRepository, SupportsHostTransactions):
    """
    Notes on which connections it accepted; what it stores is there at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.connections: list[object] = []
        self.loses_results = False
        self.drives = True

    def within(self, connection: object, /) -> Self:
        """
        Return itself.
        """
        self.connections.append(connection)
        return self

    def check_may_drive(self) -> None:
        """
        Refuse if told to.
        """
        if not self.drives:
            raise NOT_HERE

    async def read_result(self, batch_id: str, /) -> BulkSubmissionResult | None:
        """
        Return it, unless somebody has deleted the batch meanwhile.
        """
        return None if self.loses_results else await super().read_result(batch_id)


def _orchestrator(repository: MemoryActivityRepository) -> BulkRegistrationOrchestrator:
    return BulkRegistrationOrchestrator(
        registration_service=ScriptedRegistrationService(), repository=repository
    )


async def test_it_is_accepted_on_the_connection_and_not_driven():
    """
    Its result is that of a batch that waits.
    """
    repository = JoiningRepository()
    bulk = _orchestrator(repository)

    result = await bulk.submit_within("a connection", REQUEST, actor=COORDINATOR)

    assert ["a connection"] == repository.connections
    assert BulkStatus.PENDING is result.status
    assert result == await bulk.get_bulk_submission_status(result.batch_id, actor=COORDINATOR)


async def test_a_batch_that_was_there_is_returned_as_it_is():
    """
    Also where it is done; where it vanishes meanwhile, that is said.
    """
    repository = JoiningRepository()
    bulk = _orchestrator(repository)
    done = await bulk.submit_bulk_registration(REQUEST, actor=COORDINATOR)

    assert done == await bulk.submit_within("a connection", REQUEST, actor=COORDINATOR)
    repository.loses_results = True
    with pytest.raises(BatchNotFoundError, match=done.batch_id):
        await bulk.submit_within("a connection", REQUEST, actor=COORDINATOR)


async def test_a_store_without_the_ability_says_so():
    """
    The one in memory has no transactions of anybody's.
    """
    with pytest.raises(MisconfiguredError, match="MemoryActivityRepository"):
        await _orchestrator(MemoryActivityRepository()).submit_within(None, REQUEST, actor=COORDINATOR)


async def test_what_cannot_be_driven_is_refused_before_it_is_stored():
    """
    By both verbs that drive at once; with `drive=False` it is accepted.
    """
    repository = JoiningRepository()
    repository.drives = False
    bulk = _orchestrator(repository)
    with pytest.raises(HostTransactionError):
        await bulk.submit_bulk_registration(REQUEST, actor=COORDINATOR)
    with pytest.raises(HostTransactionError):
        async with bulk.stream_bulk_registration(REQUEST, actor=COORDINATOR):
            pass
    stored = await bulk.list_batches(actor=COORDINATOR)
    accepted = await bulk.submit_bulk_registration(REQUEST, actor=COORDINATOR, drive=False)

    assert 0 == stored.total
    assert BulkStatus.PENDING is accepted.status


def test_an_attribute_of_the_error_says_what_to_do():
    """
    Apart from what stands in the way.
    """
    error = HostTransactionError("Not begun.", advice="Begin.")

    assert ("Not begun.", "Begin.", "Not begun. Begin.") == (error.reason, error.advice, str(error))
