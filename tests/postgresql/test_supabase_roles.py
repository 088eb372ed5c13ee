"""
Who may call the functions of Supabase's side, and what they give away.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

pytest.importorskip("psycopg")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")
pytest.importorskip("typer")

import psycopg
from typer.testing import CliRunner

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    BulkSubmissionResult,
    ProxyActivity,
    RetryPolicy,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration._pseudonyms import pseudonym_of
from proxy_orchestration.access import Visibility
from proxy_orchestration.cli.app import app
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.errors import RecordRefusedError, RepositoryUnavailableError, SchemaVersionError
from proxy_orchestration.registration.records import CorrectionNote
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.storage.postgrest.wire import record_to_json
from proxy_orchestration.storage.sql import SqlActivityRepository, row_level_security, supabase_functions
from proxy_orchestration.testing.contracts.registration.samples import (
    COORDINATOR,
    activity_record,
    later,
)

if TYPE_CHECKING:
    from postgres_server.databases import Databases
    from supabase_project import Project

pytestmark = pytest.mark.postgresql(asyncio_only=True)

_CALLS: Final[dict[str, dict[str, Any]]] = {
    "add_activities": {"p_records": [record_to_json(activity_record(1))], "p_atomic": False},
    "find_activities": {"p_ids": ["batch-1:mentor-1"]},
    "find_duplicates": {"p_org": "org-1", "p_keys": ["key 1"]},
    "activities_of_batch": {"p_batch": "batch-1"},
    "void_activity": {"p_id": "activity-0", "p_at": later(1).isoformat()},
    "list_activities": {
        "p_org": "org-1", "p_coordinators": None, "p_mentors": None, "p_from": None, "p_through": None,
        "p_after_day": None, "p_after_moment": None, "p_after_id": None, "p_limit": 5,
    },
    "add_correction": {
        "p_org": "org-1",
        "p_coordinator": None,
        "p_note": {
            "activity_id": "activity-0", "note_id": "a", "text": "No.", "written_by": "x",
            "written_at": later(1).isoformat(),
        },
    },
}  # fmt: skip
_COORDINATOR: Final = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
_LONG: Final = "".join(pseudonym_of(str(number)) for number in range(2000))  # what cannot be made smaller
_INSTALLED: Final = (
    "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname IN ("
    "'add_activities', 'find_activities', 'find_duplicates', 'activities_of_batch', 'void_activity',"
    " 'list_activities', 'add_correction')"
)
_GRANTED: Final = (
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO anon, authenticated",
    "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM anon, authenticated",
)
_OWN_RULE: Final = (
    (
        "CREATE FUNCTION own_rule() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF new.attributed_to = 'mentor-7' THEN RAISE EXCEPTION 'canary' USING DETAIL = 'canary'; END IF;"
        " RETURN new; END $$"
    ),
    "CREATE TRIGGER own_rule BEFORE INSERT ON activities FOR EACH ROW EXECUTE FUNCTION own_rule()",
)
_OWN_RIGHT: Final = (
    _OWN_RULE[0].replace("EXCEPTION 'canary' USING", "insufficient_privilege USING MESSAGE = 'canary',"),
    _OWN_RULE[1],
)
_OWN_POLICY: Final = (
    "CREATE POLICY own ON activities AS RESTRICTIVE FOR INSERT WITH CHECK (attributed_to <> 'mentor-7')",
)
_NO_RULE: Final = (
    "DROP FUNCTION IF EXISTS own_rule CASCADE",
    "DROP POLICY IF EXISTS own ON activities",
)
_STATE: Final = "SELECT activity_id, voided_at::text, (SELECT count(*) FROM correction_notes) FROM activities"


def _person(name: str) -> dict[str, str]:
    from supabase_project import person_key  # noqa: PLC0415 - needs the driver

    if name == "anybody":
        return {}
    roles = {"mentor": ["peer_mentor"], "coordinator": ["coordinator"], "admin": ["chapter_admin"]}
    user_id = {"mentor": "mentor-1", "coordinator": "coordinator-1", "admin": "admin-1"}[name]
    return {"Authorization": f"Bearer {person_key(user_id, *roles[name])}"}


@pytest.mark.parametrize("granted", [False, True], ids=["as installed", "with the functions granted"])
@pytest.mark.parametrize("name", ["anybody", "mentor", "coordinator", "admin"])
async def test_nobody_but_the_service_registers_over_http(project: Project, name: str, granted: bool) -> None:
    """
    Not even where somebody granted the functions by mistake: the tables themselves are closed.
    """
    async with project.records() as records:
        await records.add_activities([activity_record(0, "mentor-0", "batch-0")], atomic=False)
    before = project.execute(_STATE)
    if granted:
        project.execute(_GRANTED[0])
    try:
        async with project.client() as client:
            answers = {
                function: await client.post(f"/rpc/{function}", json=arguments, headers=_person(name))
                for function, arguments in _CALLS.items()
            }
    finally:
        project.execute(_GRANTED[1])

    refused = {401 if name == "anybody" else 403}
    assert refused == {answer.status_code for answer in answers.values()}
    assert {"42501"} == {answer.json()["code"] for answer in answers.values()}
    assert before == project.execute(_STATE)


async def test_a_client_s_key_is_told_as_such(project: Project) -> None:
    """
    Whoever pasted the wrong one of the two keys reads which one to take.
    """
    from supabase_project import person_key  # noqa: PLC0415 - needs the driver

    async with project.records(person_key("coordinator-1", "coordinator")) as records:
        with pytest.raises(
            RepositoryUnavailableError, match=r"not allowed to do this[\s\S]+service's key"
        ) as told:
            await records.add_activities([activity_record(1)], atomic=False)

    assert told.value.nothing_written


async def test_a_refused_row_gives_nothing_of_itself_away(project: Project) -> None:
    """
    The service bypasses row-level security, and would be shown the row's values.
    """
    row = record_to_json(activity_record(1)) | {"notes": "canary", "attributed_to": COORDINATOR.user_id}
    odd = row | {"attributed_to": "mentor-1", "activity_date": "canary"}
    large = row | {"attributed_to": "mentor-1", "duplicate_key": "canary" + _LONG}
    note = _CALLS["add_correction"]["p_note"] | {"text": "canary", "written_at": "canary"}
    from supabase_project import service_key  # noqa: PLC0415 - needs the driver

    headers = {"Authorization": f"Bearer {service_key()}"}
    async with project.client() as client:
        answers = [
            await client.post(
                "/rpc/add_activities", json={"p_records": [each], "p_atomic": False}, headers=headers
            )
            for each in (row, odd, large)
        ]
        answers.append(
            await client.post(
                "/rpc/add_correction",
                json={"p_org": "org-1", "p_coordinator": None, "p_note": note},
                headers=headers,
            )
        )

    told = [answer.json() for answer in answers]
    assert {"record_refused"} == {each["hint"] for each in told}
    assert {"22", "23", "54"} == {each["code"][:2] for each in told}
    assert "canary" not in json.dumps(told)


async def test_what_was_erased_is_not_registered_again(project: Project) -> None:
    """
    Its registration finds the record that stands under a pseudonym, and its key is in the way.
    """
    record = activity_record(1, "mentor-ø", key="key ø")
    name = record.registration.registration_id
    async with project.records() as records, SqlActivityRepository.open(project.url) as repository:
        await records.add_activities([record], atomic=False)
        await repository.erase_mentor("org-1", "mentor-ø")
        (again,) = await records.add_activities([record], atomic=True)
        other = activity_record(2, "mentor-2", "batch-2", key="key ø")
        (conflicting,) = await records.add_activities([other], atomic=False)
        found = await records.find_duplicates("org-1", ["key ø"])

    assert ("activity-1", name) == (again.activity_id, again.registration.registration_id)
    assert "activity-1" == conflicting.activity_id == found["key ø"].activity_id


async def test_direct_sql_and_http_share_their_records(project: Project) -> None:
    """
    What one wrote, the other finds and does not write again.
    """
    first, second = activity_record(1, key="one"), activity_record(2, "mentor-2", key="two")
    async with project.records() as records, SqlActivityRepository.open(project.url) as repository:
        await records.add_activities([first], atomic=False)
        await repository.add_activities([second], atomic=False)
        answers = [
            list(await store.add_activities([first, second], atomic=True)) for store in (records, repository)
        ]

    assert [[first, second]] * 2 == answers


def test_to_run_the_script_again_changes_nothing(project: Project) -> None:
    """
    Functions and grants are what they were.
    """
    described = (
        "SELECT proname, prosrc, proconfig::text, proacl::text FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace ORDER BY proname"
    )
    before = project.execute(described)
    with psycopg.connect(
        host=str(project.databases.socket_folder), user="tester", dbname=project.url.database
    ) as connection:
        connection.execute(supabase_functions().encode())

    assert before == project.execute(described)
    assert [(7,)] == project.execute(_INSTALLED)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("DROP TABLE correction_notes", "tables of this library are missing"),
        ("ALTER ROLE service_role RENAME TO else_1; ALTER ROLE proxy_orchestration_service RENAME TO else_2",
         "role of the service is missing"),
    ],
)  # fmt: skip
def test_what_the_script_needs_is_told(project: Project, missing: str, words: str) -> None:
    """
    With the step that comes before; nothing is changed.
    """
    with (
        psycopg.connect(
            host=str(project.databases.socket_folder), user="tester", dbname=project.url.database
        ) as connection,
        suppress(psycopg.Rollback),
        connection.transaction(force_rollback=True),
    ):
        connection.execute(missing.encode())
        with pytest.raises(psycopg.Error, match=words):
            connection.execute(supabase_functions().encode())


async def test_functions_in_a_schema_and_under_a_prefix(postgresql: Databases) -> None:
    """
    Where PostgREST exposes that schema beside others.
    """
    from postgrest import GatewayFailedError, running_gateway  # noqa: PLC0415 - needs the driver
    from supabase_project import Project, gateway_address, prepare  # noqa: PLC0415 - as above

    url = postgresql.empty()
    prepare(postgresql, url, schema="bulk", prefix="own_")
    settings = {
        "db_uri": gateway_address(postgresql, url),
        "db_schemas": "public,bulk",
        "db_anon_role": "anon",
    }
    try:
        with running_gateway(**settings) as gateway:
            project = Project(databases=postgresql, url=url, gateway=gateway)
            async with project.records(schema="bulk", prefix="own_") as records:
                added = await records.add_activities([activity_record(1)], atomic=True)
                found = await records.find_activities(["batch-1:mentor-1"])
            async with project.records() as elsewhere:
                with pytest.raises(SchemaVersionError):
                    await elsewhere.find_activities(["batch-1:mentor-1"])
    except GatewayFailedError as error:
        pytest.skip(str(error))

    assert list(added) == list(found) == [activity_record(1)]
    assert [(1,)] == postgresql.execute(url.database, "SELECT count(*) FROM bulk.own_activities")


def test_the_command_line_sets_a_database_up(postgresql: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    From nothing, and again without a change.
    """
    url = postgresql.empty()
    monkeypatch.setenv("PROXY_ORCHESTRATION_DB", url.render_as_string(hide_password=False))
    for _ in range(2):
        ended = CliRunner().invoke(app, ["sql", "supabase", "--apply"], catch_exceptions=False)
        assert (ExitCode.SUCCESS, "") == (ended.exit_code, ended.stderr)
        assert "is set up" in ended.stdout

    assert [(7,)] == postgresql.execute(url.database, _INSTALLED)
    assert [(True,)] == postgresql.execute(
        url.database, "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'activities'"
    )


def test_what_is_printed_runs_as_it_is(postgresql: Databases) -> None:
    """
    In an SQL editor, as the owner, after the tables were made.
    """
    url = postgresql.new()
    printed = CliRunner().invoke(app, ["sql", "supabase"], catch_exceptions=False).stdout
    with psycopg.connect(
        host=str(postgresql.socket_folder), user="tester", dbname=url.database, autocommit=True
    ) as connection:
        connection.execute(printed.encode())

    assert [(7,)] == postgresql.execute(url.database, _INSTALLED)


async def test_a_record_too_large_for_an_index_is_refused_alone(project: Project) -> None:
    """
    Class 54, told as a refusal of its call.
    """
    good, large = activity_record(1, key="a"), activity_record(2, "mentor-2", key=_LONG)
    async with project.records() as records:
        with pytest.raises(RecordRefusedError):
            await records.add_activities([good, large], atomic=False)
        assert [] == list(await records.activities_of_batch("batch-1"))
        assert [good] == list(await records.add_activities([good], atomic=False))


async def _submit_to_twenty(project: Project, key: str | None = None) -> BulkSubmissionResult:
    """
    Submit for `mentor-0` to `mentor-19`, over HTTP with that key.
    """
    day = datetime.now(UTC).date()
    activity = ProxyActivity(activity_type="visit", activity_date=day, duration_minutes=30)
    request = BulkRegistrationRequest.for_mentors([f"mentor-{number}" for number in range(20)], activity)
    async with project.records(key) as records:
        orchestrator = BulkRegistrationOrchestrator(
            registration_service=StandardRegistrationService(repository=records),
            repository=MemoryActivityRepository(),
            settings=BulkSettings(retry=RetryPolicy(initial=0.0)),
        )
        return await orchestrator.submit_bulk_registration(request, actor=_COORDINATOR)


def _own_service(project: Project) -> str:
    """
    Return a key of the service's role that does not bypass row-level security.
    """
    from postgrest import token  # noqa: PLC0415 - needs the driver
    from supabase_project import GATEWAY  # noqa: PLC0415 - as above

    project.execute(f"GRANT proxy_orchestration_service TO {GATEWAY}")
    return token(role="proxy_orchestration_service", exp=int(time.time() + 3600))


@pytest.mark.parametrize(
    ("rule", "own_role"),
    [(_OWN_RULE, False), (_OWN_RIGHT, False), (_OWN_POLICY, True)],
    ids=["a trigger that says no more", "a trigger that names a right", "a policy"],
)
async def test_a_row_that_a_rule_of_the_host_s_refuses_takes_no_other_along(
    project: Project, rule: tuple[str, ...], own_role: bool
) -> None:
    """
    The row's call is halved until it stands alone; nothing of it is told.
    """
    key = _own_service(project) if own_role else None
    project.execute(*rule)
    try:
        result = await _submit_to_twenty(project, key)
    finally:
        project.execute(*_NO_RULE)

    (failed,) = result.failed
    assert failed.failure is not None
    assert (19, "mentor-7") == (len(result.succeeded), failed.mentor_id)
    assert "record_refused" == failed.failure.code
    assert "canary" not in str(failed)
    assert [(19,)] == project.execute("SELECT count(*) FROM activities")


async def test_a_note_that_a_policy_refuses_is_a_refused_record(project: Project) -> None:
    """
    As a row is; the next one is taken.
    """
    key = _own_service(project)
    notes = [
        CorrectionNote(activity_id="activity-1", note_id=name, text=name, written_by="x", written_at=later(1))
        for name in ("canary", "other")
    ]
    project.execute(
        "CREATE POLICY own ON correction_notes AS RESTRICTIVE FOR INSERT WITH CHECK (text <> 'canary')"
    )
    try:
        async with project.records(key) as records:
            await records.add_activities([activity_record(1)], atomic=False)
            with pytest.raises(RecordRefusedError):
                await records.add_correction(Visibility(organization_id="org-1"), notes[0])
            assert notes[1] == await records.add_correction(Visibility(organization_id="org-1"), notes[1])
    finally:
        project.execute("DROP POLICY own ON correction_notes")


async def test_a_service_without_the_right_to_write_has_no_refused_rows(project: Project) -> None:
    """
    The same code from the database, and no row's fault: whoever runs it reads what to do.
    """
    project.execute("REVOKE INSERT ON activities FROM service_role")
    try:
        async with project.records() as records:
            with pytest.raises(
                RepositoryUnavailableError, match=r"not allowed to do this[\s\S]+SQL scripts"
            ) as told:
                await records.add_activities([activity_record(1)], atomic=False)
    finally:
        project.execute("GRANT INSERT ON activities TO service_role")

    assert told.value.nothing_written


async def test_a_person_s_key_has_no_refused_rows_whatever_was_granted(project: Project) -> None:
    """
    Else the wrong key would be told as two hundred records to correct.
    """
    from supabase_project import person_key  # noqa: PLC0415 - needs the driver

    project.execute(_GRANTED[0], "GRANT SELECT, INSERT ON activities TO authenticated")
    try:
        async with project.records(person_key("somebody", "coordinator")) as records:
            with pytest.raises(RepositoryUnavailableError, match="service's key"):
                await records.add_activities([activity_record(1)], atomic=False)
    finally:
        project.execute(_GRANTED[1])
        with psycopg.connect(
            host=str(project.databases.socket_folder), user="tester", dbname=project.url.database
        ) as connection:
            connection.execute(row_level_security().encode())
