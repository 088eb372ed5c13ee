"""
A run and a dispatcher that are killed between any two writes tell nobody twice, and everybody.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import attrs
import pytest
from waits import LONGEST_WAIT

pytest.importorskip("sqlalchemy")

from sqlalchemy import create_engine

from proxy_orchestration import Audience
from proxy_orchestration.ports import PushState
from proxy_orchestration.storage.sql import SqlNotificationRepository

pytestmark = [pytest.mark.crash, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

VICTIM = Path(__file__).with_name("notification_victim.py")
MENTORS = [f"mentor-{number:02}" for number in range(12)]
RUN_WRITES = (1, 2, 3, 4)  # three chunks and the log
BATCH = 4
DISPATCH_WRITES = (
    # Four batches: the first is claimed, and each is completed as the next is claimed.
    *[("dispatch", writes) for writes in ((1, 2), (3, 4), (5,))],
    # By a store that cannot do both in one, each is claimed and completed.
    *[("dispatch-apart", writes) for writes in ((1, 2), (3, 4), (5, 6), (7, 8))],
)


@attrs.frozen
class Place:
    """
    A database, and where the provider notes what it took.
    """

    url: str
    sent: Path


Places: TypeAlias = Callable[[Sequence[int]], Iterator[tuple[int, Place]]]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    """
    Yield an empty place for each of these writes.
    """
    databases = None if request.param == "sqlite" else request.getfixturevalue("postgresql")

    def empty(writes: Sequence[int]) -> Iterator[tuple[int, Place]]:
        for number in writes:
            url = f"sqlite:///{tmp_path / str(number)}.db"
            if databases is not None:
                url = databases.emptied().render_as_string(hide_password=False)
            yield number, Place(url, tmp_path / f"{number}.sent")

    return empty


def live(place: Place, verb: str, *strike: object) -> int:
    """
    Start a process of its own and return how it ended.
    """
    command = [sys.executable, str(VICTIM), place.url, str(place.sent), verb, *map(str, strike)]
    return subprocess.run(command, check=False, timeout=LONGEST_WAIT).returncode


async def check_told_once(place: Place) -> None:
    """
    Each mentor has one notice, the coordinator one about each, and one push waits for each of them.
    """
    async with SqlNotificationRepository.open(place.url) as store:
        for mentor in MENTORS:
            (notice,) = await store.notifications_for(mentor)
            assert Audience.MENTOR is notice.audience
        assert len(MENTORS) == len(await store.notifications_for("coord-1"))
        assert len(MENTORS) + 1 == sum((await store.count_pushes()).values())


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_run_that_is_killed_at_any_write_is_completed_by_the_next(places: Places, side: str) -> None:
    """
    Twice, to be sure: nobody is told twice, and nobody is left out.
    """
    for number, place in places(RUN_WRITES):
        assert -signal.SIGKILL == live(place, "run", number, side)

        assert 0 == live(place, "run")
        await check_told_once(place)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize(("verb", "writes"), DISPATCH_WRITES, ids=str)
async def test_a_dispatcher_that_is_killed_at_any_write_loses_no_push(
    places: Places, verb: str, writes: Sequence[int], side: str
) -> None:
    """
    Only what the provider took and we had not stored is sent again, under the same collapse key.
    """
    for number, place in places(writes):
        assert 0 == live(place, "run")
        assert -signal.SIGKILL == live(place, verb, number, side)

        _let_time_pass(place)
        await _drain_to_the_end(place)
        sent = Counter(place.sent.read_text(encoding="utf-8").splitlines())
        hidden = _unstored(verb, number) if side == "before" else 0
        assert len(MENTORS) + 1 == len(sent)
        assert hidden == sum(times == 2 for times in sent.values())
        assert max(sent.values()) <= 2


def _unstored(verb: str, number: int) -> int:
    """
    Return how many messages there are in the batch whose completion that write is.
    """
    batch, is_claim = divmod(number - 2, 1 if verb == "dispatch" else 2)
    return 0 if is_claim or batch < 0 else min(BATCH, len(MENTORS) + 1 - BATCH * batch)


def _let_time_pass(place: Place) -> None:
    """
    Let the dead process's hold be over; it is so long that no busy machine outlasts it.
    """
    engine = create_engine(place.url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE push_outbox SET lease_until = lease_until - 600 WHERE lease_until > 0"
        )
    engine.dispose()


async def _drain_to_the_end(place: Place) -> None:
    """
    Dispatch until nothing is left.
    """
    async with SqlNotificationRepository.open(place.url) as store:
        for _ in range(3):
            assert 0 == live(place, "dispatch")
            if {PushState.SENT} == set(await store.count_pushes()):
                return
    pytest.fail("a push is stuck")
