"""
Every verb of an orchestrator is there as a plain call, and does what the async one does.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import get_type_hints

import anyio
import pytest

from proxy_orchestration import (
    BatchNotFoundError,
    BatchStateError,
    BulkRegistrationOrchestrator,
    BulkStatus,
    BulkSubmissionResult,
    InvalidTypeError,
    ItemState,
    MisconfiguredError,
)
from proxy_orchestration.blocking import BlockingBatchRun, BlockingOrchestrator
from proxy_orchestration.testing import hang, reject, succeed

pytestmark = pytest.mark.dateless


def _verbs(kind: type) -> dict[str, inspect.Signature]:
    """
    Return the public methods of a class, and how they are called.
    """
    return {
        name: inspect.signature(value)
        for name in dir(kind)
        if not name.startswith("_") and callable(value := getattr(kind, name))
    }


def test_no_verb_is_missing_and_each_takes_what_the_async_one_takes():
    """
    A verb that the orchestrator gets is a red test here until it is there, too.
    """
    verbs, calls = _verbs(BulkRegistrationOrchestrator), _verbs(BlockingOrchestrator)
    del verbs["serve"]  # whose readiness is a matter between tasks

    assert {"serve", "close"} == calls.keys() - verbs.keys()
    assert {name: list(verb.parameters) for name, verb in verbs.items()} == {
        name: list(calls[name].parameters) for name in verbs
    }
    assert [] == [name for name in calls if inspect.iscoroutinefunction(getattr(BlockingOrchestrator, name))]


def test_a_verb_tells_its_types_and_its_words():
    """
    For editors, for `help`, and for whoever builds a form of a signature.
    """
    verb = BlockingOrchestrator.submit_bulk_registration

    assert "Store a batch durably" in (verb.__doc__ or "")
    assert BulkSubmissionResult is get_type_hints(verb)["return"]
    assert BulkSubmissionResult is inspect.signature(verb).return_annotation
    assert Iterator[BlockingBatchRun] == get_type_hints(BlockingOrchestrator.drive_batch)["return"]


def test_a_batch_is_submitted_read_and_retried(host):
    """
    The usual day of a host.
    """
    host.service.script = lambda call, attempt: (
        reject("no_consent", "No consent.") if (call.mentor_id, attempt) == ("m-2", 1) else succeed()
    )

    result = host.blocking.submit_bulk_registration(host.request("m-1", "m-2"), actor=host.actor)
    assert BulkStatus.PARTIAL_SUCCESS is result.status
    assert result == host.blocking.get_bulk_submission_status(result.batch_id, actor=host.actor)
    page = host.blocking.read_items(result.batch_id, actor=host.actor, states={ItemState.FAILED})
    assert ["m-2"] == [item.outcome.mentor_id for item in page.items]

    retried = host.blocking.retry_failed_items(result.batch_id, actor=host.actor)
    assert BulkStatus.SUCCESS is retried.status
    assert 0 == host.blocking.health().driving
    assert host.blocking.check_health().store_reachable


def test_an_error_leaves_as_itself(host):
    """
    Whichever thread carried the call out.
    """
    with pytest.raises(BatchNotFoundError, match="nowhere"):
        host.blocking.get_bulk_submission_status("nowhere", actor=host.actor)
    with pytest.raises(InvalidTypeError):
        host.blocking.submit_bulk_registration("m-1", actor=host.actor)


def test_a_stream_tells_each_outcome_and_then_the_result(host):
    """
    With progress, without a coroutine.
    """
    with host.blocking.stream_bulk_registration(host.request("m-1", "m-2"), actor=host.actor) as run:
        told = [(update.settled, update.total) for update in run]
        assert run.ended

    assert [(1, 2), (2, 2)] == told
    assert BulkStatus.SUCCESS is run.result.status
    assert (run.result.batch_id, 1, 2) == (run.batch_id, run.run, run.total)
    with host.blocking.watch_batch(run.batch_id, actor=host.actor, after=1) as watched:
        assert [2] == [update.sequence for update in watched]
    with host.blocking.drive_batch(run.batch_id) as driven:
        assert [] == list(driven)


def test_a_block_that_cannot_be_entered_raises_why(host):
    """
    Nobody drives what is not there.
    """
    with pytest.raises(BatchNotFoundError), host.blocking.drive_batch("nowhere"):
        pytest.fail("the block was entered")


def test_a_block_that_is_left_by_an_error_drives_no_longer(host):
    """
    The error leaves as itself, and the batch can be driven on at once.
    """
    host.service.script = lambda call, _: succeed() if call.mentor_id == "m-1" else hang()
    with (  # noqa: PT012 - what the block has done before is the point
        pytest.raises(ZeroDivisionError),
        host.blocking.stream_bulk_registration(host.request("m-1", "m-2"), actor=host.actor) as run,
    ):
        assert 1 == next(run).settled
        raise ZeroDivisionError

    assert 0 == host.service.in_flight
    with pytest.raises(BatchStateError, match="was left before"):
        _ = run.result
    host.service.script = lambda *_: succeed()
    with host.blocking.drive_batch(run.batch_id) as driven:
        assert [1, 2] == [update.sequence for update in driven]


def test_the_context_of_the_caller_is_the_call_s(host):
    """
    A request id for the log reaches the service.
    """
    seen = []
    request_id: ContextVar[str] = ContextVar("request_id")
    request_id.set("request-7")
    host.service.script = lambda *_: seen.append(request_id.get()) or succeed()

    host.blocking.submit_bulk_registration(host.request("m-1"), actor=host.actor)

    assert ["request-7"] == seen


def test_many_threads_share_one_object(host):
    """
    They share one event loop, and wait for nobody else's call.
    """
    results = []

    def submit(number: int) -> None:
        request = host.request(f"m-{number}")
        results.append(host.blocking.submit_bulk_registration(request, actor=host.actor))

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [BulkStatus.SUCCESS] * 8 == [result.status for result in results]
    assert 1 == len([each for each in threading.enumerate() if each.name == "proxy-orchestration"])


@pytest.mark.parametrize("part", ["sqlite:///mentors.db", None, anyio.Lock])
def test_what_is_no_orchestrator_is_refused_when_the_object_is_made(part):
    """
    Not at the first request of the first day.
    """
    if callable(part):
        with pytest.raises(MisconfiguredError, match="backend"):
            BlockingOrchestrator(part, backend="gevent")
    else:
        with pytest.raises(MisconfiguredError, match="function that opens one"):
            BlockingOrchestrator(part)
