"""
What a run loses by items that are told to come back later, and how long a large one keeps the event loop.
"""

from __future__ import annotations

import asyncio
import time
from datetime import date
from typing import Final

import anyio
from _harness import Story, Table, Target, medians, tell

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    ProxyActivity,
    ProxyRegistration,
    RegistrationReceipt,
    RegistrationUnavailable,
    RetryPolicy,
    Role,
)
from proxy_orchestration.storage.memory import MemoryActivityRepository

ITEMS: Final = 300
CALL: Final = 0.010
REFUSED: Final = 10  # each tenth, once
ROUNDS: Final = 5
MANY: Final = 100_000
CONCURRENCY: Final = BulkSettings().max_concurrency
COORDINATOR: Final = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
VISIT: Final = ProxyActivity(activity_type="visit", activity_date=date(2026, 1, 2), duration_minutes=45)


class Refusing:
    """
    Takes its time, and refuses each tenth item once.
    """

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.refused: set[str] = set()

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Answer, or say that the call was not executed.
        """
        await self.ask(registration.mentor_id)
        return RegistrationReceipt(registration_id=registration.registration_id, activity_id="a-1")

    async def ask(self, mentor_id: str) -> None:
        """
        Do the same for the peer.
        """
        await asyncio.sleep(self.pause)
        if int(mentor_id) % REFUSED == 0 and mentor_id not in self.refused:
            self.refused.add(mentor_id)
            raise RegistrationUnavailable


class AtOnce:
    """
    Answers without letting others run.
    """

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Answer.
        """
        return RegistrationReceipt(registration_id=registration.registration_id, activity_id="a-1")


def ours() -> float:
    """
    Submit the batch over a store in memory.
    """
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=Refusing(CALL), repository=MemoryActivityRepository()
    )
    request = BulkRegistrationRequest.for_mentors([str(number) for number in range(1, ITEMS + 1)], VISIT)

    async def submit() -> float:
        began = time.perf_counter()
        result = await orchestrator.submit_bulk_registration(request, actor=COORDINATOR)
        assert len(result.succeeded) == ITEMS
        return time.perf_counter() - began

    return anyio.run(submit)


def semaphore_and_task_group() -> float:
    """
    Do the same calls with the same pauses by hand, keeping nothing.
    """
    service, policy = Refusing(CALL), RetryPolicy()

    async def one(mentor_id: str, slots: asyncio.Semaphore) -> None:
        for attempt in range(2, policy.max_attempts + 2):
            try:
                async with slots:
                    return await service.ask(mentor_id)
            except RegistrationUnavailable:
                await asyncio.sleep(policy.delay_before(attempt, key=mentor_id))
        return None

    async def all_of_them() -> float:
        slots = asyncio.Semaphore(CONCURRENCY)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, ITEMS + 1):
                tasks.create_task(one(str(number), slots))
        return time.perf_counter() - began

    return anyio.run(all_of_them)


def longest_pause() -> float:
    """
    Submit a very large batch, and return the longest time for which nothing else could run.
    """
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=AtOnce(),
        repository=MemoryActivityRepository(),
        settings=BulkSettings(max_batch_size=MANY),
    )
    request = BulkRegistrationRequest.for_mentors([str(number) for number in range(1, MANY + 1)], VISIT)
    gaps: list[float] = []

    async def beat() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    async def submit() -> None:
        beating = asyncio.create_task(beat())
        await asyncio.sleep(0.01)
        await orchestrator.submit_bulk_registration(request, actor=COORDINATOR)
        await asyncio.sleep(0.01)
        beating.cancel()

    anyio.run(submit)
    return max(gaps)


def measure() -> Story:
    """
    Compare with the peer in the same rounds.
    """
    found = medians(
        {"this library": ours, "semaphore and task group": semaphore_and_task_group}, rounds=ROUNDS
    )
    pause = medians({"pause": longest_pause}, rounds=3)["pause"]
    ratio = found["this library"] / found["semaphore and task group"]
    return Story(
        title=f"{ITEMS} calls of {CALL * 1000:g} ms, {CONCURRENCY} at once, every {REFUSED}th refused once",
        tables=[
            Table(heading=("", "seconds"), rows=[(name, f"{value:.2f}") for name, value in found.items()]),
            Table(
                heading=(f"{MANY:,} items at once", "ms"),
                rows=[("longest pause of the event loop", f"{pause * 1000:.0f}")],
            ),
        ],
        targets=[
            Target(what="time, ratio to a semaphore and a task group", figure=ratio, at_most=1.2),
            Target(what="longest pause of the event loop, ms", figure=pause * 1000, at_most=50, digits=0),
        ],
    )


if __name__ == "__main__":
    tell(measure)
