"""
Each public method that acts for a person, called directly by a peer mentor, refuses and touches nothing.
"""

import inspect
from contextlib import AbstractAsyncContextManager
from datetime import date

import pytest

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    ConflictDecision,
    CoordinatorAccess,
    NotAuthorizedError,
    ProxyActivity,
    ProxyRegistration,
    RegistrationRejected,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.ports import RegistrationFailure
from proxy_orchestration.registration.standard.single import DuplicateWarning
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FakeClock

pytestmark = pytest.mark.dateless

PEER = Actor(user_id="mentor-9", roles={Role.PEER_MENTOR}, organization_id="oslo")
VISIT = ProxyActivity(activity_type="visit", activity_date=date(2026, 1, 1), duration_minutes=45)

ARGUMENTS = {
    "request": BulkRegistrationRequest.for_mentors(["mentor-1"], VISIT),
    "connection": object(),
    "batch_id": "batch-1",
    "decisions": {"mentor-1": ConflictDecision.OVERRIDE},
    "label": "label",
    "mentor_id": "mentor-1",
    "activity": VISIT,
    "idempotency_key": "key",
    "warning": DuplicateWarning(
        existing_activity_id="activity-1", mentor_id="mentor-1", activity=VISIT, idempotency_key="key"
    ),
    "activity_id": "activity-1",
    "note": "It was an hour.",
}


class Untouchable:
    """
    Stands where a store and a service stand, and may not be asked for anything.
    """

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        async def touched(*_args, **_kwargs):
            message = f"{name} was touched"
            raise AssertionError(message)

        return touched


class UntouchedScope(CoordinatorAccess):
    """
    The usual policy, whose query may not be made.
    """

    async def out_of_scope(self, actor, mentor_ids, /):
        """
        Fail.
        """
        raise AssertionError


def subjects():
    """
    Return both services over a store that may not be touched.
    """
    nothing = Untouchable()
    return {
        BulkRegistrationOrchestrator: BulkRegistrationOrchestrator(
            registration_service=nothing, repository=nothing, access_policy=UntouchedScope()
        ),
        StandardRegistrationService: StandardRegistrationService(
            repository=nothing, access_policy=UntouchedScope()
        ),
    }


def verbs():
    """
    Yield every public method that takes an actor.
    """
    for kind in (BulkRegistrationOrchestrator, StandardRegistrationService):
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_") and "actor" in inspect.signature(method).parameters:
                yield pytest.param(kind, name, id=f"{kind.__name__}.{name}")


def test_the_verbs_are_found():
    """
    Those of the contract, at least.
    """
    named = {parameter.values[1] for parameter in verbs()}

    assert named >= {
        "submit_bulk_registration",
        "stream_bulk_registration",
        "get_bulk_submission_status",
        "retry_failed_items",
        "cancel_batch",
        "pause_batch",
        "resume_batch",
        "watch_batch",
        "preview",
        "resolve_conflicts",
        "list_batches",
        "relabel_batch",
        "delete_batch",
        "register_proxy_activity",
        "confirm_despite_duplicate",
        "list_activities",
        "request_correction",
    }


@pytest.mark.parametrize(("kind", "name"), list(verbs()))
async def test_a_peer_mentor_is_refused_and_nothing_is_touched(kind, name):
    """
    Neither store nor service nor the scope is asked.
    """
    verb = getattr(subjects()[kind], name)
    wanted = inspect.signature(verb).parameters
    arguments = {key: value for key, value in ARGUMENTS.items() if key in wanted}

    with pytest.raises(NotAuthorizedError):
        await _entered(verb(**arguments, actor=PEER))


async def _entered(call):
    if isinstance(call, AbstractAsyncContextManager):
        async with call:
            pass
    else:
        await call


def registration():
    """
    Return a registration in a peer mentor's name, as a host might make it by mistake.
    """
    return ProxyRegistration(
        registration_id="batch-1:mentor-1",
        idempotency_key="batch-1:mentor-1:0",
        batch_id="batch-1",
        mentor_id="mentor-1",
        activity=VISIT,
        registered_by=PEER,
    )


async def test_a_registration_in_a_peer_mentors_name_is_refused_and_nothing_is_written():
    """
    The driver's own way in: one look for the registration's record, and no write.
    """
    store = MemoryActivityRepository()
    service = StandardRegistrationService(repository=store, clock=FakeClock())

    with pytest.raises(RegistrationRejected, match="not_a_coordinator"):
        await service.register(registration())
    for atomic in (True, False):
        (answer,) = await service.register_many([registration()], atomic=atomic)
        assert isinstance(answer, RegistrationFailure)
        assert "not_a_coordinator" == answer.code

    assert [] == list(await store.activities_of_batch("batch-1"))
