"""
The OpenAPI document: examples, every status, and what a fuzzer finds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
httpx = pytest.importorskip("httpx")
schemathesis = pytest.importorskip("schemathesis")

from hypothesis import HealthCheck, settings  # noqa: E402 - after what may be missing
from live_server import LONGEST, live  # noqa: E402 - as above
from web_host import ORGANIZATION, Coordinator, whole_host  # noqa: E402 - as above

pytestmark = pytest.mark.dateless

HOST = whole_host()
DOCUMENT = HOST.app.openapi()
SIGNED_IN = {"X-User": "coord-1", "X-Org": ORGANIZATION, "X-Roles": "coordinator,chapter_admin"}


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_operation_tells_its_problems_with_examples() -> None:
    """
    422 and 503 of all that ask a store, 404 of whatever is about one batch; what it is, in a sentence.
    """
    for path, method, operation in _operations():
        if path == "/health/ready":
            continue
        answers = operation["responses"]
        assert {"401", "422", "503"} <= set(answers), (method, path)
        assert "{batch_id}" not in path or "404" in answers, (method, path)
        assert operation["description"]
        assert operation["operationId"]
        for status, answer in answers.items():
            if int(status) >= 400 and status != "401":  # that one is the host's own
                told = answer["content"]["application/problem+json"]
                assert told["schema"]["title"] == "Problem"
                assert all(each["value"]["status"] == int(status) for each in told["examples"].values())


def test_every_body_has_an_example_and_refuses_what_it_does_not_know() -> None:
    """
    So that a client's author can paste one.
    """
    models = DOCUMENT["components"]["schemas"]
    bodies = {"NewBatch", "BatchChange", "Retry", "Decisions", "NewAcknowledgement", "VisibilityRestoration"}

    assert bodies <= {name for name, schema in models.items() if schema.get("examples")}
    assert all(models[name]["additionalProperties"] is False for name in bodies)
    assert models["Batch"]["examples"]


def test_no_two_operations_share_an_id() -> None:
    """
    Clients are generated from them.
    """
    ids = [operation["operationId"] for _, _, operation in _operations()]

    assert len(ids) == len(set(ids))


@pytest.fixture(scope="module")
def known() -> Iterator[tuple[str, list[str]]]:
    """
    Where the host answers, and batches that are there, in every state that a settled one has.
    """
    with live(HOST.app) as url, httpx.Client(base_url=url, headers=SIGNED_IN) as client:
        client.post("/night").raise_for_status()
        who = Coordinator(client)
        names = ("mentor-1", "refused-1", "taken-1")
        yield url, [who.registered(*names[: number % 3 + 1])["batch_id"] for number in range(12)]


SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = schemathesis.checks
_numbers = itertools.count()


@SCHEMA.parametrize()
@settings(
    max_examples=8, derandomize=True, deadline=None, database=None, suppress_health_check=[*HealthCheck]
)
def test_no_request_is_a_server_error(case: Any, known: tuple[str, list[str]]) -> None:
    """
    Whatever a client sends: a documented status, an answer of the documented shape, and never a 5xx.
    """
    url, batch_ids = known
    if "batch_id" in case.path_parameters:
        case.path_parameters["batch_id"] = batch_ids[next(_numbers) % len(batch_ids)]
    case.call_and_validate(
        base_url=url,
        headers=SIGNED_IN,
        timeout=LONGEST,
        excluded_checks=[
            CHECKS.positive_data_acceptance,  # a schema cannot say which ids are nobody's
            CHECKS.allow_header_conformance,  # Starlette's `Allow` names the methods of one route only
        ],
    )


def test_a_stream_of_events_is_as_documented(known: tuple[str, list[str]]) -> None:
    """
    From the first event to the last; what is drawn above asks for it only now and then.
    """
    url, _ = known
    with httpx.Client(base_url=url, headers=SIGNED_IN) as client:
        batch_id = Coordinator(client).registered("mentor-1", "mentor-2")["batch_id"]
    watching = SCHEMA["/api/v1/bulk-registrations/{batch_id}/events"]["GET"]
    case = watching.Case(path_parameters={"batch_id": batch_id}, query={"after": 0})

    answer = case.call_and_validate(base_url=url, headers=SIGNED_IN, timeout=LONGEST)

    assert "event: result" in answer.text
