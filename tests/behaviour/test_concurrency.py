"""
Asking a dependency within a time, and writing to the end.
"""

import asyncio

import anyio
import pytest
from anyio.lowlevel import checkpoint

from proxy_orchestration._cancellation import comes_from_callee
from proxy_orchestration._concurrency import NoAnswerError, ask, open_task_group, shielded_write


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


async def end_together(group):
    """
    End a scope of one's own just when the group around it ends.
    """
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        finally:
            group.cancel_scope.cancel()


async def cancelled_while(work):
    """
    Cancel the task that does the work as a host does, once it waits; return how it ended.
    """
    task = asyncio.ensure_future(work())
    for _ in range(10):
        await checkpoint()
    task.cancel()
    (end,) = await asyncio.gather(task, return_exceptions=True)
    return end


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # its own way to cancel
async def test_a_task_takes_its_own_cancellations_back_and_nobody_elses():
    """
    A host that was cancelled once is still cancelled, whatever ended in its task group.
    """
    requests = []

    async def work():
        try:
            async with open_task_group() as tasks:
                try:
                    await anyio.sleep_forever()
                finally:
                    tasks.start_soon(end_together, tasks)
        finally:
            requests.append(asyncio.current_task().cancelling())

    assert isinstance(await cancelled_while(work), asyncio.CancelledError)
    assert [1] == requests


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # its own way to cancel
async def test_a_group_of_ours_leaves_the_hosts_own_group_its_cancellation():
    """
    It runs in a task of the host's, in a group of the host's.
    """
    requests = []

    async def child(group):
        async with open_task_group() as tasks:
            tasks.cancel_scope.cancel()
            try:
                await anyio.sleep_forever()
            finally:
                group.cancel_scope.cancel()

    async def work():
        try:
            async with anyio.create_task_group() as group:
                try:
                    await anyio.sleep_forever()
                finally:
                    group.start_soon(child, group)
        finally:
            requests.append(asyncio.current_task().cancelling())

    assert isinstance(await cancelled_while(work), asyncio.CancelledError)
    assert [1] == requests


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # its own way to cancel
async def test_the_hosts_cancellation_leaves_before_the_failure_of_a_task():
    """
    Who deals with the failure would go on as if nobody had cancelled.
    """

    async def fail():
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyError

    causes = []

    async def work():
        try:
            async with open_task_group() as tasks:
                tasks.start_soon(fail)
        except asyncio.CancelledError as error:
            causes.append(type(error.__cause__))
            raise

    assert isinstance(await cancelled_while(work), asyncio.CancelledError)
    assert [KeyError] == causes


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # its own way to cancel
async def test_what_a_block_makes_of_the_hosts_cancellation_is_the_hosts():
    """
    An error of its own leaves as it is.
    """

    async def work():
        async with open_task_group():
            try:
                await anyio.sleep_forever()
            except asyncio.CancelledError:
                raise KeyError from None

    assert isinstance(await cancelled_while(work), KeyError)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # its own way to cancel
async def test_a_dependency_hides_no_cancellation_by_the_host(scene):
    """
    Neither by an error nor by an answer.
    """

    async def agree():
        try:
            await anyio.sleep_forever()
        except BaseException:  # noqa: BLE001 - as careless code does
            return "yes"

    for dependency in (complain, agree):
        end = await cancelled_while(lambda: ask(dependency, clock=scene.clock, seconds=2.0))  # noqa: B023 - awaited here

        assert isinstance(end, asyncio.CancelledError)


async def test_a_task_says_when_it_is_ready():
    """
    Its group waits for that.
    """

    async def serve(*, task_status):
        task_status.started("ready")
        await anyio.sleep_forever()

    async with open_task_group() as tasks:
        assert "ready" == await tasks.start(serve)
        tasks.cancel_scope.cancel()
