"""
Asks a registration service which registrations conflict, before any is sent.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee
from proxy_orchestration._concurrency import NoAnswerError, ask
from proxy_orchestration._normal_forms import id_form
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
from proxy_orchestration.registration.service_errors import ServiceErrors, ServiceHooks

_NO_RUN_YET: Final = 0

_log = logging.getLogger(_loggers.CONFLICT_CHECKS)


@attrs.define(eq=False, kw_only=True)
class ConflictCheck:
    """
    One question for all registrations of a request; no answer is a conflict of its own kind.
    """

    service: ProxyRegistrationService
    clock: Clock
    timeout: float
    hooks: ServiceHooks = attrs.field(factory=ServiceHooks)

    async def find(
        self, entries: Sequence[RegistrationEntry], *, actor: Actor, batch_id: str
    ) -> Mapping[str, Conflict]:
        """
        Return the conflicts by item key; none where the service cannot check.
        """
        if not entries or not isinstance(self.service, SupportsConflictCheck):
            return {}
        registrations = [_registration(entry, actor, batch_id) for entry in entries]
        answer = await self._answer(self.service, registrations, batch_id)
        conflicts = _conflicts_in(answer, entries) if isinstance(answer, Sequence) else None
        if conflicts is not None:
            return conflicts
        _log.error(
            "the conflict check of %d registrations failed; they wait for a review",
            len(entries),
            extra={"batch_id": batch_id, "mentors": len(entries)},
        )
        # Not clean: what could not be found out is for a person to decide; decision 21.
        mentor_ids = {entry.mentor_id for entry in entries}
        failed = [Conflict(mentor_id=one, kind=ConflictKind.CHECK_FAILED) for one in mentor_ids]
        return _conflicts_in(failed, entries) or {}

    async def _answer(
        self, service: SupportsConflictCheck, registrations: Sequence[ProxyRegistration], batch_id: str
    ) -> object:
        try:
            return await ask(
                lambda: service.find_conflicts(registrations), clock=self.clock, seconds=self.timeout
            )
        except NoAnswerError:
            return None
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            name = type(error).__name__
            _log.error("the conflict check raised %s", name, extra={"batch_id": batch_id, "error": name})
            ServiceErrors(batch_id=batch_id, run=_NO_RUN_YET, hooks=self.hooks).tell(
                error, "find_conflicts", registrations
            )
            return None


def _registration(entry: RegistrationEntry, actor: Actor, batch_id: str) -> ProxyRegistration:
    # The id that it will have, since an entry may conflict with an earlier one; decision 23.
    registration_id = registration_id_of(batch_id, entry.item_key)
    return ProxyRegistration(
        registration_id=registration_id,
        idempotency_key=idempotency_key_of(registration_id, 0),
        batch_id=batch_id,
        mentor_id=entry.mentor_id,
        activity=entry.activity,
        registered_by=actor,
    )


def _conflicts_in(
    answer: Sequence[object], entries: Sequence[RegistrationEntry]
) -> dict[str, Conflict] | None:
    """
    Take an answer that speaks of these entries only; `None` for anything else.
    """
    by_mentor = _entries_by_mentor(entries)
    conflicts: dict[str, Conflict] = {}
    for conflict in answer:
        if not isinstance(conflict, Conflict) or id_form(conflict.mentor_id) not in by_mentor:
            return None
        meant = by_mentor[id_form(conflict.mentor_id)]
        if conflict.item_key is not None:
            meant = [entry for entry in meant if id_form(entry.item_key) == id_form(conflict.item_key)]
        if not meant:
            return None
        for entry in meant:
            told = attrs.evolve(conflict, mentor_id=entry.mentor_id, item_key=_told(entry, by_mentor))
            conflicts.setdefault(entry.item_key, told)
    return conflicts


def _told(entry: RegistrationEntry, by_mentor: Mapping[str, list[RegistrationEntry]]) -> str | None:
    # Where the mentor's id says it all, a conflict looks as it did before there were item keys.
    alone = len(by_mentor[id_form(entry.mentor_id)]) == 1
    return None if alone and entry.item_key == entry.mentor_id else entry.item_key


def _entries_by_mentor(entries: Sequence[RegistrationEntry]) -> Mapping[str, list[RegistrationEntry]]:
    of_mentor: defaultdict[str, list[RegistrationEntry]] = defaultdict(list)
    for entry in entries:
        of_mentor[id_form(entry.mentor_id)].append(entry)
    return of_mentor
