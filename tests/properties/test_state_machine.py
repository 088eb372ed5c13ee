from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import anyio
import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from proxy_orchestration import (
    Actor,
    BatchNotFoundError,
    BatchStateError,
    BulkProgressUpdate,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    BulkStatus,
    BulkSubmissionResult,
    IdempotencyKeyReusedError,
    ItemState,
    ProxyActivity,
    ProxyRegistration,
    RepositoryUnavailableError,
    RetryPolicy,
    Role,
    StaleRunError,
)
from proxy_orchestration.registration.ports import ActivityRepository
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import (
    FakeClock,
    FaultyActivityRepository,
    LookupRegistrationService,
    RecordingAuditLogger,
    Reply,
    ScriptedRegistrationService,
    WritePoint,
    duplicate,
    fail,
    lose_reply,
    reject,
    succeed,
    unavailable,
)

T = TypeVar("T")

_COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
_VISIT = ProxyActivity(activity_type="visit", activity_date=date(2025, 12, 30), duration_minutes=45)
_CALL = attrs.evolve(_VISIT, activity_type="call")
_SETTINGS = BulkSettings(max_concurrency=2, max_undurable=1, retry=RetryPolicy(initial=0.0))
_A_LONG_TIME = 1000.0

S, F, U = ItemState.SUCCEEDED, ItemState.FAILED, ItemState.UNKNOWN
_CHARACTERS: Mapping[str, tuple[Callable[[], Reply], Callable[[], Reply], set[ItemState]]] = {
    # how the service answers the first call for a mentor, every later call, and how that may end
    "calm": (succeed, succeed, {S}),
    "poor": (reject, reject, {F}),
    "busy": (unavailable, succeed, {S}),
    "dull": (unavailable, unavailable, {F}),
    "lost": (lose_reply, succeed, {S}),
    "torn": (lambda: lose_reply(RuntimeError("gone")), succeed, {F, S}),
    "odd": (lambda: fail(ValueError("what?")), succeed, {F, S}),
    "dark": (lambda: fail(TimeoutError()), lambda: fail(TimeoutError()), {U}),
    "twin": (lambda: duplicate("other"), lambda: duplicate("other"), {ItemState.NEEDS_REVIEW}),
}
_FAILS_FIRST = {"torn", "odd"}
_MAY_CHANGE_KEY = {"poor", "busy", "dull"}
_UNLESS_DISTURBED = {"dull": {U}}
_WHEN_CANCELLED = {ItemState.CANCELLED, U}


def _character(mentor_id: str) -> str:
    return mentor_id.partition("-")[0]


def _script(registration: ProxyRegistration, attempt: int) -> Reply:
    first, later, _ = _CHARACTERS[_character(registration.mentor_id)]
    return first() if attempt == 1 else later()


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
    succeeded: dict[str, str] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Death:
    """
    A process that ends at its n-th write: before it, after it, or because it is cancelled there.
    """

    number: int
    kind: str
    came: bool = False
    scope: anyio.CancelScope | None = None

    def before(self, point: WritePoint) -> None:
        """
        Strike at the write, and refuse whatever a dead process would still write.
        """
        if self.kind == "cancelled":
            if point.number == self.number:
                assert self.scope is not None
                self.came = True
                self.scope.cancel()
        elif point.number > self.number or (self.kind == "before" and point.number == self.number):
            self._die()

    def after(self, point: WritePoint) -> None:
        """
        Lose the answer of the write.
        """
        if self.kind == "after" and point.number == self.number:
            self._die()

    def _die(self) -> None:
        self.came = True
        reason = "The process is dead."
        raise RepositoryUnavailableError(reason, advice="Start another.")


@attrs.define(eq=False)
class MemoryWorld:
    """
    A store in memory whose time passes at a word.
    """

    clock: FakeClock = attrs.field(factory=FakeClock)
    store: MemoryActivityRepository = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.store = MemoryActivityRepository(self.clock)

    def repository(self) -> ActivityRepository:
        """
        Return the store, for the event loop that is about to start.
        """
        return self.store

    def let_time_pass(self) -> None:
        """
        Let every lease and every hold end.
        """
        self.clock.advance(_A_LONG_TIME)

    def close(self) -> None:
        """
        Leave nothing behind.
        """


@attrs.define(eq=False)
class SqliteWorld:
    """
    A store in a file; its leases live on the database's clock, so that they are ended in it.
    """

    clock: FakeClock = attrs.field(factory=FakeClock)
    folder: tempfile.TemporaryDirectory[str] = attrs.field(factory=tempfile.TemporaryDirectory)
    engine: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        from sqlalchemy import create_engine  # noqa: PLC0415 - an extra

        from proxy_orchestration.storage.sql import create_schema  # noqa: PLC0415 - an extra

        self.engine = create_engine(f"sqlite:///{Path(self.folder.name) / 'store.db'}")
        create_schema(self.engine)

    def repository(self) -> ActivityRepository:
        """
        Return a new repository over the file, as a new process opens one.
        """
        from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: PLC0415 - an extra

        return SqlActivityRepository(self.engine)

    def let_time_pass(self) -> None:
        """
        Let every lease and every hold end.
        """
        with self.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE runs SET lease_until = 0 WHERE settled_at IS NULL")
            connection.exec_driver_sql("UPDATE audit_events SET held_until = 0")

    def close(self) -> None:
        """
        Leave nothing behind.
        """
        self.engine.dispose()
        self.folder.cleanup()


_characters = st.lists(st.sampled_from(sorted(_CHARACTERS)), min_size=1, max_size=6)
_deaths = st.none() | st.builds(Death, st.integers(1, 12), st.sampled_from(["before", "after", "cancelled"]))


class Registrations(RuleBasedStateMachine):
    """
    Random commands of coordinators and hosts, and processes that die, against a model.
    """

    world_type: type[Any] = MemoryWorld
    batches = Bundle("batches")

    def __init__(self) -> None:
        super().__init__()
        self.world = self.world_type()
        self.audit = RecordingAuditLogger(clock=self.world.clock)
        self.known: dict[str, Batch] = {}
        self.accepted = 0
        self.service = ScriptedRegistrationService()
        self.backend = ""

    def teardown(self) -> None:
        """
        Close the store.
        """
        self.world.close()

    @initialize(backend=st.sampled_from(["asyncio", "trio"]), look_up=st.booleans())
    def start(self, backend: str, look_up: bool) -> None:  # noqa: FBT001 - Hypothesis names it
        """
        Choose an event loop and what the service can do.
        """
        self.backend = backend
        kind = LookupRegistrationService if look_up else ScriptedRegistrationService
        self.service = kind(script=_script, clock=self.world.clock)

    @rule(target=batches, characters=_characters, drive=st.booleans(), death=_deaths)
    def submit(self, characters: list[str], drive: bool, death: Death | None) -> str:  # noqa: FBT001 - Hypothesis names it
        """
        Submit a new batch; the process may die over it, and the host submits again.
        """
        self.accepted += 1
        key = f"key-{self.accepted}"
        mentors = tuple(f"{character}-{index}" for index, character in enumerate(characters))
        request = self._request(key, mentors)
        result = self._verb(
            lambda verbs: verbs.submit_bulk_registration(request, actor=_COORDINATOR, drive=drive), death
        )
        first = self._verb(
            lambda verbs: verbs.submit_bulk_registration(request, actor=_COORDINATOR, drive=False)
        )
        assert first is not None
        batch = Batch(first.batch_id, key, mentors, disturbed=death is not None and death.came)
        self.known[batch.batch_id] = batch
        if result is not None:
            assert first.batch_id == result.batch_id
            assert drive == (result.settled_at is not None)
        return batch.batch_id

    @rule(batch_id=batches, drive=st.booleans(), death=_deaths)
    def submit_again(self, batch_id: str, drive: bool, death: Death | None) -> None:  # noqa: FBT001 - Hypothesis names it
        """
        Redeliver the request: it joins its batch, or finds the tombstone.
        """
        batch = self.known[batch_id]
        request = self._request(batch.key, batch.mentors)
        with self._refused({IdempotencyKeyReusedError: batch.deleted}, death):
            result = self._verb(
                lambda verbs: verbs.submit_bulk_registration(request, actor=_COORDINATOR, drive=drive),
                death,
                batch,
            )
            if result is not None:
                assert batch_id == result.batch_id
                assert result.settled_at is not None or not drive

    @rule(batch_id=batches)
    def submit_other_content_under_the_key(self, batch_id: str) -> None:
        """
        The key is taken for ever.
        """
        batch = self.known[batch_id]
        request = self._request(batch.key, batch.mentors, _CALL)
        with self._refused({IdempotencyKeyReusedError: True}):
            self._verb(lambda verbs: verbs.submit_bulk_registration(request, actor=_COORDINATOR))

    @rule(
        batch_id=batches,
        chosen=st.none() | st.sets(st.integers(0, 5), min_size=1),
        seen=st.sampled_from(["any", "current", "stale"]),
        drive=st.booleans(),
        death=_deaths,
    )
    def retry(
        self, batch_id: str, chosen: set[int] | None, seen: str, drive: bool, death: Death | None
    ) -> None:
        """
        Retry what failed, or what is named, if the batch is in a state for it.
        """
        batch = self.known[batch_id]
        named = None if chosen is None else [batch.mentors[index % len(batch.mentors)] for index in chosen]
        named = None if named is None else sorted(set(named))
        run = {"any": None, "current": batch.run, "stale": batch.run + 1}[seen]
        with self._refused(
            {
                BatchNotFoundError: batch.deleted,
                StaleRunError: seen == "stale",
                BatchStateError: not batch.settled or not self._may_retry(batch, named),
            },
            death,
        ):
            before = batch.run
            result = self._verb(
                lambda verbs: verbs.retry_failed_items(
                    batch_id, actor=_COORDINATOR, mentor_ids=named, expected_run=run, drive=drive
                ),
                death,
                batch,
            )
            if result is not None:
                assert before + 1 == result.run
                assert drive == (result.settled_at is not None)

    @rule(batch_id=batches, death=_deaths)
    def cancel(self, batch_id: str, death: Death | None) -> None:
        """
        Cancel, and finish what was begun.
        """
        batch = self.known[batch_id]
        wished = (
            not batch.deleted and self._run(lambda store: store.get(batch_id)).cancel_wished_at is not None
        )
        with self._refused(
            {BatchNotFoundError: batch.deleted, BatchStateError: batch.settled and not wished}, death
        ):
            batch.cancelled = True
            report = self._verb(lambda verbs: verbs.cancel_batch(batch_id, actor=_COORDINATOR), death, batch)
            if report is not None:
                told = (report.never_started, report.finished, report.in_doubt, report.already_settled)
                assert len(batch.mentors) == sum(told)
                assert min(told) >= 0
                assert self._run(lambda store: store.get(batch_id)).settled_at is not None

    @rule(death=_deaths)
    def resume(self, death: Death | None) -> None:
        """
        Start a process again: it drives whatever is not settled.
        """
        waiting = {batch.batch_id for batch in self.known.values() if not (batch.settled or batch.deleted)}
        driven = self._verb(lambda verbs: verbs.resume_interrupted(), death, *map(self.known.get, waiting))
        if driven is not None:
            assert waiting == set(driven)
            assert self._run(lambda store: store.audit_wait()) is None

    @rule(batch_id=batches, after=st.integers(0, 8))
    def drive_or_watch_to_the_end(self, batch_id: str, after: int) -> None:
        """
        The updates of a run are its part of the log, and of a settled one there is nothing to drive.
        """
        batch = self.known[batch_id]
        with self._refused({BatchNotFoundError: batch.deleted}):
            base = self._run(lambda store: store.get(batch_id))
            driven = self._verb(lambda verbs: _updates(verbs.drive_batch(batch_id)))
            watched = self._verb(
                lambda verbs: _updates(verbs.watch_batch(batch_id, actor=_COORDINATOR, after=after))
            )
            log = self._run(lambda store: store.read_updates(batch_id, after=0, limit=1000))
            start = len(log) if batch.settled else base.base
            assert list(log[start:]) == driven
            assert list(log[after:]) == watched

    @rule(batch_id=batches, label=st.none() | st.sampled_from(["Monday", "Tuesday"]))
    def relabel(self, batch_id: str, label: str | None) -> None:
        """
        Change the label and nothing else.
        """
        with self._refused({BatchNotFoundError: self.known[batch_id].deleted}):
            result = self._verb(lambda verbs: verbs.relabel_batch(batch_id, label, actor=_COORDINATOR))
            assert label == result.label

    @rule(batch_id=batches)
    def delete(self, batch_id: str) -> None:
        """
        Delete a settled batch.
        """
        batch = self.known[batch_id]
        with self._refused({BatchNotFoundError: batch.deleted, BatchStateError: not batch.settled}):
            self._verb(lambda verbs: verbs.delete_batch(batch_id, actor=_COORDINATOR))
            batch.deleted = True

    @invariant()
    def every_batch_is_in_order(self) -> None:
        """
        Read every batch and compare it with what must be true of it.
        """
        for batch in self.known.values():
            if not batch.deleted:
                result = self._run(lambda store, batch=batch: store.read_result(batch.batch_id))
                log = self._run(
                    lambda store, batch=batch: store.read_updates(batch.batch_id, after=0, limit=1000)
                )
                batch.run, batch.settled = result.run, result.settled_at is not None
                self._check_result(batch, result, log)
                self._check_outcomes(batch, result)
            else:
                assert self._run(lambda store, batch=batch: store.get(batch.batch_id)) is None

    @invariant()
    def every_record_has_one_key_and_one_registration(self) -> None:
        """
        A mentor of a batch has one registration id; only a definite failure changes the key.
        """
        asked: dict[tuple[str, str], list[ProxyRegistration]] = {}
        for call in self.service.calls:
            asked.setdefault((call.batch_id, call.mentor_id), []).append(call)
        for (_, mentor_id), calls in asked.items():
            keys = [call.idempotency_key for call in calls]
            assert 1 == len({call.registration_id for call in calls})
            assert all(keys.index(later) >= keys.index(earlier) for earlier, later in pairwise(keys))
            assert len(set(keys)) == 1 or _character(mentor_id) in _MAY_CHANGE_KEY

    @invariant()
    def every_settled_run_has_one_audit_event(self) -> None:
        """
        Taken once, or again where the process died over the answer.
        """
        pending = self._run(lambda store: store.audit_wait()) is not None if self.backend else False
        taken = Counter(event.event_id for event in self.audit.events)
        for batch in self.known.values():
            runs = range(1, batch.run + (1 if batch.settled else 0))
            expected = {f"{batch.batch_id}:run-{run}" for run in runs}
            mine = {event_id for event_id in taken if event_id.startswith(batch.batch_id)}
            assert mine <= expected if pending else mine == expected
            assert batch.disturbed or all(taken[event_id] == 1 for event_id in mine)

    def _check_result(
        self, batch: Batch, result: BulkSubmissionResult, log: Collection[BulkProgressUpdate]
    ) -> None:
        states = Counter(outcome.state for outcome in result.outcomes)
        newest = {update.outcome.mentor_id: update.outcome for update in log}

        assert batch.mentors == tuple(outcome.mentor_id for outcome in result.outcomes)
        assert states == Counter(result.counts)
        assert len(batch.mentors) == states.total() == result.total
        assert list(range(1, len(log) + 1)) == [update.sequence for update in log]
        assert {1} >= set(Counter((update.run, update.outcome.mentor_id) for update in log).values())
        assert sorted(update.run for update in log) == [update.run for update in log]
        assert [] == [
            outcome
            for outcome in result.outcomes
            if outcome.settled_at and outcome != newest[outcome.mentor_id]
        ]
        if batch.settled:
            assert _settled_status(states) is result.status
        else:
            assert result.status in {BulkStatus.PENDING, BulkStatus.RUNNING, BulkStatus.CANCELLING}

    def _check_outcomes(self, batch: Batch, result: BulkSubmissionResult) -> None:
        records = {
            record.registration.mentor_id: record.activity_id
            for record in self.service.records.values()
            if record.registration.batch_id == batch.batch_id
        }
        succeeded = {outcome.mentor_id: outcome.activity_id for outcome in result.succeeded}

        assert succeeded.items() >= batch.succeeded.items()
        assert records.items() >= succeeded.items()
        batch.succeeded = {name: str(activity_id) for name, activity_id in succeeded.items()}
        for outcome in result.outcomes:
            if outcome.settled_at is not None:
                assert outcome.state in self._possible(batch, outcome.mentor_id)
                assert outcome.state is not ItemState.CANCELLED or outcome.mentor_id not in records

    def _possible(self, batch: Batch, mentor_id: str) -> set[ItemState]:
        character = _character(mentor_id)
        possible = set(_CHARACTERS[character][2])
        if batch.cancelled:
            possible |= _WHEN_CANCELLED | ({F} if character == "busy" else set())
        elif character in _FAILS_FIRST and batch.run == 1 and not batch.disturbed:
            possible = {F}
        if batch.disturbed or batch.cancelled:
            possible |= _UNLESS_DISTURBED.get(character, set())
        return possible

    def _may_retry(self, batch: Batch, named: Collection[str] | None) -> bool:
        if batch.deleted:
            return False
        result = self._run(lambda store: store.read_result(batch.batch_id))
        if named is None:
            return bool(result.failed)
        states = {outcome.mentor_id: outcome.state for outcome in result.outcomes}
        return all(states[name] in {F, U, ItemState.CANCELLED} for name in named)

    def _request(
        self, key: str, mentors: tuple[str, ...], activity: ProxyActivity = _VISIT
    ) -> BulkRegistrationRequest:
        return BulkRegistrationRequest.for_mentors(mentors, activity, idempotency_key=key)

    @contextmanager
    def _refused(
        self, reasons: Mapping[type[Exception], bool], death: Death | None = None
    ) -> Iterator[None]:
        """
        Expect the first error whose reason holds, or none; a death may come before it.
        """
        expected = next((error for error, holds in reasons.items() if holds), None)
        try:
            yield
        except BatchStateError if expected is None else expected as error:
            assert expected is type(error)
        else:
            assert expected is None or (death is not None and death.came)

    def _run(self, question: Callable[[ActivityRepository], Awaitable[T]]) -> Any:
        async def ask() -> T:
            return await question(self.world.repository())

        return anyio.run(ask, backend=self.backend)

    def _verb(
        self,
        verb: Callable[[BulkRegistrationOrchestrator], Awaitable[T]],
        death: Death | None = None,
        *touched: Batch | None,
    ) -> Any:
        """
        Do what one process does, from its start to its end or death; return `None` when it died.
        """

        async def live() -> T | None:
            result = None
            with anyio.fail_after(20), anyio.CancelScope() as scope:
                repository = self.world.repository()
                if death is not None:
                    death.scope = scope
                    repository = FaultyActivityRepository(repository, before=death.before, after=death.after)
                result = await verb(self._orchestrator(repository))
            return result

        try:
            result = anyio.run(live, backend=self.backend)
        except* RepositoryUnavailableError:
            assert death is not None
            result = None
        finally:
            if death is not None and death.came:
                for batch in touched:
                    if batch is not None:
                        batch.disturbed = True
                self.world.let_time_pass()
        return result

    def _orchestrator(self, repository: ActivityRepository) -> BulkRegistrationOrchestrator:
        return BulkRegistrationOrchestrator(
            registration_service=self.service,
            repository=repository,
            audit_logger=self.audit,
            clock=self.world.clock,
            settings=_SETTINGS,
        )


async def _updates(opened: Any) -> list[BulkProgressUpdate]:
    async with opened as run:
        return [update async for update in run]


def _settled_status(states: Mapping[ItemState, int]) -> BulkStatus:
    present = {state for state, number in states.items() if number}
    if ItemState.CANCELLED in present:
        return BulkStatus.CANCELLED
    if present <= {S, ItemState.SKIPPED}:
        return BulkStatus.SUCCESS
    if not present & {S, F, U}:
        return BulkStatus.NEEDS_REVIEW
    return BulkStatus.PARTIAL_SUCCESS if S in present else BulkStatus.TOTAL_FAILURE


class RegistrationsOnSqlite(Registrations):
    """
    The same commands on a file.
    """

    world_type = SqliteWorld


def _profile(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


def test_random_commands_keep_every_promise_in_memory() -> None:
    """
    Whatever is asked in whatever order, whoever dies: nothing is lost, doubled or undone.
    """
    run_state_machine_as_test(Registrations, settings=_profile(60, 25))


def test_random_commands_keep_every_promise_on_sqlite() -> None:
    """
    The same on a file, with every write durable.
    """
    pytest.importorskip("proxy_orchestration.storage.sql", exc_type=ImportError)
    run_state_machine_as_test(RegistrationsOnSqlite, settings=_profile(15, 20))
