"""
The methods that delete old data and erase mentors; for the host, without an actor.
"""

from __future__ import annotations

from datetime import datetime

from proxy_orchestration._pseudonyms import is_pseudonym
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.registration.arguments import check_arguments
from proxy_orchestration.registration.batches import PurgedBatches
from proxy_orchestration.registration.erasure import MentorErasure, MentorExport
from proxy_orchestration.registration.ports import ActivityRepository


class RetentionVerbs:
    """
    What the orchestrator removes by age, and what it tells and erases of one mentor.
    """

    __slots__ = ()

    repository: ActivityRepository

    async def purge(
        self, *, settled_before: datetime, with_open_reviews: bool = False, with_untold: bool = False
    ) -> PurgedBatches:
        """
        Delete the batches that settled before that moment, notes and all; return what went and what stayed.

        Their audit events stay, and so do their keys.

        Args:
            settled_before: the moment, aware.
            with_open_reviews: also batches in which mentors wait for a decision.
            with_untold: also batches of which `on_run_settled` did not take every end yet, as
                where no process has that hook any more.

        Raises:
            InvalidValueError: the moment is naive.
        """
        spared = {"with_open_reviews": with_open_reviews, "with_untold": with_untold}
        check_arguments(settled_before=settled_before, **spared)
        return await self.repository.purge(settled_before=settled_before, **spared)

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

    async def export_mentor(self, mentor_id: str, *, organization_id: str) -> MentorExport:
        """
        Return all that the store holds about one mentor; `to_dict()` makes JSON of it.

        Raises:
            InvalidValueError: the mentor's id or the organization's is none.
        """
        check_arguments(mentor_id=mentor_id, organization_id=organization_id)
        return await self.repository.export_mentor(organization_id, mentor_id)

    async def erase_mentor(self, mentor_id: str, *, organization_id: str) -> MentorErasure:
        """
        Put a pseudonym in the place of one mentor, and delete what was written about them.

        Notes, details, the messages of failures and the notes beside their records go;
        counts, codes, dates and minutes stay. They are found however their id is spelled.
        A request that comes again is still recognised, and what is registered is not
        registered a second time. An erased item is not taken up by a retry, and of an
        open review it may be skipped. It can be done again: what came since is erased then.

        Labels of batches, reasons of cancels and codes of pauses are the batch's; they stay.

        Args:
            mentor_id: the mentor, as batches and records name them.
            organization_id: the organization whose mentor it is.

        Raises:
            BatchStateError: a run of a batch in which they stand is open; nothing changed.
            InvalidValueError: the mentor's id or the organization's is none, or it is a pseudonym.
        """
        check_arguments(mentor_id=mentor_id, organization_id=organization_id)
        if is_pseudonym(mentor_id):
            name = "mentor_id"
            raise InvalidValueError(
                name, "must not be the pseudonym of an erased mentor: there is nothing left to erase"
            )
        return await self.repository.erase_mentor(organization_id, mentor_id)
