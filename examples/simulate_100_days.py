"""
Play a hundred nights of expiry notices in a moment, and print which notice went out on which day.

One mentor renews, two nights are missed, and every night the job runs twice.
Needs the core alone. Run it with `python examples/simulate_100_days.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import anyio

from proxy_orchestration import (
    NotificationOrchestrator,
    NotificationThresholdTier,
    PeerMentorCertificate,
    RecordState,
)
from proxy_orchestration.storage.memory import MemoryNotificationRepository, MemoryVisibilityRegistry

FIRST_NIGHT = datetime(2026, 9, 1, 0, 5, tzinfo=UTC)
DAYS = 100
MISSED = {43, 44}
RENEWAL_DAY = 50
RENEWED = "mentor-2024"
DAYS_TO_END = {
    "mentor-2007": 20,
    "mentor-2010": 50,
    "mentor-2024": 55,
    "mentor-2032": 67,
    "mentor-2041": 73,
    "mentor-2055": 95,
    "mentor-2058": 140,
    "mentor-2063": 300,
}


class NightClock:
    """
    Shows whichever night is played.
    """

    def __init__(self) -> None:
        self.night = FIRST_NIGHT

    def now(self) -> datetime:
        """
        Return the night.
        """
        return self.night

    def monotonic(self) -> float:
        """
        Return the seconds since the first night.
        """
        return (self.night - FIRST_NIGHT).total_seconds()

    async def sleep(self, seconds: float, /) -> None:
        """
        Sleep as usual.
        """
        await anyio.sleep(seconds)


def certificate(mentor_id: str, expires: date) -> PeerMentorCertificate:
    """
    Return the mentor's certificate with that end.
    """
    return PeerMentorCertificate(
        certificate_id=f"{mentor_id}/{expires}",
        mentor_id=mentor_id,
        certificate_type="first_aid",
        expires=expires,
    )


async def run(
    nightly: NotificationOrchestrator, certificates: Iterable[PeerMentorCertificate], night: datetime
) -> list[tuple[str, NotificationThresholdTier]]:
    """
    Run the job once; return who was told, and in which tier.
    """
    async with nightly.stream(certificates, as_of=night) as outcomes:
        return [
            (outcome.mentor_id, outcome.tier)
            async for outcome in outcomes
            if outcome.state is RecordState.CREATED and outcome.tier is not None
        ]


async def main() -> None:
    """
    Play the nights one after another.
    """
    clock, store = NightClock(), MemoryNotificationRepository()
    nightly = NotificationOrchestrator(repository=store, visibility=MemoryVisibilityRegistry(), clock=clock)
    first_day = FIRST_NIGHT.date()
    register = {
        mentor_id: certificate(mentor_id, first_day + timedelta(days=days))
        for mentor_id, days in DAYS_TO_END.items()
    }
    told = again = 0
    for day in range(1, DAYS + 1):
        clock.night = FIRST_NIGHT + timedelta(days=day - 1)
        label = f"day {day:>3}  {clock.night:%Y-%m-%d}"
        if day == RENEWAL_DAY:
            register[RENEWED] = certificate(RENEWED, clock.night.date() + timedelta(days=730))
            await nightly.record_renewals([register[RENEWED]])
            print(f"{label}  {RENEWED}  renewed for two years")
        if day in MISSED:
            print(f"{label}  the job did not run")
            continue
        for mentor_id, tier in await run(nightly, register.values(), clock.night):
            print(f"{label}  {mentor_id}  {tier.value}")
            told += 1
        again += len(await run(nightly, register.values(), clock.night))
    print(f"{DAYS} days, {len(MISSED)} of them missed: {told} notices, {again} told twice")


if __name__ == "__main__":
    anyio.run(main)
