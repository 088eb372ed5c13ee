"""
What the bulk flow asks its host to do.
"""

from __future__ import annotations

from typing import NewType, TypeAlias

import attrs

from proxy_orchestration.registration.conflicts import Conflict, ConflictDecision
from proxy_orchestration.registration.requests import BulkRegistrationRequest

BulkToken = NewType("BulkToken", int)
"""The number of a question that the flow put; its answers carry it back. Numbers only grow."""


@attrs.frozen(kw_only=True)
class BulkConflictCase:
    """
    One conflicting mentor, and what was decided so far.
    """

    conflict: Conflict
    decision: ConflictDecision | None = None


@attrs.frozen(kw_only=True)
class CheckBulkConflicts:
    """
    Preview this request and answer `BulkConflictsFound`. Writes nothing.
    """

    token: BulkToken
    request: BulkRegistrationRequest


@attrs.frozen(kw_only=True)
class SubmitBulk:
    """
    Submit this request; answer `BulkProgressed` as it goes and `BulkAnswered` at the end.
    """

    token: BulkToken
    request: BulkRegistrationRequest


@attrs.frozen(kw_only=True)
class ResolveBulk:
    """
    Resolve these mentors' conflicts; answered as a submission is.

    Attributes:
        token: the answers carry it.
        batch_id: the batch.
        expected_run: the run that the decisions were made on.
        cases: each with a decision.
    """

    token: BulkToken
    batch_id: str
    expected_run: int
    cases: tuple[BulkConflictCase, ...]

    @property
    def decisions(self) -> dict[str, ConflictDecision]:
        """
        Return the decisions by mentor id, as `resolve_conflicts` takes them.
        """
        return {case.conflict.mentor_id: case.decision for case in self.cases if case.decision is not None}


@attrs.frozen(kw_only=True)
class RetryBulk:
    """
    Retry these mentors; answered as a submission is.

    Attributes:
        token: the answers carry it.
        batch_id: the batch.
        expected_run: the run whose failures are retried.
        mentor_ids: in request order, at least one.
    """

    token: BulkToken
    batch_id: str
    expected_run: int
    mentor_ids: tuple[str, ...]


BulkWork: TypeAlias = SubmitBulk | ResolveBulk | RetryBulk
"""Effects that write; all are answered alike."""

BulkEffect: TypeAlias = CheckBulkConflicts | BulkWork
"""What a host carries out for the bulk flow, at most once each."""
