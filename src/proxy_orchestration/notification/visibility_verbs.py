"""
The public methods for hidden mentors: list the changes, and show a mentor again.
"""

from __future__ import annotations

from datetime import datetime

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import MisconfiguredError, NotAuthorizedError
from proxy_orchestration.notification.arguments import check_arguments
from proxy_orchestration.notification.visibility_port import VisibilityRegistry
from proxy_orchestration.notification.visibility_records import (
    Restoration,
    VisibilityChange,
    VisibilityPage,
    change_place,
    changes_page,
)


class VisibilityVerbs:
    """
    What the orchestrator tells of its registry, and what people change in it.
    """

    __slots__ = ()

    visibility: VisibilityRegistry | None
    clock: Clock

    async def restore_visibility(
        self, mentor_id: str, certificate_type: str | None = None, *, actor: Actor, reason: str = ""
    ) -> tuple[VisibilityChange, ...]:
        """
        Show a mentor again whom we hide for a lapsed certificate, with an audit row for each type.

        No end up to now hides the mentor any more, whatever later runs see; an
        end after it does again. Where we hide nobody nothing changes.

        Args:
            mentor_id: the mentor, of the actor's organization or of no known one.
            certificate_type: for which type alone, as `type_code` spells it; `None` for all.
            actor: a coordinator or chapter admin, with the roles held now.
            reason: up to 500 characters.

        Returns:
            the audit rows; each says what the host's own status was before, where that is known.

        Raises:
            NotAuthorizedError: neither a coordinator nor a chapter admin; nothing was read.
            RepositoryUnavailableError: the registry failed.
            InvalidValueError: the reason is too long, or no store keeps it.
            MisconfiguredError: the orchestrator has no registry.
        """
        check_arguments(mentor_id=mentor_id, certificate_type=certificate_type, actor=actor, reason=reason)
        _check_role(actor, "show hidden mentors again")
        wanted = Restoration(
            mentor_id=mentor_id,
            certificate_type=certificate_type,
            organization_id=actor.organization_id,
            by=actor.user_id,
            reason=reason,
            at=self.clock.now(),
        )
        return tuple(await _registry(self.visibility).restore(wanted))

    async def list_visibility_changes(
        self, *, actor: Actor, after: str | None = None, limit: int = 50
    ) -> VisibilityPage:
        """
        Return a page of how mentors of the actor's organization were hidden and shown, newest first.

        A host that asks for all asks its registry: `changes(None, after=None, limit=50)`.

        Args:
            actor: a coordinator or chapter admin, with the roles held now.
            after: `next_after` of the page before.
            limit: changes on a page, 1 to 100.

        Raises:
            NotAuthorizedError: neither a coordinator nor a chapter admin; nothing was read.
            RepositoryUnavailableError: the registry failed.
            InvalidValueError: `after` is of no page, or the limit out of range.
            MisconfiguredError: the orchestrator has no registry.
        """
        check_arguments(actor=actor, after=after, limit=limit)
        _check_role(actor, "read the log of hidden mentors")
        place = None if after is None else change_place(after)
        registry = _registry(self.visibility)
        found = await registry.changes(actor.organization_id, after=place, limit=limit + 1)
        return changes_page(tuple(found), limit=limit)

    async def purge_visibility_changes(self, *, changed_before: datetime) -> int:
        """
        Delete the audit rows of changes before that moment; return how many. Who is hidden stays so.

        Raises:
            InvalidValueError: the moment is naive.
            MisconfiguredError: the orchestrator has no registry.
        """
        check_arguments(changed_before=changed_before)
        return await _registry(self.visibility).purge_changes(changed_before=changed_before)


def _check_role(actor: Actor, action: str) -> None:
    if not actor.roles & {Role.COORDINATOR, Role.CHAPTER_ADMIN}:
        raise NotAuthorizedError(action, ask="a coordinator or a chapter admin")


def _registry(registry: VisibilityRegistry | None) -> VisibilityRegistry:
    if registry is None:
        owner, part = "NotificationOrchestrator", "visibility"
        raise MisconfiguredError(
            owner, part, "it is None, so no mentor is hidden. Give a VisibilityRegistry."
        )
    return registry
