from __future__ import annotations

import inspect
import sqlite3
from datetime import timedelta
from pathlib import Path

import anyio
import attrs
import pytest

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from observed import ANNA, Observed, id_of, orchestrator_of, parent_of, request_for, said_by, trace_of

from proxy_orchestration import (
    BulkSettings,
    DispatchSettings,
    HostTransactionError,
    NotificationOrchestrator,
    PeerMentorCertificate,
    PushDispatcher,
    RetryPolicy,
    SubmissionMode,
    SystemClock,
)
from proxy_orchestration.ports import (
    LeaseLostError,
    SupportsAcceptAndBegin,
    SupportsCompleteAndClaim,
    SupportsFusedWrites,
    SupportsGettingMany,
    SupportsHostTransactions,
    SupportsMarkingMany,
    SupportsTakingFreeRuns,
)
from proxy_orchestration.registration.runs import Commit
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.storage.sql import SqlActivityRepository, SqlNotificationRepository
from proxy_orchestration.telemetry import ledger, notices
from proxy_orchestration.testing import (
    ManyLookupsRegistrationService,
    ScriptedPushSender,
    ScriptedRegistrationService,
    lose_reply,
)
from proxy_orchestration.testing.contracts.registration.samples import LONG, NOON, accepted, batch_of

ABILITIES = (
    SupportsAcceptAndBegin,
    SupportsFusedWrites,
    SupportsGettingMany,
    SupportsHostTransactions,
    SupportsMarkingMany,
    SupportsTakingFreeRuns,
)


async def test_a_watched_store_has_the_abilities_of_the_store_and_no_other(tmp_path: Path) -> None:
    """
    A batch costs no transaction more because it is watched.
    """
    telemetry = Observed().telemetry
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'a.db'}") as store:
        whole, part = telemetry.repository(store), telemetry.repository(MemoryActivityRepository())

        assert [True] * len(ABILITIES) == [isinstance(whole, each) for each in ABILITIES]
        assert [isinstance(MemoryActivityRepository(), each) for each in ABILITIES] == [
            isinstance(part, each) for each in ABILITIES
        ]


async def test_a_watched_method_takes_what_the_store_s_own_takes(tmp_path: Path) -> None:
    """
    By the same names, with the same defaults.
    """
    url, telemetry = f"sqlite:///{tmp_path / 'a.db'}", Observed().telemetry
    async with SqlActivityRepository.open(url) as batches, SqlNotificationRepository.open(url) as told:
        assert isinstance(telemetry.notices(told), SupportsCompleteAndClaim)
        for store, watched, names in (
            (batches, telemetry.repository(batches), ledger.METHODS),
            (told, telemetry.notices(told), notices.METHODS),
        ):
            for name in names:
                own = inspect.signature(getattr(store, name)).parameters.values()
                taken = inspect.signature(getattr(watched, name)).parameters.values()

                assert [one.default for one in own] == [one.default for one in taken], name


async def test_a_batch_over_sql_is_one_trace_too(tmp_path: Path) -> None:
    """
    Accepted and begun in one write, settled with its last outcomes in another.
    """
    observed = Observed()
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'a.db'}") as store:
        await orchestrator_of(observed, ScriptedRegistrationService(), store).submit_bulk_registration(
            request_for(3), actor=ANNA
        )

    accept, run = observed.the("accept"), observed.the("run")
    assert id_of(accept) == parent_of(run)
    assert ("settled", 3) == (said_by(run)["ending"], said_by(run)["items.succeeded"])
    assert {id_of(run)} == {parent_of(span) for span in observed.named("call") + observed.named("commit")}
    assert {("succeeded",): 3} == observed.metric("items")


async def test_a_batch_of_a_host_s_own_transaction_is_one_trace_too(tmp_path: Path) -> None:
    """
    Accepted with what the host writes, and driven once that is there.
    """
    observed = Observed()
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'a.db'}") as store:
        orchestrator = orchestrator_of(observed, ScriptedRegistrationService(), store)
        connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(HostTransactionError):
            await orchestrator.repository.within(connection).relabel("batch-1", "label")
        with observed.tracer.start_as_current_span("request"):
            await orchestrator.submit_within(connection, request_for(1), actor=ANNA)
        connection.execute("COMMIT")
        connection.close()
        await orchestrator.resume_interrupted()

    request, accept, run = (observed.the(name) for name in ("request", "accept", "run"))
    assert [id_of(request), id_of(accept)] == [parent_of(accept), parent_of(run)]
    assert trace_of(request) == trace_of(run)


async def test_runs_that_are_taken_together_each_continue_their_trace(tmp_path: Path) -> None:
    """
    In another process, which knows of them what the store says.
    """
    here, there, service = Observed(), Observed(), ScriptedRegistrationService()
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'a.db'}") as store:
        accepting = orchestrator_of(here, service, store)
        waiting = [
            await accepting.submit_bulk_registration(request_for(1), actor=ANNA, drive=False)
            for _ in range(2)
        ]
        serving = orchestrator_of(there, service, store)
        async with anyio.create_task_group() as tasks:
            await tasks.start(lambda task_status: serving.serve(task_status=task_status))
            for each in waiting:
                async with serving.watch_batch(each.batch_id, actor=ANNA) as run:
                    async for _ in run:
                        pass
            tasks.cancel_scope.cancel()

    accepts = {said_by(span)["batch_id"]: span for span in here.named("accept")}
    runs = {said_by(span)["batch_id"]: span for span in there.named("run")}
    assert sorted(each.batch_id for each in waiting) == sorted(runs)
    assert [(trace_of(accepts[each]), id_of(accepts[each])) for each in runs] == [
        (trace_of(run), parent_of(run)) for run in runs.values()
    ]


async def test_a_lease_that_is_given_back_ends_its_run(tmp_path: Path) -> None:
    """
    As one that is released does; and the last write of who was overtaken ends as an error.
    """
    observed = Observed()
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'a.db'}") as store:
        watched = observed.telemetry.repository(store)
        batch_id = await accepted(watched, batch_of(1))
        lease = await watched.begin(batch_id, 1, ttl=LONG, claim=1, called=1)
        await watched.give_back(lease)
        second = await watched.begin(batch_id, 1, ttl=LONG, claim=1, called=1)
        await watched.acquire(batch_id, 1, ttl=LONG, take_over=True)
        with pytest.raises(LeaseLostError):
            await watched.finish(second, Commit(ttl=LONG), settled_at=NOON, audit_hold=0.0)

    assert ["released", "lease_lost"] == [said_by(run)["ending"] for run in observed.named("run")]
    assert "LeaseLostError" == said_by(observed.the("commit"))["error.type"]


async def test_a_dispatcher_over_sql_is_watched_too(tmp_path: Path) -> None:
    """
    It completes what it sent in the transaction that leases the next.
    """
    observed = Observed()
    ends = SystemClock().now().date() + timedelta(days=3)
    certificates = [
        PeerMentorCertificate(
            certificate_id=f"c-{number}", mentor_id=f"m-{number}", certificate_type="first_aid", expires=ends
        )
        for number in range(2)
    ]
    async with SqlNotificationRepository.open(f"sqlite:///{tmp_path / 'a.db'}") as store:
        watched = observed.telemetry.notices(store)
        await NotificationOrchestrator(repository=watched).run(certificates)
        one_by_one = DispatchSettings(batch_size=1)
        await PushDispatcher(repository=watched, sender=ScriptedPushSender(), settings=one_by_one).drain()

    assert {("sent",): 2} == observed.metric("pushes")
    assert {("created", "urgent_7"): 2} == observed.metric("notices")


async def test_many_look_ups_in_one_question_are_one_span(tmp_path: Path) -> None:
    """
    In the run whose batch the first of them names.
    """
    observed = Observed()
    service = ManyLookupsRegistrationService(chunk_script=lambda *_: lose_reply())
    once = BulkSettings(retry=RetryPolicy(max_attempts=1))
    request = attrs.evolve(request_for(2), mode=SubmissionMode.ATOMIC)
    async with SqlActivityRepository.open(f"sqlite:///{tmp_path / 'a.db'}") as store:
        await orchestrator_of(observed, service, store, settings=once).submit_bulk_registration(
            request, actor=ANNA
        )

    asked = [said_by(span) for span in observed.named("call")]
    assert {"method": "find_registrations", "items": 2} in asked
    assert {id_of(observed.the("run"))} == {parent_of(span) for span in observed.named("call")}
