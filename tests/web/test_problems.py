"""
Problems: one type for each error of the library, as the guide tells, and how errors reach the client.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
httpx = pytest.importorskip("httpx")

from fastapi import FastAPI, HTTPException  # noqa: E402 - after what may be missing
from web_host import BATCHES, Host, whole_host  # noqa: E402 - as above

import proxy_orchestration  # noqa: E402 - as above
from proxy_orchestration import (  # noqa: E402 - as above
    BatchLeasedError,
    MisconfiguredError,
    OrchestrationError,
    RegistrationUnavailable,
    RepositoryUnavailableError,
    StaleRunError,
    errors,
)
from proxy_orchestration.web.problems import KINDS, OWN_KINDS, kind_of, problem_of  # noqa: E402 - as above
from proxy_orchestration.web.router import create_router  # noqa: E402 - as above

pytestmark = pytest.mark.dateless

PAGE = Path(__file__).parents[2] / "docs" / "guide-web.md"


def _every_error() -> set[type[OrchestrationError]]:
    found = {getattr(errors, name) for name in errors.__all__}
    roots = (getattr(proxy_orchestration, name) for name in proxy_orchestration.__all__)
    return found | {each for each in roots if isinstance(each, type) and issubclass(each, OrchestrationError)}


def test_every_error_of_the_library_has_a_type_of_its_own() -> None:
    """
    A new one has to be given a status; no two share a type.
    """
    codes = [kind.code for kind in (*KINDS.values(), *OWN_KINDS)]

    assert _every_error() == set(KINDS)
    assert len(codes) == len(set(codes))


def test_the_guide_has_the_table_of_problems() -> None:
    """
    Status and title of each, and no other.
    """
    rows = re.findall(
        r"^\| `(\w+)` \| (\d{3}) \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    kinds = (*KINDS.values(), *OWN_KINDS)

    assert sorted((kind.code, str(kind.status), kind.title) for kind in kinds) == sorted(rows)


def test_a_hosts_own_error_is_the_problem_of_its_base() -> None:
    """
    Whatever code it has.
    """

    class MovedError(StaleRunError, error_code="moved"):
        pass

    assert "stale_run" == kind_of(MovedError("b-1", expected_run=1, current_run=2)).code


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RepositoryUnavailableError("Away.", advice="Wait."), 7),
        (RegistrationUnavailable(retry_after=2.4), 3),
        (RegistrationUnavailable(), 7),
        (BatchLeasedError("b-1", retry_after=11.5), 12),
        (StaleRunError("b-1", expected_run=1, current_run=2), None),
    ],
)
def test_what_will_pass_says_when_to_come_back(error: OrchestrationError, expected: int | None) -> None:
    """
    In whole seconds, never earlier than the error says.
    """
    assert expected == problem_of(error, retry_after=6.2).retry_after


async def _ask(app: FastAPI, **headers: str) -> Any:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://host", headers=headers) as client:
        return await client.get(BATCHES)


async def _in_a_group(error: Exception) -> None:
    async with anyio.create_task_group():
        raise error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (HTTPException(418, "a teapot"), (418, "application/json")),
        (StaleRunError("b-1", expected_run=1, current_run=2), (409, "application/problem+json")),
        (RuntimeError("secret"), (500, "text/plain; charset=utf-8")),
    ],
)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_error_out_of_a_task_group_reaches_the_client_as_itself(
    error: Exception, expected: tuple[int, str]
) -> None:
    """
    A host's own one as well, and no text of what nobody foresaw.
    """

    async def actor() -> None:
        await _in_a_group(error)

    app = FastAPI()
    app.include_router(Host(actor=actor).router())
    answer = await _ask(app)

    assert expected == (answer.status_code, answer.headers["content-type"])
    assert "secret" not in answer.text


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_several_errors_at_once_stay_a_group_of_the_hosts_own() -> None:
    """
    None of them hides another.
    """

    def actor() -> None:
        name = "two"
        raise ExceptionGroup(name, [StaleRunError("b-1", expected_run=1, current_run=2), ValueError()])

    app = FastAPI()
    app.include_router(Host(actor=actor).router())

    assert 500 == (await _ask(app)).status_code


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_dependency_that_returns_no_actor_is_the_hosts_mistake() -> None:
    """
    500, with a sentence that says what to return.
    """
    app = FastAPI()
    app.include_router(Host(actor=lambda: "anna").router())
    answer = await _ask(app)

    assert (500, "misconfigured") == (answer.status_code, answer.json()["code"])
    assert "It must return an Actor" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"orchestrator": object()}, "orchestrator"),
        ({"actor": None}, "actor"),
        ({"notifications": object()}, "notifications"),
        ({"dispatcher": object()}, "dispatcher"),
        ({"settings": {}}, "settings"),
    ],
)
def test_a_part_that_does_not_fit_is_refused_at_once(parts: dict[str, Any], named: str) -> None:
    """
    With what to give.
    """
    fitting = {"orchestrator": Host().orchestrator, "actor": lambda: None}
    given = fitting | parts

    with pytest.raises(MisconfiguredError) as raised:
        create_router(given.pop("orchestrator"), **given)

    assert named == raised.value.part


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_no_endpoint_answers_without_an_actor() -> None:
    """
    Each one asks the host first, whatever the request holds.
    """
    app = FastAPI()
    app.include_router(whole_host().router())
    asked = [
        (method.upper(), path.format(batch_id="b", notification_id="n", mentor_id="m"))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host") as client:
        answers = {path: (await client.request(method, path)).status_code for method, path in asked}

    assert len(asked) >= 20
    assert {401} == set(answers.values()), answers
