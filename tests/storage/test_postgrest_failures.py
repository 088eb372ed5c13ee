"""
What the records over PostgREST make of each failure: definite, or in doubt, and never a guess.
"""

from __future__ import annotations

from typing import Any, Final

import anyio
import pytest

httpx = pytest.importorskip("httpx")

from fake_postgrest import FakePostgrest, refusal  # noqa: E402 - after what may be missing

from proxy_orchestration import (  # noqa: E402 - as above
    OutcomeUnknownError,
    ProxyRegistration,
    RegistrationRejected,
    RegistrationUnavailable,
    RepositoryUnavailableError,
    StandardRegistrationService,
)
from proxy_orchestration.errors import RecordRefusedError, SchemaVersionError  # noqa: E402 - as above
from proxy_orchestration.storage.postgrest import PostgrestSettings  # noqa: E402 - as above
from proxy_orchestration.storage.postgrest.answers import seconds_of  # noqa: E402 - as above
from proxy_orchestration.testing import FakeClock  # noqa: E402 - as above
from proxy_orchestration.testing.contracts.registration import samples  # noqa: E402 - as above

_RECORD: Final = samples.activity_record(1)
_GATEWAY: Final = {"message": "no upstream"}

DEFINITE: Final = {
    "PGRST000": refusal(503, "PGRST000", retry_after="4"),
    "PGRST002": refusal(503, "PGRST002"),
    "PGRST003": refusal(504, "PGRST003"),
    "a deadlock": refusal(500, "40P01"),
    "the statement's own limit of time": refusal(500, "57014"),
    "a lock that is held": refusal(500, "55P03"),
    "too many connections": refusal(503, "53300"),
    "a full disk": refusal(503, "53100"),
    "a server that starts": refusal(503, "57P03"),
    "a role without the right": refusal(403, "42501"),
    "a role without the right, by another status": refusal(401, "42501"),
    "a role that is unknown": refusal(400, "22023"),
    "a row that is refused by somebody else's trigger": refusal(400, "23514"),
    "a trigger elsewhere that says no more": refusal(400, "P0001"),
    "a serializable transaction": refusal(500, "40001"),
    "a token that ended": refusal(401, "PGRST301"),
    "a code of a newer PostgREST": refusal(400, "PGRST999"),
    "a gateway that knows no key": httpx.Response(401, json={"message": "Invalid API key"}),
    "a gateway that forbids": httpx.Response(403, text="no"),
    "a wrong path": httpx.Response(404, json=_GATEWAY),
    "another server's page": httpx.Response(405, text="<html>"),
    "a redirect": httpx.Response(301, headers={"location": "https://elsewhere"}),
    "too many calls": httpx.Response(429, headers={"retry-after": "7"}),
}
UNKNOWN_FUNCTION: Final = {
    "a stale cache": refusal(404, "PGRST202"),
    "an ambiguous function": refusal(300, "PGRST203"),
    "a schema that is not exposed": refusal(406, "PGRST106"),
    "a dropped function": refusal(404, "42883"),
    "a dropped table": refusal(404, "42P01"),
    "a column that is not there": refusal(400, "42703"),
}
IN_DOUBT: Final = {
    "PGRST001": refusal(503, "PGRST001"),
    "a server that was stopped": refusal(503, "57P01"),
    "a server that crashed": refusal(503, "57P02"),
    "a connection that broke": refusal(503, "08006"),
    "a pooler that broke off": refusal(503, "08P01"),
    "an error of the disk": refusal(500, "58030"),
    "an error of the server's own": refusal(500, "XX000"),
    "a newer PostgREST's failure": refusal(500, "PGRST998"),
    "a gateway without an answer": httpx.Response(502, text="<html>"),
    "a gateway that waited": httpx.Response(504, json=_GATEWAY),
    "a gateway that is away": httpx.Response(503, json=_GATEWAY),
    "an edge that waited": httpx.Response(524),
    "a request that took too long": httpx.Response(408),
    "a gateway's own code that looks like a database's": httpx.Response(500, json={"code": "40P01"}),
    "created, which no function answers": httpx.Response(201, json={"version": 1}),
    "an empty answer": httpx.Response(200),
    "an answer that is cut": httpx.Response(200, content=b'{"version": 1, "asked": 1, "stan'),
    "an answer that is no object": httpx.Response(200, json=[1]),
    "an answer without its version": httpx.Response(200, json={"asked": 1, "standing": {}}),
    "no reply": httpx.ReadError("canary of a row"),
    "no reply in time": httpx.ReadTimeout("canary of a row"),
    "a broken protocol": httpx.RemoteProtocolError("canary of a row"),
    "a body that was not taken": httpx.WriteError("canary of a row"),
}
NEVER_SENT: Final = {
    "no connection": httpx.ConnectError("canary of a row"),
    "no connection in time": httpx.ConnectTimeout("canary of a row"),
    "no free connection": httpx.PoolTimeout("canary of a row"),
    "another protocol": httpx.UnsupportedProtocol("canary of a row"),
}
REFUSED: Final = {
    "a value": refusal(400, "22P05", hint="record_refused"),
    "a rule": refusal(400, "23514", hint="record_refused"),
    "an id of another record": refusal(409, "23505", hint="record_refused"),
    "a key too long for its index": refusal(500, "54000", hint="record_refused"),
    "a rule of a trigger of the host's": refusal(400, "P0001", hint="record_refused"),
    "a policy of the host's": refusal(403, "42501", hint="record_refused"),
    "a body that is too large": httpx.Response(413, text="<html>"),
}


async def _error(answer: Any, *, times: int = 1) -> Exception:
    fake = FakePostgrest(scripted=[answer] * times)
    async with fake.records() as records:
        with pytest.raises((RepositoryUnavailableError, RecordRefusedError)) as failed:
            await records.add_activities([_RECORD], atomic=False)
    assert "canary" not in f"{failed.value!r} {failed.value}"
    assert failed.value.__cause__ is None
    return failed.value


@pytest.mark.parametrize("answer", [*DEFINITE.values(), *NEVER_SENT.values()], ids=[*DEFINITE, *NEVER_SENT])
async def test_a_call_that_was_not_executed_says_so(answer: Any) -> None:
    """
    Then it may be repeated at once, under any key.
    """
    error = await _error(answer)

    assert isinstance(error, RepositoryUnavailableError)
    assert error.nothing_written
    assert error.advice


@pytest.mark.parametrize("answer", UNKNOWN_FUNCTION.values(), ids=list(UNKNOWN_FUNCTION))
async def test_a_function_that_is_missing_is_told_with_what_to_do(answer: Any) -> None:
    """
    Install it, or let PostgREST look again.
    """
    error = await _error(answer)

    assert isinstance(error, SchemaVersionError)
    assert error.nothing_written
    assert "sql supabase" in str(error)
    assert "NOTIFY pgrst" in str(error)


@pytest.mark.parametrize("answer", IN_DOUBT.values(), ids=list(IN_DOUBT))
async def test_a_call_whose_answer_is_not_known_is_in_doubt(answer: Any) -> None:
    """
    It may have written, or may write yet.
    """
    error = await _error(answer)

    assert isinstance(error, RepositoryUnavailableError)
    assert not error.nothing_written


@pytest.mark.parametrize("answer", REFUSED.values(), ids=list(REFUSED))
async def test_a_refused_record_is_told_as_such(answer: Any) -> None:
    """
    Nothing of the call was written; a driver halves it and finds the one.
    """
    assert isinstance(await _error(answer), RecordRefusedError)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (refusal(503, "PGRST000", retry_after="1"), 1.0),
        (refusal(503, "PGRST000", retry_after="64"), 2.0),
        (refusal(503, "PGRST000", retry_after="soon"), 0.0),
        (httpx.Response(429, headers={"retry-after": "64"}), 64.0),
        (httpx.Response(429), None),
    ],
)
async def test_a_wait_that_is_asked_for_is_kept_within_bounds(asked: Any, kept: float | None) -> None:
    """
    PostgREST asks for ever longer ones although its database may be back; a gateway means it.
    """
    error = await _error(asked)

    assert isinstance(error, RepositoryUnavailableError)
    assert kept == error.retry_after


@pytest.mark.parametrize("odd", [None, "", "soon", "-1", "inf", "nan"])
def test_a_wait_that_is_no_number_is_none(odd: str | None) -> None:
    """
    Dates among them, which no PostgREST sends.
    """
    assert seconds_of(odd) is None


async def test_a_call_that_takes_too_long_is_cut_and_in_doubt() -> None:
    """
    By the injected clock; its statement goes on in the database.
    """
    clock = FakeClock(samples.NOON, moves_after=0)

    async def never(_request: Any) -> Any:
        await anyio.sleep_forever()

    fake = FakePostgrest(scripted=[never])
    async with fake.records(clock=clock, settings=PostgrestSettings(call_timeout=5.0)) as records:
        with pytest.raises(RepositoryUnavailableError, match="too long") as doubt:
            await records.add_activities([_RECORD], atomic=False)

    assert not doubt.value.nothing_written
    assert 5.0 == clock.monotonic()


async def test_an_address_at_which_nobody_answers_ends_before_the_call_is_cut() -> None:
    """
    Then it is known that nothing was sent; a call that was sent has all its time.
    """
    fake = FakePostgrest()
    async with fake.records(settings=PostgrestSettings(call_timeout=8.0)) as records:
        await records.find_activities(["batch-1:mentor-1"])

    (request,) = fake.requests
    assert {"connect": 4.0, "read": None, "write": None, "pool": None} == request.extensions["timeout"]


def _registration() -> ProxyRegistration:
    return _RECORD.registration


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (DEFINITE["a deadlock"], RegistrationUnavailable),
        (UNKNOWN_FUNCTION["a stale cache"], RegistrationUnavailable),
        (NEVER_SENT["no connection"], RegistrationUnavailable),
        (IN_DOUBT["PGRST001"], OutcomeUnknownError),
        (IN_DOUBT["an answer that is cut"], OutcomeUnknownError),
        (REFUSED["a rule"], RegistrationRejected),
    ],
)
async def test_the_standard_service_raises_what_the_failure_means(
    answer: Any, raised: type[Exception]
) -> None:
    """
    What a driver acts on: another attempt, a look-up, or an outcome.
    """
    fake = FakePostgrest(scripted=[answer])
    async with fake.records() as records:
        service = StandardRegistrationService(repository=records, clock=FakeClock(samples.NOON))
        with pytest.raises(raised):
            await service.register(_registration())


async def test_what_a_full_database_asks_for_reaches_the_driver() -> None:
    """
    The seconds to wait, within bounds.
    """
    fake = FakePostgrest(scripted=[refusal(503, "PGRST000", retry_after="1")])
    async with fake.records() as records:
        service = StandardRegistrationService(repository=records, clock=FakeClock(samples.NOON))
        with pytest.raises(RegistrationUnavailable) as unavailable:
            await service.register(_registration())

    assert 1.0 == unavailable.value.retry_after
