"""
How batches and runs come into being, as an orchestrator and a ledger say it. Immutable, no I/O.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Final

import attrs

from proxy_orchestration._pseudonyms import is_pseudonym
from proxy_orchestration.access import Actor
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.conflicts import ConflictPolicy, Override
from proxy_orchestration.registration.requests import RegistrationEntry, SubmissionMode
from proxy_orchestration.registration.states import NEW_KEY_STATES, ItemState, transition

NOT_OPEN: Final = "its run is settled or being cancelled, so it is neither paused nor resumed."
"""Why a run cannot be paused or resumed."""


def _ends_a_pending_item(_verdict: Verdict, _field: attrs.Attribute[ItemState], state: ItemState) -> None:
    transition(ItemState.PENDING, state)


@attrs.frozen(kw_only=True)
class Verdict:
    """
    How an item ends in a run without any call.

    Attributes:
        state: FAILED, NEEDS_REVIEW or SKIPPED.
        failure: the reason.
        conflicting_activity_id: the existing record, where that is the reason.
    """

    state: ItemState = attrs.field(validator=_ends_a_pending_item)
    failure: Failure
    conflicting_activity_id: str | None = None

    def stored_state(self, *, in_doubt: bool) -> ItemState:
        """
        Return the state to store, where the item's key is in doubt or not.

        Doubt is never decided away: it is UNKNOWN. Only a person skips an
        item in doubt, who looked at the record that it conflicts with.
        """
        return ItemState.UNKNOWN if in_doubt and self.state is not ItemState.SKIPPED else self.state


@attrs.frozen(kw_only=True)
class NewBatch:
    """
    An accepted request, as it is stored.

    Attributes:
        actor: who submits; owner of the batch and of run 1.
        entries: the items, in request order; position 0 is the first.
        idempotency_key: the submitter's key, or `None`.
        fingerprint: SHA-256 of the entries, 64 hexadecimal digits.
        label: what people call it.
        submitted_at: aware, UTC.
        mode: whether one mentor's failure concerns the others.
        on_conflict: what becomes of mentors whose registration conflicts.
        verdicts: items that are never sent in run 1, by item key.
        overrides: items that are sent over an existing record, by item key.
        batch_id: from `BatchCatalogue.new_batch_id`; `None`: the store gives one.
        service_name: whose orchestrator accepts it; `None` where that has no name.
        trace_context: where in a trace it is accepted, up to 600 characters; kept as it is, and
            each lease on a run of it has it. `None` where nothing is traced.
    """

    actor: Actor
    entries: tuple[RegistrationEntry, ...]
    idempotency_key: str | None
    fingerprint: str
    label: str | None = attrs.field(repr=False)
    submitted_at: datetime
    mode: SubmissionMode = SubmissionMode.INDEPENDENT
    on_conflict: ConflictPolicy = ConflictPolicy.REVIEW
    verdicts: Mapping[str, Verdict] = attrs.field(factory=dict)
    overrides: Mapping[str, Override] = attrs.field(factory=dict)
    batch_id: str | None = None
    service_name: str | None = None
    trace_context: str | None = None


@attrs.frozen(kw_only=True)
class Acceptance:
    """
    The batch that a request became, or already was.

    Attributes:
        batch_id: the batch.
        created: false when the same key and fingerprint were accepted before.
    """

    batch_id: str
    created: bool


class RunPurpose(enum.Enum):
    """
    What a further run was opened for.
    """

    RETRY = "retry"  # to take up what failed
    REVIEW = "review"  # to carry out decisions about conflicts


@attrs.frozen(kw_only=True)
class NewRun:
    """
    A further run over some items of a settled batch.

    Attributes:
        batch_id: the batch.
        expected_run: the run that must be current and settled.
        actor: who opens the run, with the roles held now.
        opened_at: aware, UTC.
        mentor_ids: the item keys of those to take up, each once; a mentor's id is the key of
            an entry without a key of its own.
        verdicts: those of them that are not sent, by item key.
        overrides: those of them that are sent over an existing record, by item key.
        purpose: what it is opened for.
        activities: what is registered for some of them from this run on, instead of what was, by
            item key. Their keys are not in doubt; they get new ones, and an earlier override
            holds no longer.
    """

    batch_id: str
    expected_run: int
    actor: Actor
    opened_at: datetime
    mentor_ids: tuple[str, ...]
    verdicts: Mapping[str, Verdict] = attrs.field(factory=dict)
    overrides: Mapping[str, Override] = attrs.field(factory=dict)
    purpose: RunPurpose = RunPurpose.RETRY
    activities: Mapping[str, ProxyActivity] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class BatchRecord:
    """
    A batch's header and its current run.

    Attributes:
        batch_id, organization_id, coordinator_id, label, total, submitted_at, mode, on_conflict,
            service_name: as accepted.
        run: the current run, from 1.
        run_items: items this run settles, those with a verdict included.
        base: the log's length when the run was opened.
        tail: the log's length now; `tail - base` items of the run are settled.
        driven: whether anybody ever drove this run.
        cancel_wished_at: when a cancel was first requested in this run, or `None`.
        settled_at: when the run settled, or `None`.
        paused_at: since when this run is paused; `None` where it is not, or is settled or cancelled.
    """

    batch_id: str
    organization_id: str
    coordinator_id: str
    label: str | None = attrs.field(repr=False)
    total: int
    submitted_at: datetime
    run: int
    run_items: int
    base: int
    tail: int
    driven: bool
    cancel_wished_at: datetime | None
    settled_at: datetime | None
    mode: SubmissionMode = SubmissionMode.INDEPENDENT
    on_conflict: ConflictPolicy = ConflictPolicy.REVIEW
    paused_at: datetime | None = None
    service_name: str | None = None


@attrs.frozen(kw_only=True)
class StoredItem:
    """
    One item of a batch, as a further run would find it.

    Attributes:
        mentor_id: as accepted.
        activity: as accepted, or as the newest run has it that changed it.
        state: PENDING or RUNNING while the current run has to settle it, else its newest outcome's.
        in_doubt: whether a call under its key may have been executed.
        code: its newest outcome's failure code; `None` without one, or while open.
        conflicting_activity_id: the record that its newest outcome names; `None` while open.
        override: the newest decision to override for it, `None` if there never was one, or
            none since its activity was changed.
        item_key: its name in the batch; the mentor's id unless it has its own.
    """

    mentor_id: str
    activity: ProxyActivity
    state: ItemState
    in_doubt: bool
    code: str | None = None
    conflicting_activity_id: str | None = None
    override: Override | None = None
    item_key: str = attrs.field(default=attrs.Factory(attrgetter("mentor_id"), takes_self=True))

    @property
    def is_erased(self) -> bool:
        """
        Return whether its mentor was erased; it can be registered for nobody then.
        """
        return is_pseudonym(self.mentor_id)


def next_key(
    outcome_state: ItemState, *, epoch: int, in_doubt: bool, is_edited: bool = False
) -> tuple[int, bool]:
    """
    Return the epoch and the doubt with which a further run takes an item up.

    A key in doubt stays, and stays in doubt; a definite refusal, be it for a
    duplicate, gets a new key, and so does another activity; an item that was
    never begun keeps its unused key.
    """
    # A new key here could write a second record beside the one that may exist; decisions 9 and 14.
    if in_doubt:
        return epoch, True
    is_new = is_edited or outcome_state in NEW_KEY_STATES
    return (epoch + 1 if is_new else epoch), False
