"""
The values with which an orchestrator and a ledger open batches and runs. Immutable, no I/O.
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

NOT_OPEN: Final = "its run is settled or being cancelled, so it cannot be paused or resumed."
"""Why a run cannot be paused or resumed."""


def _ends_a_pending_item(_verdict: Verdict, _field: attrs.Attribute[ItemState], state: ItemState) -> None:
    transition(ItemState.PENDING, state)


@attrs.frozen(kw_only=True)
class Verdict:
    """
    The outcome of an item that a run settles without a call.

    Attributes:
        state: FAILED, NEEDS_REVIEW or SKIPPED.
        failure: the reason.
        conflicting_activity_id: the id of the existing record, if a conflict is the reason.
    """

    state: ItemState = attrs.field(validator=_ends_a_pending_item)
    failure: Failure
    conflicting_activity_id: str | None = None

    def stored_state(self, *, in_doubt: bool) -> ItemState:
        """
        Return the state to store, depending on whether the item's key is in doubt.

        An item in doubt ends UNKNOWN. Only a person who looked at the conflicting record may skip
        an item in doubt.
        """
        return ItemState.UNKNOWN if in_doubt and self.state is not ItemState.SKIPPED else self.state


@attrs.frozen(kw_only=True)
class NewBatch:
    """
    An accepted request, as it is stored.

    Attributes:
        actor: the person who submits; owner of the batch and of run 1.
        entries: the items, in request order; position 0 is the first.
        idempotency_key: the submitter's key, or `None`.
        fingerprint: SHA-256 of the entries, 64 hexadecimal digits.
        label: the label for people, or `None`.
        submitted_at: aware, UTC.
        mode: whether one mentor's failure affects the others.
        on_conflict: how mentors are treated whose registration conflicts.
        verdicts: items that are never sent in run 1, by item key.
        overrides: the items that are sent although an existing record conflicts, by item key.
        batch_id: an id from `BatchCatalogue.new_batch_id`; `None`: the store chooses one.
        service_name: the `service_name` of the accepting orchestrator, or `None`.
        trace_context: the trace context of the acceptance, up to 600 characters, stored unchanged
            and part of each lease on a run of the batch; `None` if nothing is traced.
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
    The batch that accepting a request created, or that already existed for it.

    Attributes:
        batch_id: the batch.
        created: false if the same key and fingerprint were accepted before.
    """

    batch_id: str
    created: bool


class RunPurpose(enum.Enum):
    """
    Why a further run was opened.
    """

    RETRY = "retry"  # to take up failed items
    REVIEW = "review"  # to carry out decisions about conflicts


@attrs.frozen(kw_only=True)
class NewRun:
    """
    A further run over some items of a settled batch.

    Attributes:
        batch_id: the batch.
        expected_run: the number of the run that must be current and settled.
        actor: the person who opens the run, with current roles.
        opened_at: aware, UTC.
        mentor_ids: the item keys of the items to take up, each once; an entry without its own key
            has the mentor's id as item key.
        verdicts: the items among them that are not sent, by item key.
        overrides: the items among them that are sent although an existing record conflicts, by item
            key.
        purpose: why the run is opened.
        activities: the activities that replace earlier ones from this run on, by item key. The keys
            of these items are not in doubt. The items get new keys, and an earlier override no
            longer applies.
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
            service_name: as accepted. run: the number of the current run, from 1. run_items: the
            number of items that this run settles, those with a verdict included. base: the log's
            length when the run was opened. tail: the log's length now; `tail - base` items of the
            run are settled. driven: whether this run was ever driven. cancel_wished_at: when a
            cancel of this run was first requested, or `None`. settled_at: when the run settled, or
            `None`. paused_at: when this run was paused; `None` if it is not paused, or is settled
            or cancelled.
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
    One item of a batch, as a further run finds it.

    Attributes:
        mentor_id: the mentor, as accepted.
        activity: the activity, as accepted or as the newest edit has it.
        state: PENDING or RUNNING while the current run has to settle the item, else the state of
            its newest outcome.
        in_doubt: whether a call under its key may have been executed.
        code: the failure code of its newest outcome; `None` without one, or while the item is open.
        conflicting_activity_id: the record that its newest outcome names; `None` while the item is
            open.
        override: the newest decision to override for it; `None` if there was none since its
            activity was last changed.
        item_key: the item's key in the batch: the mentor's id, unless the entry has its own key.
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
        Return whether its mentor was erased; an erased item cannot be registered.
        """
        return is_pseudonym(self.mentor_id)


def next_key(
    outcome_state: ItemState, *, epoch: int, in_doubt: bool, is_edited: bool = False
) -> tuple[int, bool]:
    """
    Return the epoch, and whether the key is in doubt, with which a further run takes up an item.

    A key in doubt is kept and stays in doubt. After a definite refusal, also for a duplicate, and
    after an edit the item gets a new key. An item that was never begun keeps its unused key.
    """
    # A new key here could write a second record beside the one that may exist; decisions 9 and 14.
    if in_doubt:
        return epoch, True
    is_new = is_edited or outcome_state in NEW_KEY_STATES
    return (epoch + 1 if is_new else epoch), False
