"""
The records over PostgREST, without one: what they send, what they make of answers, and how they are called.
"""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

pytest.importorskip("httpx")

import httpx
from fake_postgrest import ADDRESS, FakePostgrest

from proxy_orchestration import (
    InvalidValueError,
    MisconfiguredError,
    RepositoryUnavailableError,
    StandardRegistrationService,
)
from proxy_orchestration._pseudonyms import pseudonym_of
from proxy_orchestration.access import Visibility
from proxy_orchestration.errors import RecordRefusedError, SchemaVersionError
from proxy_orchestration.registration.erasure import as_asked
from proxy_orchestration.registration.records import CorrectionNote, RecordFilter
from proxy_orchestration.storage.postgrest import PostgrestActivityRecords, PostgrestSettings
from proxy_orchestration.storage.postgrest.settings import rest_address
from proxy_orchestration.storage.postgrest.wire import record_to_json
from proxy_orchestration.testing.contracts import (
    activity_records,
    bulk_registration,
    conflict_check,
    registration_lookup,
    registration_service,
)
from proxy_orchestration.testing.contracts.registration.samples import activity_record, later


def _answer(**parts: Any) -> httpx.Response:
    return httpx.Response(200, json={"version": 1, **parts})


@pytest.mark.parametrize("check", activity_records, ids=str)
async def test_records_keep_their_contract(check: Any) -> None:
    """
    Over functions that do what the real ones do.
    """
    await check(FakePostgrest().records)


@pytest.mark.parametrize(
    "check", [*registration_service, *registration_lookup, *bulk_registration, *conflict_check], ids=str
)
async def test_the_standard_service_keeps_its_contracts(check: Any) -> None:
    """
    One by one, many at once, looked up, and with conflicts told beforehand.
    """
    async with FakePostgrest().records() as records:
        service = StandardRegistrationService(repository=records)

        class Open:
            async def __aenter__(self) -> StandardRegistrationService:
                return service

            async def __aexit__(self, *_: object) -> None:
                return None

        await check(Open)


@pytest.mark.parametrize(
    ("given", "called"),
    [
        ("https://abc.supabase.co", "https://abc.supabase.co/rest/v1"),
        ("https://abc.supabase.co/", "https://abc.supabase.co/rest/v1"),
        ("https://abc.supabase.co/rest/v1/", "https://abc.supabase.co/rest/v1"),
        ("http://postgrest:3000", "http://postgrest:3000"),
        ("http://gateway/some/path/", "http://gateway/some/path"),
    ],
)
def test_a_project_s_address_leads_to_its_postgrest(given: str, called: str) -> None:
    """
    As the settings page shows it; any other is taken as it is.
    """
    assert called == rest_address(given)


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "abc.supabase.co",
        "postgresql://host/db",
        "https://",
        "https://u:p@host",
        "https://h/?k=v",
        "http://[::",
        b"https://abc.supabase.co",
        None,
    ],
)
def test_an_address_that_is_none_is_refused(odd: str) -> None:
    """
    Without showing what may be a password.
    """
    with pytest.raises(InvalidValueError, match=r"https://abc\.supabase\.co") as refused:
        rest_address(odd)

    assert "u:p" not in str(refused.value)


@pytest.mark.parametrize("odd", [{"prefix": "A"}, {"prefix": "x" * 21}, {"schema": ""}, {"schema": "a b"}])
def test_names_that_are_none_are_refused(odd: dict[str, Any]) -> None:
    """
    They become part of an address and of a header.
    """
    with pytest.raises(InvalidValueError, match="PostgrestSettings"):
        PostgrestSettings(**odd)


async def test_a_part_that_does_not_fit_is_refused() -> None:
    """
    When it is given, and not at the first call.
    """
    with pytest.raises(MisconfiguredError, match="client"):
        PostgrestActivityRecords(ADDRESS, httpx.Client)  # type: ignore[arg-type]  # on purpose


async def test_schema_and_prefix_are_sent() -> None:
    """
    The one as a header, the other as the beginning of the function's name.
    """
    fake = FakePostgrest(scripted=[_answer(records=[])])
    settings = PostgrestSettings(schema="bulk", prefix="own_")
    async with fake.records(settings=settings) as records:
        await records.find_activities(["batch-1:mentor-1"])
    (request,) = fake.requests

    assert f"{ADDRESS}/rest/v1/rpc/own_find_activities" == str(request.url)
    assert "bulk" == request.headers["content-profile"]


async def test_nothing_is_asked_for_nothing() -> None:
    """
    No call for no records, no ids and no keys.
    """
    fake = FakePostgrest()
    async with fake.records() as records:
        answers = [
            await records.add_activities([], atomic=True),
            await records.find_activities([]),
            dict(await records.find_duplicates("org-1", ["half \ud800"])),
        ]

    assert [(), (), {}] == answers
    assert [] == fake.requests


@pytest.mark.parametrize("odd", ["half \ud800", "nul \0"])
@pytest.mark.parametrize(
    "name", ["registration_id", "idempotency_key", "batch_id", "mentor_id", "override_of"]
)
async def test_an_id_that_no_database_keeps_is_refused_before_it_is_sent(name: str, odd: str) -> None:
    """
    As over SQL; neither an encoder's error, which holds the whole call, nor a failure of the page.
    """
    record = activity_record(1)
    record = attrs.evolve(record, registration=attrs.evolve(record.registration, **{name: odd}))
    fake = FakePostgrest()
    async with fake.records() as records:
        with pytest.raises(RecordRefusedError):
            await records.add_activities([activity_record(2), record], atomic=False)

    assert [] == fake.requests


async def test_a_person_who_may_see_only_the_own_and_asks_for_another_s_sees_nothing() -> None:
    """
    Two people are nobody.
    """
    fake = FakePostgrest()
    visibility = Visibility(organization_id="org-1", coordinator_id="coordinator-1")
    async with fake.records() as records:
        await records.add_activities([activity_record(1)], atomic=False)
        found_by = RecordFilter(coordinator_id="coordinator-2")
        page = await records.list_activities(visibility, limit=5, found_by=found_by)

    assert () == page.records
    assert [] == json.loads(fake.requests[-1].content)["p_coordinators"]


async def test_what_is_erased_is_answered_under_the_id_that_was_asked_for() -> None:
    """
    A record under pseudonyms stands for its registration all the same.
    """
    record = activity_record(1, key="key 1")
    name = record.registration.registration_id
    erased = attrs.evolve(as_asked(record, pseudonym_of(name)), duplicate_key=pseudonym_of("key 1"))
    row = record_to_json(erased)
    fake = FakePostgrest(
        scripted=[_answer(records=[row]), _answer(records=[row]), _answer(asked=1, standing={"1": row})]
    )
    async with fake.records() as records:
        (found,) = await records.find_activities([name])
        duplicates = await records.find_duplicates("org-1", ["key 1"])
        (added,) = await records.add_activities([record], atomic=False)

    assert [name, name] == [one.registration.registration_id for one in (found, added)]
    assert ["key 1"] == list(duplicates)


async def test_of_several_in_the_way_the_one_that_is_no_override_counts() -> None:
    """
    In whichever order they are answered.
    """
    plain, over = (
        activity_record(1, key="k"),
        activity_record(2, "mentor-2", key="k", override_of="activity-1"),
    )
    rows = [record_to_json(plain), record_to_json(over)]
    found = []
    for order in (rows, rows[::-1]):
        fake = FakePostgrest(scripted=[_answer(records=order)])
        async with fake.records() as records:
            found.append((await records.find_duplicates("org-1", ["k"]))["k"].activity_id)

    assert ["activity-1", "activity-1"] == found


_ROW: dict[str, Any] = record_to_json(activity_record(1))
_NOTE: dict[str, Any] = {
    "note_id": "a",
    "activity_id": "activity-1",
    "text": "canary",
    "written_by": "coordinator-1",
    "written_at": "2026-03-04T12:00:00+00:00",
}


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"asked": 1},
        {"standing": {}},
        {"asked": 2, "standing": {}},
        {"asked": 0, "standing": {}},
        {"asked": 1, "standing": []},
        {"asked": 1, "standing": {"1": {}}},
        {"asked": 1, "standing": {"1": "activity-1"}},
        {"asked": 1, "standing": {"1": _ROW | {"registered_by_roles": None}}},
        *({"asked": 1, "standing": {"1": {k: v for k, v in _ROW.items() if k != name}}} for name in _ROW),
        *(
            {"asked": 1, "standing": {"1": _ROW | {name: odd}}}
            for name, odd in {
                "activity_date": "someday",
                "recorded_at": 5,
                "details": "{",
                "duration_minutes": "60",
                "registered_by_roles": "emperor",
                "activity_id": 7,
                "notes": None,
            }.items()
        ),
    ],
)
async def test_an_answer_that_is_not_about_what_was_sent_is_in_doubt(broken: dict[str, Any]) -> None:
    """
    Too short, of another shape, or with what is no record; never taken as done, never shown.
    """
    fake = FakePostgrest(scripted=[_answer(**broken)])
    async with fake.records() as records:
        with pytest.raises(RepositoryUnavailableError, match="is unknown") as doubt:
            await records.add_activities([activity_record(1)], atomic=False)

    assert not doubt.value.nothing_written
    assert doubt.value.__cause__ is None
    assert doubt.value.__suppress_context__ or doubt.value.__context__ is None


@pytest.mark.parametrize(
    ("verb", "broken"),
    [
        ("find", {"records": {}}),
        ("find", {"found": []}),
        ("list", {"records": [5]}),
        ("list", {"records": [{"record": _ROW}]}),
        ("list", {"records": [{"record": _ROW, "corrections": [{}]}]}),
        ("note", {}),
        ("note", {"note": {}}),
        ("note", {"note": _NOTE | {"written_at": "noon"}}),
        ("void", {}),
    ],
)
async def test_other_answers_of_another_shape_are_no_answers(verb: str, broken: dict[str, Any]) -> None:
    """
    Of every function.
    """
    fake = FakePostgrest(scripted=[_answer(**broken)])
    visibility = Visibility(organization_id="org-1")
    note = CorrectionNote(
        note_id="a", activity_id="activity-1", text="No.", written_by="coordinator-1", written_at=later(1)
    )
    async with fake.records() as records:
        calls = {
            "find": lambda: records.find_activities(["batch-1:mentor-1"]),
            "list": lambda: records.list_activities(visibility, limit=1, found_by=RecordFilter()),
            "note": lambda: records.add_correction(visibility, note),
            "void": lambda: records.void_activity("activity-1", voided_at=later(1)),
        }
        with pytest.raises(RepositoryUnavailableError, match="is unknown"):
            await calls[verb]()


async def test_functions_of_another_version_are_told_as_such() -> None:
    """
    Whether they wrote is not known, since their answer is not understood.
    """
    fake = FakePostgrest(scripted=[httpx.Response(200, json={"version": 2, "asked": 1, "standing": {}})])
    async with fake.records() as records:
        with pytest.raises(SchemaVersionError, match=r"version 2[\s\S]+sql supabase") as told:
            await records.add_activities([activity_record(1)], atomic=False)

    assert not told.value.nothing_written
