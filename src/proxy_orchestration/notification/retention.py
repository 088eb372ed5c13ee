"""
The verbs that let go of what a host need not or may not keep any longer; for the host, without an actor.
"""

from __future__ import annotations

from datetime import datetime

import attrs

from proxy_orchestration._pseudonyms import is_pseudonym
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.notification.arguments import check_arguments
from proxy_orchestration.notification.erasure import NoticeErasure, NoticeExport
from proxy_orchestration.notification.ports import NotificationRecords
from proxy_orchestration.notification.visibility_port import VisibilityRegistry


class NoticeRetentionVerbs:
    """
    What the orchestrator removes by age, and what it tells and erases of one mentor.
    """

    __slots__ = ()

    repository: NotificationRecords
    visibility: VisibilityRegistry | None
    clock: Clock

    async def purge_notices(self, *, created_before: datetime) -> int:
        """
        Empty the notices of runs for a moment before that one, and show them no more; return how many.

        What a notice is told by stays: nobody is told a second time. A recipient's
        latest pending notice about a certificate stays as it is, and so does what
        no digest has told of or whose push still waits. Audit rows stay.

        Raises:
            InvalidValueError: the moment is naive.
        """
        check_arguments(created_before=created_before)
        return await self.repository.purge_notices(created_before=created_before)

    async def purge_pushes(self, *, due_before: datetime) -> int:
        """
        Delete the messages that were due before that moment and are done with; return how many.

        What waits, what is dead and could still be replayed, open digests, and each
        recipient's last digest that was sent stay.

        Raises:
            InvalidValueError: the moment is naive.
        """
        check_arguments(due_before=due_before)
        return await self.repository.purge_pushes(due_before=due_before)

    async def purge_runs(self, *, started_before: datetime) -> int:
        """
        Delete the runs in the log that started before that moment; return how many.

        Raises:
            InvalidValueError: the moment is naive.
        """
        check_arguments(started_before=started_before)
        return await self.repository.purge_runs(started_before=started_before)

    async def export_mentor(self, mentor_id: str) -> NoticeExport:
        """
        Return all that the store and the registry hold about one mentor; `to_dict()` makes JSON of it.

        Raises:
            InvalidValueError: the mentor's id is none.
        """
        check_arguments(mentor_id=mentor_id)
        export = await self.repository.export_mentor(mentor_id)
        if self.visibility is None:
            return export
        changes = await self.visibility.changes_of(mentor_id)
        return attrs.evolve(export, visibility_changes=tuple(changes))

    async def erase_mentor(self, mentor_id: str) -> NoticeErasure:
        """
        Put a pseudonym in the place of one mentor, and delete what was written about them.

        Their queued pushes are not sent, their notices and those about them lose their
        words and wait for nobody, notes of acknowledgements go. Keys, the guard and
        who took note stay: a feed in which they still stand tells nobody a second
        time. What comes later of a certificate that ends later is told, and is
        erased when it is done again. The registry forgets whom it hid, and its audit
        rows name the pseudonym; done again where one of the two failed.

        Raises:
            InvalidValueError: the mentor's id is none, or it is a pseudonym.
        """
        check_arguments(mentor_id=mentor_id)
        if is_pseudonym(mentor_id):
            name = "mentor_id"
            raise InvalidValueError(
                name, "must not be the pseudonym of an erased mentor: there is nothing left to erase"
            )
        renamed = 0
        if self.visibility is not None:
            renamed = await self.visibility.erase_mentor(mentor_id, at=self.clock.now())
        erased = await self.repository.erase_mentor(mentor_id)
        return attrs.evolve(erased, visibility_changes=renamed)
