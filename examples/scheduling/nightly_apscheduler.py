"""
Tell of certificates every night at 00:05 UTC, in a process that runs anyway, with APScheduler 3.

Run it with `python examples/scheduling/nightly_apscheduler.py`; it needs `pip install 'apscheduler<4'`.
In a host's own program take `schedule` alone, and give it the host's store, register and directory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

from proxy_orchestration import NotificationOrchestrator, OrchestrationResult, PeerMentorCertificate
from proxy_orchestration.storage.memory import MemoryNotificationRepository

SIX_HOURS = 6 * 3600


def every_night() -> CronTrigger:
    """
    Return 00:05 in UTC: in Oslo APScheduler leaves out the day after the clock goes forward.
    """
    return CronTrigger(hour=0, minute=5, timezone="UTC")


def schedule(
    scheduler: AsyncIOScheduler,
    nightly: NotificationOrchestrator,
    register: Callable[[], Iterable[PeerMentorCertificate]],
) -> None:
    """
    Run now, which makes up for a night on which the process was down, and then every night.

    A second run of a day does no harm, so nothing has to remember whether there was one. By itself
    APScheduler leaves out what it comes to more than a second late; here it has six hours.
    """

    async def run() -> OrchestrationResult:
        # No `as_of`: a run that is late tells what is due now, and leaves out no tier.
        return await nightly.run(register())

    scheduler.add_job(
        run,
        every_night(),
        id="certificate-notices",
        next_run_time=datetime.now(UTC),
        misfire_grace_time=SIX_HOURS,
        coalesce=True,
        max_instances=1,
        replace_existing=True,
    )


async def main() -> None:
    """
    Serve until Ctrl-C.
    """
    scheduler = AsyncIOScheduler(timezone="UTC")
    nightly = NotificationOrchestrator(repository=MemoryNotificationRepository())
    schedule(scheduler, nightly, list)  # a register without certificates
    scheduler.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
