"""
The replies of scripted doubles, one function for each kind of reply.
"""

from __future__ import annotations

import anyio
import attrs

from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import DuplicateActivityError, RegistrationRejected, RegistrationUnavailable


@attrs.frozen(kw_only=True)
class Reply:
    """
    One answer of a double: wait, write, then return or raise. Built by this module's functions.

    Attributes:
        waits: what the call waits for first: seconds of the double's clock, or events.
        writes: whether the call takes effect.
        error: the error that is raised after that, or `None`.
        answers: whether the call ever ends.
        seen: whether a look-up may find the record.
        stubborn: whether the call goes on after it was cancelled.
    """

    waits: tuple[float | anyio.Event, ...] = ()
    writes: bool = False
    error: BaseException | None = None
    answers: bool = True
    seen: bool = True
    stubborn: bool = False

    async def wait(self, clock: Clock) -> None:
        """
        Await everything that comes before the write.
        """
        for pause in self.waits:
            if isinstance(pause, anyio.Event):
                await pause.wait()
            else:
                await clock.sleep(pause)

    async def finish(self) -> None:
        """
        Raise the error, hang, or return, as the reply says.
        """
        if self.error is not None:
            raise self.error
        if not self.answers:
            await anyio.sleep_forever()


def succeed() -> Reply:
    """
    Return a reply that writes and answers.
    """
    return Reply(writes=True)


def reject(code: str = "rejected", message: str = "The registration was refused.") -> Reply:
    """
    Return a reply that definitely refuses; nothing is written.
    """
    return Reply(error=RegistrationRejected(code, message))


def duplicate(existing_activity_id: str) -> Reply:
    """
    Return a reply that reports another registration's record as a duplicate; nothing is written.
    """
    return Reply(error=DuplicateActivityError(existing_activity_id))


def unavailable(retry_after: float | None = None) -> Reply:
    """
    Return a reply that reports that the call was definitely not executed.

    Args:
        retry_after: the seconds that the caller should wait, or `None`.
    """
    return Reply(error=RegistrationUnavailable(retry_after))


def lose_reply(error: BaseException | None = None) -> Reply:
    """
    Return a reply that writes and then raises the error, by default a `TimeoutError`.
    """
    return Reply(writes=True, error=TimeoutError("the reply was lost") if error is None else error)


def fail(error: BaseException) -> Reply:
    """
    Return a reply that raises the error; nothing is written.
    """
    return Reply(error=error)


def slow(pause: float | anyio.Event, then: Reply | None = None) -> Reply:
    """
    Return a reply that waits first, and then does what another reply says, by default `succeed`.

    Args:
        pause: seconds of the double's clock, or an event to wait for.
        then: the reply that follows; its own waits come after this one.
    """
    follows = succeed() if then is None else then
    return attrs.evolve(follows, waits=(pause, *follows.waits))


def hang(*, written: bool = False) -> Reply:
    """
    Return a reply that never answers; cancelling the call ends it.

    Args:
        written: whether the call takes effect before it hangs.
    """
    return Reply(writes=written, answers=False)


def not_seen() -> Reply:
    """
    Return a reply that makes a look-up return `None`, whatever was written.
    """
    return Reply(seen=False)


def stubborn(reply: Reply) -> Reply:
    """
    Return a reply that ignores the cancellation of its call, and answers late.
    """
    return attrs.evolve(reply, stubborn=True)
