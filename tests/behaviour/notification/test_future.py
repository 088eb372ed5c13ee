"""
A run's moment in the future: it would take the guard of everybody it tells, until then.
"""

from datetime import timedelta

import pytest

from proxy_orchestration.errors import InvalidValueError

FAR = timedelta(days=365 * 4)


@pytest.mark.parametrize("ahead", [timedelta(hours=1, seconds=1), FAR])
async def test_a_moment_in_the_future_is_refused_before_anything_is_read(scene, ahead):
    """
    Unless it is said; nothing is written, and a run of today tells as if nothing had been.
    """
    nightly, certificate, later = scene.orchestrator(), scene.certificate(1), scene.clock.now() + ahead

    with pytest.raises(InvalidValueError, match="allow_future"):
        await nightly.run(iter([pytest.fail]), as_of=later)
    with pytest.raises(InvalidValueError, match="allow_future"):
        async with nightly.stream(iter([pytest.fail]), as_of=later):
            pytest.fail("it began")

    assert [] == list(scene.repository.runs)
    assert 1 == (await nightly.run([certificate])).created


async def test_an_hour_ahead_is_two_machines_clocks(scene):
    """
    Exactly an hour passes.
    """
    later = scene.clock.now() + timedelta(hours=1)

    assert 1 == (await scene.orchestrator().run([scene.certificate(1)], as_of=later)).created


async def test_a_plan_takes_any_moment_and_a_run_the_one_that_is_meant(scene):
    """
    To see what a later day would bring costs nobody a notice.
    """
    nightly, certificate, later = scene.orchestrator(), scene.certificate(1), scene.clock.now() + FAR

    assert 1 == (await nightly.plan([certificate], as_of=later)).result.created
    assert 1 == (await nightly.run([certificate], as_of=later, allow_future=True)).created
    async with nightly.stream([scene.certificate(2)], as_of=later, allow_future=True) as outcomes:
        assert ["created"] == [outcome.state.value async for outcome in outcomes]
