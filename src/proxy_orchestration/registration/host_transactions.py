"""
The method that accepts a batch within a host's transaction.
"""

from __future__ import annotations

import attrs

from proxy_orchestration.access import Action, Actor
from proxy_orchestration.errors import BatchNotFoundError, MisconfiguredError
from proxy_orchestration.registration.arguments import check_arguments
from proxy_orchestration.registration.batches import BulkSubmissionResult
from proxy_orchestration.registration.fresh_results import accepted_result
from proxy_orchestration.registration.ports import BatchLedger, SupportsHostTransactions
from proxy_orchestration.registration.requests import BulkRegistrationRequest
from proxy_orchestration.registration.submission.submit import Submission, naming_submission


class HostTransactionVerbs:
    """
    The part of an orchestrator that takes part in a transaction of the host's.
    """

    __slots__ = ()
    _submission: Submission

    async def submit_within(
        self, connection: object, request: BulkRegistrationRequest, *, actor: Actor
    ) -> BulkSubmissionResult:
        """
        Accept a batch in the host's open transaction: with its commit it is there, else it never was.

        Nothing is driven, and nobody is told: `serve` and the like find the
        run once the host has committed. Access and conflicts are checked as
        for every submission, the latter by the service as it sees them.

        Args:
            connection: the host's, as `within` of the repository takes it.
            request: the mentors and their activities.
            actor: who submits; every record is attributed to this person.

        Raises:
            MisconfiguredError: the repository cannot take part in such a transaction, or not
                by this connection.
            HostTransactionError: the connection is in no transaction that could be written to.
            NotAuthorizedError, EmptySelectionError, DuplicateSelectionError,
            BatchTooLargeError, AtomicModeError, IdempotencyKeyReusedError,
            InvalidValueError, RepositoryUnavailableError: as a submission would; the host's
                transaction stands as it stood before the call.
        """
        check_arguments(request=request, actor=actor)
        self._submission.authorization.authorize(actor, Action.SUBMIT)
        ledger = self._ledger_within(connection)
        submission = attrs.evolve(self._submission, ledger=ledger)
        accepted = await submission.accept(request, actor, drives=False)
        if accepted.new is not None:
            return accepted_result(accepted.new, accepted.batch_id)
        with naming_submission(accepted.batch_id, request.idempotency_key):
            result = await ledger.read_result(accepted.batch_id)
            if result is None:
                raise BatchNotFoundError(accepted.batch_id)
            return result

    def _ledger_within(self, connection: object) -> BatchLedger:
        ledger = self._submission.ledger
        if isinstance(ledger, SupportsHostTransactions):
            return ledger.within(connection)
        problem = (
            f"it is a {type(ledger).__name__}, which cannot take part in your transaction. Give a "
            "SqlActivityRepository on the database of that transaction."
        )
        raise MisconfiguredError(type(self).__name__, "repository", problem)
