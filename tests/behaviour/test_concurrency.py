"""
Asking a dependency within a time, and writing to the end.
"""

import anyio
import pytest

from proxy_orchestration._concurrency import NoAnswerError, ask, comes_from_callee, shielded_write


async def answer():
    """
    Answer at once.
    """
    return "yes"


async def complain():
    """
    Turn being cut off into an error, as careless code does.
    """
    try:
        await anyio.sleep_forever()
    except BaseException:  # noqa: BLE001 - as careless code does
        raise ValueError from None


async def test_an_answer_in_time_is_returned(scene):
    """
    No time passes for it.
    """
    assert "yes" == await ask(answer, clock=scene.clock, seconds=1.0)
    assert 0 == scene.clock.sleepers


async def test_an_error_in_time_leaves_as_itself(scene):
    """
    It is the dependency's answer.
    """

    async def refuse():
        raise KeyError

    with pytest.raises(KeyError):
        await ask(refuse, clock=scene.clock, seconds=1.0)


@pytest.mark.parametrize("dependency", [anyio.sleep_forever, complain], ids=["silent", "complaining"])
async def test_who_does_not_answer_in_time_is_cut_off(scene, dependency):
    """
    Whatever it makes of the cut is no answer.
    """
    with pytest.raises(NoAnswerError):
        await scene.while_time_passes(lambda: ask(dependency, clock=scene.clock, seconds=2.0))

    assert 2.0 == scene.clock.monotonic()


async def test_a_cancelled_task_leaves_cancelled_whatever_its_dependency_makes_of_that(scene):
    """
    The dependency's error hides no cancellation.
    """
    left_by = []

    async def caller():
        try:
            await ask(complain, clock=scene.clock, seconds=2.0)
        except BaseException as error:
            left_by.append(type(error))
            raise

    await scene.interrupt(caller)

    assert [anyio.get_cancelled_exc_class()] == left_by


async def test_a_write_that_takes_too_long_is_cut_off(scene):
    """
    A shield holds for a while, not for ever.
    """
    with pytest.raises(NoAnswerError):
        await scene.while_time_passes(
            lambda: shielded_write(anyio.sleep_forever, clock=scene.clock, seconds=3.0)
        )

    assert 3.0 == scene.clock.monotonic()


async def test_what_was_written_for_a_cancelled_task_is_given_to_it_or_taken_back(scene):
    """
    Trio hands the answer over before the task is cancelled, asyncio does not.
    """
    gate, given, taken_back = anyio.Event(), [], []

    async def write():
        await gate.wait()
        return "lease"

    async def take_back(what):
        taken_back.append(what)

    async def caller():
        given.append(await shielded_write(write, clock=scene.clock, seconds=3.0, take_back=take_back))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        await scene.quiet()
        tasks.cancel_scope.cancel()
        gate.set()

    assert ["lease"] == given + taken_back


async def test_a_cancellation_that_nobody_asked_for_comes_from_the_callee():
    """
    Neither a scope nor the host cancelled this task.
    """
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        except BaseException as error:
            cancellation = error
            raise

    assert comes_from_callee(cancellation)
