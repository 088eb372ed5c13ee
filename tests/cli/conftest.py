from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from held_day import hold_the_day, program

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.ledger import NewBatch, Verdict
from proxy_orchestration.registration.reasons import DUPLICATE
from proxy_orchestration.registration.requests import BulkRegistrationRequest, fingerprint_of
from proxy_orchestration.registration.runs import Commit, ItemOutcome, WorkItem
from proxy_orchestration.registration.states import ItemState

COMMAND_LINE = "proxy-orchestration"
"""Under this name the command line accepts; it is part of what databases hold."""

ANNA = Actor(user_id="anna", roles=frozenset({Role.COORDINATOR}), organization_id="oslo")


@attrs.frozen(kw_only=True)
class Ended:
    """
    How a command ended.
    """

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """
        Return what standard output holds, which has to be one JSON document.
        """
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """
        Return what standard output holds, which has to be JSON lines.
        """
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ended]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """
    A SQLite file that is not there yet.
    """
    return tmp_path / "batches.db"


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> timedelta:
    """
    How far the commands of this test are ahead, so that all of them run on one day.
    """
    return hold_the_day(monkeypatch)


@pytest.fixture
def run(store: Path, monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> Run:
    """
    Runs the command line in this process over the store, as anna of oslo unless told otherwise.

    With `typed` somebody is at a terminal and types that. All commands of a test run on one day.
    """
    testing = pytest.importorskip("typer.testing")
    from proxy_orchestration.cli import review  # noqa: PLC0415 - skipped without the extra
    from proxy_orchestration.cli.app import app  # noqa: PLC0415 - the same

    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PROXY_ORCHESTRATION_DB", str(store))
    monkeypatch.setenv("PROXY_ORCHESTRATION_ACTOR", "anna@oslo")

    def run(*args: object, typed: str | None = None) -> Ended:
        monkeypatch.setattr(review, "at_terminal", lambda: typed is not None)
        result = testing.CliRunner().invoke(
            app, [str(arg) for arg in args], input=typed, catch_exceptions=False
        )
        return Ended(code=result.exit_code, out=result.stdout, err=result.stderr)

    return run


@pytest.fixture
def start(store: Path, ahead: timedelta) -> Callable[..., subprocess.Popen[str]]:
    """
    Starts the command line as a process of its own over the store, as anna of oslo.
    """
    environment = {
        **os.environ,
        "PROXY_ORCHESTRATION_DB": str(store),
        "PROXY_ORCHESTRATION_ACTOR": "anna@oslo",
        "PYTHONUNBUFFERED": "1",
    }

    def start(*args: object, **rest: Any) -> subprocess.Popen[str]:
        command = [sys.executable, *program(ahead), *(str(arg) for arg in args)]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **rest}
        return subprocess.Popen(command, env=environment, text=True, **streams)

    return start


@pytest.fixture
def mentors_csv(tmp_path: Path) -> Callable[..., Path]:
    """
    Writes a file with a visit of an hour for each mentor on the date given for that mentor.
    """

    def write(*, name: str = "mentors.csv", **dates: str) -> Path:
        rows = [f"{mentor_id},home_visit,{day},60,at home" for mentor_id, day in dates.items()]
        path = tmp_path / name
        path.write_text(
            "\n".join(("mentor_id,activity_type,activity_date,duration_minutes,notes", *rows, ""))
        )
        return path

    return write


@pytest.fixture
def waiting(run: Any, mentors_csv: Any) -> Any:
    """
    Registers m1 and m2, then submits m1 to m4 with these options; returns the second batch.
    """

    def submit(*options: str) -> Any:
        run("register", mentors_csv(name="before.csv", m1="today", m2="today"))
        file = mentors_csv(m1="today", m2="today", m3="today", m4="today")
        return run("register", file, "--json", *options).document

    return submit


@pytest.fixture
def in_store(store: Path) -> Callable[[Callable[[Any], Awaitable[Any]]], Any]:
    """
    Does something with the open repository and returns what comes of it.
    """
    sql = pytest.importorskip("proxy_orchestration.storage.sql")

    def do(work: Callable[[Any], Awaitable[Any]]) -> Any:
        async def opened() -> Any:
            async with sql.SqlActivityRepository.open(f"sqlite:///{store}") as repository:
                return await work(repository)

        return anyio.run(opened)

    return do


@pytest.fixture
def accepted(in_store: Callable[..., Any]) -> Callable[..., str]:
    """
    Stores a batch of anna's that nobody drove, or that somebody holds for a while; returns its id.
    """

    def accept(*mentor_ids: str, held_for: float | None = None, **changes: Any) -> str:
        async def work(repository: Any) -> str:
            batch_id = await _accept(repository, mentor_ids, **changes)
            if held_for is not None:
                lease = await repository.acquire(batch_id, 1, ttl=held_for)
                await repository.commit(lease, Commit(claim=1, ttl=held_for))
            return batch_id

        batch_id: str = in_store(work)
        return batch_id

    return accept


@pytest.fixture
def settled(in_store: Callable[..., Any]) -> Callable[..., str]:
    """
    Stores a batch of anna's whose mentors ended in the states given for them; returns its id.
    """

    def settle(service_name: str | None = COMMAND_LINE, **states: ItemState) -> str:
        async def work(repository: Any) -> str:
            return await _settle(repository, states, service_name)

        batch_id: str = in_store(work)
        return batch_id

    return settle


async def _accept(
    repository: Any,
    mentor_ids: Sequence[str],
    *,
    refused: str = "",
    service_name: str | None = COMMAND_LINE,
    key: str | None = None,
) -> str:
    activity = ProxyActivity(
        activity_type="home_visit", activity_date=SystemClock().now().date(), duration_minutes=60
    )
    request = BulkRegistrationRequest.for_mentors(mentor_ids, activity)
    failure = Failure(code="refused", message="It was so.", retryable=False)
    batch = NewBatch(
        actor=ANNA,
        entries=request.entries,
        idempotency_key=key,
        fingerprint=fingerprint_of(request),
        label=None,
        submitted_at=SystemClock().now(),
        verdicts={refused: Verdict(state=ItemState.FAILED, failure=failure)} if refused else {},
        service_name=service_name,
    )
    acceptance = await repository.accept(batch)
    batch_id: str = acceptance.batch_id
    return batch_id


async def _settle(repository: Any, states: Mapping[str, ItemState], service_name: str | None) -> str:
    batch_id = await _accept(repository, list(states), service_name=service_name)
    lease = await repository.acquire(batch_id, 1, ttl=60.0)
    claimed = (await repository.commit(lease, Commit(claim=len(states), ttl=60.0))).claimed
    outcomes = tuple(_outcome(work, states[work.mentor_id]) for work in claimed)
    await repository.commit(lease, Commit(outcomes=outcomes, ttl=60.0))
    event = await repository.settle(lease, settled_at=SystemClock().now(), audit_hold=0.0)
    await repository.mark_audited(event.event_id)
    return batch_id


def _outcome(work: WorkItem, state: ItemState) -> ItemOutcome:
    succeeded = state is ItemState.SUCCEEDED
    failure = Failure(code=state.value, message="It was so.", retryable=True)
    if state is ItemState.NEEDS_REVIEW:
        failure = DUPLICATE
    return ItemOutcome(
        work,
        state,
        SystemClock().now(),
        attempts=1,
        activity_id=f"activity-{work.mentor_id}" if succeeded else None,
        failure=None if succeeded else failure,
        conflicting_activity_id="activity-before" if state is ItemState.NEEDS_REVIEW else None,
        in_doubt=state is ItemState.UNKNOWN,
    )
