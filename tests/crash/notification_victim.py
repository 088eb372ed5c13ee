"""
A process that runs or dispatches over a database, and strikes itself down at a chosen write.

Called with the database's address, the file of what was sent, the verb, the number of the write
and its side; without a number it lives.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import attrs

from proxy_orchestration import (
    NotificationOrchestrator,
    NotificationSettings,
    PeerMentorCertificate,
    PushDispatcher,
)
from proxy_orchestration.notification.settings import DispatchSettings
from proxy_orchestration.ports import MentorRecipients, PushMessage, PushOutcome
from proxy_orchestration.storage.sql import SqlNotificationRepository

NIGHT = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
WRITES = ("record", "log_run", "claim_pushes", "complete_pushes", "complete_and_claim")
MENTORS = 12
HOLD = 60.0


class StruckRepository:
    """
    Hands everything on, and kills the process before or after a numbered write.
    """

    def __init__(self, inner: SqlNotificationRepository, number: int, side: str) -> None:
        self._inner, self._number, self._side, self._seen = inner, number, side, 0

    def __getattr__(self, name: str) -> Any:
        if name == "complete_and_claim":
            raise AttributeError(name)
        return self._of_inner(name)

    def _of_inner(self, name: str) -> Any:
        method = getattr(self._inner, name)
        return self._struck(method) if name in WRITES else method

    def _struck(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: object, **rest: object) -> object:
            self._seen += 1
            due = self._seen == self._number
            if due and self._side == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            answer = await method(*args, **rest)
            if due:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call


class StruckFusedRepository(StruckRepository):
    """
    The same, with the optional ability.
    """

    async def complete_and_claim(self, *args: object, **rest: object) -> Any:
        """
        Do both in one write.
        """
        return await self._of_inner("complete_and_claim")(*args, **rest)


class Chapter:
    """
    Everybody has one coordinator.
    """

    async def resolve(self, mentor_ids: Sequence[str], /) -> dict[str, MentorRecipients]:
        """
        Name the coordinator.
        """
        return {mentor_id: MentorRecipients(coordinator_id="coord-1") for mentor_id in mentor_ids}


class Phone:
    """
    Writes down what it delivers, durably, before it answers.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    async def send(self, messages: Sequence[PushMessage], /) -> list[PushOutcome]:
        """
        Deliver everything.
        """
        with self._file.open("a", encoding="utf-8") as lines:
            lines.writelines(f"{message.message_id}\t{message.collapse_key}\n" for message in messages)
        return [PushOutcome.delivered(message) for message in messages]


def certificates() -> list[PeerMentorCertificate]:
    """
    Return certificates in all tiers.
    """
    return [
        PeerMentorCertificate(
            certificate_id=f"certificate-{number}",
            mentor_id=f"mentor-{number:02}",
            certificate_type="first_aid",
            expires=NIGHT.date() + timedelta(days=(45, 20, 5, -3)[number % 4]),
        )
        for number in range(MENTORS)
    ]


async def main(url: str, sent: str, verb: str, number: str = "0", side: str = "before") -> None:
    """
    Live, or die at the write.
    """
    async with SqlNotificationRepository.open(url) as store:
        struck = StruckRepository if verb == "dispatch-apart" else StruckFusedRepository
        repository: Any = struck(store, int(number), side)
        if verb == "run":
            orchestrator = NotificationOrchestrator(
                repository=repository,
                recipients=Chapter(),
                clock=Standing(NIGHT),
                settings=NotificationSettings(chunk_size=5),
            )
            await orchestrator.run(certificates(), as_of=NIGHT)
        else:
            dispatcher = PushDispatcher(
                repository=repository,
                sender=Phone(Path(sent)),
                clock=Standing(NIGHT + timedelta(hours=7)),
                settings=DispatchSettings(batch_size=4, hold=HOLD, send_timeout=20.0),
            )
            await dispatcher.drain()


@attrs.frozen
class Standing:
    """
    A clock that shows one moment, and whose seconds pass as usual.
    """

    moment: datetime

    def now(self) -> datetime:
        """
        Return the moment.
        """
        return self.moment

    def monotonic(self) -> float:
        """
        Return the event loop's own seconds.
        """
        return anyio.current_time()

    async def sleep(self, seconds: float, /) -> None:
        """
        Sleep as usual.
        """
        await anyio.sleep(max(0.0, seconds))


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
