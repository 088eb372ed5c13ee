"""
What a run depends on: a store, a directory, a registry, a sender and a clock that a test holds in its hand.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint

from proxy_orchestration._concurrency import open_task_group
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.records import MentorRecipients
from proxy_orchestration.notification.settings import DispatchSettings, NotificationSettings
from proxy_orchestration.notification.tiers import ExpiryPolicy
from proxy_orchestration.storage.memory import MemoryNotificationRepository, MemoryVisibilityRegistry
from proxy_orchestration.testing import FakeClock
from proxy_orchestration.testing.notification import (
    ScriptedPushEligibility,
    ScriptedPushSender,
    ScriptedRecipientDirectory,
)

T = TypeVar("T")

NIGHT = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
_QUIET = 60


@attrs.define(eq=False)
class NotificationScene:
    """
    One orchestrator, one dispatcher, and all that stands around them.
    """

    clock: FakeClock = attrs.field(factory=lambda: FakeClock(NIGHT))
    repository: MemoryNotificationRepository = attrs.field(init=False)
    directory: ScriptedRecipientDirectory | None = attrs.field(init=False)
    visibility: MemoryVisibilityRegistry | None = attrs.field(factory=MemoryVisibilityRegistry)
    sender: ScriptedPushSender = attrs.field(init=False)
    eligibility: ScriptedPushEligibility | None = None
    policy: ExpiryPolicy = attrs.field(factory=ExpiryPolicy)
    settings: NotificationSettings = attrs.field(factory=NotificationSettings)
    dispatching: DispatchSettings = attrs.field(factory=DispatchSettings)
    rest: dict[str, Any] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.repository = MemoryNotificationRepository(self.clock)
        self.directory = ScriptedRecipientDirectory(
            {f"mentor-{n}": MentorRecipients(coordinator_id="coord-1") for n in range(1000)},
            clock=self.clock,
        )
        self.sender = ScriptedPushSender(clock=self.clock)

    def certificate(self, number: int = 1, days: int = 30, **rest: Any) -> PeerMentorCertificate:
        """
        Return a mentor's certificate that ends so many days after the first night.
        """
        return PeerMentorCertificate(
            **{
                "certificate_id": f"certificate-{number}",
                "mentor_id": f"mentor-{number}",
                "certificate_type": "first_aid",
                "expires": NIGHT.date() + timedelta(days=days),
                "holder_name": "Kari Canary",
                **rest,
            }
        )

    def orchestrator(self) -> NotificationOrchestrator:
        """
        Return a new orchestrator, as a new process would make it.
        """
        return NotificationOrchestrator(
            repository=self.repository,
            recipients=self.directory,
            clock=self.clock,
            policy=self.policy,
            visibility=self.visibility,
            settings=self.settings,
            **self.rest,
        )

    def dispatcher(self) -> PushDispatcher:
        """
        Return a new dispatcher.
        """
        return PushDispatcher(
            repository=self.repository,
            sender=self.sender,
            clock=self.clock,
            settings=self.dispatching,
            eligibility=self.eligibility,
            enrollment=self.rest.get("enrollment"),
        )

    async def run(self, *certificates: Any, day: int = 0):
        """
        Run for these certificates, so many days after the first night.
        """
        return await self.orchestrator().run(
            certificates, as_of=NIGHT + timedelta(days=day), allow_future=True
        )

    @staticmethod
    def added_up(result) -> bool:
        """
        Return whether the counts say the same.
        """
        return (
            result.processed == result.created + result.skipped + result.failed
            and result.created == sum(result.by_tier.values())
            and result.skipped == sum(result.skipped_by_reason.values())
            and result.failed == len(result.failures)
        )

    async def while_time_passes(self, work: Callable[[], Awaitable[T]]) -> T:
        """
        Do the work, moving the clock to the next alarm whenever nothing else is left to do.
        """
        results: list[T] = []
        async with open_task_group() as tasks:

            async def run() -> None:
                results.append(await work())
                tasks.cancel_scope.cancel()

            tasks.start_soon(run)
            with anyio.CancelScope():
                while not results:
                    for _ in range(_QUIET):
                        await checkpoint()
                    alarm = self.clock.next_alarm
                    if not results and alarm is not None:
                        self.clock.advance(max(0.0, alarm))
        return results[0]


@pytest.fixture
def scene() -> NotificationScene:
    """
    Return a scene on the first night.
    """
    return NotificationScene()
