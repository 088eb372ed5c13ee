"""
The verbs of notification: run, plan and stream, whatever source they read.
"""

from datetime import datetime

import pytest

from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.notification.results import RecordState
from proxy_orchestration.notification.settings import NotificationSettings

GONE = RepositoryUnavailableError("It is gone.", advice="Wait.")


async def test_a_plan_is_a_run_without_writes(scene):
    """
    The same counts as the run after it, and the keys of what it writes.
    """
    certificates = [scene.certificate(n, days) for n, days in enumerate([61, 60, 30, 7, -1])]

    plan = await scene.orchestrator().plan(certificates)

    assert 4 == len(plan.notices)
    assert {} == dict(await scene.repository.count_pushes())
    assert set() == await scene.visibility.hidden(["mentor-4"], at=scene.clock.now())
    assert [] == list(scene.repository.runs)
    assert plan.result == await scene.run(*certificates)


async def test_a_plan_lists_no_more_than_it_is_told_to(scene):
    """
    Bounded, whatever the number of certificates.
    """
    scene.settings = NotificationSettings(most_planned=2, most_problems=1)

    plan = await scene.orchestrator().plan([*(scene.certificate(n) for n in range(5)), "x", "y"])

    assert (2, 5, 2, 1) == (
        len(plan.notices),
        plan.result.created,
        plan.result.failed,
        len(plan.result.failures),
    )


async def test_a_stream_tells_how_each_certificate_ended(scene):
    """
    Once its chunk is written; leaving early leaves the rest to a later run.
    """
    scene.settings = NotificationSettings(chunk_size=2)
    certificates = [scene.certificate(n) for n in range(6)]
    seen = []

    async with scene.orchestrator().stream(certificates) as outcomes:
        async for outcome in outcomes:
            seen.append(outcome)
            if len(seen) == 3:
                break

    assert {RecordState.CREATED} == {outcome.state for outcome in seen}
    assert 4 == len(await scene.repository.notifications_for("coord-1"))
    assert 2 == (await scene.run(*certificates)).created
    assert [4, 6] == sorted(run.processed for run in scene.repository.runs)


async def test_a_naive_moment_is_refused_before_anything_is_read(scene):
    """
    A run has to know its day.
    """
    for verb in (scene.orchestrator().run, scene.orchestrator().plan):
        with pytest.raises(ValueError, match="as_of"):
            await verb(iter([pytest.fail]), as_of=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


async def test_a_run_is_logged_with_its_counts_and_codes(scene):
    """
    Also where the log itself fails, the run's result is told.
    """
    await scene.run(scene.certificate(1), "x")

    (run,) = scene.repository.runs
    assert (2, 1, {"not_a_certificate": 1}, {"warning_30": 1}) == (
        run.processed,
        run.created,
        dict(run.error_codes),
        dict(run.by_tier),
    )

    async def log_run(_run, /):
        raise GONE

    scene.repository.log_run = log_run
    assert 1 == (await scene.run(scene.certificate(2))).created


async def test_certificates_may_come_asynchronously(scene):
    """
    From a cursor, for example.
    """

    async def cursor():
        for number in range(3):
            yield scene.certificate(number)

    assert 3 == (await scene.orchestrator().run(cursor())).created


async def test_a_source_that_fails_in_the_middle_is_told_as_far_as_it_came(scene):
    """
    Its own error reaches the caller, and the run is in the log.
    """

    def source():
        yield scene.certificate(1)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await scene.orchestrator().run(source())

    assert 1 == len(await scene.repository.notifications_for("mentor-1"))
    assert [1] == [run.created for run in scene.repository.runs]


async def test_no_certificates_are_zeros(scene):
    """
    An empty day is a day.
    """
    result = await scene.run()

    assert (0, 0) == (result.processed, len(scene.directory.asked))
