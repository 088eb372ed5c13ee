"""
How a scripted double answers, one function per kind of answer.
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
        waits: what is awaited first: seconds of the double's clock, or events.
        writes: whether the call takes effect.
        error: what is raised after that, if anything.
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
    Take effect and answer.
    """
    return Reply(writes=True)


def reject(code: str = "rejected", message: str = "The registration was refused.") -> Reply:
    """
    Refuse definitely; nothing is written.
    """
    return Reply(error=RegistrationRejected(code, message))


def duplicate(existing_activity_id: str) -> Reply:
    """
    Point to another registration's record; nothing is written.
    """
    return Reply(error=DuplicateActivityError(existing_activity_id))


def unavailable(retry_after: float | None = None) -> Reply:
    """
    Say that the call was definitely not executed.

    Args:
        retry_after: seconds the caller is asked to wait.
    """
    return Reply(error=RegistrationUnavailable(retry_after))


def lose_reply(error: BaseException | None = None) -> Reply:
    """
    Take effect, then lose the answer: raise the error, a `TimeoutError` by default.
    """
    return Reply(writes=True, error=TimeoutError("the reply was lost") if error is None else error)


def fail(error: BaseException) -> Reply:
    """
    Raise the error without taking effect.
    """
    return Reply(error=error)


def slow(pause: float | anyio.Event, then: Reply | None = None) -> Reply:
    """
    Wait first, then go on as another reply says; `succeed` by default.

    Args:
        pause: seconds of the double's clock, or an event to wait for.
        then: what follows; its own waits come after this one.
    """
    follows = succeed() if then is None else then
    return attrs.evolve(follows, waits=(pause, *follows.waits))


def hang(*, written: bool = False) -> Reply:
    """
    Never answer; cancelling the call ends it.

    Args:
        written: whether the call takes effect before it hangs.
    """
    return Reply(writes=written, answers=False)


def not_seen() -> Reply:
    """
    Make a look-up answer `None`, whatever was written.
    """
    return Reply(seen=False)


def stubborn(reply: Reply) -> Reply:
    """
    Go on as the reply says even when the call is cancelled, and answer late.
    """
    return attrs.evolve(reply, stubborn=True)
