"""
What the log says of a run, whatever ended it.
"""

import anyio
import pytest
from waits import LONGEST_WAIT

from proxy_orchestration import Actor, InvalidValueError, Role, RunEnding
from proxy_orchestration.errors import NotAuthorizedError, RepositoryUnavailableError
from proxy_orchestration.storage.memory import MemoryNotificationRepository

ADMIN = Actor(user_id="admin-1", roles={Role.CHAPTER_ADMIN}, organization_id="oslo")


async def logged(scene):
    """
    Return the one run in the log.
    """
    (run,) = await scene.repository.list_runs(None, after=None, limit=9)
    return run


async def fail_after(number, scene):
    """
    Read so many outcomes, or all of them, and fail over the last one.
    """
    async with scene.orchestrator().stream([scene.certificate(1, 7), scene.certificate(2, 7)]) as outcomes:
        seen = 0
        async for _ in outcomes:
            seen += 1
            if seen == number:
                break
        raise ZeroDivisionError


async def test_a_run_says_why_certificates_were_skipped(scene):
    """
    By reason, and how many the guard stopped; somebody is alerted of those.
    """
    await scene.run(scene.certificate(1, 7))
    scene.clock.advance(60)
    await scene.run(
        scene.certificate(1, 30), scene.certificate(2, 300), scene.certificate(3, 30, revoked=True)
    )
    run, _ = await scene.repository.list_runs(None, after=None, limit=9)

    assert {"deferred": 1, "not_due": 1, "revoked": 1} == run.skipped_by_reason
    assert (1, RunEnding.COMPLETED, "") == (run.stopped_by_guard, run.ending, run.error)


async def test_somebody_is_alerted_when_the_guard_stopped_a_notice(scene, caplog):
    """
    And not when a run met its own notices again, as each night's does.
    """
    scene.directory = None
    await scene.run(scene.certificate(1, 7))
    await scene.run(scene.certificate(1, 7))
    before = list(caplog.messages)
    await scene.run(scene.certificate(1, 30))

    alert = "the resend guard deferred notices"
    assert alert not in before
    assert [alert] == [record.message for record in caplog.records if record.levelname == "WARNING"]


async def test_a_run_whose_source_failed_is_logged_with_its_error(scene, caplog):
    """
    With what was done up to there; the error is the host's.
    """

    def source():
        yield scene.certificate(1, 7)
        message = "Kari Canary"
        raise ConnectionError(message)

    with pytest.raises(ConnectionError):
        await scene.orchestrator().run(source())

    run = await logged(scene)
    assert (RunEnding.SOURCE_FAILED, "ConnectionError", 1) == (run.ending, run.error, run.created)
    assert "a run could not read all certificates: source_failed" in caplog.messages
    assert "Canary" not in caplog.text


async def test_a_cancelled_run_is_logged(scene):
    """
    Although its task may not wait for anything any more: its digests are due, too.
    """

    async def source():
        yield scene.certificate(1, 7)
        scope.cancel()
        await anyio.sleep_forever()

    with anyio.fail_after(LONGEST_WAIT), anyio.CancelScope() as scope:
        await scene.orchestrator().run(source())

    run = await logged(scene)
    assert (RunEnding.CANCELLED, "") == (run.ending, run.error)
    assert scope.cancelled_caught


async def test_a_cancelled_reader_of_outcomes_is_a_cancelled_run(scene):
    """
    The block is cancelled, not the source.
    """
    with anyio.CancelScope() as scope:
        async with scene.orchestrator().stream([scene.certificate(1, 7)]) as outcomes:
            await anext(outcomes)
            scope.cancel()
            await anyio.sleep_forever()

    assert RunEnding.CANCELLED is (await logged(scene)).ending


async def test_who_leaves_early_stops_the_run(scene):
    """
    Nothing failed, and not everything was read.
    """
    async with scene.orchestrator().stream([scene.certificate(1, 7), scene.certificate(2, 7)]) as outcomes:
        await anext(outcomes)

    run = await logged(scene)
    assert (RunEnding.STOPPED, "") == (run.ending, run.error)


async def test_who_fails_over_an_outcome_stops_the_run(scene):
    """
    The type of the error is told, and the error is theirs.
    """
    with pytest.raises(ZeroDivisionError):
        await fail_after(1, scene)

    run = await logged(scene)
    assert (RunEnding.STOPPED, "ZeroDivisionError") == (run.ending, run.error)


async def test_a_reader_that_fails_after_the_last_outcome_takes_nothing_from_the_run(scene):
    """
    It read every certificate.
    """
    with pytest.raises(ZeroDivisionError):
        await fail_after(None, scene)

    run = await logged(scene)
    assert (RunEnding.COMPLETED, "") == (run.ending, run.error)


@pytest.mark.parametrize(
    "error", [RepositoryUnavailableError("gone", advice="Wait."), OSError("Kari Canary"), "hangs"], ids=str
)
async def test_a_log_that_fails_takes_no_result_away(scene, caplog, error):
    """
    It is told, within a time, and without the store's own words.
    """

    async def log_run(_run, /):
        if error == "hangs":
            await anyio.sleep_forever()
        raise error

    scene.repository.log_run = log_run
    result = await scene.while_time_passes(lambda: scene.run(scene.certificate(1, 7)))

    assert 1 == result.created
    assert any(message.startswith("a run could not be logged: ") for message in caplog.messages)
    assert "Canary" not in caplog.text


async def test_a_run_that_is_cancelled_while_it_is_logged_is_in_the_log_and_does_not_return(scene):
    """
    The write goes to its end, and the run does not look as if it had.
    """
    log_run = scene.repository.log_run

    async def cancelled_meanwhile(run, /):
        scope.cancel()
        await log_run(run)

    scene.repository.log_run = cancelled_meanwhile
    returned = []
    with anyio.CancelScope() as scope:
        returned.append(await scene.run(scene.certificate(1, 7)))

    assert [] == returned
    assert RunEnding.COMPLETED is (await logged(scene)).ending


async def test_a_chapter_admin_reads_the_runs_of_the_organization_with_its_counts(scene):
    """
    Of a run for several organizations only their own share.
    """
    await scene.run(
        scene.certificate(1, 7, organization_id="oslo"),
        scene.certificate(2, 300, organization_id="oslo"),
        scene.certificate(3, 7, organization_id="bergen"),
        scene.certificate(4, 7, organization_id="half \ud800"),
        scene.certificate(5, 7),
    )
    await scene.run(scene.certificate(6, 7, organization_id="bergen"))
    page = await scene.orchestrator().list_runs(actor=ADMIN)
    (run,) = page.runs

    assert (2, 1, 1, 0) == (run.processed, run.created, run.skipped, run.failed)
    assert ({"urgent_7": 1}, {"not_due": 1}) == (run.by_tier, run.skipped_by_reason)
    assert {} == run.shares
    assert page.next_after is None
    assert "completed" == page.to_dict()["runs"][0]["ending"]


async def test_pages_of_runs_follow_each_other(scene):
    """
    The newest first.
    """
    for _ in range(3):
        scene.clock.advance(60)
        await scene.run(scene.certificate(1, 300, organization_id="oslo"))
    first = await scene.orchestrator().list_runs(actor=ADMIN, limit=2)
    last = await scene.orchestrator().list_runs(actor=ADMIN, after=first.next_after, limit=2)

    started = [run.started_at for run in (*first.runs, *last.runs)]
    assert sorted(started, reverse=True) == started
    assert ([2, 1], None) == ([len(first.runs), len(last.runs)], last.next_after)
    with pytest.raises(InvalidValueError, match="next_after of a page"):
        await scene.orchestrator().list_runs(actor=ADMIN, after="run-1")


@pytest.mark.parametrize("role", [Role.COORDINATOR, Role.PEER_MENTOR, Role.SERVICE])
async def test_nobody_else_reads_the_log(scene, role):
    """
    Refused before anything is read.
    """

    async def read(_organization_id, /, **_rest):
        raise AssertionError

    scene.repository = MemoryNotificationRepository()
    scene.repository.list_runs = read
    actor = Actor(user_id="coord-1", roles={role}, organization_id="oslo")

    with pytest.raises(NotAuthorizedError, match=r"read the log of runs.* ask a chapter admin"):
        await scene.orchestrator().list_runs(actor=actor)
