"""
Handles exceptions of the host's service: classifies, logs without their text, and reports them.
"""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration.errors import (
    OutcomeUnknownError,
    RecordRefusedError,
    RegistrationError,
    RegistrationRejected,
    RegistrationUnavailable,
)
from proxy_orchestration.registration.activities import ProxyRegistration
from proxy_orchestration.registration.ports import ClassifyError, ErrorKind, OnServiceError
from proxy_orchestration.registration.reasons import REFUSED

_LIBRARY: Final = str(Path(__file__).parents[1])

_log = logging.getLogger(_loggers.DRIVER)


def lone(error: BaseException) -> BaseException:
    """
    Return the one exception that a group holds, and what is no such group as it is.
    """
    # A service with a task group of its own raises whatever happens in there as a group of one.
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def place_of(error: BaseException) -> str:
    """
    Return file, line and function of the innermost frame outside this library.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    foreign = [each for each in frames if not each[0].f_code.co_filename.startswith(_LIBRARY)]
    for frame, line in reversed(foreign or frames):
        return f"{frame.f_code.co_filename}:{line}:{frame.f_code.co_qualname}"
    return "an unknown place"  # made and never raised, as the parts of a group may be


@attrs.frozen(kw_only=True)
class ServiceHooks:
    """
    What a host may say about its service's errors, and where it wants to see them.

    Attributes:
        classify_error: says what an error means; `None`: this library's rules alone.
        on_service_error: is handed each error itself; `None`: nobody is.
    """

    classify_error: ClassifyError | None = None
    on_service_error: OnServiceError | None = None


@attrs.define(eq=False, kw_only=True)
class ServiceErrors:
    """
    The errors of the host's service during one run, or before a batch's first one.

    Each is logged by type and place, never by its text or a value. The same
    one at the same place is logged once, and counted until the end.

    Attributes:
        batch_id, run: whose calls they are; run 0 is before the first.
        hooks: the host's.
    """

    batch_id: str
    run: int
    hooks: ServiceHooks = attrs.field(factory=ServiceHooks)
    _times: Counter[str] = attrs.field(factory=Counter, init=False)

    def heard(
        self, error: BaseException, method: str, registrations: Sequence[ProxyRegistration]
    ) -> BaseException:
        """
        Return what an error of a call means, as one of the errors that a service may raise if it is known.
        """
        error = lone(error)
        if isinstance(error, RegistrationError | RecordRefusedError):
            return error
        self.tell(error, method, registrations)
        return self._classified(error, registrations) if isinstance(error, Exception) else error

    def tell(self, error: BaseException, method: str, registrations: Sequence[ProxyRegistration]) -> None:
        """
        Log an error, and hand it to the host.
        """
        error = lone(error)
        self._say_raised(error, method, registrations)
        if self.hooks.on_service_error is None or not isinstance(error, Exception):
            return
        try:
            self.hooks.on_service_error(error, registrations)
        except Exception as broken:  # noqa: BLE001 - a host's tracker must not become the batch's failure
            self._say_raised(broken, "on_service_error", registrations)

    def note_bad_answer(
        self, answer: object, method: str, registrations: Sequence[ProxyRegistration]
    ) -> None:
        """
        Log an answer that does not answer what was asked.
        """
        kind = type(answer).__name__
        self._say(f"{method} returned a {kind} that does not answer the call", kind, registrations)

    def note_silence(self, method: str, seconds: float, registrations: Sequence[ProxyRegistration]) -> None:
        """
        Log a call that did not end in its time.
        """
        self._say(f"{method} did not answer within {seconds:g} s", "TimeoutError", registrations)

    def note_late_end(self, error: BaseException | None, registrations: Sequence[ProxyRegistration]) -> None:
        """
        Log that a call ended which was left behind; its answer changes nothing.
        """
        kind = "an answer" if error is None else type(error).__name__
        self._say(f"an abandoned call ended with {kind}", kind, registrations)

    def conclude(self) -> None:
        """
        Say how often it was what was logged once.
        """
        for what, times in self._times.items():
            if times > 1:
                _log.error(
                    "the service failed %d times in run %d of batch %s: %s",
                    times,
                    self.run,
                    self.batch_id,
                    what,
                    extra={"batch_id": self.batch_id, "run": self.run, "times": times},
                )
        self._times.clear()

    def _classified(self, error: Exception, registrations: Sequence[ProxyRegistration]) -> Exception:
        if self.hooks.classify_error is None:
            return error
        kind: object = None
        try:
            kind = self.hooks.classify_error(error)
        except Exception as broken:  # noqa: BLE001 - without the host's word our own rules hold
            self._say_raised(broken, "classify_error", registrations)
        match kind:
            case ErrorKind.TRANSIENT:
                return RegistrationUnavailable()
            case ErrorKind.DEFINITE:
                return RegistrationRejected(REFUSED.code, REFUSED.message)
            case ErrorKind.IN_DOUBT:
                return OutcomeUnknownError()
            case None:
                return error
            case _:
                self.note_bad_answer(kind, "classify_error", registrations)
                return error

    def _say_raised(
        self, error: BaseException, method: str, registrations: Sequence[ProxyRegistration]
    ) -> None:
        kind = type(error).__name__
        self._say(f"{method} raised {kind} at {place_of(error)}", kind, registrations)

    def _say(self, what: str, kind: str, registrations: Sequence[ProxyRegistration]) -> None:
        self._times[what] += 1
        if self._times[what] > 1:
            return
        first, rest = registrations[0].mentor_id, len(registrations) - 1
        _log.error(
            "the service failed in run %d of batch %s for mentor %s%s: %s",
            self.run,
            self.batch_id,
            first,
            f" and {rest} more" if rest else "",
            what,
            extra={"batch_id": self.batch_id, "run": self.run, "mentor_id": first, "error": kind},
        )
