"""
A plan counts what a run would, also where one mentor and type stands in several chunks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.ports import NotificationRepository
from proxy_orchestration.notification.settings import NotificationSettings
from proxy_orchestration.notification.tiers import ExpiryPolicy
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.storage.sql import SqlNotificationRepository
from proxy_orchestration.testing import FakeClock

NIGHT = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
DAYS = (-1, 5, 20, 45, 700)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[NotificationRepository]:
    """
    A new store of each kind.
    """
    if request.param == "memory":
        yield MemoryNotificationRepository()
        return
    async with SqlNotificationRepository.open(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


@pytest.mark.parametrize("guard", [timedelta(hours=20), timedelta(0)])
async def test_a_plan_equals_a_run_over_several_chunks(
    store: NotificationRepository, guard: timedelta
) -> None:
    """
    Earlier, the same, later and far ends after each other, in every order of three.
    """
    register = [
        PeerMentorCertificate(
            certificate_id=f"certificate-{number}-{place}",
            mentor_id=f"mentor-{number}",
            certificate_type="first_aid",
            expires=NIGHT.date() + timedelta(days=days[place]),
            revoked=days[place] == 45 and place == 1,
        )
        for place in range(3)
        for number, days in enumerate(product(DAYS, repeat=3))
    ]
    clock = FakeClock(NIGHT)
    nightly = NotificationOrchestrator(
        repository=store,
        clock=clock,
        policy=ExpiryPolicy(resend_guard=guard),
        settings=NotificationSettings(chunk_size=len(DAYS) ** 3),
    )

    for _ in range(2):
        planned = await nightly.plan(register)
        assert planned.result == await nightly.run(register)
        clock.set_now(NIGHT + timedelta(days=1))
