"""
A run and a dispatcher that are killed between any two writes tell nobody twice, and everybody.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from proxy_orchestration import Audience, PushState
from proxy_orchestration.storage.sql import SqlNotificationRepository

pytestmark = [pytest.mark.crash, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

VICTIM = Path(__file__).with_name("notification_victim.py")
MENTORS = [f"mentor-{number:02}" for number in range(12)]
RUN_WRITES = 4  # three chunks and the log
BATCH = 4
DISPATCH_WRITES = 8  # four batches, claimed and completed


def live(file: Path, verb: str, *strike: object) -> int:
    """
    Start a process of its own and return how it ended.
    """
    command = [sys.executable, str(VICTIM), str(file), verb, *map(str, strike)]
    return subprocess.run(command, check=False, timeout=60).returncode


async def check_told_once(file: Path) -> None:
    """
    Each mentor has one notice, the coordinator one about each, and one push waits for each of them.
    """
    async with SqlNotificationRepository.open(f"sqlite:///{file}") as store:
        for mentor in MENTORS:
            (notice,) = await store.notifications_for(mentor)
            assert Audience.MENTOR is notice.audience
        assert len(MENTORS) == len(await store.notifications_for("coord-1"))
        assert len(MENTORS) + 1 == sum((await store.count_pushes()).values())


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_run_that_is_killed_at_any_write_is_completed_by_the_next(tmp_path: Path, side: str) -> None:
    """
    Twice, to be sure: nobody is told twice, and nobody is left out.
    """
    for number in range(1, RUN_WRITES + 1):
        file = tmp_path / f"{side}-{number}.db"
        assert -signal.SIGKILL == live(file, "run", number, side)

        assert 0 == live(file, "run")
        await check_told_once(file)


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_dispatcher_that_is_killed_at_any_write_loses_no_push(tmp_path: Path, side: str) -> None:
    """
    Only what the provider took and we had not stored is sent again, under the same collapse key.
    """
    for number in range(1, DISPATCH_WRITES + 1):
        file = tmp_path / f"{side}-{number}.db"
        assert 0 == live(file, "run")
        assert -signal.SIGKILL == live(file, "dispatch", number, side)

        await _drain_to_the_end(file)
        sent = Counter(file.with_suffix(".sent").read_text(encoding="utf-8").splitlines())
        hidden = 0  # messages of the batch whose completion did not come
        if side == "before" and number % 2 == 0:
            hidden = min(BATCH, len(MENTORS) + 1 - BATCH * (number // 2 - 1))
        assert len(MENTORS) + 1 == len(sent)
        assert hidden == sum(times == 2 for times in sent.values())
        assert max(sent.values()) <= 2


async def _drain_to_the_end(file: Path) -> None:
    """
    Dispatch until the dead process's lease is over and nothing is left.
    """
    async with SqlNotificationRepository.open(f"sqlite:///{file}") as store:
        for _ in range(50):
            assert 0 == live(file, "dispatch")
            if {PushState.SENT} == set(await store.count_pushes()):
                return
    pytest.fail("a push is stuck")
