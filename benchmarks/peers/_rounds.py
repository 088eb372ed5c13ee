"""
Lets a peer do the job in processes of its own: to the clock, or until one is killed.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import _job
import _postgresql
import _processes
import _redis
import _temporal
import attrs
from _batches import Load
from _peers import Peer

TIMEOUT: Final = 180.0
"""Seconds after which a peer is given up."""

KILL_DELAY: Final = 0.05
KILL_ITEMS: Final = 2_000
KILL_AT: Final = 800
WORK: Final = ("work",)
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
        never_called: items that nobody called, before the kill or after.
    """

    twice: int
    finished: bool
    seconds: float
    kept: int
    never_called: int


@attrs.frozen
class Stage:
    """
    Where one peer plays once, with nobody else and nothing left from before.

    Attributes:
        peer: who plays.
        scene: what its processes are told.
        log: the file that they talk to.
    """

    peer: Peer
    scene: _job.Scene
    log: Path

    def start(self, *part: object) -> subprocess.Popen[str]:
        """
        Start a process that plays this part.
        """
        return _processes.start(
            [sys.executable, self.peer.path, *map(str, part)],
            log=self.log,
            environment=self.scene.environment(),
            cwd=self.peer.path.parent,
            **({} if part == WORK else {"stdout": subprocess.PIPE}),
        )

    def failed(self, process: subprocess.Popen[str]) -> Failed:
        """
        Say how it ended.
        """
        said = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
        return Failed(f"status {process.returncode}; {said}")

    def calls(self) -> list[str]:
        """
        Return the items that were called, each as often as it was; those of the warm-up are left out.
        """
        assert self.scene.calls is not None
        with suppress(FileNotFoundError):
            said = Path(self.scene.calls).read_text(encoding="ascii").split("\n")
            return [line for line in said if line and not line.startswith("-")]
        return []


@contextmanager
def staged(
    peer: Peer, server: _postgresql.Server, *, delay: float, counted: bool = False
) -> Iterator[tuple[Stage, list[subprocess.Popen[str]]]]:
    """
    Lend a stage and the workers that play on it; at the end everything is gone.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-", dir="/tmp")))
        given: dict[str, Any] = {}
        if peer.database:
            name = next(_names)
            given["postgresql"] = server.create(name)
            stack.callback(server.drop, name)
        if peer.redis:
            given["redis"] = stack.enter_context(_redis.running(folder, peer.redis))
        if peer.temporal:
            given["temporal"] = stack.enter_context(_temporal.running(folder))
        if counted:
            given |= {"calls": str(folder / "calls"), "patience": peer.patience}
        scene = _job.Scene(folder=str(folder), delay=delay, pool=peer.pool, **given)
        stage = Stage(peer, scene, folder / "said")
        workers = [stage.start(*WORK)] if peer.has_worker else []
        stack.callback(lambda: [_processes.kill(worker) for worker in workers])
        yield stage, workers


@contextmanager
def _ending(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        _processes.kill(process)


def _await(process: subprocess.Popen[str], timeout: float) -> dict[str, float] | None:
    """
    Return what it found, or `None`; that it stumbles on its way out is not held against it.
    """
    try:
        said, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return None
    lines = said.strip().splitlines()
    return json.loads(lines[-1]) if lines else None


def run(peer: Peer, server: _postgresql.Server, *, items: int, per_job: int, delay: float) -> float | Failed:
    """
    Return the seconds from the submission of all items to the last durable result in hand.
    """
    return _timed(peer, server, delay, "submit", items, per_job)


def run_batches(peer: Peer, server: _postgresql.Server, load: Load) -> float | Failed:
    """
    Return the seconds that many callers need to submit many small batches and to have their results.
    """
    return _timed(peer, server, 0.0, "batches", *attrs.astuple(load))


def _timed(peer: Peer, server: _postgresql.Server, delay: float, *part: object) -> float | Failed:
    with (
        staged(peer, server, delay=delay) as (stage, _),
        _ending(stage.start(*part)) as submitter,
    ):
        found = _await(submitter, TIMEOUT)
        return stage.failed(submitter) if found is None else found["seconds"]


def killed(peer: Peer, server: _postgresql.Server, *, per_job: int) -> Killed | Failed:
    """
    Kill whoever makes the calls, start another, and see what came of it.
    """
    with (
        staged(peer, server, delay=KILL_DELAY, counted=True) as (stage, workers),
        _ending(stage.start("submit", KILL_ITEMS, per_job)) as submitter,
    ):
        if not _await_calls(stage, submitter):
            return stage.failed(submitter)
        _processes.kill(workers[0] if workers else submitter)
        since = time.monotonic()
        kept = _second_life(stage, submitter, workers, per_job)
        seconds = time.monotonic() - since
        calls = stage.calls()
    return Killed(
        twice=len(calls) - len(set(calls)),
        finished=kept == KILL_ITEMS,
        seconds=seconds,
        kept=kept,
        never_called=KILL_ITEMS - len(set(calls)),
    )


def _await_calls(stage: Stage, submitter: subprocess.Popen[str]) -> bool:
    give_up = time.monotonic() + TIMEOUT
    while time.monotonic() < give_up and submitter.poll() is None:
        if len(stage.calls()) >= KILL_AT:
            return True
        time.sleep(0.005)
    return False


def _second_life(
    stage: Stage, submitter: subprocess.Popen[str], workers: list[subprocess.Popen[str]], per_job: int
) -> int:
    """
    Return how many items have a result in the end.
    """
    if workers:
        workers.append(stage.start(*WORK))
        return KILL_ITEMS if _await(submitter, TIMEOUT) is not None else 0
    if not stage.peer.durable:
        return 0
    with _ending(stage.start("resume", per_job)) as heir:
        found = _await(heir, TIMEOUT)
    return 0 if found is None else int(found["results"])
