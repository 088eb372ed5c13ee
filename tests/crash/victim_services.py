"""
What a victim process calls, with a strike at every moment of it: services, and an audit logger.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, Protocol

import attrs

from proxy_orchestration import ProxyRegistration, RegistrationReceipt
from proxy_orchestration.ports import AuditEvent
from proxy_orchestration.registration.conflicts import Conflict
from proxy_orchestration.registration.ports import ProxyRegistrationService, SupportsBulk, SupportsLookup
from proxy_orchestration.registration.standard.service import StandardRegistrationService

POISON: Final = "poison"
"""How the id of a mentor begins whom nobody survives calling for."""

POISONED: Final = 86
"""The exit status of a process that died of it."""


class DriverError(Exception):
    """
    A database driver's own word for a lost connection: no `TimeoutError`, no `OSError`.
    """


@attrs.define(eq=False)
class Moments:
    """
    Counts the moments of one process, writes each to a file, and strikes at the chosen one.

    Attributes:
        trace: the file; what is written outlives the process.
        strike: `signal`, and either `number` among all moments or `name` and `nth` of that name.
        database: held by whoever uses a connection, where the process is to be stopped: no
            transaction may stay open meanwhile, or nobody else could write.
    """

    trace: Path
    strike: Mapping[str, Any]
    database: threading.Lock = attrs.field(init=False, factory=threading.Lock)
    _seen: Counter[str] = attrs.field(init=False, factory=Counter)

    def reach(self, name: str, detail: str = "") -> None:
        """
        Note the moment, and strike if it is the one.
        """
        self._seen[name] += 1
        with self.trace.open("a", encoding="utf-8") as lines:
            lines.write(f"{name} {detail}".strip() + "\n")
        due = (name, self._seen[name]) == (self.strike.get("name"), self.strike.get("nth"))
        if due or self._seen.total() == self.strike.get("number"):
            with self.database if self.stops else nullcontext():
                os.kill(os.getpid(), self.strike["signal"])

    @property
    def stops(self) -> bool:
        """
        Return whether the strike stops the process and does not kill it.
        """
        return bool(self.strike["signal"] == signal.SIGSTOP)


class Registrations(SupportsBulk, SupportsLookup, ProxyRegistrationService, Protocol):
    """
    What stands behind a victim's service: all but the conflict check.
    """


@attrs.define(eq=False)
class PlainService:
    """
    The standard service without its look-up; notes when a call begins and ends.
    """

    inner: Registrations
    moments: Moments

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Hand the call on.
        """
        self.moments.reach("call begins", registration.mentor_id)
        receipt = await self.inner.register(registration)
        self.moments.reach("call ends", registration.mentor_id)
        return receipt


@attrs.define(eq=False)
class LookupService(PlainService):
    """
    The standard service with its look-up.
    """

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Hand the question on.
        """
        return await self.inner.find_registration(registration_id)


@attrs.define(eq=False)
class PoisonousService(LookupService):
    """
    Ends the process, as a segmentation fault would, whenever it is called for a poisonous mentor.
    """

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Hand the call on, or die of it.
        """
        if registration.mentor_id.startswith(POISON):
            self.moments.reach("call begins", registration.mentor_id)
            os._exit(POISONED)
        return await super().register(registration)


@attrs.define(eq=False)
class ForgetfulService(PlainService):
    """
    Loses the answer of every call that writes, by an error of its driver's own.
    """

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Write, and lose the reply; answer only where the record stood before.
        """
        standing = await self.inner.find_registration(registration.registration_id)
        receipt = await super().register(registration)
        if standing is None:
            raise DriverError
        return receipt


@attrs.define(eq=False)
class ForgetfulLookupService(ForgetfulService, LookupService):
    """
    Loses answers, and can be asked afterwards.
    """


@attrs.define(eq=False)
class CheckingService(LookupService):
    """
    Can be asked about conflicts beforehand.
    """

    async def find_conflicts(self, registrations: Sequence[ProxyRegistration], /) -> Sequence[Conflict]:
        """
        Hand the question on.
        """
        assert isinstance(self.inner, StandardRegistrationService)
        return await self.inner.find_conflicts(registrations)


@attrs.define(eq=False)
class FileAuditLogger:
    """
    Appends each event's id to a file, and the overrides it names.
    """

    file: Path
    moments: Moments

    async def log_bulk_submission(self, taken: AuditEvent, /) -> None:
        """
        Take the event durably.
        """
        self.moments.reach("audit begins")
        overrides = [[override.mentor_id, override.activity_id] for override in taken.overrides]
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(f"{taken.event_id}\t{json.dumps(overrides)}\n")
            lines.flush()
            os.fsync(lines.fileno())
        self.moments.reach("audit ends")
