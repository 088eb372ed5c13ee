"""
A batch in the memory store: plain lists, changed without awaiting.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, cast

import attrs

from proxy_orchestration._moments import remaining
from proxy_orchestration.access import Actor
from proxy_orchestration.errors import BatchStateError, StaleRunError, UnknownMentorError
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.batches import CANCELLED, MentorOutcome
from proxy_orchestration.registration.conflicts import ConflictPolicy, Override
from proxy_orchestration.registration.ledger import NOT_OPEN, NewBatch, NewRun, Verdict, next_key
from proxy_orchestration.registration.requests import RegistrationEntry, SubmissionMode
from proxy_orchestration.registration.runs import (
    CancelMark,
    Commit,
    ItemOutcome,
    Lease,
    UnfinishedItem,
    WorkItem,
)
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.memory.registration.stored_run import StoredPause, StoredRun

_FRESH_KEY: Final = (0, False)


@attrs.define(eq=False)
class StoredBatch:
    """
    A batch, its items, its log and its current run.

    Attributes:
        batch_id: the store's id for it.
        number: batches accepted before it, plus one.
        actor: who submitted it.
        entries: the request.
        label: what people call it now.
        submitted_at: when it was accepted.
        mode, on_conflict, service_name, trace_context: as it was accepted.
        overridden: the newest decision to override for each item that ever had one.
        run: the current run.
        log: every outcome of every run; index 0 has sequence 1.
        newest: each item's outcome; `None` while the current run has to settle it.
        keys: epoch and doubt of each item's key, where they are not (0, False).
        spans: per run its base, and what to add to a sequence for `settled`.
        edits: per edited item its activities, by the run from which on each is registered.
    """

    batch_id: str
    number: int
    actor: Actor
    entries: tuple[RegistrationEntry, ...]
    label: str | None = attrs.field(repr=False)
    submitted_at: datetime
    mode: SubmissionMode
    on_conflict: ConflictPolicy
    service_name: str | None
    trace_context: str | None
    run: StoredRun = attrs.field(init=False)
    log: list[MentorOutcome] = attrs.field(init=False, factory=list)
    newest: list[MentorOutcome | None] = attrs.field(init=False)
    keys: dict[int, tuple[int, bool]] = attrs.field(init=False, factory=dict)
    spans: list[tuple[int, int]] = attrs.field(init=False, factory=list)
    overridden: dict[int, Override] = attrs.field(init=False, factory=dict)
    edits: dict[int, dict[int, ProxyActivity]] = attrs.field(init=False, factory=dict)

    @classmethod
    def of(cls, new: NewBatch, *, batch_id: str, number: int) -> StoredBatch:
        """
        Return the accepted batch in its first run.
        """
        batch = cls(
            batch_id,
            number,
            new.actor,
            new.entries,
            new.label,
            new.submitted_at,
            new.mode,
            new.on_conflict,
            new.service_name,
            new.trace_context,
        )
        batch.start_run(1, new, range(len(new.entries)), new.submitted_at)
        return batch

    def __attrs_post_init__(self) -> None:
        self.newest = [None] * len(self.entries)

    @property
    def settled_items(self) -> int:
        """
        Return how many items of the whole batch have an outcome now.
        """
        return len(self.entries) - self.run.size + len(self.log) - self.run.base

    def start_run(
        self,
        number: int,
        opening: NewBatch | NewRun,
        items: Sequence[int],
        opened_at: datetime,
    ) -> None:
        """
        Make the run over these items the current one, and settle those with a verdict in it.
        """
        entries, verdicts, overrides = self.entries, opening.verdicts, opening.overrides
        base = len(self.log)
        self.spans.append((base, len(self.entries) - len(items) - base))
        judged = [item for item in items if entries[item].item_key in verdicts] if verdicts else []
        work = [item for item in items if entries[item].item_key not in verdicts] if verdicts else items
        overridden = {
            item: overrides[entries[item].item_key]
            for item in (work if overrides else ())
            if entries[item].item_key in overrides
        }
        self.overridden.update(overridden)
        self.run = StoredRun(
            number=number, actor=opening.actor, base=base, size=len(items), work=work, overrides=overridden
        )
        for item in judged:
            self._close(item, verdicts[entries[item].item_key], opened_at)

    def open_run(self, run: NewRun) -> int:
        """
        Take the items up under the keys that follow, or change nothing.
        """
        if run.expected_run != self.run.number:
            raise StaleRunError(self.batch_id, expected_run=run.expected_run, current_run=self.run.number)
        if self.run.settled_at is None:
            raise BatchStateError(
                self.batch_id, "its current run is not settled. Wait until it is, or cancel it."
            )
        wanted = set(run.mentor_ids)
        items = [item for item, entry in enumerate(self.entries) if entry.item_key in wanted]
        if len(items) < len(wanted):
            known = {entry.item_key for entry in self.entries}
            raise UnknownMentorError([name for name in run.mentor_ids if name not in known])
        for item in items:
            epoch, in_doubt = self.keys.get(item, _FRESH_KEY)
            state = cast("MentorOutcome", self.newest[item]).state  # its run is settled, so it has one
            activity = run.activities.get(self.entries[item].item_key)
            self.keys[item] = next_key(state, epoch=epoch, in_doubt=in_doubt, is_edited=activity is not None)
            self.newest[item] = None
            if activity is not None:
                self.edits.setdefault(item, {})[self.run.number + 1] = activity
                self.overridden.pop(item, None)
        before = self.run
        self.start_run(before.number + 1, run, items, run.opened_at)
        self.run.follow(before, run)
        return self.run.number

    def activity(self, item: int, run: int | None = None) -> ProxyActivity:
        """
        Return what is registered for an item, now or as of that run.
        """
        edits = self.edits.get(item, {})
        known = [number for number in edits if run is None or number <= run]
        return edits[max(known)] if known else self.entries[item].activity

    def begun(self) -> list[int]:
        """
        Return the items that were claimed and have no outcome.
        """
        return [item for _, item in self._unsettled(0, self.run.claimed)]

    def _unsettled(self, low: int, high: int) -> list[tuple[int, int]]:
        newest = self.newest
        found = enumerate(self.run.work[low:high], start=low + 1)
        return [pair for pair in found if newest[pair[1]] is None]

    def unknown(self, low: int, high: int) -> tuple[WorkItem, ...]:
        """
        Return what is claimed between these places, has no outcome, and of which nothing more is known.
        """
        known = self.run.unfinished
        return self.work_items(pair for pair in self._unsettled(low, high) if pair[0] not in known)

    def unfinished(self, now: float) -> tuple[UnfinishedItem, ...]:
        """
        Return what drivers told of items without an outcome, and when each is due.
        """
        return tuple(
            attrs.evolve(known, due_in=remaining(due_at, known.due_in, now))
            for _, (known, due_at) in sorted(self.run.unfinished.items())
        )

    def count_death(self) -> None:
        """
        Note that a driver ended without giving up its lease while it called an item alone.
        """
        run, place = self.run, self.run.alone
        run.alone = None
        if place is None or self.newest[item := run.work[place - 1]] is not None:
            return
        (work,) = self.work_items(((place, item),))
        known, due_at = run.unfinished.get(place, (UnfinishedItem(work=work, in_doubt=True), -math.inf))
        deaths = known.deaths + 1
        run.unfinished[place] = (attrs.evolve(known, deaths=deaths, is_called=True), due_at)

    def work_items(self, places: Iterable[tuple[int, int]]) -> tuple[WorkItem, ...]:
        """
        Return the items at these places with their keys as the current run took them up.
        """
        entries, keys, overrides = self.entries, self.keys, self.run.overrides
        work = []
        for place, item in places:
            entry = entries[item]
            epoch, in_doubt = keys.get(item, _FRESH_KEY)
            work.append(
                WorkItem(
                    item=item,
                    mentor_id=entry.mentor_id,
                    activity=self.activity(item),
                    epoch=epoch,
                    in_doubt=in_doubt,
                    override_of=overrides[item].activity_id if item in overrides else None,
                    place=place,
                    item_key=entry.item_key,
                )
            )
        return tuple(work)

    def lease(self, now: float, ttl: float) -> Lease:
        """
        Take the lease of the current run, whoever had it.
        """
        run = self.run
        run.fence += 1
        run.hold(now, ttl)
        self.count_death()
        return Lease(
            batch_id=self.batch_id,
            run=run.number,
            fence=run.fence,
            actor=run.actor,
            run_items=run.size,
            base=run.base,
            tail=len(self.log),
            begun=self.unknown(0, min(run.called, run.claimed)),
            uncalled=self.unknown(run.called, run.claimed),
            unfinished=self.unfinished(now),
            called=run.called,
            claimed=run.claimed,
            cancel_wished=run.cancel_mark is not None,
            driven_for=run.driven_for,
            since_first_call=None if run.first_call_at is None else max(0.0, now - run.first_call_at),
            mode=self.mode,
            on_conflict=self.on_conflict,
            trace_context=self.trace_context,
        )

    def begin(self, now: float, ttl: float, *, claim: int, called: int) -> Lease:
        """
        Take the lease of the current run, and claim the first items if nobody claimed from it before.
        """
        lease, run = self.lease(now, ttl), self.run
        if run.claimed or lease.cancel_wished or self.mode is SubmissionMode.ATOMIC:
            return lease
        claimed_now = self.claim(claim)
        run.called = min(called, run.claimed)
        return attrs.evolve(lease, claimed_now=claimed_now, claimed=run.claimed, called=run.called)

    def unclaim(self) -> None:
        """
        Undo the first claim of the current run, of which nothing was called.

        After a cancel nothing may lie above the watermark but what is in doubt.
        """
        run = self.run
        run.called = 0
        if run.cancel_mark is None:
            run.claimed = 0

    def claim(self, wanted: int) -> tuple[WorkItem, ...]:
        """
        Move the watermark over the next open items and return them.
        """
        run = self.run
        claimed: list[tuple[int, int]] = []
        while len(claimed) < wanted and run.claimed < len(run.work):
            low = run.claimed
            run.claimed = min(len(run.work), low + wanted - len(claimed))
            claimed += self._unsettled(low, run.claimed)
        return self.work_items(claimed)

    def note(self, commit: Commit, now: float) -> None:
        """
        Keep what a driver tells of calls to come and of items without an outcome.
        """
        run = self.run
        called = run.claimed if commit.called is None else commit.called
        run.called = max(run.called, min(called, run.claimed) if run.is_paused else called)
        run.alone = commit.alone
        if run.first_call_at is None and commit.since_first_call is not None:
            run.first_call_at = now - commit.since_first_call
        for known in commit.unfinished:
            place = known.work.place
            deaths = run.unfinished[place][0].deaths if place in run.unfinished else 0
            run.unfinished[place] = (attrs.evolve(known, deaths=deaths), now + known.due_in)

    def check_open(self, outcomes: Iterable[ItemOutcome]) -> None:
        """
        Refuse outcomes for items that this run does not have to settle.
        """
        newest = self.newest
        if any(newest[outcome.work.item] is not None for outcome in outcomes):
            raise BatchStateError(
                self.batch_id, "an item already has an outcome in this run. Discard the second one."
            )

    def append(self, outcomes: Iterable[ItemOutcome]) -> None:
        """
        Write the outcomes to the log, in this order.
        """
        log, newest, keys, unfinished = self.log, self.newest, self.keys, self.run.unfinished
        for outcome in outcomes:
            work = outcome.work
            entry = MentorOutcome(
                mentor_id=work.mentor_id,
                state=outcome.state,
                activity_id=outcome.activity_id,
                failure=outcome.failure,
                conflicting_activity_id=outcome.conflicting_activity_id,
                attempts=outcome.attempts,
                sequence=len(log) + 1,
                settled_at=outcome.settled_at,
                item_key=work.item_key,
            )
            log.append(entry)
            newest[work.item] = entry
            if outcome.in_doubt or work.item in keys:
                keys[work.item] = (work.epoch, outcome.in_doubt)
            if unfinished:
                unfinished.pop(work.place, None)

    def cancel(self, *, reason: str | None, wished_at: datetime, cancelled_by: str | None) -> CancelMark:
        """
        Mark the wish and cancel what was not claimed and is not in doubt.
        """
        run = self.run
        if run.cancel_mark is not None:
            return run.cancel_mark
        if run.settled_at is not None:
            raise BatchStateError(self.batch_id, "its current run is settled, so there is nothing to cancel.")
        run.cancel_mark = CancelMark(
            run=run.number, tail_before=len(self.log), settled_before=self.settled_items
        )
        run.cancel_reason, run.cancel_wished_at, run.cancelled_by = reason, wished_at, cancelled_by
        run.due_at = -math.inf
        for item in run.work[run.claimed :]:
            _, in_doubt = self.keys.get(item, _FRESH_KEY)
            if not in_doubt:
                self._close(item, Verdict(state=ItemState.CANCELLED, failure=CANCELLED), wished_at)
        return run.cancel_mark

    def pause(self, number: int, pause: StoredPause) -> None:
        """
        Pause the run with that number, once.
        """
        run = self.pausable(number)
        run.pause = run.pause or pause

    def pausable(self, number: int) -> StoredRun:
        """
        Return the run with that number, which must be open.
        """
        run = self.run
        if run.number != number or run.settled_at is not None or run.cancel_mark is not None:
            raise BatchStateError(self.batch_id, NOT_OPEN)
        return run

    def settle(self, settled_at: datetime, counts: Mapping[ItemState, int]) -> None:
        """
        Close the current run, all of whose items have an outcome.
        """
        self.run.settled_at, self.run.counts = settled_at, counts
        self.run.lease_until = -math.inf

    def _close(self, item: int, verdict: Verdict, settled_at: datetime) -> None:
        (work,) = self.work_items(((0, item),))
        outcome = ItemOutcome(
            work,
            verdict.stored_state(in_doubt=work.in_doubt),
            settled_at,
            failure=verdict.failure,
            conflicting_activity_id=verdict.conflicting_activity_id,
            in_doubt=work.in_doubt,
        )
        self.append((outcome,))
