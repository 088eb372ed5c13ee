"""
Asks a registration service which registrations conflict, before any is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import comes_from_callee, is_being_cancelled, wait_at_most
from proxy_orchestration.access import Actor
from proxy_orchestration.clock import Clock
from proxy_orchestration.registration.activities import (
    ProxyRegistration,
    idempotency_key_of,
    registration_id_of,
)
from proxy_orchestration.registration.conflicts import Conflict, ConflictKind
from proxy_orchestration.registration.ports import ProxyRegistrationService, SupportsConflictCheck
from proxy_orchestration.registration.requests import RegistrationEntry

_log = logging.getLogger(_loggers.CONFLICT_CHECKS)


@attrs.define(eq=False, kw_only=True)
class ConflictChecks:
    """
    One question for all registrations of a request; no answer is a conflict of its own kind.
    """

    service: ProxyRegistrationService
    clock: Clock
    timeout: float

    async def ask(
        self, entries: Sequence[RegistrationEntry], *, actor: Actor, batch_id: str
    ) -> Mapping[str, Conflict]:
        """
        Return the conflicts by mentor id; none where the service cannot check.
        """
        if not entries or not isinstance(self.service, SupportsConflictCheck):
            return {}
        registrations = [_registration(entry, actor, batch_id) for entry in entries]
        answer = await self._answer(self.service, registrations, batch_id)
        conflicts = _read(answer, {entry.mentor_id for entry in entries})
        if conflicts is None:
            _log.error(
                "the conflict check of %d registrations failed; they wait for review",
                len(entries),
                extra={"batch_id": batch_id, "mentors": len(entries)},
            )
            return {entry.mentor_id: _failed(entry.mentor_id) for entry in entries}
        return conflicts

    async def _answer(
        self, service: SupportsConflictCheck, registrations: list[ProxyRegistration], batch_id: str
    ) -> object:
        answers: list[object] = []

        async def ask() -> None:
            try:
                answers.append(await service.find_conflicts(registrations))
            except BaseException as error:
                if not comes_from_callee(error) or is_being_cancelled():
                    raise
                name = type(error).__name__
                _log.error("the conflict check raised %s", name, extra={"batch_id": batch_id, "error": name})

        await wait_at_most(self.clock, self.timeout, ask)
        return answers[0] if answers else None


def _registration(entry: RegistrationEntry, actor: Actor, batch_id: str) -> ProxyRegistration:
    registration_id = registration_id_of(batch_id, entry.mentor_id)
    return ProxyRegistration(
        registration_id=registration_id,
        idempotency_key=idempotency_key_of(registration_id, 0),
        batch_id=batch_id,
        mentor_id=entry.mentor_id,
        activity=entry.activity,
        registered_by=actor,
    )


def _failed(mentor_id: str) -> Conflict:
    return Conflict(mentor_id=mentor_id, kind=ConflictKind.CHECK_FAILED)


def _read(answer: object, mentor_ids: set[str]) -> dict[str, Conflict] | None:
    """
    Take an answer that speaks of these mentors only; `None` for anything else.
    """
    if not isinstance(answer, Sequence):
        return None
    conflicts: dict[str, Conflict] = {}
    for conflict in answer:
        if not isinstance(conflict, Conflict) or conflict.mentor_id not in mentor_ids:
            return None
        conflicts.setdefault(conflict.mentor_id, conflict)
    return conflicts
