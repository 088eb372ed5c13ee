"""
Lists registered activities, and adds correction notes.
"""

from __future__ import annotations

import hashlib
from datetime import UTC
from typing import Final

import attrs

from proxy_orchestration._validators import is_identifier
from proxy_orchestration.access import AccessPolicy, Action, Actor, refusal
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import ActivityNotFoundError, InvalidValueError
from proxy_orchestration.registration.erasure import ERASED_TEXT
from proxy_orchestration.registration.ports import ActivityRecords
from proxy_orchestration.registration.records import CorrectionNote, RecordFilter, RecordPage

_OTHER_NOTE: Final = "must be a new key for a new note: it belongs to another note on this activity"


@attrs.frozen(kw_only=True)
class CorrectionRequest:
    """
    What is to be put beside a record, and the key by which a form is sent once.
    """

    activity_id: str
    note: str = attrs.field(repr=False)
    idempotency_key: str = attrs.field(validator=is_identifier)


@attrs.define(eq=False, kw_only=True)
class RegisteredActivities:
    """
    The verbs for what is registered already.
    """

    repository: ActivityRecords
    clock: Clock
    access_policy: AccessPolicy

    async def page(self, actor: Actor, *, limit: int, found_by: RecordFilter) -> RecordPage:
        """
        Return some of the records that the actor may know of.
        """
        self._authorize(actor, Action.READ)
        visibility = self.access_policy.visibility(actor)
        return await self.repository.list_activities(visibility, limit=limit, found_by=found_by)

    async def correct(self, request: CorrectionRequest, *, actor: Actor) -> CorrectionNote:
        """
        Put a note beside a record that the actor may know of; the key's note, where it has one.
        """
        self._authorize(actor, Action.SUBMIT)
        note = CorrectionNote(
            note_id=_note_id(actor, request),
            activity_id=request.activity_id,
            text=request.note,
            written_by=actor.user_id,
            written_at=self.clock.now().astimezone(UTC),
        )
        standing = await self.repository.add_correction(self.access_policy.visibility(actor), note)
        if standing is None:
            raise ActivityNotFoundError(request.activity_id)
        # What was erased since is still the note of that form.
        if standing.text not in {request.note, ERASED_TEXT}:
            raise InvalidValueError("idempotency_key", _OTHER_NOTE)  # noqa: EM101 - an argument's name
        return standing

    def _authorize(self, actor: Actor, action: Action) -> None:
        if not self.access_policy.allows(actor, action):
            raise refusal(actor, action)


def _note_id(actor: Actor, request: CorrectionRequest) -> str:
    digest = hashlib.sha256()
    for part in (actor.organization_id, actor.user_id, request.activity_id, request.idempotency_key):
        digest.update(f"{len(part)}:{part}".encode(errors="replace"))
    return f"note-{digest.hexdigest()[:32]}"
