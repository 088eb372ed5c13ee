"""
The Django host of the examples, in processes of its own: it registers, drives, and keeps the contract.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from waits import LONGEST_WAIT

for _library in ("django", "sqlalchemy"):
    pytest.importorskip(_library)

ROOT = Path(__file__).parents[2]
ANNA = f"Basic {base64.b64encode(b'anna:anna').decode()}"


def _environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "CHAPTER_DATABASE": str(folder / "chapter.db")}


@contextmanager
def _started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """
    Start the command; at the end SIGTERM ends it in order.
    """
    command = [sys.executable, "-m", "examples.django_host", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=_environment(folder), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            told, _ = process.communicate(timeout=LONGEST_WAIT)
    assert "ended in order" in told


def _ask(address: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """
    Ask as Anna; a body makes it a POST.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Authorization": ANNA, **headers})  # noqa: S310 - http
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=LONGEST_WAIT) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _settled(batch: str) -> Any:
    """
    Ask until nothing is left to do.
    """
    begun = time.monotonic()
    result = _ask(batch)[1]
    while result["status"] in {"pending", "running"} and time.monotonic() < begun + LONGEST_WAIT:
        result = _ask(batch)[1]
    return result


def test_one_command_starts_it_and_a_form_becomes_visits(tmp_path: Path) -> None:
    """
    Sent twice it is one batch; who is not Anna's is refused, and a stranger gets nothing.
    """
    order = {"mentors": ["mentor-1", "mentor-2", "mentor-99"], "day": _today(), "minutes": 45}
    with _started(tmp_path, "0") as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        key = {"Idempotency-Key": "form-7"}
        first, again = [_ask(f"{address}/registrations", order, **key) for _ in range(2)]
        result = _settled(f"{address}/registrations/{first[1]['batch_id']}")
        missing = _ask(f"{address}/registrations/no-such-batch")
        refused = _ask(f"{address}/registrations", order, **key, Authorization="Basic eDp5")

    assert (202, first[1]["batch_id"]) == (first[0], again[1]["batch_id"])
    assert "partial_success" == result["status"]
    assert {"mentor-1": "succeeded", "mentor-2": "succeeded", "mentor-99": "failed"} == {
        outcome["mentor_id"]: outcome["state"] for outcome in result["outcomes"]
    }
    assert (404, "batch_not_found") == (missing[0], json.loads(missing[1])["code"])
    assert 403 == refused[0]


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


@pytest.mark.full
def test_a_process_of_its_own_drives_until_sigterm(tmp_path: Path) -> None:
    """
    The management command of a deployment; it ends in order.
    """
    done = subprocess.run(
        [sys.executable, "-m", "examples.django_host", "migrate", "--run-syncdb", "--verbosity", "0"],
        cwd=tmp_path,
        env=_environment(tmp_path),
        check=False,
        timeout=LONGEST_WAIT,
    )
    assert 0 == done.returncode
    with _started(tmp_path, "serve_batches") as process:
        assert process.stdout is not None
        assert "serving" in process.stdout.readline()


def test_the_register_keeps_the_contract(tmp_path: Path) -> None:
    """
    The same checks as the library's own service.
    """
    script = Path(__file__).with_name("django_contract.py")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_WAIT,
    )

    assert 0 == done.returncode, done.stderr
    assert done.stdout.strip().endswith("checks hold")
