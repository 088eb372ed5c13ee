"""
Django runs a sync view in a thread under ASGI: what becomes of its call when its client goes away.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from waits import LONGEST_WAIT

pytest.importorskip("asgiref")

from asgiref.sync import sync_to_async

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkStatus,
    BulkSubmissionResult,
    ProxyRegistration,
    RegistrationReceipt,
)
from proxy_orchestration.blocking import BlockingOrchestrator

pytestmark = pytest.mark.dateless


class SlowService:
    """
    Answers once it may.
    """

    def __init__(self, began: threading.Event, may_end: threading.Event) -> None:
        self.began, self.may_end = began, may_end

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Answer in the end.
        """
        self.began.set()
        await anyio.to_thread.run_sync(self.may_end.wait, LONGEST_WAIT)
        return RegistrationReceipt(registration_id=registration.registration_id, activity_id="activity-1")


def test_a_client_that_goes_away_leaves_the_call_to_its_end(host: Any) -> None:
    """
    What the form asked for is done and stored; sent again under its key it is found.
    """
    service = SlowService(threading.Event(), threading.Event())
    orchestrator = BulkRegistrationOrchestrator(registration_service=service, repository=host.repository)
    results: queue.SimpleQueue[BulkSubmissionResult] = queue.SimpleQueue()

    def view() -> None:
        request = host.request("m-1", key="form-7")
        results.put(blocking.submit_bulk_registration(request, actor=host.actor))

    with BlockingOrchestrator(orchestrator, backend=host.backend) as blocking:
        result = asyncio.run(_serve_until_the_client_leaves(view, service, results))
        again = blocking.submit_bulk_registration(host.request("m-1", key="form-7"), actor=host.actor)

    assert BulkStatus.SUCCESS is result.status
    assert result.batch_id == again.batch_id


async def _serve_until_the_client_leaves(
    view: Callable[[], None], service: SlowService, results: queue.SimpleQueue[BulkSubmissionResult]
) -> BulkSubmissionResult:
    """
    Run the view as Django does under ASGI, cancel its request as a disconnect does, and wait for its end.
    """
    request = asyncio.ensure_future(sync_to_async(view)())
    await asyncio.to_thread(service.began.wait, LONGEST_WAIT)
    request.cancel()
    service.may_end.set()
    return await asyncio.to_thread(results.get, timeout=LONGEST_WAIT)
