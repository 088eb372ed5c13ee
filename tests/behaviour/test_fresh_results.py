"""
What a submission answers is what the store says, read back or not.
"""

import attrs
import pytest

from proxy_orchestration import (
    BulkRegistrationRequest,
    BulkSettings,
    BulkStatus,
    ConflictPolicy,
    RegistrationEntry,
)
from proxy_orchestration.errors import RegistrationRejected
from proxy_orchestration.registration.conflicts import Conflict, ConflictKind
from proxy_orchestration.storage.memory import MemoryActivityRepository


@attrs.define(eq=False, slots=False)
class _Counting(MemoryActivityRepository):
    results_read: int = 0

    async def read_result(self, batch_id, /):
        self.results_read += 1
        return await super().read_result(batch_id)


@pytest.fixture
def counting(scene):
    """
    A scene whose store counts how often results are read.
    """
    scene.repository = _Counting(scene.clock)
    return scene


class _Checking:
    """
    A service with conflicts, refusals and keys of its own.
    """

    def __init__(self, scripted):
        self.scripted = scripted

    async def register(self, registration, /):
        if registration.mentor_id.endswith("3"):
            raise RegistrationRejected("no_agreement", "Ended.")  # noqa: EM101 - what the mentor reads
        return await self.scripted.register(registration)

    async def find_conflicts(self, registrations, /):
        return [
            Conflict(mentor_id=each.mentor_id, kind=ConflictKind.DUPLICATE, existing_activity_id="a-1")
            for each in registrations
            if each.mentor_id.endswith("2")
        ]


class _Scope:
    def __init__(self, policy):
        self.policy = policy

    def __getattr__(self, name):
        return getattr(self.policy, name)

    async def out_of_scope(self, actor, mentor_ids):
        return {each for each in mentor_ids if each.endswith("1")}


@pytest.mark.parametrize("policy", ConflictPolicy)
async def test_a_result_that_was_not_read_is_the_one_that_is_stored(counting, policy):
    """
    Verdicts, refusals, overrides, own item keys and labels included.
    """
    counting.service = _Checking(counting.service)
    counting.access = _Scope(counting.access)
    orchestrator = counting.orchestrator()
    activity = counting.request(1).entries[0].activity
    entries = [RegistrationEntry(f"mentor-{n}", activity) for n in range(1, 9)]
    entries.append(RegistrationEntry("mentor-8", activity, item_key="a second visit"))
    request = BulkRegistrationRequest(entries=entries, label="Week 48", on_conflict=policy)

    for drive in (True, False):
        result = await orchestrator.submit_bulk_registration(request, actor=counting.actor, drive=drive)

        assert 0 == counting.repository.results_read
        assert await orchestrator.get_bulk_submission_status(result.batch_id, actor=counting.actor) == result
        assert drive is (BulkStatus.PENDING is not result.status)
        counting.repository.results_read = 0
    assert BulkStatus.PENDING is result.status


async def test_a_batch_of_many_commits_is_read(counting):
    """
    What was published long ago is not kept for it.
    """
    counting.settings = BulkSettings(max_concurrency=1, max_undurable=1)
    orchestrator = counting.orchestrator()

    result = await orchestrator.submit_bulk_registration(counting.request(60), actor=counting.actor)

    assert 1 == counting.repository.results_read
    assert await orchestrator.get_bulk_submission_status(result.batch_id, actor=counting.actor) == result


async def test_a_batch_that_another_process_settles_is_read(counting):
    """
    Nobody here knows its outcomes.
    """
    waiting = await counting.orchestrator().submit_bulk_registration(
        counting.request(3, "once"), actor=counting.actor, drive=False
    )
    counting.repository.results_read = 0

    result = await counting.orchestrator().submit_bulk_registration(
        counting.request(3, "once"), actor=counting.actor
    )

    assert 1 == counting.repository.results_read
    assert (waiting.batch_id, BulkStatus.SUCCESS) == (result.batch_id, result.status)
