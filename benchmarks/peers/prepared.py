"""
What it costs to leave prepared statements off: processor time of this process and of PostgreSQL, in turns.

`python benchmarks/peers/prepared.py`; only the ratios mean something on another machine.
"""

from __future__ import annotations

import statistics
import time
from datetime import date
from typing import Final

import _postgresql
import anyio

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    ProxyActivity,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.storage.sql import SqlActivityRepository

ROUNDS: Final = 15
BATCHES: Final = 4
MENTORS: Final = 50
LOOKS: Final = 400
ASKED: Final = {"off": "", "on": "&prepare_threshold=5"}
COORDINATOR: Final = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")


async def _batches(repository: SqlActivityRepository, turn: int) -> None:
    service = StandardRegistrationService(repository=repository)
    orchestrator = BulkRegistrationOrchestrator(registration_service=service, repository=repository)
    for number in range(BATCHES):
        activity = ProxyActivity(
            activity_type=f"visit {turn}-{number}", activity_date=date(2026, 1, 2), duration_minutes=45
        )
        mentors = [f"mentor-{one}" for one in range(MENTORS)]
        request = BulkRegistrationRequest.for_mentors(mentors, activity)
        await orchestrator.submit_bulk_registration(request, actor=COORDINATOR)


async def _looks(repository: SqlActivityRepository, _turn: int) -> None:
    for _ in range(LOOKS):
        await repository.get("no-such-batch")


WORK: Final = {f"{BATCHES} batches of {MENTORS}": _batches, f"{LOOKS} look-ups": _looks}


async def _measured(server: _postgresql.Server) -> dict[tuple[str, str], list[tuple[float, float]]]:
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    base = f"postgresql+psycopg://postgres@/bench?host={server.socket}"
    async with (
        SqlActivityRepository.open(base + ASKED["off"]) as off,
        SqlActivityRepository.open(base + ASKED["on"]) as on,
    ):
        for turn in range(ROUNDS):
            for asked, repository in {"off": off, "on": on}.items():
                for name, work in WORK.items():
                    before = time.process_time(), server.processor_time()
                    await work(repository, 2 * turn + (asked == "on"))
                    spent = time.process_time() - before[0], server.processor_time() - before[1]
                    found.setdefault((name, asked), []).append(spent)
    return found


def main() -> None:
    """
    Measure and print.
    """
    with _postgresql.running() as server:
        server.create("bench")
        found = anyio.run(_measured, server)
    for name in WORK:
        for place, whose in enumerate(("this process", "PostgreSQL")):
            off, on = (
                statistics.mean(spent[place] for spent in found[name, asked][1:]) for asked in ("off", "on")
            )
            print(
                f"{name}, {whose}: {off * 1000:.0f} ms off, {on * 1000:.0f} ms on, ratio {off / max(on, 1e-9):.2f}"
            )


if __name__ == "__main__":
    main()
