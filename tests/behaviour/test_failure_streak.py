from types import SimpleNamespace

import attrs
import pytest

from proxy_orchestration import BatchStateError, BulkSettings, BulkStatus, RetryPolicy
from proxy_orchestration.errors import (
    DuplicateActivityError,
    OutcomeUnknownError,
    RegistrationRejected,
    RegistrationUnavailable,
)
from proxy_orchestration.registration.execution.attempts import Attempt
from proxy_orchestration.registration.execution.failure_streak import FailureStreak
from proxy_orchestration.registration.execution.run_pause import RunPause
from proxy_orchestration.registration.runs import UnfinishedItem, WorkItem
from proxy_orchestration.testing import (
    BulkRegistrationService,
    FakeClock,
    FaultyActivityRepository,
    ScriptedRegistrationService,
    fail,
    hang,
    reject,
    slow,
    succeed,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RegistrationRejected("closed", "No."), "closed"),
        (RegistrationUnavailable(), "unavailable"),
        (OutcomeUnknownError("lost"), "outcome_unknown"),
        (OSError("lost"), "outcome_unknown"),
        (RuntimeError("odd"), "unexpected"),
        (DuplicateActivityError("activity-1"), None),
    ],
)
def test_an_error_counts_by_its_code(error, code):
    """
    A duplicate is an answer, and ends the row.
    """
    reached = []
    streak = FailureStreak(after=2, window=5.0, clock=FakeClock(), on_reached=reached.append)

    streak.note_error(error)
    streak.note_error(error)

    assert ([] if code is None else [code]) == reached


def test_who_does_not_listen_hears_nothing():
    """
    A streak without a driver counts all the same.
    """
    streak = FailureStreak(after=1, window=5.0, clock=FakeClock())

    streak.note("closed")
    streak.end()


def one_by_one(**changes):
    """
    Return settings with which two calls that fail alike pause a run.
    """
    settings = BulkSettings(
        max_concurrency=1,
        max_undurable=1,
        pause_after_failures=2,
        call_timeout=5.0,
        retry=RetryPolicy(max_attempts=1),
    )
    return attrs.evolve(settings, **changes)


async def submitted(scene, mentors=5):
    """
    Return what a submission ends with.
    """
    return await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(scene.request(mentors), actor=scene.actor)
    )


@pytest.mark.parametrize(
    ("reply", "code"),
    [(hang(), "outcome_unknown"), (fail(RuntimeError("odd")), "unexpected")],
    ids=["no answer in time", "an error of the service"],
)
async def test_calls_without_an_answer_pause_a_run(scene, reply, code):
    """
    Whatever makes them fail, as long as it is the same.
    """
    scene.settings = one_by_one(pause_window=60.0)
    scene.service.script = lambda *_: reply

    result = await submitted(scene)

    assert (BulkStatus.PAUSED, code) == (result.status, result.pause_code)
    assert 2 == len(scene.service.calls)


async def test_wrong_answers_pause_a_run(scene_with):
    """
    What is no receipt of its registration is a call that failed.
    """

    class Nonsense(ScriptedRegistrationService):
        async def register(self, registration, /):
            await super().register(registration)
            return "nonsense"

    scene = scene_with(Nonsense())
    scene.settings = one_by_one()

    result = await submitted(scene)

    assert (BulkStatus.PAUSED, "bad_answer") == (result.status, result.pause_code)


@pytest.mark.parametrize(
    ("first", "garbled", "code"),
    [
        (reject("closed", "No."), False, "closed"),
        (succeed(), False, None),
        (succeed(), True, "bad_answer"),
    ],
    ids=["all rows refused", "all rows written", "nonsense"],
)
async def test_a_call_for_many_counts_once(scene_with, first, garbled, code):
    """
    It has failed when all of its rows did, for one reason.
    """
    scene = scene_with(BulkRegistrationService())
    scene.settings = one_by_one(max_undurable=6, max_per_call=2)
    scene.service.script = lambda *_: first
    if garbled:
        scene.service.garble = lambda _answers, _call: ["nonsense"]

    result = await submitted(scene, 6)

    assert code == result.pause_code
    assert (code is None) == (result.status is BulkStatus.SUCCESS)


async def test_a_run_that_is_cancelled_meanwhile_is_not_paused(scene):
    """
    The cancel was stored first, and wins.
    """
    scene.settings = one_by_one()
    scene.service.script = lambda *_: reject("closed", "No.")
    store = scene.repository

    @attrs.define(eq=False, slots=False)
    class Cancelling(FaultyActivityRepository):
        async def pause_run(self, batch_id, run, /, **pause):
            await store.cancel_run(batch_id, reason=None, wished_at=scene.clock.now())
            with pytest.raises(BatchStateError):
                await store.pause_run(batch_id, run, **pause)
            await store.pause_run(batch_id, run, **pause)

    scene.repository = Cancelling(store)

    result = await submitted(scene)

    assert BulkStatus.CANCELLED is result.status
    assert 2 == len(scene.service.calls)


async def test_failures_at_once_pause_a_run_once(scene):
    """
    The second one finds it paused.
    """
    scene.settings = one_by_one(max_concurrency=2, max_undurable=2, pause_after_failures=1)
    scene.service.script = lambda *_: slow(1.0, then=reject("closed", "No."))

    result = await submitted(scene)

    assert (BulkStatus.PAUSED, 2) == (result.status, len(scene.service.calls))


def test_a_suspect_that_a_pause_kept_from_its_call_is_one_still(scene):
    """
    Whoever drives next calls it alone again; the others wait like any.
    """
    work = [
        WorkItem(
            item=place - 1,
            mentor_id=f"m{place}",
            activity=scene.activity,
            epoch=0,
            in_doubt=True,
            place=place,
        )
        for place in (1, 2)
    ]
    alone = (Attempt.at(work[1], batch_id="batch-1"),)
    untold = tuple(UnfinishedItem(work=one) for one in work)
    context = SimpleNamespace(waiting=SimpleNamespace(is_paused=True), streak=None)
    pause = RunPause(context=context, workers=None, writer=None, take_due=list)

    assert [False, True] == [item.is_called for item in pause.told(untold, alone)]
    context.waiting.is_paused = False
    assert untold == pause.told(untold, alone)
