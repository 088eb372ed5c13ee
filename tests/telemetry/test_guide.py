from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.sdk")

from observed import ANNA, Observed, orchestrator_of, request_for
from opentelemetry.metrics import NoOpMeter

from proxy_orchestration import NotificationOrchestrator, PeerMentorCertificate, PushDispatcher, SystemClock
from proxy_orchestration.storage.memory import MemoryActivityRepository, MemoryNotificationRepository
from proxy_orchestration.telemetry import Telemetry
from proxy_orchestration.testing import ScriptedPushSender, ScriptedRegistrationService

PAGE = (Path(__file__).parents[2] / "docs" / "guide-telemetry.md").read_text("utf-8")


class _Noting(NoOpMeter):
    """
    Keeps the name and unit of whatever is created.
    """

    def __init__(self) -> None:
        super().__init__("host")
        self.made: dict[str, str] = {}

    def create_counter(self, name, unit="", description=""):
        self.made[name] = unit
        return super().create_counter(name, unit, description)

    def create_histogram(self, name, unit="", description="", **rest):
        self.made[name] = unit
        return super().create_histogram(name, unit, description, **rest)

    def create_observable_gauge(self, name, callbacks=None, unit="", description=""):
        self.made[name] = unit
        return super().create_observable_gauge(name, callbacks, unit, description)


def test_the_guide_lists_every_metric_with_its_unit() -> None:
    """
    And none that there is not.
    """
    meter, observed = _Noting(), Observed()
    observed.telemetry = Telemetry(meter_provider=_provider_of(meter), spans=False)
    orchestrator = orchestrator_of(observed, ScriptedRegistrationService(), MemoryActivityRepository())
    observed.telemetry.watch(orchestrator)

    listed = dict(re.findall(r"^\| `(proxy_orchestration[\w.]+)` \| `([^`]+)` \|", PAGE, re.MULTILINE))
    assert listed == meter.made


async def test_the_guide_lists_every_span() -> None:
    """
    By the names that a batch, a nightly run and a dispatch give.
    """
    observed, repository = Observed(), MemoryNotificationRepository()
    telemetry = observed.telemetry
    await orchestrator_of(
        observed, ScriptedRegistrationService(), MemoryActivityRepository()
    ).submit_bulk_registration(request_for(1), actor=ANNA)
    ends = SystemClock().now().date() + timedelta(days=3)
    certificate = PeerMentorCertificate(
        certificate_id="c", mentor_id="mentor-1", certificate_type="first_aid", expires=ends
    )
    await NotificationOrchestrator(repository=telemetry.notices(repository)).run([certificate])
    sender = telemetry.sender(ScriptedPushSender())
    await PushDispatcher(repository=telemetry.notices(repository), sender=sender).drain()

    listed = set(re.findall(r"^\| `(proxy_orchestration\.\w+)` \| [a-z]", PAGE, re.MULTILINE))
    assert {span.name for span in observed.spans} == listed


def _provider_of(meter: NoOpMeter):
    class Provider:
        def get_meter(self, *_arguments, **_named):
            return meter

    return Provider()
