"""
Checks what an actor may do, with which batch, for whom; used by every method with an actor.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from proxy_orchestration._normal_forms import id_form
from proxy_orchestration.access import AccessPolicy, Action, Actor, Visibility, refusal
from proxy_orchestration.errors import BatchNotFoundError
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.ledger import BatchRecord
from proxy_orchestration.registration.ports import BatchLedger
from proxy_orchestration.registration.reasons import OUT_OF_SCOPE, SELF_ATTRIBUTION


@attrs.define(eq=False, kw_only=True)
class Authorization:
    """
    Asks the host's access policy, every time.
    """

    ledger: BatchLedger
    access_policy: AccessPolicy

    def authorize(self, actor: Actor, action: Action) -> None:
        """
        Accept an actor whose roles allow the action.

        Raises:
            NotAuthorizedError: they do not; nothing was read.
        """
        if not self.allows(actor, action):
            raise refusal(actor, action)

    def allows(self, actor: Actor, action: Action) -> bool:
        """
        Tell whether the actor's roles allow the action.
        """
        return self.access_policy.allows(actor, action)

    def visibility(self, actor: Actor) -> Visibility:
        """
        Return which batches the actor may know of.
        """
        return self.access_policy.visibility(actor)

    async def authorized_batch(self, batch_id: str, actor: Actor, action: Action) -> BatchRecord:
        """
        Return the batch if the actor may do this to it.

        Raises:
            NotAuthorizedError: the actor's roles do not allow the action at all.
            BatchNotFoundError: no such batch, or none that the actor may know of.
        """
        self.authorize(actor, action)
        record = await self.ledger.get(batch_id)
        # One answer for both, so that nobody learns which ids exist elsewhere.
        if record is None or not self.visibility(actor).covers(
            organization_id=record.organization_id, coordinator_id=record.coordinator_id
        ):
            raise BatchNotFoundError(batch_id)
        return record

    async def refused_mentors(self, actor: Actor, mentor_ids: Iterable[str]) -> dict[str, Failure]:
        """
        Return the mentors whom the actor may not register for, with the reason; each is asked about once.
        """
        mentor_ids = tuple(dict.fromkeys(mentor_ids))
        beyond = {id_form(each) for each in await self.access_policy.out_of_scope(actor, mentor_ids)}
        own = id_form(actor.user_id)
        refused: dict[str, Failure] = {}
        for mentor_id in mentor_ids:
            form = id_form(mentor_id)
            if form == own:
                refused[mentor_id] = SELF_ATTRIBUTION
            elif form in beyond:
                refused[mentor_id] = OUT_OF_SCOPE
        return refused
