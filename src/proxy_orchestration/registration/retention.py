"""
The verbs that let go of what a host need not keep any longer; for the host, without an actor.
"""

from __future__ import annotations

from datetime import datetime

from proxy_orchestration.registration.arguments import check_arguments
from proxy_orchestration.registration.ports import ActivityRepository


class RetentionVerbs:
    """
    What the orchestrator removes by age.
    """

    __slots__ = ()

    repository: ActivityRepository

    async def purge(self, *, settled_before: datetime) -> int:
        """
        Delete the batches that settled before that moment, notes and all; return how many.

        Their audit events stay, and so do their keys.

        Raises:
            InvalidValueError: the moment is naive.
        """
        check_arguments(settled_before=settled_before)
        return await self.repository.purge(settled_before=settled_before)

    async def purge_audit_events(self, *, settled_before: datetime) -> int:
        """
        Delete the audit events of runs that settled before that moment; return how many.

        An event that no logger is known to have taken stays, however old it is.

        Raises:
            InvalidValueError: the moment is naive.
        """
        check_arguments(settled_before=settled_before)
        return await self.repository.purge_audit_events(settled_before=settled_before)

    async def purge_tombstones(self, *, accepted_before: datetime) -> int:
        """
        Forget the keys of deleted batches that were accepted before that moment; return how many.

        From then on such a key is a new one, and its request a new batch: choose a
        moment after which no client repeats a request.

        Raises:
            InvalidValueError: the moment is naive.
        """
        check_arguments(accepted_before=accepted_before)
        return await self.repository.purge_tombstones(accepted_before=accepted_before)
