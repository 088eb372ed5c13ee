from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from types import ModuleType
from typing import Any

import attrs
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from proxy_orchestration import (
    BatchNotFoundError,
    BatchStateError,
    BulkProgressUpdate,
    BulkStatus,
    BulkSubmissionResult,
    IdempotencyKeyReusedError,
    ItemState,
    OrchestrationError,
    StaleRunError,
)

_RETRYABLE = {ItemState.FAILED, ItemState.UNKNOWN}
_FAIL_FIRST = {"torn", "odd"}
_MAY_CHANGE_KEY = {"poor", "busy", "dull", "late"}

_characters = st.lists(
    st.sampled_from(["busy", "calm", "dark", "dull", "late", "lost", "odd", "poor", "torn", "twin"]),
    min_size=1,
    max_size=6,
)
_deaths = st.none() | st.tuples(st.integers(1, 12), st.sampled_from(["before", "after", "cancelled"]))


@attrs.define(eq=False)
class Batch:
    """
    What the model knows of one batch.
    """

    batch_id: str
    key: str
    mentors: tuple[str, ...]
    run: int = 1
    settled: bool = False
    cancelled: bool = False  # in some run
    disturbed: bool = False  # a driver of it died once
    deleted: bool = False
    paused: bool = False
    called_before_pause: int | None = None
    succeeded: dict[str, str | None] = attrs.field(factory=dict)


class Registrations(RuleBasedStateMachine):
    """
    Random commands of coordinators and hosts, and processes that die, against a model.
    """

    batches = Bundle("batches")

    def __init__(self, worlds: ModuleType, world: Any) -> None:
        super().__init__()
        self.worlds = worlds
        self.actor = worlds.COORDINATOR
        self.world = world
        self.known: dict[str, Batch] = {}
        self.host: Any = None
        self.died = False

    def teardown(self) -> None:
        """
        Close the store.
        """
        self.world.close()

    @initialize(backend=st.sampled_from(["asyncio", "trio"]), look_up=st.booleans())
    def start(self, *, backend: str, look_up: bool) -> None:
        """
        Choose an event loop and what the service can do.
        """
        self.host = self.worlds.Host(self.world, backend, look_up)

    @rule(target=batches, characters=_characters, drive=st.booleans(), death=_deaths)
    def submit(self, *, characters: list[str], drive: bool, death: tuple[int, str] | None) -> str:
        """
        Submit a new batch; the process may die over it, and the host submits again.
        """
        mentors = tuple(f"{character}-{index}" for index, character in enumerate(characters))
        batch = Batch("", f"key-{len(self.known)}", mentors)
        result = self._submit(batch, drive=drive, death=death)
        again = self._submit(batch, drive=False)
        batch.batch_id = again.batch_id
        self.known[batch.batch_id] = batch
        if result is not None:
            assert again.batch_id == result.batch_id
            assert drive == (result.settled_at is not None)
        return batch.batch_id

    @rule(batch_id=batches, drive=st.booleans(), death=_deaths)
    def submit_again(self, *, batch_id: str, drive: bool, death: tuple[int, str] | None) -> None:
        """
        Redeliver the request: it joins its batch, or finds the tombstone.
        """
        batch = self.known[batch_id]
        with self._refused({IdempotencyKeyReusedError: batch.deleted}):
            result = self._submit(batch, drive=drive, death=death)
            if result is not None:
                assert batch_id == result.batch_id
                assert result.settled_at is not None or not drive or batch.paused

    @rule(batch_id=batches)
    def submit_other_content_under_the_key(self, *, batch_id: str) -> None:
        """
        The key is taken for ever.
        """
        batch = self.known[batch_id]
        request = self.worlds.request_for(batch.key, batch.mentors, self.worlds.PHONE_CALL)
        with self._refused({IdempotencyKeyReusedError: True}):
            self.host.run(lambda verbs: verbs.submit_bulk_registration(request, actor=self.actor))

    @rule(
        batch_id=batches,
        chosen=st.none() | st.sets(st.integers(0, 5), min_size=1),
        seen=st.sampled_from(["any", "current", "stale"]),
        drive=st.booleans(),
        death=_deaths,
    )
    def retry(
        self, *, batch_id: str, chosen: set[int] | None, seen: str, drive: bool, death: tuple[int, str] | None
    ) -> None:
        """
        Retry what failed, or what is named, if the batch is in a state for it.
        """
        batch = self.known[batch_id]
        run = {"any": None, "current": batch.run, "stale": batch.run + 1}[seen]
        named = None if chosen is None else {batch.mentors[i % len(batch.mentors)] for i in chosen}
        reasons: dict[type[OrchestrationError], bool] = {
            BatchNotFoundError: batch.deleted,
            StaleRunError: seen == "stale",
            BatchStateError: not batch.settled or not self._may_retry(batch, named),
        }
        with self._refused(reasons):
            result = self._command(
                lambda verbs: verbs.retry_failed_items(
                    batch_id, actor=self.actor, mentor_ids=named, expected_run=run, drive=drive
                ),
                death,
                batch,
            )
            if result is not None:
                assert batch.run + 1 == result.run
                assert drive == (result.settled_at is not None)

    @rule(batch_id=batches, death=_deaths)
    def cancel(self, *, batch_id: str, death: tuple[int, str] | None) -> None:
        """
        Cancel, and finish what was begun.
        """
        batch = self.known[batch_id]
        record = self.host.ask(lambda store: store.get(batch_id))
        settled = batch.settled and record.cancel_wished_at is None if record else False
        with self._refused({BatchNotFoundError: batch.deleted, BatchStateError: settled}):
            batch.cancelled |= not (batch.deleted or settled)
            report = self._command(lambda verbs: verbs.cancel_batch(batch_id, actor=self.actor), death, batch)
            if report is not None:
                told = attrs.astuple(report)
                assert len(batch.mentors) == sum(told)
                assert min(told) >= 0
                assert self.host.ask(lambda store: store.get(batch_id)).settled_at is not None

    @rule(batch_id=batches, death=_deaths)
    def pause(self, *, batch_id: str, death: tuple[int, str] | None) -> None:
        """
        Have nothing more of an open batch called, whoever drives, until it goes on or is cancelled.
        """
        batch = self.known[batch_id]
        with self._refused(self._unless_open(batch)):
            summary = self._command(lambda verbs: verbs.pause_batch(batch_id, actor=self.actor), death, batch)
            assert summary is None or summary.paused_at is not None

    @rule(batch_id=batches, death=_deaths)
    def go_on(self, *, batch_id: str, death: tuple[int, str] | None) -> None:
        """
        End a pause; where there is none nothing changes.
        """
        batch = self.known[batch_id]
        with self._refused(self._unless_open(batch)):
            summary = self._command(
                lambda verbs: verbs.resume_batch(batch_id, actor=self.actor), death, batch
            )
            assert summary is None or summary.paused_at is None

    @rule(death=_deaths)
    def resume(self, *, death: tuple[int, str] | None) -> None:
        """
        Start a process again: it drives whatever is not settled.
        """
        waiting = [
            batch for batch in self.known.values() if not (batch.settled or batch.deleted or batch.paused)
        ]
        driven = self._command(lambda verbs: verbs.resume_interrupted(), death, *self.known.values())
        if driven is not None:
            assert sorted(batch.batch_id for batch in waiting) == sorted(driven)
            assert self.host.ask(lambda store: store.audit_wait()) is None

    @rule(steps=st.integers(1, 400), death=_deaths)
    def serve_for_a_while(self, *, steps: int, death: tuple[int, str] | None) -> None:
        """
        Serve, and shut down in the middle: what waits is given up and stored, calls are cut.
        """
        for batch in self.known.values():
            batch.disturbed |= not batch.settled
        served = self.worlds.served_for_a_while
        self._command(lambda verbs: served(verbs, steps), death, *self.known.values())
        # Who is shut down may hold an event, and over a database no time passes within the next life.
        self.world.let_time_pass()

    @rule(batch_id=batches, after=st.integers(0, 8))
    def drive_and_watch_to_the_end(self, *, batch_id: str, after: int) -> None:
        """
        The updates of a run are its part of the log; of a settled one there is nothing to drive.
        """
        batch, updates_of = self.known[batch_id], self.worlds.updates_of
        with self._refused({BatchNotFoundError: batch.deleted, BatchStateError: batch.paused}):
            record = self.host.ask(lambda store: store.get(batch_id))
            driven = self.host.run(lambda verbs: updates_of(verbs.drive_batch(batch_id)))
            watched = self.host.run(
                lambda verbs: updates_of(verbs.watch_batch(batch_id, actor=self.actor, after=after))
            )
            log = self._log(batch)
            assert log[record.tail if batch.settled else record.base :] == driven
            assert log[after:] == watched

    @rule(batch_id=batches, label=st.none() | st.sampled_from(["Monday", "Tuesday"]))
    def relabel(self, *, batch_id: str, label: str | None) -> None:
        """
        Change the label and nothing else.
        """
        with self._refused({BatchNotFoundError: self.known[batch_id].deleted}):
            result = self.host.run(lambda verbs: verbs.relabel_batch(batch_id, label, actor=self.actor))
            assert label == result.label

    @rule(batch_id=batches)
    def delete(self, *, batch_id: str) -> None:
        """
        Delete a settled batch.
        """
        batch = self.known[batch_id]
        reasons = {BatchNotFoundError: batch.deleted, BatchStateError: not batch.settled}
        with self._refused(reasons):
            self.host.run(
                lambda verbs: verbs.delete_batch(batch_id, actor=self.actor, with_open_reviews=True)
            )
            batch.deleted = True

    @invariant()
    @precondition(lambda self: self.host is not None)
    def every_batch_is_in_order(self) -> None:
        """
        Read every batch and compare it with what must be true of it.
        """
        for batch in self.known.values():
            result = self._result(batch)
            assert batch.deleted == (result is None)
            if result is not None:
                batch.run, batch.settled = result.run, result.settled_at is not None
                self._check_pause(batch, is_paused=result.paused_at is not None)
                _check_result(batch, result, self._log(batch))
                self._check_outcomes(batch, result)

    @invariant()
    @precondition(lambda self: self.host is not None)
    def every_registration_keeps_its_id_and_its_key(self) -> None:
        """
        A mentor of a batch has one registration id; only a definite failure changes the key.
        """
        asked = defaultdict(list)
        for call in self.host.service.calls:
            asked[call.registration_id].append(call)
        mentors = Counter((calls[0].batch_id, calls[0].mentor_id) for calls in asked.values())
        assert {1} >= set(mentors.values())
        for calls in asked.values():
            keys = [call.idempotency_key for call in calls]
            assert all(keys.index(later) >= keys.index(earlier) for earlier, later in pairwise(keys))
            assert len(set(keys)) == 1 or self.worlds.character_of(calls[0].mentor_id) in _MAY_CHANGE_KEY

    @invariant()
    @precondition(lambda self: self.host is not None)
    def every_settled_run_has_one_audit_event(self) -> None:
        """
        Taken once, or again where the process died over the answer.
        """
        pending = self.host.ask(lambda store: store.audit_wait()) is not None
        taken = Counter(event.event_id for event in self.host.audit.events)
        for batch in self.known.values():
            settled_runs = range(1, batch.run + batch.settled)
            expected = {f"{batch.batch_id}:run-{run}" for run in settled_runs}
            mine = {event_id for event_id in taken if event_id.startswith(batch.batch_id)}
            assert mine <= expected if pending else mine == expected
            assert batch.disturbed or all(taken[event_id] == 1 for event_id in mine)

    def _check_pause(self, batch: Batch, *, is_paused: bool) -> None:
        calls = sum(call.batch_id == batch.batch_id for call in self.host.service.calls)
        if batch.paused and is_paused:
            assert batch.called_before_pause == calls
        batch.paused, batch.called_before_pause = is_paused, calls

    def _unless_open(self, batch: Batch) -> dict[type[OrchestrationError], bool]:
        record = self.host.ask(lambda store: store.get(batch.batch_id))
        is_cancelling = record is not None and record.cancel_wished_at is not None
        return {BatchNotFoundError: batch.deleted, BatchStateError: batch.settled or is_cancelling}

    def _check_outcomes(self, batch: Batch, result: BulkSubmissionResult) -> None:
        records = {
            record.registration.mentor_id: record.activity_id
            for record in self.host.service.records.values()
            if record.registration.batch_id == batch.batch_id
        }
        succeeded = {outcome.mentor_id: outcome.activity_id for outcome in result.succeeded}

        assert succeeded.items() >= batch.succeeded.items()
        assert records.items() >= succeeded.items()
        batch.succeeded = succeeded
        for outcome in result.outcomes:
            if outcome.failure and outcome.failure.code == "driver_lost":
                assert (batch.disturbed, outcome.state) == (True, ItemState.UNKNOWN)
            elif outcome.settled_at is not None:
                assert outcome.state in self._possible(batch, outcome.mentor_id)
            if outcome.state in {ItemState.CANCELLED, ItemState.NEEDS_REVIEW}:
                assert outcome.mentor_id not in records

    def _possible(self, batch: Batch, mentor_id: str) -> set[ItemState]:
        character = self.worlds.character_of(mentor_id)
        possible = set(self.worlds.CHARACTERS[character].ends)
        if character in _FAIL_FIRST and batch.run == 1 and not (batch.disturbed or batch.cancelled):
            possible = {ItemState.FAILED}
        if batch.disturbed and character == "dull":
            possible.add(ItemState.UNKNOWN)
        if batch.cancelled:
            possible |= {ItemState.CANCELLED, ItemState.UNKNOWN}
            possible |= {ItemState.FAILED} if character in {"busy", "late"} else set()
        return possible

    def _may_retry(self, batch: Batch, named: Collection[str] | None) -> bool:
        result = self._result(batch)
        if result is None or named is None:
            failed = () if result is None else result.failed
            return any(outcome.failure.code != "driver_lost" for outcome in failed)
        states = {outcome.mentor_id: outcome.state for outcome in result.outcomes}
        return {states[name] for name in named} <= _RETRYABLE | {ItemState.CANCELLED}

    def _submit(self, batch: Batch, *, drive: bool, death: tuple[int, str] | None = None) -> Any:
        request = self.worlds.request_for(batch.key, batch.mentors)
        return self._command(
            lambda verbs: verbs.submit_bulk_registration(request, actor=self.actor, drive=drive),
            death,
            batch,
        )

    def _command(self, verb: Any, death: tuple[int, str] | None, *touched: Batch) -> Any:
        dying = None if death is None else self.worlds.Death(*death)
        try:
            return self.host.run(verb, dying)
        finally:
            self.died = dying is not None and dying.came
            for batch in touched:
                batch.disturbed |= self.died

    def _result(self, batch: Batch) -> Any:
        return self.host.ask(lambda store: store.read_result(batch.batch_id))

    def _log(self, batch: Batch) -> list[BulkProgressUpdate]:
        return list(self.host.ask(lambda store: store.read_updates(batch.batch_id, after=0, limit=1000)))

    @contextmanager
    def _refused(self, reasons: Mapping[type[OrchestrationError], bool]) -> Iterator[None]:
        """
        Expect the first error whose reason holds, or none; the command's death may come before it.
        """
        self.died = False
        expected = next((error for error, holds in reasons.items() if holds), None)
        try:
            yield
        except OrchestrationError as error:
            if type(error) is not expected:
                raise
        else:
            assert expected is None or self.died


def _check_result(batch: Batch, result: BulkSubmissionResult, log: Sequence[BulkProgressUpdate]) -> None:
    states = Counter(outcome.state for outcome in result.outcomes)
    newest = {update.outcome.mentor_id: update.outcome for update in log}
    settled = [outcome for outcome in result.outcomes if outcome.settled_at is not None]
    runs = [update.run for update in log]

    assert batch.mentors == tuple(outcome.mentor_id for outcome in result.outcomes)
    assert states == Counter(result.counts)
    assert len(batch.mentors) == states.total() == result.total
    assert list(range(1, len(log) + 1)) == [update.sequence for update in log]
    assert {1} >= set(Counter((update.run, update.outcome.mentor_id) for update in log).values())
    assert sorted(runs) == runs
    assert [newest[outcome.mentor_id] for outcome in settled] == settled
    assert result.status in _possible_statuses(states, batch, is_paused=result.paused_at is not None)


def _possible_statuses(states: Mapping[ItemState, int], batch: Batch, *, is_paused: bool) -> set[BulkStatus]:
    present = {state for state, number in states.items() if number}
    if is_paused:
        return {BulkStatus.PENDING, BulkStatus.PAUSED}
    if not batch.settled:
        return {BulkStatus.PENDING, BulkStatus.RUNNING, BulkStatus.CANCELLING}
    if ItemState.CANCELLED in present:
        return {BulkStatus.CANCELLED}
    if present <= {ItemState.SUCCEEDED, ItemState.SKIPPED}:
        return {BulkStatus.SUCCESS}
    if not present & (_RETRYABLE | {ItemState.SUCCEEDED}):
        return {BulkStatus.NEEDS_REVIEW}
    partial = ItemState.SUCCEEDED in present
    return {BulkStatus.PARTIAL_SUCCESS if partial else BulkStatus.TOTAL_FAILURE}


@pytest.mark.parametrize(
    ("world_type", "examples", "phases"),
    # Threads make a file's commits differ from run to run, so that shrinking would lead nowhere.
    [
        ("MemoryWorld", 20, [Phase.generate, Phase.shrink]),
        ("SqliteWorld", 5, [Phase.generate]),
        pytest.param("PostgresqlWorld", 3, [Phase.generate], marks=pytest.mark.postgresql),
        pytest.param("MemoryWorld", 80, [Phase.generate, Phase.shrink], marks=pytest.mark.full),
        pytest.param("SqliteWorld", 20, [Phase.generate], marks=pytest.mark.full),
        pytest.param(
            "PostgresqlWorld", 10, [Phase.generate], marks=[pytest.mark.postgresql, pytest.mark.full]
        ),
    ],
)
def test_random_commands_keep_every_promise(
    worlds: ModuleType, world_of: Callable[[str], Any], world_type: str, examples: int, phases: list[Phase]
) -> None:
    """
    Whatever is asked in whatever order, whoever dies: nothing is lost, doubled or undone.
    """

    class Chosen(Registrations):
        def __init__(self) -> None:
            super().__init__(worlds, world_of(world_type))

    run_state_machine_as_test(
        Chosen, settings=settings(max_examples=examples, stateful_step_count=40, phases=phases)
    )
