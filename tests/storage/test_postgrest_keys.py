"""
The service's key: where it comes from, when it is renewed, and that nobody is told.
"""

from __future__ import annotations

import base64
import json
import logging
from datetime import timedelta
from typing import Any, Final

import anyio
import pytest

httpx = pytest.importorskip("httpx")

from fake_postgrest import ADDRESS, FakePostgrest, refusal  # noqa: E402 - after what may be missing

from proxy_orchestration import RepositoryUnavailableError  # noqa: E402 - as above
from proxy_orchestration.storage.postgrest import PostgrestActivityRecords  # noqa: E402 - as above
from proxy_orchestration.testing import FakeClock  # noqa: E402 - as above
from proxy_orchestration.testing.contracts.registration.samples import NOON  # noqa: E402 - as above

_ENDED: Final = refusal(401, "PGRST301")
_VARIABLES: Final = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")


def _token(name: str, **claims: object) -> str:
    told = base64.urlsafe_b64encode(json.dumps(claims | {"name": name}).encode()).rstrip(b"=").decode()
    return f"canary.{told}.signature"


def _ending(name: str, *, seconds: float) -> str:
    return _token(name, exp=(NOON + timedelta(seconds=seconds)).timestamp())


async def _ask(records: Any) -> None:
    await records.find_activities(["batch-1:mentor-1"])


def _sent(fake: FakePostgrest) -> list[str]:
    return [request.headers["apikey"] for request in fake.requests]


async def test_a_secret_key_goes_in_one_header_and_a_token_in_two() -> None:
    """
    A gateway refuses what is no token as a bearer.
    """
    for key, bearer in (("sb_secret_canary", None), (_token("a"), f"Bearer {_token('a')}")):
        fake = FakePostgrest()
        async with fake.records(key=key) as records:
            await _ask(records)

        assert [key] == _sent(fake)
        assert bearer == fake.requests[0].headers.get("authorization")


async def test_a_redirect_takes_the_key_nowhere() -> None:
    """
    Whatever the host's client does elsewhere: it would strip one of the two headers only.
    """
    moved = httpx.Response(308, headers={"location": "https://elsewhere.example/rest"})
    fake = FakePostgrest(scripted=[moved])
    transport = httpx.MockTransport(fake._answer)
    async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
        records = PostgrestActivityRecords(ADDRESS, client, key="sb_secret_canary")
        with pytest.raises(RepositoryUnavailableError, match="HTTP 308") as told:
            await _ask(records)

    assert ["abc.supabase.co"] == [request.url.host for request in fake.requests]
    assert told.value.nothing_written


@pytest.mark.parametrize(
    ("environment", "used"),
    [
        ({"SUPABASE_SECRET_KEY": "one"}, "one"),
        ({"SUPABASE_SERVICE_ROLE_KEY": " two\n"}, "two"),
        ({"SUPABASE_SECRET_KEY": "one", "SUPABASE_SERVICE_ROLE_KEY": "two"}, "one"),
        ({"SUPABASE_SECRET_KEY": " ", "SUPABASE_SERVICE_ROLE_KEY": "two"}, "two"),
    ],
)
async def test_without_a_key_the_environment_s_is_used(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], used: str
) -> None:
    """
    When it is needed, not when the records are opened.
    """
    fake = FakePostgrest()
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    async with fake.records(key=None) as records:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        await _ask(records)

    assert [used] == _sent(fake)


async def test_no_key_at_all_is_told_and_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    With the variable to set.
    """
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    fake = FakePostgrest()
    async with fake.records(key=None) as records:
        with pytest.raises(RepositoryUnavailableError, match="SUPABASE_SECRET_KEY") as told:
            await _ask(records)

    assert told.value.nothing_written
    assert [] == fake.requests


@pytest.mark.parametrize("odd", ["", "canary with spaces", "canary\r\nX-Evil: 1", "canary-ø", None, 5])
async def test_a_key_that_no_header_can_carry_is_told_and_not_shown(odd: Any) -> None:
    """
    Whatever the vault answered.
    """
    fake = FakePostgrest()
    async with fake.records(key=lambda: odd) as records:
        with pytest.raises(RepositoryUnavailableError, match="key is missing") as told:
            await _ask(records)

    assert "canary" not in repr(told.value)
    assert [] == fake.requests


async def test_a_token_is_renewed_before_its_end_and_not_earlier() -> None:
    """
    By the injected clock, from thirty seconds before; a function that has to be awaited will do.
    """
    clock = FakeClock(NOON)
    tokens = [_ending("first", seconds=100), _ending("second", seconds=1000)]
    asked = []

    async def vault() -> str:
        asked.append(clock.monotonic())
        return tokens[len(asked) - 1]

    fake = FakePostgrest()
    async with fake.records(key=vault, clock=clock) as records:
        for seconds in (0, 69, 1, 100):
            clock.advance(seconds)
            await _ask(records)

    assert [0, 70] == asked
    assert [tokens[0], tokens[0], tokens[1], tokens[1]] == _sent(fake)


async def test_of_many_calls_that_need_a_new_token_one_asks() -> None:
    """
    The others wait for it.
    """
    asked = []

    async def vault() -> str:
        asked.append(len(asked))
        await anyio.lowlevel.checkpoint()
        return "sb_secret_canary"

    fake = FakePostgrest()
    async with fake.records(key=vault) as records, anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(_ask, records)

    assert [0] == asked
    assert 5 == len(fake.requests)


async def test_a_refused_token_is_renewed_once_and_the_call_repeated() -> None:
    """
    It was definitely not executed; a second refusal is told.
    """
    keys = iter(["first", "second", "third"])
    fake = FakePostgrest(scripted=[_ENDED])
    async with fake.records(key=lambda: next(keys)) as records:
        await _ask(records)
        fake.scripted = [_ENDED, _ENDED]
        with pytest.raises(RepositoryUnavailableError, match="refused the key") as refused:
            await _ask(records)

    assert ["first", "second", "second", "third"] == _sent(fake)
    assert refused.value.nothing_written


async def test_a_refused_key_that_stays_the_same_is_not_sent_again() -> None:
    """
    A gateway that counts failures is not provoked.
    """
    fake = FakePostgrest(scripted=[httpx.Response(401, json={"message": "Invalid API key"})])
    async with fake.records() as records:
        with pytest.raises(RepositoryUnavailableError, match="refused the key"):
            await _ask(records)

    assert 1 == len(fake.requests)


async def test_a_vault_that_fails_leaves_the_old_token_until_it_is_refused() -> None:
    """
    PostgREST takes a token for some seconds after its end, and decides by itself.
    """
    clock = FakeClock(NOON)
    token = _ending("first", seconds=100)
    answers: list[Any] = [token]

    def vault() -> str:
        if answers:
            return answers.pop(0)
        message = "canary of the vault"
        raise OSError(message)

    fake = FakePostgrest()
    async with fake.records(key=vault, clock=clock) as records:
        await _ask(records)
        clock.advance(90)
        await _ask(records)
        fake.scripted = [_ENDED]
        with pytest.raises(RepositoryUnavailableError, match=r"could not be obtained \(OSError\)") as told:
            await _ask(records)

    assert [token] * 3 == _sent(fake)
    assert told.value.nothing_written
    assert told.value.__cause__ is None
    assert "canary" not in repr(told.value)


@pytest.mark.parametrize("refused", [False, True])
async def test_a_vault_that_does_not_answer_leaves_nothing_in_doubt(refused: bool) -> None:
    """
    Neither before the first call, nor after one that was refused for its key.
    """
    clock = FakeClock(NOON, moves_after=0)
    keys = ["first"] * refused

    async def vault() -> str:
        if not keys:
            await anyio.sleep_forever()
        return keys.pop()

    fake = FakePostgrest(scripted=[_ENDED])
    async with fake.records(key=vault, clock=clock) as records:
        with pytest.raises(RepositoryUnavailableError, match="was not returned in time") as told:
            await _ask(records)

    assert told.value.nothing_written
    assert told.value.__cause__ is None
    assert refused == len(fake.requests)


@pytest.mark.parametrize(
    "odd",
    [_token("a"), _token("a", exp="soon"), "a.b.c", "a.W10.c", "a.!!!.c", "a.b", "a.b.c.d"],
)
async def test_a_token_without_an_end_is_kept_until_it_is_refused(odd: str) -> None:
    """
    What is none is PostgREST's to refuse.
    """
    asked = []

    def vault() -> str:
        asked.append(odd)
        return odd

    fake = FakePostgrest()
    async with fake.records(key=vault) as records:
        await _ask(records)
        await _ask(records)

    assert [odd] == asked
    assert [odd, odd] == _sent(fake)


async def test_the_key_is_in_no_repr_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """
    Whatever happens to a call.
    """
    caplog.set_level(logging.DEBUG)
    key = _ending("canary", seconds=100)
    fake = FakePostgrest(
        scripted=[httpx.ReadError("broke"), _ENDED, refusal(500, "XX000"), httpx.Response(200)]
    )
    errors = []
    async with fake.records(key=key) as records:
        for _ in range(4):
            with pytest.raises(RepositoryUnavailableError) as error:
                await _ask(records)
            errors.append(repr(error.value))
        shown = f"{records!r} {records._calls!r} {records._calls.keys!r} {records._calls.keys._current!r}"

    assert "canary" not in " ".join([shown, *errors, caplog.text])
    assert key not in " ".join([shown, *errors, caplog.text])
