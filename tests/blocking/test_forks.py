"""
A forked child has an event loop, a store and connections of its own; the parent keeps what it had.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from waits import LONGEST_WAIT

pytest.importorskip("sqlalchemy")

pytestmark = [
    pytest.mark.dateless,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here"),
]

SCRIPT = """
import os, sys, threading, warnings
from contextlib import asynccontextmanager
from datetime import date

from sqlalchemy import create_engine

from proxy_orchestration import (
    Actor, BulkRegistrationOrchestrator, BulkRegistrationRequest, BulkStatus, ProxyActivity, Role,
)
from proxy_orchestration.blocking import BlockingOrchestrator
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema
from proxy_orchestration.testing import ScriptedRegistrationService

warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads, from Python 3.12 on
backend, given = sys.argv[1:]
actor = Actor(user_id="coord-119", roles={Role.COORDINATOR}, organization_id="chapter-oslo")
visit = ProxyActivity(activity_type="visit", activity_date=date(2025, 12, 30), duration_minutes=45)
opened_in = []

def orchestrator(repository):
    return BulkRegistrationOrchestrator(
        registration_service=ScriptedRegistrationService(), repository=repository
    )

@asynccontextmanager
async def opening():
    async with SqlActivityRepository.open("sqlite:///store.db") as repository:
        opened_in.append(os.getpid())
        yield orchestrator(repository)

def submit(key):
    request = BulkRegistrationRequest.for_mentors(["m-1", "m-2"], visit, idempotency_key=key)
    return blocking.submit_bulk_registration(request, actor=actor)

if given == "instance":
    engine = create_engine("sqlite:///store.db")
    create_schema(engine)
    part = orchestrator(SqlActivityRepository(engine))
else:
    part = opening
blocking = BlockingOrchestrator(part, backend=backend)
first = submit("parent")

def in_the_lock():
    # A thread of the parent that holds what nobody in the child would ever give back.
    with blocking._lock:
        held.set()
        done.wait()

held, done = threading.Event(), threading.Event()
threading.Thread(target=in_the_lock, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    assert blocking.get_bulk_submission_status(first.batch_id, actor=actor).status is BulkStatus.SUCCESS
    assert submit("child").status is BulkStatus.SUCCESS
    assert submit("parent").batch_id == first.batch_id
    assert given == "instance" or opened_in == [os.getppid(), os.getpid()]
    blocking.close()
    os._exit(0)
done.set()
assert os.waitpid(child, 0)[1] == 0
assert submit("after").status is BulkStatus.SUCCESS
assert blocking.list_batches(actor=actor).total == 3
blocking.close()
"""


@pytest.mark.parametrize("given", ["function", "instance"])
def test_a_forked_child_works_beside_its_parent(anyio_backend: str, given: str, tmp_path: Path) -> None:
    """
    As in a prefork worker of Celery, or a web server that loads the application before it forks.
    """
    if (given, anyio_backend) == ("instance", "trio"):
        pytest.skip("what a fork copies of an engine is not the event loop's business")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, anyio_backend, given],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LONGEST_WAIT,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)
