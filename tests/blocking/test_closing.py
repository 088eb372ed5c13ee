"""
What is opened in an event loop is closed in it; a closed object says so, and a lost loop starts again.
"""

from __future__ import annotations

import queue
import threading
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.lowlevel import current_token
from waits import LONGEST_WAIT

from proxy_orchestration import (
    BulkStatus,
    OrchestratorClosedError,
    RepositoryUnavailableError,
    WrongThreadError,
)
from proxy_orchestration.blocking import BlockingOrchestrator
from proxy_orchestration.blocking.event_loop import EventLoopThread
from proxy_orchestration.testing import hang, succeed

pytestmark = pytest.mark.dateless


def test_a_store_is_opened_at_the_first_call_and_closed_in_the_same_loop(host):
    """
    In one task: what it opens may belong to that.
    """
    seen = []

    @asynccontextmanager
    async def opening():
        async with anyio.create_task_group():
            seen.append(("opened", current_token(), threading.get_ident()))
            yield host.orchestrator()
        seen.append(("closed", current_token(), threading.get_ident()))

    with BlockingOrchestrator(opening, backend=host.backend) as blocking:
        assert [] == seen
        blocking.submit_bulk_registration(host.request("m-1"), actor=host.actor)
        blocking.list_batches(actor=host.actor)
        assert ["opened"] == [what for what, *_ in seen]
    blocking.close()

    (opened, *place), (closed, *same) = seen
    assert ("opened", "closed") == (opened, closed)
    assert place == same
    assert threading.get_ident() != place[1]


def test_a_closed_object_refuses_further_calls(host):
    """
    It does not open the store again behind its host's back.
    """
    host.blocking.close()

    with pytest.raises(OrchestratorClosedError, match="closed"):
        host.blocking.submit_bulk_registration(host.request("m-1"), actor=host.actor)
    with pytest.raises(OrchestratorClosedError), host.blocking.drive_batch("any"):
        pytest.fail("the block was entered")


def test_closing_ends_the_calls_of_other_threads(host):
    """
    They learn that it was closed; what was accepted is driven by the next process.
    """
    began: queue.SimpleQueue[None] = queue.SimpleQueue()
    host.service.script = lambda *_: began.put(None) or hang()
    left_by = []

    def work(key: str) -> None:
        try:
            host.blocking.submit_bulk_registration(host.request("m-1", key=key), actor=host.actor)
        except OrchestratorClosedError as error:
            left_by.append(error)

    threads = [threading.Thread(target=work, args=(key,)) for key in ("key-1", "key-2")]
    for thread in threads:
        thread.start()
        began.get(timeout=LONGEST_WAIT)
    host.blocking.close()
    for thread in threads:
        thread.join(LONGEST_WAIT)

    assert 2 == len(left_by)
    host.service.script = lambda *_: succeed()
    with BlockingOrchestrator(host.orchestrator(), backend=host.backend) as another:
        assert 2 == len(another.resume_interrupted())


def test_serve_drives_what_others_accept_and_returns_when_it_is_closed(host):
    """
    A worker thread of a host that has no process for it.
    """
    done: queue.SimpleQueue[None] = queue.SimpleQueue()
    host.service.script = lambda *_: done.put(None) or succeed()
    returned = []
    thread = threading.Thread(target=lambda: returned.append(host.blocking.serve()))
    thread.start()

    accepted = host.blocking.submit_bulk_registration(host.request("m-1"), actor=host.actor, drive=False)
    done.get(timeout=LONGEST_WAIT)
    with host.blocking.watch_batch(accepted.batch_id, actor=host.actor) as run:
        list(run)
    host.blocking.close()
    thread.join(LONGEST_WAIT)

    assert BulkStatus.SUCCESS is run.result.status
    assert [None] == returned


def test_a_store_that_cannot_be_opened_says_so_and_is_opened_by_a_later_call(host):
    """
    The database of a host may start after it.
    """
    attempts = []

    @asynccontextmanager
    async def opening():
        attempts.append(1)
        if len(attempts) == 1:
            reason = "The database is away."
            raise RepositoryUnavailableError(reason, advice="Start it.")
        yield host.orchestrator()

    with BlockingOrchestrator(opening, backend=host.backend) as blocking:
        with pytest.raises(RepositoryUnavailableError, match="away"):
            blocking.list_batches(actor=host.actor)

        assert 0 == blocking.list_batches(actor=host.actor).total
    assert 2 == len(attempts)


def test_a_later_call_opens_the_store_although_the_thread_that_could_not_has_not_ended(host, monkeypatch):
    """
    The thread tells why it could not, and ends a moment later.
    """
    attempts = []
    may_end = threading.Event()
    run = EventLoopThread._run

    def run_and_linger(thread):
        run(thread)
        may_end.wait()

    monkeypatch.setattr(EventLoopThread, "_run", run_and_linger)

    @asynccontextmanager
    async def opening():
        attempts.append(1)
        if len(attempts) == 1:
            reason = "The database is away."
            raise RepositoryUnavailableError(reason, advice="Start it.")
        yield host.orchestrator()

    with BlockingOrchestrator(opening, backend=host.backend) as blocking:
        with pytest.raises(RepositoryUnavailableError, match="away"):
            blocking.list_batches(actor=host.actor)

        try:
            assert 0 == blocking.list_batches(actor=host.actor).total
        finally:
            may_end.set()


def test_what_the_closing_of_a_store_raises_is_raised_by_close(host):
    """
    Not swallowed by a thread that nobody looks at.
    """

    @asynccontextmanager
    async def opening():
        yield host.orchestrator()
        reason = "The last write did not arrive."
        raise RepositoryUnavailableError(reason, advice="Look at it.")

    blocking = BlockingOrchestrator(opening, backend=host.backend)
    blocking.list_batches(actor=host.actor)
    with pytest.raises(RepositoryUnavailableError, match="last write"):
        blocking.close()


@pytest.mark.parametrize("verb", ["list_batches", "serve", "close"])
def test_it_refuses_to_be_called_where_an_event_loop_runs(host, verb):
    """
    That loop would stand still, with every request that it serves; a worker thread may call.
    """

    async def from_a_loop() -> str:
        with pytest.raises(WrongThreadError, match=f"{verb}.*worker thread"):
            getattr(host.blocking, verb)()
        page = await anyio.to_thread.run_sync(lambda: host.blocking.list_batches(actor=host.actor))
        return f"{page.total} batches"

    assert "0 batches" == anyio.run(from_a_loop, backend=host.backend)


def test_a_service_that_ends_the_event_loop_ends_one_call_and_not_the_next(host):
    """
    The loop starts again at the next call, with nothing that the one before had in hand.
    """

    def leave(*_):
        raise SystemExit(3)

    host.service.script = leave
    with pytest.raises((SystemExit, OrchestratorClosedError)):  # trio ends what waits first
        host.blocking.submit_bulk_registration(host.request("m-1", key="key-1"), actor=host.actor)

    host.service.script = lambda *_: succeed()
    again = host.blocking.submit_bulk_registration(
        host.request("m-1", key="key-1"), actor=host.actor, drive=False
    )
    assert [again.batch_id] == list(host.blocking.resume_interrupted())
