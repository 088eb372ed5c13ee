"""
What an attempt tells its engine, which keeps it and shows it to whoever looks.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

pytest.importorskip("temporalio")

from every_error import every_error
from temporal_world import ANNA, MENTORS, VISIT, TemporalWorld
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    InvalidInputError,
    InvalidTypeError,
    InvalidValueError,
    OrchestrationError,
    RepositoryUnavailableError,
    StandardRegistrationService,
    SubmissionMode,
    WrongServiceError,
)
from proxy_orchestration.engines.temporal import TemporalRegistrations
from proxy_orchestration.engines.temporal.attempts import attempt
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FaultyActivityRepository

pytestmark = pytest.mark.dateless

EVERY_ERROR = every_error()
CANARY = "anna.berg@example.org"


@pytest.fixture
def world() -> TemporalWorld:
    """
    A world whose client is never asked.
    """
    return TemporalWorld(Client.__new__(Client), "nowhere")


async def test_heartbeats_are_sent_while_a_run_is_driven(world: TemporalWorld) -> None:
    """
    The first at once.
    """
    engine = world.registrations()
    batch = await world.accepted(engine)
    beats = []
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, heartbeat_timeout=timedelta(seconds=30))
    environment.on_heartbeat = lambda *_details: beats.append(len(world.service.calls))

    report = await environment.run(
        engine.drive, {"version": 1, "batch_id": batch.batch_id, "run": batch.run, "heartbeat": 10.0}
    )

    assert "settled" == report["ending"]
    assert 0 == beats[0]
    assert len(MENTORS) == len(world.service.calls)


@pytest.mark.parametrize(
    ("error", "told", "is_final"),
    [
        (RuntimeError(CANARY), "RuntimeError: see this worker's log", False),
        (RepositoryUnavailableError("It is away.", advice="Wait."), "RepositoryUnavailableError: ", False),
        (
            WrongServiceError("batch-1", accepted_by="theirs", service_name="ours"),
            "WrongServiceError: ",
            True,
        ),
    ],
)
async def test_an_error_leaves_with_its_type_and_with_a_text_of_this_library_only(
    world: TemporalWorld, caplog: pytest.LogCaptureFixture, error: Exception, told: str, is_final: bool
) -> None:
    """
    It is tried again unless that cannot help.
    """

    def break_down(_point: object) -> None:
        raise error

    engine = world.registrations()
    batch = await world.accepted(engine)
    broken = BulkRegistrationOrchestrator(
        registration_service=world.service,
        repository=FaultyActivityRepository(world.repository, before=break_down),
    )
    payload = {"version": 1, "batch_id": batch.batch_id, "run": batch.run}

    with pytest.raises(ApplicationError) as caught:
        await ActivityEnvironment().run(attrs.evolve(engine, orchestrator=broken).drive, payload)

    assert str(caught.value).startswith(told)
    assert is_final is caught.value.non_retryable
    assert caught.value.__cause__ is None
    assert CANARY not in f"{caught.value}{caplog.text}"
    assert type(error).__name__ in caplog.text


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=[kind.__name__ for kind in EVERY_ERROR])
async def test_an_attempt_is_tried_again_unless_the_error_says_that_this_cannot_help(
    kind: type[OrchestrationError],
) -> None:
    """
    Each error of this library, as its page says of it; what is not known is tried again.
    """

    async def fail() -> None:
        raise kind.__new__(kind)

    with pytest.raises(ApplicationError) as caught:
        await ActivityEnvironment().run(attempt, fail)

    assert kind.__name__ == caught.value.type
    assert (kind.repeat_helps is False) is caught.value.non_retryable


async def test_a_run_that_this_worker_s_service_cannot_do_is_started_by_no_sweep_again(
    world: TemporalWorld,
) -> None:
    """
    Its workflow has failed, which somebody has to see; a workflow every few seconds helps nobody.
    """
    able = world.registrations(registration_service=StandardRegistrationService(repository=world.repository))
    request = BulkRegistrationRequest.for_mentors(MENTORS, VISIT, mode=SubmissionMode.ATOMIC)
    batch = await able.orchestrator.submit_bulk_registration(request, actor=ANNA, drive=False)
    engine = world.registrations()
    payload = {"version": 1, "batch_id": batch.batch_id, "run": batch.run}

    with pytest.raises(ApplicationError, match="one mentor per call") as caught:
        await ActivityEnvironment().run(engine.drive, payload)

    assert caught.value.non_retryable
    assert {"runs": 0, "audit_events": 0} == await ActivityEnvironment().run(
        engine.sweep, {"version": 1, "limit": 10}
    )
    assert "settled" == (await ActivityEnvironment().run(able.drive, payload))["ending"]


def test_an_engine_without_an_orchestrator_is_refused_at_once() -> None:
    """
    A repository in its place, for instance.
    """
    with pytest.raises(InvalidTypeError, match="orchestrator"):
        TemporalRegistrations(MemoryActivityRepository(), Client.__new__(Client), task_queue="registrations")


@pytest.mark.parametrize("change", [{"sweep_every": 0.5}, {"sweep_limit": 1001}, {"heartbeat": 0.0}])
def test_a_setting_that_temporal_or_the_store_would_refuse_is_refused_at_once(
    world: TemporalWorld, change: dict[str, float]
) -> None:
    """
    And not by the first sweep.
    """
    with pytest.raises(InvalidValueError, match=next(iter(change))):
        attrs.evolve(world.registrations(), **change)


@pytest.mark.parametrize(("batch_id", "run"), [(7, 1), ("batch-1", 0), ("batch-1", "1")])
async def test_what_is_no_run_is_not_woken(world: TemporalWorld, batch_id, run) -> None:
    """
    Temporal is not asked.
    """
    with pytest.raises(InvalidInputError):
        await world.registrations().wake(batch_id, run)


async def test_a_store_without_our_tables_fails_the_attempt_and_says_so(
    world: TemporalWorld, tmp_path: Path
) -> None:
    """
    It is tried again: somebody will migrate.
    """
    sqlalchemy = pytest.importorskip("sqlalchemy")
    from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: PLC0415 - an extra

    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    empty = BulkRegistrationOrchestrator(
        registration_service=world.service, repository=SqlActivityRepository(engine)
    )
    activity = attrs.evolve(world.registrations(), orchestrator=empty).drive

    with pytest.raises(ApplicationError, match=r"SchemaVersionError|RepositoryUnavailableError") as caught:
        await ActivityEnvironment().run(activity, {"version": 1, "batch_id": "batch-1", "run": 1})
    engine.dispose()

    assert not caught.value.non_retryable
