"""
Invented personal data, and a witness who hears everything that a host's log could show of it.
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any, Final

import attrs

from proxy_orchestration import Actor, CoordinatorAccess

NAME: Final = "Zofia Zaunkoenig"
MAIL: Final = "zofia.zk@person.example.invalid"
PHONE: Final = "+00 0155 0199"
NUMBER: Final = "NUMBER-7Q-0000-ZK"
DEVICE: Final = "device-address-zk-0000"
SECRET: Final = "zk-secret-of-at-least-thirty-two-characters"  # noqa: S105 - invented

PERSONAL: Final = f"{NAME}, {MAIL}, {PHONE}, {NUMBER}, {DEVICE}"
"""One text with all of them, for whatever takes a text."""

_SHOWN: Final = ("zaunkoenig", "zofia", "person.example", "0155 0199", "7q-0000", "device-address", SECRET)


def found_in(text: str) -> list[str]:
    """
    Return the canaries that a text holds.
    """
    lowered = text.casefold()
    return [each for each in _SHOWN if each in lowered]


@attrs.define(eq=False, init=False)
class Witness(logging.Handler):
    """
    Writes down every log record as any formatter could show it, every error and every repr.

    Attributes:
        said: all of it.
        own: the errors that a host's own parts raised, with personal data in them.
        returned: those of them that came back to the caller, alone or as another's cause.
    """

    said: list[str]
    own: list[BaseException]
    returned: list[BaseException]

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said, self.own, self.returned = [], [], []

    def emit(self, record: logging.LogRecord) -> None:
        """
        Take a record with its arguments, its extra fields and its traceback.
        """
        fields = {name: value for name, value in vars(record).items() if name not in {"pathname", "filename"}}
        self.said += [self.format(record), repr(fields)]

    def host_error(self, kind: type[BaseException] = RuntimeError) -> BaseException:
        """
        Return an error that a host's own part is to raise.
        """
        error = kind(PERSONAL)
        error.add_note(PERSONAL)
        self.own.append(error)
        return error

    def saw(self, *things: object) -> None:
        """
        Take what went through somebody's hands.
        """
        self.said += [text for thing in things for text in (repr(thing), str(thing))]

    def caught(self, error: BaseException) -> None:
        """
        Take an error and all that hangs on it, save what the host itself raised.
        """
        for each in self._chain(error):
            self.saw(each)
            self.said += getattr(each, "__notes__", [])
            self.said += traceback.format_exception_only(each) + traceback.format_tb(each.__traceback__)

    def _chain(self, error: BaseException | None) -> Iterator[BaseException]:
        """
        Yield an error and what a formatter prints with it, up to what the host itself raised.
        """
        if error is None:
            return
        if any(error is own for own in self.own):
            self.returned.append(error)
            return
        yield error
        for each in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
            yield from self._chain(each)
        hidden = error.__suppress_context__ or error.__cause__ is not None
        yield from self._chain(error.__cause__ if hidden else error.__context__)

    async def watch(self, verb: Callable[[], Awaitable[object]]) -> None:
        """
        Await a verb, and take its answer or its error.
        """
        try:
            self.saw(await verb())
        except Exception as error:  # noqa: BLE001 - every error is what this is about
            self.caught(error)

    def leaks(self) -> list[str]:
        """
        Return everything that shows a canary.
        """
        return [text for text in self.said if found_in(text)]


class OpenAccess(CoordinatorAccess):
    """
    The usual policy, until it is broken.
    """

    broken: BaseException | None = None

    async def out_of_scope(self, actor: Actor, mentor_ids: Collection[str], /) -> Collection[str]:
        """
        Raise what a test put in.
        """
        if self.broken is not None:
            raise self.broken
        return ()


def public_coroutines(kind: type[Any]) -> set[str]:
    """
    Return the names of a class's public verbs that are awaited, or entered as asynchronous contexts.
    """
    return {
        name
        for name, value in inspect.getmembers(kind)
        if not name.startswith("_") and callable(value) and _is_asynchronous(value)
    }


def _is_asynchronous(value: Any) -> bool:
    plain = getattr(value, "__wrapped__", value)
    return inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain)
