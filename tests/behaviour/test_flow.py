from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest

from proxy_orchestration.errors import BatchNotFoundError
from proxy_orchestration.registration import flow
from proxy_orchestration.registration.batches import (
    BulkProgressUpdate,
    BulkSubmissionResult,
    Failure,
    MentorOutcome,
)
from proxy_orchestration.registration.conflicts import (
    Conflict,
    ConflictDecision,
    ConflictKind,
    ConflictPolicy,
    ConflictReport,
)
from proxy_orchestration.registration.flow.bulk import _waiting_case
from proxy_orchestration.registration.reasons import AWAITING_DECISIONS, DUPLICATE, MAYBE_OWN
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.states import ItemState, settled_status

pytestmark = pytest.mark.dateless

UNTYPED: Any = flow
"""The flows as a host without a type checker sees them."""

DAY = date(2026, 11, 2)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
DRAFT = flow.BulkDraft(activity_type="visit", activity_date=DAY, duration_minutes=45, notes="tea")
SINGLE_DRAFT = flow.SingleDraft(activity_type="visit", activity_date=DAY, duration_minutes=45, notes="tea")
PHONE = flow.ActivityTemplate(template_id="t-phone", activity_type="call", duration_minutes=20, notes="rang")
CINEMA = flow.ActivityTemplate(template_id="t-cinema", activity_type="cinema", notes="a film")
OUTAGE = BatchNotFoundError("batch-9")
DOWN = Failure(code="unavailable", message="Later.", retryable=True)


@attrs.define
class Bulk:
    """
    A bulk flow and every effect it asked for.
    """

    state: Any = attrs.field(factory=flow.BulkIdle)
    effects: list[Any] = attrs.field(factory=list)
    step: Any = None

    def after(self, *events: flow.BulkEvent) -> Any:
        """
        Let these things happen.
        """
        for event in events:
            self.step = flow.bulk_flow_after(self.state, event)
            self.state = self.step.state
            self.effects.extend(self.step.effects)
        return self.state

    def refusal(self, event: flow.BulkEvent) -> flow.RefusalReason | None:
        """
        Return why the event is refused, having seen that it changes nothing.
        """
        step = flow.bulk_flow_after(self.state, event)
        assert (self.state, ()) == (step.state, step.effects)
        return None if step.refusal is None else step.refusal.reason

    def ignores(self, event: flow.BulkEvent) -> bool:
        """
        Return whether the event is ignored, having seen that it changes nothing.
        """
        step = flow.bulk_flow_after(self.state, event)
        return step == flow.BulkStep(state=self.state, ignored=True)

    def found(self, *conflicts: Conflict, refused: tuple[str, ...] = ()) -> flow.BulkConflictsFound:
        """
        Return the answer to the check that is under way.
        """
        assert isinstance(self.state, flow.BulkChecking)
        named = {conflict.mentor_id for conflict in conflicts} | set(refused)
        clean = tuple(e.mentor_id for e in self.state.request.entries if e.mentor_id not in named)
        report = ConflictReport(conflicts=conflicts, clean=clean, refused=refused)
        return flow.BulkConflictsFound(token=self.state.token, report=report)

    def answered(self, states: Mapping[str, ItemState], run: int = 1, **existing: Any) -> flow.BulkAnswered:
        """
        Return the answer to the work that is under way.
        """
        return flow.BulkAnswered(token=self.state.token, result=result_of(states, run, existing))

    def progressed(self, mentor_id: str, sequence: int, **changes: Any) -> flow.BulkProgressed:
        """
        Return one update of the work that is under way.
        """
        fields: dict[str, Any] = {
            "batch_id": "batch-1",
            "run": 1,
            "sequence": sequence,
            "settled": sequence,
            "total": 3,
        }
        outcome = MentorOutcome(mentor_id=mentor_id, state=ItemState.SUCCEEDED)
        update = BulkProgressUpdate(outcome=outcome, **{**fields, **changes})
        return flow.BulkProgressed(token=self.state.token, update=update)


def result_of(
    states: Mapping[str, ItemState], run: int = 1, existing: Mapping[str, str] | None = None
) -> BulkSubmissionResult:
    """
    Return a batch with these outcomes.
    """
    counts = {state: list(states.values()).count(state) for state in states.values()}
    return BulkSubmissionResult(
        batch_id="batch-1",
        coordinator_id="coord-1",
        status=settled_status(counts),
        run=run,
        total=len(states),
        counts=counts,
        label=None,
        submitted_at=NOON,
        settled_at=NOON,
        outcomes=tuple(
            MentorOutcome(mentor_id=name, state=state, conflicting_activity_id=(existing or {}).get(name))
            for name, state in states.items()
        ),
    )


def duplicate(mentor_id: str, kind: ConflictKind = ConflictKind.DUPLICATE) -> Conflict:
    """
    Return a conflict of this mentor with record `a-old`.
    """
    known = None if kind is ConflictKind.CHECK_FAILED else "a-old"
    return Conflict(mentor_id=mentor_id, kind=kind, existing_activity_id=known)


def filled(mentor_ids: Iterable[str] = ("m1", "m2", "m3"), **options: Any) -> Bulk:
    """
    Return a bulk flow with a form that is ready to be submitted.
    """
    bulk = Bulk()
    bulk.after(
        flow.BulkEntered(),
        flow.BulkMentorsSelected(mentor_ids=mentor_ids),
        flow.BulkDraftEdited(draft=DRAFT),
        flow.BulkOptionsChosen(**options),
    )
    return bulk


def checking(**options: Any) -> Bulk:
    """
    Return a bulk flow whose preview is under way.
    """
    bulk = filled(**options)
    bulk.after(flow.BulkSubmitted(idempotency_key="key-1"))
    return bulk


def reviewing(*conflicts: Conflict, **options: Any) -> Bulk:
    """
    Return a bulk flow with these conflicts before its coordinator.
    """
    bulk = checking(**options)
    bulk.after(bulk.found(*conflicts))
    return bulk


def submitting() -> Bulk:
    """
    Return a bulk flow whose submission is under way.
    """
    bulk = checking()
    bulk.after(bulk.found())
    return bulk


def settled(*states: ItemState, **existing: Any) -> Bulk:
    """
    Return a bulk flow with a settled batch of m1, m2, ...
    """
    bulk = filled([f"m{number}" for number, _ in enumerate(states, 1)])
    bulk.after(flow.BulkSubmitted(idempotency_key="key-1"))
    bulk.after(bulk.found())
    bulk.after(bulk.answered({f"m{number}": state for number, state in enumerate(states, 1)}, **existing))
    return bulk


def failed_check() -> Bulk:
    """
    Return a bulk flow whose preview failed.
    """
    bulk = checking()
    bulk.after(flow.BulkCallFailed(token=bulk.state.token, error=OUTAGE))
    return bulk


def _without(name: str) -> flow.BulkDraft:
    changes: dict[str, Any] = {name: None}
    return attrs.evolve(DRAFT, **changes)


def decide(mentor_id: str, decision: ConflictDecision) -> flow.BulkConflictDecided:
    """
    Return one decision.
    """
    return flow.BulkConflictDecided(mentor_id=mentor_id, decision=decision)


def effects_after_confirming(bulk: Bulk) -> list[Any]:
    """
    Return what confirming the review sets off.
    """
    before = len(bulk.effects)
    bulk.after(flow.BulkReviewConfirmed())
    return bulk.effects[before:]


def test_selecting_mentors_causes_no_effect() -> None:
    """
    A form is filled without a single call.
    """
    assert [] == filled().effects


def test_submitting_checks_for_conflicts_first_and_keeps_the_key() -> None:
    """
    The request that is checked has all that was chosen.
    """
    bulk = checking(label="Calls", mode=SubmissionMode.ATOMIC)

    (effect,) = bulk.effects

    assert isinstance(effect, flow.CheckBulkConflicts)
    assert ("key-1", "Calls", SubmissionMode.ATOMIC) == (
        effect.request.idempotency_key,
        effect.request.label,
        effect.request.mode,
    )


def test_a_request_without_conflicts_is_submitted_at_once() -> None:
    """
    There is nothing to decide.
    """
    bulk = submitting()

    check, submit = bulk.effects

    assert isinstance(check, flow.CheckBulkConflicts)
    assert flow.SubmitBulk(token=flow.BulkToken(2), request=check.request) == submit


def test_a_refused_mentor_is_no_conflict() -> None:
    """
    Nobody can decide about a refusal; the outcome will tell it.
    """
    bulk = checking()

    bulk.after(bulk.found(refused=("m3",)))

    assert isinstance(bulk.state, flow.BulkSubmitting)


@pytest.mark.parametrize("doubled", [flow.BulkSubmitted(idempotency_key="key-2"), flow.BulkReviewConfirmed()])
@pytest.mark.parametrize("scene", [checking, submitting, lambda: settled(ItemState.FAILED)])
def test_a_second_press_changes_nothing_and_dispatches_nothing(
    scene: Callable[[], Bulk], doubled: flow.BulkEvent
) -> None:
    """
    Whatever the first one led to.
    """
    assert scene().ignores(doubled)


def test_nobody_selected_cannot_be_submitted() -> None:
    """
    The form has an activity and nobody to register it for.
    """
    bulk = filled([])

    assert flow.RefusalReason.NO_MENTOR is bulk.refusal(flow.BulkSubmitted(idempotency_key="key-1"))


@pytest.mark.parametrize("missing", ["activity_type", "activity_date", "duration_minutes"])
def test_an_incomplete_activity_cannot_be_submitted(missing: str) -> None:
    """
    Type, day and minutes are all needed.
    """
    bulk = filled()
    bulk.after(flow.BulkDraftEdited(draft=_without(missing)))

    reason = bulk.refusal(flow.BulkSubmitted(idempotency_key="key-1"))

    assert flow.RefusalReason.INCOMPLETE_ACTIVITY is reason


def test_select_all_takes_exactly_the_visible_and_keeps_who_was_selected() -> None:
    """
    Who is hidden by the filter is neither added nor dropped.
    """
    bulk = filled(["m9"])

    bulk.after(flow.BulkAllVisibleSelected(visible_ids=["m1", "m9", "m2"]))

    assert ("m9", "m1", "m2") == bulk.state.form.mentor_ids


def test_deselecting_takes_out_only_who_is_named() -> None:
    """
    A name that is not selected does no harm.
    """
    bulk = filled()

    bulk.after(flow.BulkMentorsDeselected(mentor_ids=["m2", "nobody"]))

    assert ("m1", "m3") == bulk.state.form.mentor_ids


@pytest.mark.parametrize(
    "scene", [Bulk, filled, checking, submitting, lambda: settled(ItemState.FAILED), failed_check]
)
def test_entering_begins_with_nothing_and_leaving_ends_with_nothing_wherever_the_flow_was(
    scene: Callable[[], Bulk],
) -> None:
    """
    Only the number of the last question stays.
    """
    bulk = scene()
    token = bulk.state.token

    assert flow.BulkSelecting(token=token) == bulk.after(flow.BulkEntered())
    assert flow.BulkIdle(token=token) == bulk.after(flow.BulkLeft())


def test_the_answers_of_a_flow_that_was_left_are_ignored() -> None:
    """
    Also after the flow was entered and submitted anew.
    """
    bulk = submitting()
    late: list[flow.BulkEvent] = [
        bulk.progressed("m1", 1),
        bulk.answered(dict.fromkeys(["m1", "m2", "m3"], ItemState.SUCCEEDED)),
        flow.BulkCallFailed(token=bulk.state.token, error=OUTAGE),
    ]

    bulk.after(flow.BulkLeft())
    assert all(bulk.ignores(event) for event in late)
    bulk.after(
        flow.BulkEntered(),
        flow.BulkMentorsSelected(mentor_ids=["m1"]),
        flow.BulkDraftEdited(draft=DRAFT),
        flow.BulkSubmitted(idempotency_key="key-2"),
    )
    assert all(bulk.ignores(event) for event in late)


def test_an_answer_to_a_question_never_put_is_the_hosts_mistake() -> None:
    """
    Its token was never handed out.
    """
    event = flow.BulkCallFailed(token=flow.BulkToken(1), error=OUTAGE)

    assert flow.RefusalReason.NEVER_ASKED is Bulk().refusal(event)


def test_a_choice_that_has_no_place_is_refused_not_lost() -> None:
    """
    An edit outside the form is a host that shows the wrong screen.
    """
    reasons = {bulk.refusal(flow.BulkDraftEdited(draft=DRAFT)) for bulk in (Bulk(), checking(), submitting())}
    settled_batch = settled(ItemState.FAILED)

    assert {flow.RefusalReason.NOT_NOW} == reasons
    assert flow.RefusalReason.NOT_NOW is settled_batch.refusal(flow.BulkDraftEdited(draft=DRAFT))
    assert flow.RefusalReason.NOT_NOW is failed_check().refusal(flow.BulkDraftEdited(draft=DRAFT))


def test_a_template_fills_an_untouched_draft_and_leaves_the_day() -> None:
    """
    What another template filled in is no edit, and what a template lacks stays.
    """
    bulk = filled()
    bulk.after(flow.BulkDraftEdited(draft=flow.BulkDraft(activity_date=DAY)))

    bulk.after(flow.BulkTemplateChosen(template=PHONE), flow.BulkTemplateChosen(template=CINEMA))

    expected = flow.BulkDraft(activity_type="cinema", activity_date=DAY, duration_minutes=20, notes="a film")
    assert (expected, CINEMA, None) == (
        bulk.state.form.draft,
        bulk.state.form.template,
        bulk.state.form.pending,
    )


def test_a_template_overwrites_edits_only_after_confirmation() -> None:
    """
    A doubled confirmation is late.
    """
    bulk = filled()

    bulk.after(flow.BulkTemplateChosen(template=PHONE))
    assert (DRAFT, PHONE) == (bulk.state.form.draft, bulk.state.form.pending)
    bulk.after(flow.BulkTemplateConfirmed())

    assert ("call", "rang") == (bulk.state.form.draft.activity_type, bulk.state.form.draft.notes)
    assert bulk.ignores(flow.BulkTemplateConfirmed())


def test_a_template_that_is_declined_leaves_the_edits() -> None:
    """
    A doubled answer is late.
    """
    bulk = filled()
    before = bulk.state

    bulk.after(flow.BulkTemplateChosen(template=PHONE), flow.BulkTemplateDeclined())

    assert before == bulk.state
    assert bulk.ignores(flow.BulkTemplateDeclined())


@pytest.mark.parametrize(
    "onward", [flow.BulkDraftEdited(draft=DRAFT), flow.BulkSubmitted(idempotency_key="key-1")]
)
def test_who_goes_on_declines_the_template_that_waits(onward: flow.BulkEvent) -> None:
    """
    Nothing is overwritten by a question that nobody answered.
    """
    bulk = filled()

    bulk.after(flow.BulkTemplateChosen(template=PHONE), onward)

    assert (DRAFT, None) == (bulk.state.form.draft, bulk.state.form.pending)


@pytest.mark.parametrize("kind", ConflictKind)
def test_under_review_each_conflict_starts_without_a_decision(kind: ConflictKind) -> None:
    """
    Of whatever kind it is.
    """
    bulk = reviewing(duplicate("m1", kind), duplicate("m3", kind))

    assert ("m1", "m3") == bulk.state.open


@pytest.mark.parametrize("policy", [ConflictPolicy.SKIP, ConflictPolicy.OVERRIDE])
def test_a_policy_decides_beforehand_but_never_about_a_failed_check(policy: ConflictPolicy) -> None:
    """
    A person may still change it.
    """
    bulk = reviewing(duplicate("m1"), duplicate("m2", ConflictKind.CHECK_FAILED), on_conflict=policy)

    assert [ConflictDecision(policy.value), None] == [case.decision for case in bulk.state.cases]


def test_a_review_with_an_open_decision_cannot_be_submitted() -> None:
    """
    The refusal names who is undecided.
    """
    bulk = reviewing(duplicate("m1"), duplicate("m2"))
    bulk.after(decide("m1", ConflictDecision.SKIP))

    assert flow.RefusalReason.DECISION_OPEN is bulk.refusal(flow.BulkReviewConfirmed())
    bulk.after(flow.BulkReviewConfirmed())
    assert ("m2",) == bulk.step.refusal.mentor_ids


def test_a_decision_can_be_changed_until_it_is_submitted() -> None:
    """
    The last one counts.
    """
    bulk = reviewing(duplicate("m1"))

    bulk.after(decide("m1", ConflictDecision.SKIP), decide("m1", ConflictDecision.OVERRIDE))

    assert [ConflictDecision.OVERRIDE] == [case.decision for case in bulk.state.cases]


def test_a_decision_about_a_mentor_without_conflict_is_refused() -> None:
    """
    There is nothing to decide about.
    """
    bulk = reviewing(duplicate("m1"))

    reason = bulk.refusal(decide("m2", ConflictDecision.SKIP))

    assert flow.RefusalReason.NOT_IN_QUESTION is reason


def test_skip_all_submits_the_rest_and_says_who_was_left_out() -> None:
    """
    Nobody is lost between the form and the result.
    """
    bulk = reviewing(duplicate("m1"), duplicate("m2"))
    bulk.after(flow.BulkAllConflictsDecided(decision=ConflictDecision.SKIP))

    (effect,) = effects_after_confirming(bulk)

    assert ["m3"] == [entry.mentor_id for entry in effect.request.entries]
    assert ("key-1", ("m1", "m2")) == (effect.request.idempotency_key, bulk.state.left_out)
    bulk.after(bulk.answered({"m3": ItemState.SUCCEEDED}))
    assert ("m1", "m2") == bulk.state.left_out


def test_decisions_that_leave_nobody_submit_nothing() -> None:
    """
    An empty request is never sent.
    """
    bulk = reviewing(duplicate("m1"), duplicate("m2"), duplicate("m3"))
    bulk.after(flow.BulkAllConflictsDecided(decision=ConflictDecision.SKIP))

    assert flow.RefusalReason.EVERYONE_LEFT_OUT is bulk.refusal(flow.BulkReviewConfirmed())


@pytest.mark.parametrize(
    ("policy", "decision", "submitted"),
    [
        (ConflictPolicy.SKIP, ConflictDecision.OVERRIDE, ConflictPolicy.REVIEW),
        (ConflictPolicy.SKIP, ConflictDecision.SKIP, ConflictPolicy.SKIP),
        (ConflictPolicy.OVERRIDE, ConflictDecision.OVERRIDE, ConflictPolicy.OVERRIDE),
        (ConflictPolicy.REVIEW, ConflictDecision.OVERRIDE, ConflictPolicy.REVIEW),
    ],
)
def test_no_policy_undoes_a_decision(
    policy: ConflictPolicy, decision: ConflictDecision, submitted: ConflictPolicy
) -> None:
    """
    A policy that would skip gives way where somebody overrides.
    """
    bulk = reviewing(duplicate("m1"), on_conflict=policy)
    bulk.after(decide("m1", decision))

    (effect,) = effects_after_confirming(bulk)

    assert submitted is effect.request.on_conflict


def test_overrides_are_resolved_as_soon_as_the_batch_waits_for_them() -> None:
    """
    Nobody is asked twice about the same record.
    """
    bulk = reviewing(duplicate("m1"), duplicate("m2"))
    bulk.after(flow.BulkAllConflictsDecided(decision=ConflictDecision.OVERRIDE), flow.BulkReviewConfirmed())
    states = {"m1": ItemState.NEEDS_REVIEW, "m2": ItemState.SUCCEEDED, "m3": ItemState.SUCCEEDED}

    bulk.after(bulk.answered(states, m1="a-old"))

    resolve = bulk.effects[-1]
    assert ("batch-1", 1, {"m1": ConflictDecision.OVERRIDE}) == (
        resolve.batch_id,
        resolve.expected_run,
        resolve.decisions,
    )
    assert (2, 3) == (bulk.state.settled, bulk.state.total)
    bulk.after(bulk.answered({**states, "m1": ItemState.SUCCEEDED}, run=2))
    assert isinstance(bulk.state, flow.BulkSettled)


@pytest.mark.parametrize(
    ("kind", "holds"),
    [(ConflictKind.DUPLICATE, False), (ConflictKind.CHECK_FAILED, False), (ConflictKind.IN_BATCH, True)],
)
def test_an_override_holds_for_the_record_that_was_shown(kind: ConflictKind, holds: bool) -> None:
    """
    An earlier entry's record did not exist when it was decided, so any will do there.
    """
    bulk = reviewing(duplicate("m1", kind))
    bulk.after(decide("m1", ConflictDecision.OVERRIDE), flow.BulkReviewConfirmed())
    states = {"m1": ItemState.NEEDS_REVIEW, "m2": ItemState.NEEDS_REVIEW, "m3": ItemState.SUCCEEDED}

    bulk.after(bulk.answered(states, m1="a-new", m2="a-2"))

    assert holds == isinstance(bulk.effects[-1], flow.ResolveBulk)


def test_cancelling_a_review_returns_to_the_form_as_it_was() -> None:
    """
    And nothing was written.
    """
    form = filled().state.form
    bulk = reviewing(duplicate("m1"))

    bulk.after(decide("m1", ConflictDecision.SKIP), flow.BulkWentBack())

    assert flow.BulkSelecting(token=flow.BulkToken(1), form=form) == bulk.state


def test_a_report_about_other_mentors_is_refused() -> None:
    """
    A mentor of the request is missing from it.
    """
    bulk = checking()
    report = ConflictReport(conflicts=(duplicate("m1"),), clean=("m2", "m2"))

    reason = bulk.refusal(flow.BulkConflictsFound(token=bulk.state.token, report=report))

    assert flow.RefusalReason.FOREIGN_ANSWER is reason


def test_an_answer_of_another_kind_is_refused() -> None:
    """
    The token is right and the question was another.
    """
    report = ConflictReport(conflicts=(), clean=("m1", "m2", "m3"))
    work = submitting()
    check = checking()

    assert flow.RefusalReason.FOREIGN_ANSWER is check.refusal(check.progressed("m1", 1))
    assert flow.RefusalReason.FOREIGN_ANSWER is work.refusal(
        flow.BulkConflictsFound(token=work.state.token, report=report)
    )


def test_progress_is_counted_once_per_update() -> None:
    """
    A redelivered update is ignored.
    """
    bulk = submitting()

    bulk.after(bulk.progressed("m2", 1), bulk.progressed("m1", 2))

    assert (2, 3, "batch-1") == (bulk.state.settled, bulk.state.total, bulk.state.batch_id)
    assert ["m2", "m1"] == [outcome.mentor_id for outcome in bulk.state.outcomes]
    assert bulk.ignores(bulk.progressed("m2", 1))


@pytest.mark.parametrize(
    "changes", [{"settled": 4}, {"total": 4}, {"mentor_id": "m9"}, {"batch_id": "batch-2"}], ids=str
)
def test_progress_that_does_not_add_up_is_refused(changes: dict[str, Any]) -> None:
    """
    More settled than there are, or another batch altogether.
    """
    bulk = submitting()
    bulk.after(bulk.progressed("m2", 1))

    reason = bulk.refusal(bulk.progressed(**{"mentor_id": "m1", "sequence": 2, **changes}))

    assert flow.RefusalReason.FOREIGN_ANSWER is reason


def test_a_result_with_open_items_goes_on_and_tells_the_batch() -> None:
    """
    A host that only accepts durably answers like that.
    """
    bulk = submitting()

    bulk.after(bulk.answered({"m1": ItemState.SUCCEEDED, "m2": ItemState.PENDING, "m3": ItemState.RUNNING}))

    assert isinstance(bulk.state, flow.BulkSubmitting)
    assert ("batch-1", 1) == (bulk.state.batch_id, bulk.state.settled)


def test_a_result_of_other_mentors_or_another_batch_is_refused() -> None:
    """
    The work under way is not what it tells of.
    """
    bulk = submitting()
    bulk.after(bulk.progressed("m2", 1, batch_id="batch-2"))
    right = dict.fromkeys(["m1", "m2", "m3"], ItemState.SUCCEEDED)

    assert flow.RefusalReason.FOREIGN_ANSWER is bulk.refusal(bulk.answered(right))
    assert flow.RefusalReason.FOREIGN_ANSWER is submitting().refusal(
        submitting().answered({"m1": ItemState.SUCCEEDED})
    )


def test_retry_preselects_exactly_the_failed() -> None:
    """
    FAILED and UNKNOWN, and the run they were seen in.
    """
    bulk = settled(
        ItemState.SUCCEEDED,
        ItemState.FAILED,
        ItemState.UNKNOWN,
        ItemState.NEEDS_REVIEW,
        ItemState.SKIPPED,
        ItemState.CANCELLED,
    )

    assert ("m2", "m3") == bulk.state.selected
    bulk.after(flow.BulkRetried())
    assert (
        flow.RetryBulk(token=flow.BulkToken(3), batch_id="batch-1", expected_run=1, mentor_ids=("m2", "m3"))
        == bulk.effects[-1]
    )
    assert (4, 6) == (bulk.state.settled, bulk.state.total)


def test_the_selection_for_a_retry_can_be_changed_among_those_it_may_name() -> None:
    """
    A cancelled mentor may be added, one that succeeded never.
    """
    bulk = settled(ItemState.CANCELLED, ItemState.FAILED, ItemState.SUCCEEDED)

    bulk.after(flow.BulkMentorsSelected(mentor_ids=["m1"]))
    assert ("m1", "m2") == bulk.state.selected
    bulk.after(flow.BulkMentorsDeselected(mentor_ids=["m2"]))

    assert ("m1",) == bulk.state.selected
    reason = bulk.refusal(flow.BulkAllVisibleSelected(visible_ids=["m2", "m3"]))
    assert flow.RefusalReason.NOT_IN_QUESTION is reason


def test_a_retry_of_nobody_is_refused() -> None:
    """
    Nothing failed.
    """
    assert flow.RefusalReason.NO_MENTOR is settled(ItemState.SUCCEEDED).refusal(flow.BulkRetried())


def test_updates_of_the_run_before_do_not_count_for_a_retry() -> None:
    """
    A watcher that starts at the beginning of the log replays them.
    """
    bulk = settled(ItemState.FAILED, ItemState.SUCCEEDED, ItemState.SUCCEEDED)
    bulk.after(flow.BulkRetried())

    assert bulk.ignores(bulk.progressed("m1", 1))
    bulk.after(bulk.progressed("m1", 4, run=2, settled=3))

    assert (3, ("m1",)) == (bulk.state.settled, tuple(o.mentor_id for o in bulk.state.outcomes))


def test_conflicts_that_a_batch_waits_with_are_decided_and_resolved() -> None:
    """
    All of them, in one go.
    """
    bulk = settled(ItemState.SUCCEEDED, ItemState.NEEDS_REVIEW, ItemState.NEEDS_REVIEW, m2="a-2")

    bulk.after(flow.BulkReviewOpened())
    kinds = [case.conflict.kind for case in bulk.state.cases]
    assert [ConflictKind.DUPLICATE, ConflictKind.CHECK_FAILED] == kinds
    bulk.after(decide("m2", ConflictDecision.SKIP))
    assert flow.RefusalReason.DECISION_OPEN is bulk.refusal(flow.BulkReviewConfirmed())
    bulk.after(decide("m3", ConflictDecision.OVERRIDE), flow.BulkReviewConfirmed())

    expected = {"m2": ConflictDecision.SKIP, "m3": ConflictDecision.OVERRIDE}
    assert (expected, 1) == (bulk.effects[-1].decisions, bulk.state.settled)


def test_who_waits_for_the_decisions_about_others_is_not_asked_about() -> None:
    """
    All or nothing: clean mentors wait too, and need no decision of their own.
    """
    bulk = settled(ItemState.NEEDS_REVIEW, ItemState.NEEDS_REVIEW, m1="a-1")
    own, other = bulk.state.result.outcomes
    waits = attrs.evolve(other, failure=AWAITING_DECISIONS)
    result = attrs.evolve(bulk.state.result, outcomes=(attrs.evolve(own, failure=DUPLICATE), waits))

    step = flow.bulk_flow_after(attrs.evolve(bulk.state, result=result), flow.BulkReviewOpened())

    assert isinstance(step.state, flow.BulkReviewingBatch)
    assert ["m1"] == [case.conflict.mentor_id for case in step.state.cases]


def test_cancelling_the_review_of_a_batch_returns_to_its_result() -> None:
    """
    The batch waits on.
    """
    bulk = settled(ItemState.NEEDS_REVIEW, ItemState.FAILED)
    before = bulk.state

    bulk.after(flow.BulkReviewOpened(), flow.BulkWentBack())

    assert before == bulk.state


def test_a_batch_without_waiting_conflicts_has_no_review() -> None:
    """
    The button belongs to an older result.
    """
    assert settled(ItemState.FAILED).ignores(flow.BulkReviewOpened())


def test_what_a_review_has_no_place_for_is_told() -> None:
    """
    A press is late, a choice is refused.
    """
    bulk = reviewing(duplicate("m1"))

    assert bulk.ignores(flow.BulkRetried())
    assert flow.RefusalReason.NOT_NOW is bulk.refusal(flow.BulkMentorsSelected(mentor_ids=["m1"]))


def test_a_failed_check_keeps_the_form_and_can_be_tried_again() -> None:
    """
    Back leads to the form.
    """
    bulk = failed_check()
    form = bulk.state.during.form

    assert isinstance(flow.bulk_flow_after(bulk.state, flow.BulkTriedAgain()).state, flow.BulkChecking)
    assert flow.BulkSelecting(token=flow.BulkToken(1), form=form) == bulk.after(flow.BulkWentBack())


def test_a_failed_submission_is_repeated_under_its_key_and_a_new_token() -> None:
    """
    So that both are one batch, and the first one's answers are late.
    """
    bulk = submitting()
    bulk.after(flow.BulkCallFailed(token=bulk.state.token, error=OUTAGE), flow.BulkTriedAgain())

    first, second = bulk.effects[-2:]

    assert (2, 3) == (first.token, second.token)
    assert (first.request, second.token) == (second.request, bulk.state.token)


def test_back_from_a_failed_resolution_keeps_every_decision() -> None:
    """
    The review is open again.
    """
    bulk = settled(ItemState.NEEDS_REVIEW)
    bulk.after(flow.BulkReviewOpened(), decide("m1", ConflictDecision.SKIP))
    cases = bulk.state.cases
    bulk.after(flow.BulkReviewConfirmed())

    bulk.after(flow.BulkCallFailed(token=bulk.state.token, error=OUTAGE), flow.BulkWentBack())

    assert cases == bulk.state.cases
    assert flow.BulkToken(3) == bulk.state.token


def test_back_from_a_failed_retry_shows_the_result_again() -> None:
    """
    With the same mentors selected.
    """
    bulk = settled(ItemState.FAILED)
    before = bulk.state
    bulk.after(flow.BulkRetried())

    bulk.after(flow.BulkCallFailed(token=bulk.state.token, error=OUTAGE), flow.BulkWentBack())

    assert attrs.evolve(before, token=flow.BulkToken(3)) == bulk.state


@pytest.mark.parametrize(
    ("error", "told"),
    [(OUTAGE, str(OUTAGE)), (RuntimeError("password=hunter2"), "Something went wrong")],
)
def test_an_error_message_is_this_librarys_own_or_says_nothing(error: Exception, told: str) -> None:
    """
    Foreign exceptions may hold anything.
    """
    bulk = checking()
    single = single_submitting()

    bulk.after(flow.BulkCallFailed(token=bulk.state.token, error=error))
    failed = single_after(flow.SingleCallFailed(token=single.token, error=error), state=single)

    assert bulk.state.message.startswith(told)
    assert bulk.state.message == failed.message
    assert "hunter2" not in bulk.state.message


def test_notes_never_show_in_a_repr_of_a_flow() -> None:
    """
    They are personal data.
    """
    bulk = filled()
    bulk.after(flow.BulkTemplateChosen(template=PHONE))

    assert "tea" not in repr(bulk.state)
    assert "rang" not in repr(bulk.state)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: UNTYPED.BulkMentorsSelected(mentor_ids=["m1", ""]), ValueError),
        (lambda: UNTYPED.BulkDraftEdited(draft=SINGLE_DRAFT), TypeError),
        (lambda: UNTYPED.SingleDraftEdited(draft=DRAFT), TypeError),
        (lambda: UNTYPED.BulkForm(draft=SINGLE_DRAFT), TypeError),
        (lambda: UNTYPED.SingleForm(draft=DRAFT), TypeError),
        (lambda: UNTYPED.BulkDraft(activity_date=NOON), TypeError),
        (lambda: UNTYPED.BulkDraft(duration_minutes=0), ValueError),
        (lambda: UNTYPED.BulkOptionsChosen(label="x" * 201), ValueError),
        (lambda: UNTYPED.SingleRejected(token=UNTYPED.SingleToken(1), reasons=()), ValueError),
        (lambda: UNTYPED.bulk_flow_after(UNTYPED.SingleIdle(), UNTYPED.BulkEntered()), TypeError),
        (lambda: UNTYPED.bulk_flow_after(UNTYPED.BulkIdle(), UNTYPED.SingleEntered()), TypeError),
        (lambda: UNTYPED.single_flow_after(UNTYPED.BulkIdle(), UNTYPED.SingleEntered()), TypeError),
        (lambda: UNTYPED.single_flow_after(UNTYPED.SingleIdle(), UNTYPED.BulkEntered()), TypeError),
    ],
)
def test_nonsense_and_values_of_the_other_flow_are_refused_when_made(
    make: Callable[[], object], error: type[Exception]
) -> None:
    """
    Types refuse them first; this is for hosts without a type checker.
    """
    with pytest.raises(error):
        make()


def single_after(*events: flow.SingleEvent, state: Any = None) -> Any:
    """
    Return the single flow's state after these events.
    """
    state = flow.SingleIdle() if state is None else state
    for event in events:
        state = flow.single_flow_after(state, event).state
    return state


def single_filled() -> Any:
    """
    Return a single flow with a form that is ready.
    """
    return single_after(
        flow.SingleEntered(),
        flow.SingleMentorSelected(mentor_id="m1"),
        flow.SingleDraftEdited(draft=SINGLE_DRAFT),
    )


def single_submitting() -> Any:
    """
    Return a single flow whose call is under way.
    """
    return single_after(flow.SingleSubmitted(idempotency_key="key-1"), state=single_filled())


def warned() -> Any:
    """
    Return a single flow that warns of an existing record.
    """
    found = flow.SingleDuplicateFound(token=flow.SingleToken(1), existing_activity_id="a-old")
    return single_after(found, state=single_submitting())


def single_refusal(state: flow.SingleState, event: flow.SingleEvent) -> flow.RefusalReason | None:
    """
    Return why the event is refused, having seen that it changes nothing.
    """
    step = flow.single_flow_after(state, event)
    assert (state, ()) == (step.state, step.effects)
    return None if step.refusal is None else step.refusal.reason


def single_ignores(state: flow.SingleState, event: flow.SingleEvent) -> bool:
    """
    Return whether the event is ignored and changes nothing.
    """
    return flow.SingleStep(state=state, ignored=True) == flow.single_flow_after(state, event)


def test_a_single_registration_is_called_once_and_settles() -> None:
    """
    The second press comes late, before and after the answer.
    """
    press = flow.SingleSubmitted(idempotency_key="key-1")
    step = flow.single_flow_after(single_filled(), press)
    (effect,) = step.effects

    assert ("m1", SINGLE_DRAFT.activity, "key-1", False) == (
        effect.mentor_id,
        effect.activity,
        effect.idempotency_key,
        effect.confirm_despite_duplicate,
    )
    assert single_ignores(step.state, press)
    done = single_after(flow.SingleRegistered(token=effect.token, activity_id="a-1"), state=step.state)
    assert flow.SingleSettled(token=effect.token, effect=effect, activity_id="a-1") == done
    assert single_ignores(done, press)


def test_a_duplicate_can_be_confirmed_under_the_same_key() -> None:
    """
    And only once; the call names the record that was shown.
    """
    step = flow.single_flow_after(warned(), flow.SingleDuplicateConfirmed())
    (effect,) = step.effects

    assert (2, "a-old", True, "key-1") == (
        effect.token,
        effect.despite,
        effect.confirm_despite_duplicate,
        effect.idempotency_key,
    )
    assert single_ignores(step.state, flow.SingleDuplicateConfirmed())


@pytest.mark.parametrize(
    "answer",
    [
        flow.SingleDuplicateFound(token=flow.SingleToken(1), existing_activity_id="a-old"),
        flow.SingleRejected(token=flow.SingleToken(1), reasons=[DOWN]),
        flow.SingleCallFailed(token=flow.SingleToken(1), error=OUTAGE),
    ],
)
def test_back_from_every_answer_but_success_keeps_what_was_entered(answer: flow.SingleEvent) -> None:
    """
    The form is as it was.
    """
    form = single_filled().form

    state = single_after(answer, flow.SingleWentBack(), state=single_submitting())

    assert flow.SingleSelecting(token=flow.SingleToken(1), form=form) == state


def test_a_refusal_tells_all_its_reasons() -> None:
    """
    In the service's order.
    """
    state = single_after(
        flow.SingleRejected(token=flow.SingleToken(1), reasons=[DOWN, DOWN]), state=single_submitting()
    )

    assert (DOWN, DOWN) == state.reasons


def test_a_failed_single_call_is_repeated_under_its_key() -> None:
    """
    So that both are one record.
    """
    failed = single_after(
        flow.SingleCallFailed(token=flow.SingleToken(1), error=OUTAGE), state=single_submitting()
    )

    (effect,) = flow.single_flow_after(failed, flow.SingleTriedAgain()).effects

    assert (2, "key-1") == (effect.token, effect.idempotency_key)


def test_late_and_doubled_single_events_are_ignored() -> None:
    """
    After leaving, after the answer, and after a further call.
    """
    late = flow.SingleRegistered(token=flow.SingleToken(1), activity_id="a-1")
    left = single_after(flow.SingleLeft(), state=single_submitting())

    assert flow.SingleIdle(token=flow.SingleToken(1)) == left
    assert single_ignores(left, late)
    assert single_ignores(warned(), late)
    assert single_ignores(left, flow.SingleWentBack())
    assert single_ignores(single_filled(), flow.SingleWentBack())
    assert single_ignores(single_filled(), flow.SingleTemplateConfirmed())
    again = single_after(flow.SingleDuplicateConfirmed(), state=warned())
    assert single_ignores(again, late)


def test_single_mistakes_are_refused_with_their_reason() -> None:
    """
    Nothing changes and nothing is called.
    """
    press = flow.SingleSubmitted(idempotency_key="key-1")
    nobody = single_after(flow.SingleMentorDeselected(), state=single_filled())
    nothing = single_after(flow.SingleDraftEdited(draft=flow.SingleDraft()), state=single_filled())
    early = flow.SingleRegistered(token=flow.SingleToken(9), activity_id="a-1")

    assert flow.RefusalReason.NO_MENTOR is single_refusal(nobody, press)
    assert flow.RefusalReason.INCOMPLETE_ACTIVITY is single_refusal(nothing, press)
    assert flow.RefusalReason.NEVER_ASKED is single_refusal(single_submitting(), early)
    assert flow.RefusalReason.NOT_NOW is single_refusal(warned(), flow.SingleMentorDeselected())


def test_a_template_asks_before_it_overwrites_single_edits_too() -> None:
    """
    Both answers are there.
    """
    asked = single_after(flow.SingleTemplateChosen(template=PHONE), state=single_filled())

    assert (SINGLE_DRAFT, PHONE) == (asked.form.draft, asked.form.pending)
    assert single_filled() == single_after(flow.SingleTemplateDeclined(), state=asked)
    assert "call" == single_after(flow.SingleTemplateConfirmed(), state=asked).form.draft.activity_type


@pytest.mark.parametrize(
    ("failure", "existing", "kind"),
    [
        (DUPLICATE, "a-1", ConflictKind.DUPLICATE),
        (MAYBE_OWN, "a-1", ConflictKind.MAYBE_OWN),
        (DUPLICATE, None, ConflictKind.CHECK_FAILED),
    ],
)
def test_who_waits_is_shown_with_the_kind_of_conflict(
    failure: Failure, existing: str | None, kind: ConflictKind
) -> None:
    """
    A record that may be the mentor's own is told from another's, since it is overridden by another word.
    """
    waiting = MentorOutcome(
        mentor_id="m1", state=ItemState.NEEDS_REVIEW, failure=failure, conflicting_activity_id=existing
    )

    assert kind is _waiting_case(waiting).conflict.kind
