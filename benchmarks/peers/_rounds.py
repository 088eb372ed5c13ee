"""
Lets a peer do the job in processes of its own: to the clock, or until one is killed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import _job
import _postgresql
import _processes
import _redis
import _temporal
import attrs
from _peers import Peer

TIMEOUT: Final = 300.0
"""Seconds after which a peer is given up."""

KILL_DELAY: Final = 0.005
KILL_ITEMS: Final = 2_000
KILL_AT: Final = 800
_names = (f"peers_{number}" for number in itertools.count())


@attrs.frozen
class Failed:
    """
    A round without a figure.

    Attributes:
        why: the end of what the processes said.
    """

    why: str


@attrs.frozen(kw_only=True)
class Killed:
    """
    What a SIGKILL in the middle did.

    Attributes:
        twice: items whose call was made a second time.
        finished: whether every item came to have a result.
        seconds: from the kill to the last result, or until we stopped waiting.
        kept: of the items, how many had a result in the end.
    """

    twice: int
    finished: bool
    seconds: float
    kept: int


@contextmanager
def staged(
    peer: Peer, server: _postgresql.Server, *, delay: float, calls: bool = False
) -> Iterator[tuple[_job.Scene, Path]]:
    """
    Lend a scene of the peer's own, everything in it new, and the file that its processes talk to.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-", dir="/tmp")))  # noqa: S108 - a socket's path is short
        given: dict[str, Any] = {}
        if peer.database:
            name = next(_names)
            given["postgresql"] = server.create(name)
            stack.callback(server.drop, name)
        if peer.redis:
            given["redis"] = stack.enter_context(_redis.running(folder, peer.redis))
        if peer.temporal:
            given["temporal"] = stack.enter_context(_temporal.running(folder))
        if calls:
            given |= {"calls": str(folder / "calls"), "patience": peer.patience}
        yield _job.Scene(folder=str(folder), delay=delay, pool=peer.pool, **given), folder / "said"


def _start(peer: Peer, scene: _job.Scene, log: Path, *part: object) -> subprocess.Popen[str]:
    return _processes.start(
        [sys.executable, peer.path, *map(str, part)],
        log=log,
        environment=scene.environment(),
        folder=peer.path.parent,
        stdout=subprocess.PIPE if part[0] != "work" else None,
    )


def _await(process: subprocess.Popen[str], timeout: float) -> dict[str, float] | None:
    try:
        said, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return None
    lines = said.strip().splitlines()
    return json.loads(lines[-1]) if process.returncode == 0 and lines else None


def run(
    peer: Peer, server: _postgresql.Server, *, items: int, per_job: int, delay: float
) -> float | Failed:
    """
    Return the seconds from the submission of all items to the last durable result in hand.
    """
    with staged(peer, server, delay=delay) as (scene, log), _playing(peer, scene, log):
        submitter = _start(peer, scene, log, "submit", items, per_job)
        try:
            found = _await(submitter, TIMEOUT)
        finally:
            _processes.kill(submitter)
        if found is None:
            return Failed(log.read_text(encoding="utf-8", errors="replace")[-2000:])
        return found["seconds"]


@contextmanager
def _playing(peer: Peer, scene: _job.Scene, log: Path) -> Iterator[list[subprocess.Popen[str]]]:
    workers = [_start(peer, scene, log, "work")] if peer.has_worker else []
    try:
        yield workers
    finally:
        for worker in workers:
            _processes.kill(worker)


def killed(peer: Peer, server: _postgresql.Server, *, per_job: int) -> Killed | Failed:
    """
    Kill whoever makes the calls, start another, and see what came of it.
    """
    with (
        staged(peer, server, delay=KILL_DELAY, calls=True) as (scene, log),
        _playing(peer, scene, log) as workers,
    ):
        submitter = _start(peer, scene, log, "submit", KILL_ITEMS, per_job)
        try:
            if not _await_calls(scene, submitter):
                return Failed(log.read_text(encoding="utf-8", errors="replace")[-2000:])
            _processes.kill(workers[0] if workers else submitter)
            since = time.monotonic()
            results = _second_life(peer, scene, log, submitter, workers, per_job)
        finally:
            _processes.kill(submitter)
        numbers = _calls(scene)
        return Killed(
            twice=len(numbers) - len(set(numbers)),
            finished=results == KILL_ITEMS,
            seconds=time.monotonic() - since,
            kept=results,
        )


def _second_life(
    peer: Peer,
    scene: _job.Scene,
    log: Path,
    submitter: subprocess.Popen[str],
    workers: list[subprocess.Popen[str]],
    per_job: int,
) -> int:
    """
    Return how many items have a result in the end.
    """
    if workers:
        workers.append(_start(peer, scene, log, "work"))
        return KILL_ITEMS if _await(submitter, TIMEOUT) is not None else 0
    if not peer.durable:
        return 0
    heir = _start(peer, scene, log, "resume", per_job)
    try:
        found = _await(heir, TIMEOUT)
    finally:
        _processes.kill(heir)
    return 0 if found is None else int(found["results"])


def _await_calls(scene: _job.Scene, submitter: subprocess.Popen[str]) -> bool:
    give_up = time.monotonic() + TIMEOUT
    while time.monotonic() < give_up and submitter.poll() is None:
        if len(_calls(scene)) >= KILL_AT:
            return True
        time.sleep(0.005)
    return False


def _calls(scene: _job.Scene) -> list[str]:
    assert scene.calls is not None
    with contextlib.suppress(FileNotFoundError):
        said = Path(scene.calls).read_text(encoding="ascii").split("\n")
        return [line for line in said if line and not line.startswith("-")]
    return []
