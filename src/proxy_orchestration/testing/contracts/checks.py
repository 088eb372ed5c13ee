"""
The parts of a contract kit: checks, and their failure messages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Generic, NoReturn, TypeAlias, TypeVar

import anyio
import attrs

from proxy_orchestration.testing.contracts.host_samples import Samples, Use, note_invented, using

T = TypeVar("T")
_Error = TypeVar("_Error", bound=Exception)

Opener: TypeAlias = Callable[[], AbstractAsyncContextManager[T]]
"""A function that opens a fresh subject, such as an empty store: `async with open_subject() as subject`."""

UNKEEPABLE: Final = ("cut\0off", "half \ud800")
"""Texts that no database keeps as they are: NUL, and half of a surrogate pair."""

_DEADLINE: Final = 30.0


@attrs.frozen
class Check(Generic[T]):
    """
    One rule of a port, which checks any adapter.

    Attributes:
        name: the rule in snake_case; `str(check)` returns it, for test ids.
        body: a function that checks one fresh subject.
    """

    name: str
    body: Callable[[T], Awaitable[None]]

    async def __call__(self, open_subject: Opener[T], *, samples: Samples | None = None) -> None:
        """
        Check a fresh subject.

        Args:
            open_subject: opens it.
            samples: what a host's own subject knows, where a kit asks about people, activities
                or batches; `None` for what our doubles take.

        Raises:
            AssertionError: it breaks the rule; the message says how. Without samples an error of a
                check about people has a note that says so, whoever raised it.
            TimeoutError: it did not answer within 30 seconds.
        """
        use = Use(samples)
        token = using.set(use)
        try:
            with anyio.fail_after(_DEADLINE):
                async with open_subject() as subject:
                    await self.body(subject)
        except Exception as error:
            note_invented(error, use)
            raise
        finally:
            using.reset(token)

    def __str__(self) -> str:
        return self.name


def rule_of(kit: list[Check[T]]) -> Callable[[Callable[[T], Awaitable[None]]], Check[T]]:
    """
    Return a decorator that adds the function to the kit, as a check of its own name.
    """

    def add(body: Callable[[T], Awaitable[None]]) -> Check[T]:
        kit.append(Check(getattr(body, "__name__", repr(body)), body))
        return kit[-1]

    return add


def rule_where(
    kit: list[Check[T]], *abilities: type
) -> Callable[[Callable[[Any], Awaitable[None]]], Check[T]]:
    """
    Return a decorator that adds the function as a check of subjects with these abilities, and of no others.
    """

    def add(body: Callable[[Any], Awaitable[None]]) -> Check[T]:
        async def checked(subject: T) -> None:
            if all(isinstance(subject, ability) for ability in abilities):
                await body(subject)

        checked.__name__ = getattr(body, "__name__", repr(body))
        return rule_of(kit)(checked)

    return add


def broken(rule: str) -> NoReturn:
    """
    Complain, also where `assert` is switched off.
    """
    raise AssertionError(rule)


def expect(rule: str, *, expected: object, actual: object) -> None:
    """
    Complain unless both are equal.
    """
    if expected != actual:
        broken(f"{rule}: expected {expected!r}, got {actual!r}")


def expect_seconds(rule: str, *, at_most: float, actual: float | None) -> None:
    """
    Complain unless the seconds are above 0 and no more than that.
    """
    if actual is None or not 0 < actual <= at_most:
        broken(f"{rule}: expected more than 0 and at most {at_most} seconds, got {actual!r}")


async def error_of(error: type[_Error], rule: str, call: Awaitable[object]) -> _Error:
    """
    Return the error of this type that the call raises, or complain.
    """
    try:
        answer = await call
    except error as raised:
        return raised
    broken(f"{rule}: expected {error.__name__}, got the answer {answer!r}")


async def at_once(*calls: Callable[[], Awaitable[T]]) -> list[T]:
    """
    Return the answers of calls that run side by side, in the order given.
    """
    answers: dict[int, T] = {}

    async def keep(place: int, call: Callable[[], Awaitable[T]]) -> None:
        answers[place] = await call()

    async with anyio.create_task_group() as tasks:
        for place, call in enumerate(calls):
            tasks.start_soon(keep, place, call)
    return [answers[place] for place in range(len(calls))]
