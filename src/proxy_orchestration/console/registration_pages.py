"""
The pages of a new registration: choose mentors, describe the activity, check, and submit.

Each request takes the bulk flow from its beginning through what was entered to where the page stands.
Between two pages that travels in the form, so that two tabs, the back button and another process make
no difference.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, date
from typing import Final

import attrs
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from proxy_orchestration.access import Action, refusal
from proxy_orchestration.console.conflict_cards import Card, cards_for
from proxy_orchestration.console.decisions import after_decisions, carry_out_decisions, decided
from proxy_orchestration.console.error_words import ErrorWording, wording_of
from proxy_orchestration.console.flow_state import (
    Checked,
    read_check,
    read_form_state,
    written_check,
    written_form,
)
from proxy_orchestration.console.forms import ActivityFields, Form, activity_fields
from proxy_orchestration.console.languages import marked
from proxy_orchestration.console.ports import Mentor
from proxy_orchestration.console.visits import Visit, visit_of
from proxy_orchestration.errors import NotAuthorizedError, OrchestrationError
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.conflicts import ConflictDecision, ConflictReport
from proxy_orchestration.registration.flow import (
    BulkAllVisibleSelected,
    BulkDraft,
    BulkDraftEdited,
    BulkEntered,
    BulkForm,
    BulkIdle,
    BulkInput,
    BulkMentorsDeselected,
    BulkMentorsSelected,
    BulkOptionsChosen,
    BulkReviewConfirmed,
    BulkSelecting,
    BulkStep,
    BulkSubmitting,
    SubmitBulk,
    bulk_flow_after,
)
from proxy_orchestration.registration.ports import SupportsBulk
from proxy_orchestration.registration.requests import SubmissionMode

_PER_SEARCH: Final = 50
_LONGEST_LABEL: Final = 200
_NOBODY: Final = ErrorWording(
    422, marked("No mentor is chosen"), marked("Choose at least one mentor and try again.")
)
_INCOMPLETE: Final = ErrorWording(
    422,
    marked("The activity is not complete"),
    marked("Correct the marked fields, and continue."),
)
DECISION_OPEN: Final = ErrorWording(
    422,
    marked("A decision is missing"),
    marked("Decide about each marked mentor, and send the form again."),
)
_NOBODY_LEFT: Final = ErrorWording(
    422,
    marked("Every mentor is left out"),
    marked("Your decisions leave nobody to register. Go back, or change a decision."),
)


@attrs.frozen(kw_only=True)
class _Choosing:
    """
    The page on which mentors are chosen and the activity is described.

    Attributes:
        state: where the flow stands.
        fields: the activity as it was typed.
        query: what is searched for.
        problem: why the person is still here.
    """

    state: BulkSelecting
    fields: ActivityFields
    query: str = ""
    problem: ErrorWording | None = None


async def begin(request: Request) -> Response:
    """
    Show the empty form of a new registration.
    """
    visit = _submitting(request)
    entered = bulk_flow_after(BulkIdle(), BulkEntered()).state
    assert isinstance(entered, BulkSelecting)  # noqa: S101 - which is where the flow begins
    # What most activities are: today's, of half an hour; both are there to be changed.
    usual = (("activity_date", _today(visit).isoformat()), ("duration_minutes", "30"))
    fields = attrs.evolve(activity_fields(Form(usual)), errors={})
    return await _choosing_page(visit, _Choosing(state=entered, fields=fields))


def _submitting(request: Request) -> Visit:
    """
    Return the visit of somebody who may register.

    Raises:
        NotAuthorizedError: the person may not; there is no form to fill in.
    """
    visit = visit_of(request)
    if not visit.may(Action.SUBMIT):
        raise refusal(visit.person, Action.SUBMIT)
    return visit


def _today(visit: Visit) -> date:
    """
    Return the day of the pages' zone, or the last one of UTC, in whose days an activity is of the future.
    """
    now = visit.console.clock.now()
    return min(now.astimezone(visit.console.timezone).date(), now.astimezone(UTC).date())


async def choose(request: Request) -> Response:
    """
    Take what was chosen and typed so far, and search, add, remove or go on.
    """
    visit = _submitting(request)
    form = await visit.form()
    deed, _, argument = form.get("do").partition(":")
    chosen = _entered(form, await _known(visit, form))
    query = form.get("query").strip()
    fields = activity_fields(form)
    if deed == "all":
        found = await visit.search(query, visit.console.orchestrator.settings.max_batch_size) or ()
        chosen = _after(chosen, BulkAllVisibleSelected(visible_ids=[each.mentor_id for each in found]))
    elif deed == "none":
        chosen = _after(chosen, BulkMentorsDeselected(mentor_ids=chosen.form.mentor_ids))
    elif deed == "remove":
        chosen = _after(chosen, BulkMentorsDeselected(mentor_ids=[argument]))
    elif deed == "check":
        return await _check(visit, _Choosing(state=chosen, fields=fields, query=query))
    relaxed = attrs.evolve(fields, errors={})  # nobody is told off for what is still to be typed
    return await _choosing_page(visit, _Choosing(state=chosen, fields=relaxed, query=query))


async def _known(visit: Visit, form: Form) -> tuple[str, ...]:
    """
    Return the ids that were typed, for a host without a directory.
    """
    return tuple(form.get("ids").split()) if visit.console.directory is None else ()


def _entered(form: Form, typed_ids: Sequence[str]) -> BulkSelecting:
    """
    Return the flow's state after all that the form says.
    """
    ticked, seen = form.all("mentor"), form.all("seen")
    fields = activity_fields(form)
    state = BulkSelecting(form=read_form_state(form.get("state")))
    state = _after(
        state, BulkMentorsDeselected(mentor_ids=[each for each in seen if each not in set(ticked)])
    )
    state = _after(state, BulkMentorsSelected(mentor_ids=[each for each in (*ticked, *typed_ids) if each]))
    details = state.form.draft.details
    draft = BulkDraft(
        activity_type=fields.activity_type,
        activity_date=fields.activity_date,
        duration_minutes=fields.duration_minutes,
        notes=fields.notes,
        details=details,
    )
    state = _after(state, BulkDraftEdited(draft=draft))
    mode = SubmissionMode.ATOMIC if form.get("atomic") else SubmissionMode.INDEPENDENT
    label = form.get("label").strip()[:_LONGEST_LABEL] or None
    return _after(state, BulkOptionsChosen(label=label, mode=mode))


def _after(state: BulkSelecting, event: BulkInput) -> BulkSelecting:
    after = bulk_flow_after(state, event).state
    assert isinstance(after, BulkSelecting)  # noqa: S101 - none of them leaves the page
    return after


async def _choosing_page(visit: Visit, choosing: _Choosing) -> Response:
    form = choosing.state.form
    found = await visit.search(choosing.query, _PER_SEARCH + 1)
    names = await visit.names(form.mentor_ids)
    return visit.page(
        "new.html",
        status=200 if choosing.problem is None else choosing.problem.status,
        state=written_form(form),
        form=form,
        fields=choosing.fields,
        query=choosing.query,
        problem=choosing.problem,
        found=_listed(found, form),
        is_cut=found is not None and len(found) > _PER_SEARCH,
        search_failed=found is None,
        names=names,
        has_directory=visit.console.directory is not None,
        may_be_atomic=isinstance(visit.console.orchestrator.registration_service, SupportsBulk),
        is_atomic=form.mode is SubmissionMode.ATOMIC,
        longest_label=_LONGEST_LABEL,
    )


def _listed(found: Sequence[Mentor] | None, form: BulkForm) -> Sequence[tuple[Mentor, bool]]:
    chosen = frozenset(form.mentor_ids)
    return [(mentor, mentor.mentor_id in chosen) for mentor in (found or ())[:_PER_SEARCH]]


async def _check(visit: Visit, choosing: _Choosing) -> Response:
    """
    Ask what conflicts, and show what would be done.
    """
    form = choosing.state.form
    if choosing.fields.errors:
        return await _choosing_page(visit, attrs.evolve(choosing, problem=_INCOMPLETE))
    if not form.mentor_ids:
        return await _choosing_page(visit, attrs.evolve(choosing, problem=_NOBODY))
    try:
        checked = await _previewed(visit, form)
    except OrchestrationError as error:
        problem = wording_of(error)
        if problem is None or isinstance(error, NotAuthorizedError):
            raise
        return await _choosing_page(visit, attrs.evolve(choosing, problem=problem))
    return await _check_page(visit, checked)


async def _previewed(visit: Visit, form: BulkForm) -> Checked:
    # A key of its own for each intention: whoever goes back and changes something means another batch.
    key = secrets.token_urlsafe(18)
    nothing = Checked(form=form, idempotency_key=key, report=ConflictReport(conflicts=(), clean=()))
    report = await visit.console.orchestrator.preview(nothing.request, actor=visit.person)
    return attrs.evolve(nothing, report=report)


async def _check_page(
    visit: Visit,
    checked: Checked,
    *,
    decisions: Mapping[str, ConflictDecision] | None = None,
    problem: ErrorWording | None = None,
) -> Response:
    activity = checked.form.draft.activity
    assert activity is not None  # noqa: S101 - a checked form is complete
    cards = await _cards(visit, checked, activity, decisions or {})
    conflicting = {card.mentor_id for card in cards}
    refused = frozenset(checked.report.refused)
    names = await visit.names(checked.form.mentor_ids)
    return visit.page(
        "check.html",
        status=200 if problem is None else problem.status,
        checked=written_check(checked),
        state=written_form(checked.form),
        form=checked.form,
        activity=activity,
        cards=cards,
        clean=[each for each in checked.form.mentor_ids if each not in conflicting | refused],
        refused=sorted(refused),
        names=names,
        problem=problem,
    )


async def _cards(
    visit: Visit, checked: Checked, activity: ProxyActivity, decisions: Mapping[str, ConflictDecision]
) -> Sequence[Card]:
    state = checked.reviewing
    if state is None:
        return ()
    return await cards_for(
        visit,
        [(case, case.conflict.mentor_id, activity) for case in state.cases],
        decisions=decisions,
    )


async def submit(request: Request) -> Response:
    """
    Accept what was checked, once however often it is sent, and lead to the batch.
    """
    visit = _submitting(request)
    form = await visit.form()
    checked = read_check(form.get("checked"))
    deed, _, argument = form.get("do").partition(":")
    if deed == "back":
        return await _back(visit, checked.form)
    if deed == "remove":
        fewer = _after(BulkSelecting(form=checked.form), BulkMentorsDeselected(mentor_ids=[argument])).form
        return await _back(visit, fewer) if not fewer.mentor_ids else await _check(visit, _as_typed(fewer))
    return await _send(visit, checked, form)


async def _send(visit: Visit, checked: Checked, form: Form) -> Response:
    step = _decided_step(checked, form)
    decisions = decided(form)
    effect = next((each for each in step.effects if isinstance(each, SubmitBulk)), None)
    if effect is None:
        problem = (
            DECISION_OPEN
            if step.refusal is None or step.refusal.reason.value == "decision_open"
            else _NOBODY_LEFT
        )
        return await _check_page(visit, checked, decisions=decisions, problem=problem)
    try:
        result = await visit.console.orchestrator.submit_bulk_registration(
            effect.request, actor=visit.person, drive=False
        )
    except OrchestrationError as error:
        problem_of_error = wording_of(error)
        if problem_of_error is None or isinstance(error, NotAuthorizedError):
            raise
        # Sent again from the page that comes back, it has the same key: nothing is stored twice.
        return await _check_page(visit, checked, decisions=decisions, problem=problem_of_error)
    answer = visit.redirect("batches", result.batch_id, note="submitted")
    if isinstance(step.state, BulkSubmitting):
        answer.background = _follow_up(visit, step.state, result.batch_id)
    return answer


def _follow_up(visit: Visit, state: BulkSubmitting, batch_id: str) -> BackgroundTask | None:
    """
    Return what carries the decisions out once the batch met the conflicts; `None` where none overrides.
    """
    overrides = any(each.decision is not ConflictDecision.SKIP for each in getattr(state.origin, "cases", ()))
    if not overrides:
        return None
    return BackgroundTask(
        carry_out_decisions, visit.console.orchestrator, state, batch_id=batch_id, actor=visit.person
    )


def _decided_step(checked: Checked, form: Form) -> BulkStep:
    """
    Return the flow's step once the decisions in the form are taken and confirmed.
    """
    step = checked.answered
    if checked.reviewing is None:
        return step
    return bulk_flow_after(after_decisions(checked.reviewing, form), BulkReviewConfirmed())


async def _back(visit: Visit, form: BulkForm) -> Response:
    return await _choosing_page(visit, _as_typed(form))


def _as_typed(form: BulkForm) -> _Choosing:
    """
    Return the first page as it was left.
    """
    draft = form.draft
    typed = {
        "activity_type": draft.activity_type or "",
        "activity_date": "" if draft.activity_date is None else draft.activity_date.isoformat(),
        "duration_minutes": "" if draft.duration_minutes is None else str(draft.duration_minutes),
        "notes": draft.notes,
    }
    return _Choosing(state=BulkSelecting(form=form), fields=activity_fields(Form(tuple(typed.items()))))
