"""
What happens to the real PostgREST and its database, and what the records make of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import attrs
import pytest

pytest.importorskip("psycopg")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")

import psycopg

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    BulkStatus,
    ProxyActivity,
    ProxyRegistration,
    RegistrationReceipt,
    RepositoryUnavailableError,
    RetryPolicy,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.errors import SchemaVersionError
from proxy_orchestration.ports import RegistrationFailure
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.testing.contracts.registration.samples import activity_record

if TYPE_CHECKING:
    from postgres_server.databases import Databases
    from supabase_project import Project

pytestmark = pytest.mark.postgresql(asyncio_only=True)

_COORDINATOR: Final = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
_MENTORS: Final = tuple(f"mentor-{number:04}" for number in range(200))
_GATEWAY_S: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'supabase_gateway'"
    " AND datname = current_database()"
)


@contextmanager
def _raised(words: str, *, definite: bool) -> Iterator[None]:
    with pytest.raises(RepositoryUnavailableError, match=words) as told:
        yield
    assert definite == told.value.nothing_written


async def test_a_postgrest_that_is_away_has_taken_nothing(project: Project) -> None:
    """
    And takes the same call once it is back.
    """
    async with project.records() as records:
        await records.find_activities(["batch-1:mentor-1"])
        project.gateway.kill()
        try:
            with _raised("could not be reached", definite=True):
                await records.add_activities([activity_record(1)], atomic=False)
        finally:
            project.gateway.start()
        added = await records.add_activities([activity_record(1)], atomic=False)

    assert [activity_record(1)] == list(added)


@contextmanager
def _limited(project: Project, setting: str) -> Iterator[None]:
    """
    Give the function that writes another limit of time.
    """
    function = "ALTER FUNCTION add_activities(jsonb, boolean)"
    usual = {"lock_timeout": "10s", "statement_timeout": "20s"}[setting]
    project.execute(f"{function} SET {setting} = '200ms'")
    project.gateway.start()  # it sets the limit by itself, from what it knows since its start
    try:
        yield
    finally:
        project.execute(f"{function} SET {setting} = '{usual}'")
        project.gateway.start()


@pytest.mark.parametrize(("setting", "code"), [("statement_timeout", "57014"), ("lock_timeout", "55P03")])
async def test_a_function_that_takes_too_long_is_ended_by_its_own_limit(
    project: Project, setting: str, code: str
) -> None:
    """
    Behind a lock that somebody else holds; definite, since the database rolled it back.
    """
    with (
        _limited(project, setting),
        psycopg.connect(
            host=str(project.databases.socket_folder), user="tester", dbname=project.url.database
        ) as other,
    ):
        other.execute("LOCK TABLE activities")
        async with project.records() as records:
            with _raised(code, definite=True):
                await records.add_activities([activity_record(1)], atomic=False)
    assert [(0,)] == project.execute("SELECT count(*) FROM activities")


async def test_a_function_that_is_gone_is_told_with_what_to_do(project: Project) -> None:
    """
    Both while PostgREST still believes in it, and once it knows.
    """
    function = "ALTER FUNCTION {} RENAME TO {}"
    project.execute(function.format("void_activity(text, timestamptz)", "moved_elsewhere"))
    try:
        async with project.records() as records:
            with pytest.raises(SchemaVersionError, match="sql supabase") as told:
                await records.void_activity("activity-1", voided_at=datetime.now(UTC))
    finally:
        project.execute(
            function.format("moved_elsewhere(text, timestamptz)", "void_activity"),
            "NOTIFY pgrst, 'reload schema'",
        )

    assert told.value.nothing_written


async def test_a_token_that_ends_is_renewed_in_the_midst(project: Project) -> None:
    """
    PostgREST accepts one for half a minute after its end, and refuses it then.
    """
    from supabase_project import service_key  # noqa: PLC0415 - needs the driver

    keys = [service_key(seconds=-45), service_key(seconds=-45), service_key()]
    asked: list[str] = []

    def vault() -> str:
        asked.append(keys[min(len(asked), len(keys) - 1)])
        return asked[-1]

    async with project.records(lambda: keys[0]) as records:
        with _raised("refused the key", definite=True):
            await records.add_activities([activity_record(1)], atomic=False)
    keys[1] = service_key(seconds=3600)
    async with project.records(vault) as records:
        added = await records.add_activities([activity_record(1)], atomic=False)

    assert [activity_record(1)] == list(added)
    assert 2 == len(asked)


async def test_a_token_of_another_project_is_refused(project: Project) -> None:
    """
    Its signature is not this one's.
    """
    from postgrest import token  # noqa: PLC0415 - needs the driver

    stranger = token("another secret that is as long as the first one", role="service_role")
    async with project.records(stranger) as records:
        with _raised("refused the key", definite=True):
            await records.find_activities(["batch-1:mentor-1"])


@attrs.define(eq=False)
class StruckService:
    """
    The standard service, before whose calls something happens to PostgREST or its database.
    """

    standard: StandardRegistrationService
    project: Project
    calls: int = 0
    strikes: Counter[str] = attrs.field(factory=Counter)

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Register one.
        """
        return await self.standard.register(registration)

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Look one up.
        """
        return await self.standard.find_registration(registration_id)

    async def register_many(
        self, registrations: Sequence[ProxyRegistration], /, *, atomic: bool
    ) -> Sequence[RegistrationReceipt | RegistrationFailure]:
        """
        Register a page; of three calls one is struck before, one between writing and answering.
        """
        self.calls += 1
        kind = ("none", "before", "after")[self.calls % 3]
        self.strikes[kind] += 1
        if kind == "before":
            self.project.execute(_GATEWAY_S)
        answers = await self.standard.register_many(registrations, atomic=atomic)
        if kind == "after":
            self.project.gateway.start()  # kills it first
            raise OSError
        return answers


@pytest.mark.crash
@pytest.mark.parametrize("per_call", [50, 7])
async def test_a_batch_survives_every_restart_with_one_record_for_each_mentor(
    project: Project, postgresql: Databases, per_call: int
) -> None:
    """
    The ledger over SQL, the records over a PostgREST that is killed and cut off again and again.
    """
    activity = ProxyActivity(
        activity_type="visit", activity_date=datetime.now(UTC).date(), duration_minutes=30
    )
    settings = BulkSettings(
        max_per_call=per_call,
        max_concurrency=3,
        retry=RetryPolicy(max_attempts=30, initial=0.01, max_delay=0.1),
    )
    mentors = _MENTORS if per_call > 10 else _MENTORS[:105]
    async with project.records() as records, SqlActivityRepository.open(postgresql.emptied()) as ledger:
        service = StruckService(StandardRegistrationService(repository=records), project)
        orchestrator = BulkRegistrationOrchestrator(
            registration_service=service, repository=ledger, settings=settings
        )
        request = BulkRegistrationRequest.for_mentors(mentors, activity)
        result = await orchestrator.submit_bulk_registration(request, actor=_COORDINATOR)
        written = await records.activities_of_batch(result.batch_id)

    assert BulkStatus.SUCCESS is result.status, [one.failure for one in result.outcomes if one.failure]
    assert list(mentors) == [record.registration.mentor_id for record in written]
    assert min(service.strikes[kind] for kind in ("before", "after")) > 0
