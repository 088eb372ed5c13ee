"""
The job that everybody does: items, a service that answers each with an id, and a place for the results.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Final

import attrs
from _batches import Load, Submitting, timed_batches

VARIABLE: Final = "PEERS_SCENE"
"""The environment variable by which a peer's processes learn the scene."""

WARM_UPS: Final = (range(-400, -200), range(-200, 0))


@attrs.frozen(kw_only=True)
class Scene:
    """
    Where a peer works, and how.

    Attributes:
        folder: of its own, empty at first.
        delay: of the service, in seconds; 0 for one that answers at once.
        cap: calls in flight.
        calls: a file that is told of each call when it begins; `None` where nobody counts.
        postgresql: an empty database of its own.
        redis: the socket of a server of its own.
        temporal: the address of a server of its own.
        patience: seconds after which a dead worker's jobs go to another, where the peer asks us.
        pool: what a worker's calls run in, where the peer has several such things.
    """

    folder: str
    delay: float
    cap: int = 20
    calls: str | None = None
    postgresql: str = ""
    redis: str = ""
    temporal: str = ""
    patience: int = 3600
    pool: str = ""

    @classmethod
    def given(cls) -> Scene:
        """
        Return the scene that this process was started in.
        """
        return cls(**json.loads(os.environ[VARIABLE]))

    def environment(self) -> dict[str, str]:
        """
        Return what a process needs to find the scene.
        """
        return {VARIABLE: json.dumps(attrs.asdict(self))}

    @property
    def sqlalchemy_url(self) -> str:
        """
        Return how SQLAlchemy finds the database.
        """
        return self.postgresql.replace("postgresql://", "postgresql+psycopg://")


def answer_to(item: int) -> str:
    """
    Return what the service answers.
    """
    return f"activity-{item}"


@cache
def _told() -> int | None:
    calls = Scene.given().calls if VARIABLE in os.environ else None
    return None if calls is None else os.open(calls, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def _tell(item: int) -> None:
    calls = _told()
    if calls is not None:
        os.write(calls, b"%d\n" % item)


async def register(item: int, delay: float) -> str:
    """
    Answer at once, or after the delay.
    """
    _tell(item)
    if delay:
        await asyncio.sleep(delay)
    return answer_to(item)


def register_blocking(item: int, delay: float) -> str:
    """
    Do the same in a thread or process of its own.
    """
    _tell(item)
    if delay:
        time.sleep(delay)
    return answer_to(item)


async def register_each(items: Sequence[int], delay: float) -> list[str]:
    """
    Do a job of several items: one after the other.
    """
    return [await register(item, delay) for item in items]


def register_each_blocking(items: Sequence[int], delay: float) -> list[str]:
    """
    Do the same in a thread or process of its own.
    """
    return [register_blocking(item, delay) for item in items]


def jobs_of(items: range, per_job: int) -> list[list[int]]:
    """
    Return the items of each job.
    """
    return [list(items[first : first + per_job]) for first in range(0, len(items), per_job)]


def flat(results: Iterable[Collection[str]]) -> list[str]:
    """
    Return the results of all jobs as results of items.
    """
    return [result for job in results for result in job]


def timed(work: Callable[[range, int], list[str]], items: int, per_job: int) -> float:
    """
    Warm up, then return the seconds from the submission to the last result in hand.

    The warm-up is the same job with fewer items; it waits for the workers.
    """
    for warm_up in WARM_UPS:
        assert len(work(warm_up, per_job)) == len(warm_up)
    begin = time.perf_counter()
    results = work(range(items), per_job)
    seconds = time.perf_counter() - begin
    assert set(results) == {answer_to(item) for item in range(items)}
    return seconds


def tell(**found: float) -> None:
    """
    Tell the process that started us.
    """
    print(json.dumps(found), flush=True)


def main(
    *,
    submit: Callable[[Scene, int, int], float],
    batches: Callable[[Scene], AbstractAsyncContextManager[Submitting]] | None = None,
    work: Callable[[Scene], None] | None = None,
    resume: Callable[[Scene, int], int] | None = None,
) -> None:
    """
    Play the part that the command line names.

    It is `submit ITEMS PER_JOB`, `batches BATCHES SIZE PER_JOB CALLERS`, `work`, or `resume PER_JOB`.

    Args:
        submit: returns the seconds.
        batches: lends what submits one of many batches and returns its results.
        work: runs until killed.
        resume: finishes what a killed process began; returns the items that have a result.
    """
    match sys.argv[1:]:
        case ["submit", items, per_job]:
            tell(seconds=submit(Scene.given(), int(items), int(per_job)))
        case ["batches", *numbers] if batches is not None:
            tell(seconds=timed_batches(batches(Scene.given()), Load(*map(int, numbers)), answer_to))
        case ["work"] if work is not None:
            work(Scene.given())
        case ["resume", per_job] if resume is not None:
            tell(results=resume(Scene.given(), int(per_job)))
        case arguments:
            sys.exit(f"cannot play {arguments}")
