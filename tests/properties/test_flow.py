from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime

import attrs
from hypothesis import given
from hypothesis import strategies as st

from proxy_orchestration.errors import OrchestrationError
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
from proxy_orchestration.registration.states import OUTCOME_STATES, ItemState, settled_status

DAY = date(2026, 11, 2)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
BULK_MENTORS = ("bulk-1", "bulk-2", "bulk-3")
OUTCOMES = sorted(OUTCOME_STATES, key=lambda state: state.value)


@attrs.define
class Pair:
    """
    Both flows side by side, as a screen's store holds them, and all that they asked for.
    """

    bulk: flow.BulkState = attrs.field(factory=flow.BulkIdle)
    single: flow.SingleState = attrs.field(factory=flow.SingleIdle)
    bulk_effects: list[flow.BulkEffect] = attrs.field(factory=list)
    single_effects: list[flow.RegisterSingle] = attrs.field(factory=list)

    def bulk_after(self, event: flow.BulkEvent) -> None:
        """
        Let it happen to the bulk flow.
        """
        step = flow.bulk_flow_after(self.bulk, event)
        assert step == flow.bulk_flow_after(self.bulk, event)
        if step.ignored or step.refusal is not None:
            assert (self.bulk, ()) == (step.state, step.effects)
        self.bulk = step.state
        self.bulk_effects.extend(step.effects)

    def single_after(self, event: flow.SingleEvent) -> None:
        """
        Let it happen to the single flow.
        """
        step = flow.single_flow_after(self.single, event)
        assert step == flow.single_flow_after(self.single, event)
        if step.ignored or step.refusal is not None:
            assert (self.single, ()) == (step.state, step.effects)
        self.single = step.state
        self.single_effects.extend(step.effects)


_bulk_ids = st.lists(st.sampled_from(BULK_MENTORS), min_size=1)
_templates = {
    name: st.builds(
        flow.ActivityTemplate,
        template_id=st.just(f"{name}-template"),
        activity_type=st.sampled_from([f"{name}-visit", f"{name}-call"]),
        notes=st.sampled_from([f"{name} notes", ""]),
    )
    for name in ("bulk", "single")
}
_keys = st.integers(1, 9)
_bulk_drafts = st.builds(
    flow.BulkDraft,
    activity_type=st.just("bulk-walk"),
    activity_date=st.just(DAY),
    duration_minutes=st.sampled_from([45, 45, None]),
    notes=st.just("bulk words"),
)
_single_drafts = st.builds(
    flow.SingleDraft,
    activity_type=st.just("single-walk"),
    activity_date=st.just(DAY),
    duration_minutes=st.sampled_from([45, 45, None]),
    notes=st.just("single words"),
)
_bulk_fills: st.SearchStrategy[flow.BulkEvent] = st.one_of(
    st.builds(flow.BulkMentorsSelected, mentor_ids=_bulk_ids),
    st.builds(flow.BulkAllVisibleSelected, visible_ids=_bulk_ids),
    st.builds(flow.BulkDraftEdited, draft=_bulk_drafts),
)
_bulk_presses: st.SearchStrategy[flow.BulkEvent] = st.one_of(
    st.builds(flow.BulkSubmitted, idempotency_key=st.builds("bulk-key-{}".format, _keys)),
    st.builds(flow.BulkAllConflictsDecided, decision=st.sampled_from(ConflictDecision)),
    st.just(flow.BulkRetried()),
    st.just(flow.BulkReviewOpened()),
    st.just(flow.BulkReviewConfirmed()),
    st.just(flow.BulkTriedAgain()),
)
_bulk_others: st.SearchStrategy[flow.BulkEvent] = st.one_of(
    st.builds(flow.BulkMentorsDeselected, mentor_ids=_bulk_ids),
    st.builds(flow.BulkTemplateChosen, template=_templates["bulk"]),
    st.builds(flow.BulkOptionsChosen, on_conflict=st.sampled_from(ConflictPolicy)),
    st.builds(
        flow.BulkConflictDecided,
        mentor_id=st.sampled_from(BULK_MENTORS),
        decision=st.sampled_from(ConflictDecision),
    ),
    st.sampled_from(
        [
            flow.BulkEntered(),
            flow.BulkLeft(),
            flow.BulkTemplateConfirmed(),
            flow.BulkTemplateDeclined(),
            flow.BulkWentBack(),
        ]
    ),
)
_bulk_events = st.one_of(_bulk_fills, _bulk_presses, _bulk_presses, _bulk_others)
_single_events: st.SearchStrategy[flow.SingleEvent] = st.one_of(
    st.builds(flow.SingleMentorSelected, mentor_id=st.sampled_from(["single-1", "single-2"])),
    st.builds(flow.SingleDraftEdited, draft=_single_drafts),
    st.builds(flow.SingleTemplateChosen, template=_templates["single"]),
    st.builds(flow.SingleSubmitted, idempotency_key=st.builds("single-key-{}".format, _keys)),
    st.sampled_from(
        [
            flow.SingleEntered(),
            flow.SingleLeft(),
            flow.SingleMentorDeselected(),
            flow.SingleTemplateConfirmed(),
            flow.SingleTemplateDeclined(),
            flow.SingleDuplicateConfirmed(),
            flow.SingleTriedAgain(),
            flow.SingleWentBack(),
        ]
    ),
)


@st.composite
def _bulk_answers(draw: st.DrawFn, effects: list[flow.BulkEffect]) -> flow.BulkEvent:
    """
    Draw an answer to any question that was ever put, mostly the newest.
    """
    effect = effects[draw(st.sampled_from([-1, -1, -1, 0]))]
    if draw(st.integers(0, 5)) == 0:
        return flow.BulkCallFailed(token=effect.token, error=OrchestrationError("bulk is down"))
    if isinstance(effect, flow.CheckBulkConflicts):
        return flow.BulkConflictsFound(token=effect.token, report=draw(_reports(effect)))
    if draw(st.booleans()):
        return flow.BulkAnswered(token=effect.token, result=draw(_results(effects, effect)))
    update = BulkProgressUpdate(
        batch_id="bulk-batch",
        run=draw(st.integers(1, 3)),
        sequence=draw(st.integers(1, 6)),
        outcome=MentorOutcome(mentor_id=draw(st.sampled_from(BULK_MENTORS)), state=ItemState.SUCCEEDED),
        settled=draw(st.integers(0, 4)),
        total=draw(st.integers(1, 3)),
    )
    return flow.BulkProgressed(token=effect.token, update=update)


@st.composite
def _reports(draw: st.DrawFn, effect: flow.CheckBulkConflicts) -> ConflictReport:
    ids = [entry.mentor_id for entry in effect.request.entries]
    kinds = {mentor_id: draw(st.sampled_from([None, None, *ConflictKind])) for mentor_id in ids}
    conflicts = tuple(
        Conflict(mentor_id=mentor_id, kind=kind, existing_activity_id=f"bulk-old-{mentor_id}")
        for mentor_id, kind in kinds.items()
        if kind is not None
    )
    clean = tuple(mentor_id for mentor_id, kind in kinds.items() if kind is None)
    return ConflictReport(conflicts=conflicts, clean=clean)


@st.composite
def _results(draw: st.DrawFn, effects: list[flow.BulkEffect], effect: flow.BulkWork) -> BulkSubmissionResult:
    submits = [e for e in effects if isinstance(e, flow.SubmitBulk) and e.token <= effect.token]
    ids = [entry.mentor_id for entry in submits[-1].request.entries]
    states = [draw(st.sampled_from([*OUTCOMES, ItemState.FAILED, ItemState.NEEDS_REVIEW])) for _ in ids]
    if draw(st.integers(0, 5)) == 0:
        states[0] = ItemState.RUNNING
    counts = {state: states.count(state) for state in states}
    return BulkSubmissionResult(
        batch_id="bulk-batch",
        coordinator_id="coord-1",
        status=settled_status(counts),
        run=draw(st.integers(1, 3)),
        total=len(ids),
        counts=counts,
        label=None,
        submitted_at=NOON,
        settled_at=NOON,
        outcomes=tuple(
            MentorOutcome(mentor_id=i, state=state, conflicting_activity_id=f"bulk-old-{i}")
            for i, state in zip(ids, states, strict=True)
        ),
    )


@st.composite
def _single_answers(draw: st.DrawFn, effects: list[flow.RegisterSingle]) -> flow.SingleEvent:
    """
    Draw an answer to any call that was ever made, mostly the newest.
    """
    token = effects[draw(st.sampled_from([-1, -1, 0]))].token
    reasons = (Failure(code="single_refusal", message="single: no.", retryable=False),)
    answers: list[flow.SingleEvent] = [
        flow.SingleRegistered(token=token, activity_id="single-activity"),
        flow.SingleDuplicateFound(token=token, existing_activity_id="single-old"),
        flow.SingleRejected(token=token, reasons=reasons),
        flow.SingleCallFailed(token=token, error=OrchestrationError("single is down")),
    ]
    return draw(st.sampled_from(answers))


def _texts(value: object) -> Iterator[str]:
    """
    Yield every text in a value, however deep.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, Exception):
        yield str(value)
    elif attrs.has(kind := type(value)):
        for field in attrs.fields(kind):
            yield from _texts(getattr(value, field.name))
    elif isinstance(value, Mapping):
        yield from _texts(tuple(value.items()))
    elif isinstance(value, tuple | frozenset | list):
        for part in value:
            yield from _texts(part)


def _play(data: st.DataObject, pair: Pair) -> None:
    """
    Let one thing happen in one of the flows.
    """
    if data.draw(st.booleans(), label="in bulk"):
        waits = isinstance(pair.bulk, flow.BulkChecking | flow.BulkSubmitting)
        answers = bool(pair.bulk_effects) and data.draw(st.integers(0, 3)) < (3 if waits else 1)
        pair.bulk_after(data.draw(_bulk_answers(pair.bulk_effects) if answers else _bulk_events))
    else:
        answers = bool(pair.single_effects) and data.draw(st.booleans())
        pair.single_after(data.draw(_single_answers(pair.single_effects) if answers else _single_events))


def _on_the_way(data: st.DataObject) -> Pair:
    """
    Return a pair whose bulk flow has come somewhere on the way from an empty form to a result.
    """
    pair = Pair()
    draft = flow.BulkDraft(activity_type="bulk-walk", activity_date=DAY, duration_minutes=9)
    opening: list[flow.BulkEvent] = [
        flow.BulkEntered(),
        flow.BulkMentorsSelected(mentor_ids=BULK_MENTORS),
        flow.BulkDraftEdited(draft=draft),
        flow.BulkSubmitted(idempotency_key="bulk-key-0"),
    ]
    for event in opening[: data.draw(st.sampled_from([4, 4, 4, 3]), label="opening")]:
        pair.bulk_after(event)
    if isinstance(pair.bulk, flow.BulkChecking):
        _find(data, pair, pair.bulk)
    if isinstance(pair.bulk, flow.BulkSubmitting) and data.draw(st.booleans(), label="settled"):
        result = data.draw(_results(pair.bulk_effects, pair.bulk.effect))
        pair.bulk_after(flow.BulkAnswered(token=pair.bulk.token, result=result))
    pair.single_after(flow.SingleEntered())
    pair.single_after(flow.SingleMentorSelected(mentor_id="single-1"))
    return pair


def _find(data: st.DataObject, pair: Pair, state: flow.BulkChecking) -> None:
    """
    Report conflicts, and decide about them in half of the games.
    """
    report = data.draw(_reports(flow.CheckBulkConflicts(token=state.token, request=state.request)))
    pair.bulk_after(flow.BulkConflictsFound(token=state.token, report=report))
    if data.draw(st.sampled_from([True, True, False]), label="decided"):
        for conflict in report.conflicts:
            decision = data.draw(st.sampled_from(ConflictDecision))
            pair.bulk_after(flow.BulkConflictDecided(mentor_id=conflict.mentor_id, decision=decision))
        pair.bulk_after(flow.BulkReviewConfirmed())


@given(st.booleans(), st.integers(1, 30), st.data())
def test_nothing_chosen_in_one_flow_appears_in_the_other(
    begun: bool, events: int, data: st.DataObject
) -> None:
    """
    Whatever happens in whatever order, effects included.
    """
    pair = _on_the_way(data) if begun else Pair()
    for _ in range(events):
        _play(data, pair)

        assert [] == [text for text in _texts((pair.bulk, pair.bulk_effects)) if "single" in text]
        assert [] == [text for text in _texts((pair.single, pair.single_effects)) if "bulk" in text]


@given(st.integers(1, 30), st.data())
def test_an_event_of_one_flow_leaves_the_other_as_it_is(events: int, data: st.DataObject) -> None:
    """
    Each question has a number of its own, and is put once.
    """
    pair = _on_the_way(data)
    for _ in range(events):
        before = (pair.bulk, pair.single)

        _play(data, pair)

        assert before[0] is pair.bulk or before[1] is pair.single
        assert list(range(1, len(pair.bulk_effects) + 1)) == [e.token for e in pair.bulk_effects]
        assert list(range(1, len(pair.single_effects) + 1)) == [e.token for e in pair.single_effects]


@given(st.integers(1, 40), st.data())
def test_every_bulk_state_keeps_its_promises(events: int, data: st.DataObject) -> None:
    """
    Progress adds up, decisions concern conflicts, and a question waits under its own number.
    """
    pair = _on_the_way(data)
    for _ in range(events):
        _play(data, pair)

        assert pair.bulk.token == len(pair.bulk_effects)
        _check(pair.bulk, pair)


def _check(state: flow.BulkState, pair: Pair) -> None:
    match state:
        case flow.BulkIdle():
            assert {"token"} == {field.name for field in attrs.fields(type(state))}
        case flow.BulkSelecting():
            assert len(set(state.form.mentor_ids)) == len(state.form.mentor_ids)
        case flow.BulkReviewing():
            assert {case.conflict.mentor_id for case in state.cases} <= set(state.form.mentor_ids)
        case flow.BulkReviewingBatch():
            waiting = [outcome.mentor_id for outcome in state.settled.result.needs_review]
            assert waiting == [case.conflict.mentor_id for case in state.cases]
        case flow.BulkSubmitting():
            assert 0 <= state.settled <= state.total == len(state.mentor_ids)
            assert state.effect is pair.bulk_effects[-1]
            assert state.mentor_ids.isdisjoint(state.left_out)
        case flow.BulkSettled():
            assert set(state.selected) <= {outcome.mentor_id for outcome in state.result.outcomes}
        case _:
            assert pair.bulk_effects


@given(st.integers(1, 40), st.data())
def test_who_is_skipped_is_never_submitted_and_whoever_is_submitted_was_chosen(
    events: int, data: st.DataObject
) -> None:
    """
    What follows a confirmed review is what the review says.
    """
    pair = _on_the_way(data)
    for _ in range(events):
        before, put = pair.bulk, len(pair.bulk_effects)

        _play(data, pair)

        if isinstance(before, flow.BulkReviewing) and len(pair.bulk_effects) > put:
            effect = pair.bulk_effects[-1]
            skipped = {c.conflict.mentor_id for c in before.cases if c.decision is ConflictDecision.SKIP}
            assert isinstance(effect, flow.SubmitBulk)
            assert () == before.open
            assert set(before.form.mentor_ids) - skipped == {e.mentor_id for e in effect.request.entries}


@given(st.integers(1, 30), st.data())
def test_entering_both_flows_resets_them_wherever_they_were(events: int, data: st.DataObject) -> None:
    """
    And no answer to an earlier question brings anything back.
    """
    pair = _on_the_way(data)
    for _ in range(events):
        _play(data, pair)
    pair.bulk_after(flow.BulkEntered())
    pair.single_after(flow.SingleEntered())
    fresh = (
        flow.BulkSelecting(token=pair.bulk.token),
        flow.SingleSelecting(token=pair.single.token),
    )
    if pair.bulk_effects:
        pair.bulk_after(data.draw(_bulk_answers(pair.bulk_effects)))
    if pair.single_effects:
        pair.single_after(data.draw(_single_answers(pair.single_effects)))

    assert fresh == (pair.bulk, pair.single)
