"""
The actions on one batch: retry, edit and retry, pause, cancel, rename, delete.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, TypeAlias

import attrs
from starlette.requests import Request
from starlette.responses import Response

from proxy_orchestration._pseudonyms import is_pseudonym
from proxy_orchestration.console.batch_lists import BatchRow
from proxy_orchestration.console.batch_pages import ItemRow
from proxy_orchestration.console.decisions import by_item
from proxy_orchestration.console.forms import ActivityFields, Form, FormError, activity_fields
from proxy_orchestration.console.languages import marked
from proxy_orchestration.console.visits import Visit, visit_of
from proxy_orchestration.errors import (
    BatchNotFoundError,
    BatchStateError,
    EmptySelectionError,
    InvalidValueError,
    StaleRunError,
)
from proxy_orchestration.registration.batches import BulkSubmissionResult
from proxy_orchestration.registration.flow import (
    BulkMentorsDeselected,
    BulkMentorsSelected,
    BulkRetried,
    BulkSettled,
    RetryBulk,
    bulk_flow_after,
)
from proxy_orchestration.registration.reasons import DRIVER_LOST

_LONGEST_REASON: Final = 500
_Deed: TypeAlias = Callable[[Visit, str, Form], Awaitable[Response]]


def on_batch(deed: _Deed) -> Callable[[Request], Awaitable[Response]]:
    """
    Return the endpoint that does something with the batch of the address.

    Who acted on an older page, or pressed twice, is led to the batch as it stands.
    """

    async def endpoint(request: Request) -> Response:
        visit = visit_of(request)
        form = await visit.form()
        batch_id: str = request.path_params["batch_id"]
        try:
            return await deed(visit, batch_id, form)
        except StaleRunError:
            return to_batch(visit, batch_id, "stale")
        except BatchStateError:
            return to_batch(visit, batch_id, "not_now")

    return endpoint


def to_batch(visit: Visit, batch_id: str, note: str) -> Response:
    """
    Return the answer that leads to the batch's page, and what that page says first.
    """
    return visit.redirect("batches", batch_id, note=note)


async def retry(visit: Visit, batch_id: str, form: Form) -> Response:
    """
    Retry the chosen mentors, or everybody who failed; nobody else is touched.
    """
    orchestrator, run = visit.console.orchestrator, form.number("run")
    result = await orchestrator.get_bulk_submission_status(batch_id, actor=visit.person)
    if result.run != run:
        raise StaleRunError(batch_id, expected_run=run, current_run=result.run)
    if result.settled_at is None:
        return to_batch(visit, batch_id, "not_now")
    effect = _chosen_retry(by_item(result), form)
    if effect is None:
        return to_batch(visit, batch_id, "nothing_chosen")
    await orchestrator.retry_failed_items(
        batch_id,
        actor=visit.person,
        mentor_ids=_named_once(effect.mentor_ids, result),
        expected_run=effect.expected_run,
        drive=False,
    )
    return to_batch(visit, batch_id, "retried")


def _chosen_retry(result: BulkSubmissionResult, form: Form) -> RetryBulk | None:
    """
    Return the retry that the flow makes of what was ticked, or `None` where nobody was.
    """
    failed = tuple(outcome.mentor_id for outcome in result.failed)
    step = bulk_flow_after(
        BulkSettled(result=result, selected=failed), BulkMentorsDeselected(mentor_ids=_unwanted(result, form))
    )
    step = bulk_flow_after(step.state, BulkMentorsSelected(mentor_ids=form.all("mentor")))
    if step.refusal is not None:
        raise FormError(marked("This form was changed on its way. Reload the page."))
    effects = bulk_flow_after(step.state, BulkRetried()).effects
    return next((effect for effect in effects if isinstance(effect, RetryBulk)), None)


def _named_once(item_keys: Collection[str], result: BulkSubmissionResult) -> Sequence[str]:
    """
    Return the keys without those of whose mentor an item goes by the mentor's id, which means them all.
    """
    mentors, named = {each.item_key: each.mentor_id for each in result.outcomes}, frozenset(item_keys)
    return [key for key in item_keys if mentors[key] == key or mentors[key] not in named]


def _unwanted(result: BulkSubmissionResult, form: Form) -> tuple[str, ...]:
    """
    Return the failed whom the retry leaves: unless all are meant, everybody who is not ticked.

    Whose calls ended the process each time is called again only when ticked, and who was erased never is.
    """
    every = bool(form.get("everybody"))
    return tuple(
        outcome.mentor_id
        for outcome in result.failed
        if not every
        or is_pseudonym(outcome.mentor_id)
        or (outcome.failure is not None and outcome.failure.code == DRIVER_LOST.code)
    )


async def pause(visit: Visit, batch_id: str, _form: Form) -> Response:
    """
    Let no further call of the batch begin.
    """
    await visit.console.orchestrator.pause_batch(batch_id, actor=visit.person)
    return to_batch(visit, batch_id, "paused")


async def resume(visit: Visit, batch_id: str, _form: Form) -> Response:
    """
    Let a paused batch go on.
    """
    await visit.console.orchestrator.resume_batch(batch_id, actor=visit.person)
    return to_batch(visit, batch_id, "resumed")


async def ask_cancel(request: Request) -> Response:
    """
    Ask whether the batch is to be cancelled, and why.
    """
    visit = visit_of(request)
    batch_id = request.path_params["batch_id"]
    summary = await visit.console.orchestrator.get_batch_summary(batch_id, actor=visit.person)
    if summary.settled_at is not None:
        return to_batch(visit, batch_id, "not_now")
    return visit.page("cancel.html", row=BatchRow(summary), longest=_LONGEST_REASON)


async def cancel(visit: Visit, batch_id: str, form: Form) -> Response:
    """
    Stop the batch, and tell what became of every item.
    """
    reason = form.get("reason").strip() or None
    report = await visit.console.orchestrator.cancel_batch(batch_id, actor=visit.person, reason=reason)
    summary = await visit.console.orchestrator.get_batch_summary(batch_id, actor=visit.person)
    return visit.page("cancelled.html", row=BatchRow(summary), report=report)


async def relabel(visit: Visit, batch_id: str, form: Form) -> Response:
    """
    Change what people call the batch.
    """
    label = form.get("label").strip() or None
    await visit.console.orchestrator.relabel_batch(batch_id, label, actor=visit.person)
    return to_batch(visit, batch_id, "relabelled")


async def ask_delete(request: Request) -> Response:
    """
    Ask whether the batch is to be deleted.
    """
    visit = visit_of(request)
    batch_id = request.path_params["batch_id"]
    summary = await visit.console.orchestrator.get_batch_summary(batch_id, actor=visit.person)
    if summary.settled_at is None:
        return to_batch(visit, batch_id, "not_now")
    return visit.page("delete.html", row=BatchRow(summary))


async def delete(visit: Visit, batch_id: str, form: Form) -> Response:
    """
    Remove a settled batch; a second press finds it gone, which is what was wanted.
    """
    try:
        await visit.console.orchestrator.delete_batch(
            batch_id, actor=visit.person, with_open_reviews=bool(form.get("with_open_reviews"))
        )
    except BatchNotFoundError:
        if not form.get("seen"):
            raise
    return visit.redirect(note="deleted")


@attrs.frozen(kw_only=True)
class _Edit:
    """
    One item whose activity is changed.
    """

    row: ItemRow
    run: int
    fields: ActivityFields


async def ask_edit(request: Request) -> Response:
    """
    Show the activity of one failed mentor, to be changed and tried again.
    """
    visit = visit_of(request)
    batch_id, place = request.path_params["batch_id"], request.path_params["place"]
    row = await _item(visit, batch_id, place)
    if not row.is_editable:
        return to_batch(visit, batch_id, "not_now")
    summary = await visit.console.orchestrator.get_batch_summary(batch_id, actor=visit.person)
    activity = row.item.activity
    typed = {
        "activity_type": activity.activity_type,
        "activity_date": activity.activity_date.isoformat(),
        "duration_minutes": str(activity.duration_minutes),
        "notes": activity.notes,
    }
    fields = activity_fields(Form(tuple(typed.items())))
    return _edit_page(
        visit, batch_id, _Edit(row=row, run=summary.run, fields=attrs.evolve(fields, errors={}))
    )


async def edit(visit: Visit, batch_id: str, form: Form) -> Response:
    """
    Register the changed activity for this mentor instead, and nothing else.
    """
    row = await _item(visit, batch_id, visit.request.path_params["place"])
    change = _Edit(row=row, run=form.number("run"), fields=activity_fields(form))
    activity = change.fields.activity(row.item.activity.details)
    if activity is None:
        return _edit_page(visit, batch_id, change, status=422)
    try:
        await visit.console.orchestrator.retry_failed_items(
            batch_id,
            actor=visit.person,
            # Named as well: activities alone retries everybody who failed, and edits these.
            mentor_ids=[row.item.outcome.item_key],
            activities={row.item.outcome.item_key: activity},
            expected_run=change.run,
            drive=False,
        )
    except EmptySelectionError:
        return to_batch(visit, batch_id, "not_now")
    return to_batch(visit, batch_id, "retried")


def _edit_page(visit: Visit, batch_id: str, change: _Edit, *, status: int = 200) -> Response:
    return visit.page(
        "edit.html",
        status=status,
        batch_id=batch_id,
        row=change.row,
        run=change.run,
        fields=change.fields,
    )


async def _item(visit: Visit, batch_id: str, place: str) -> ItemRow:
    """
    Return the item at that place of the request.

    Raises:
        BatchNotFoundError: the batch has none there.
    """
    try:
        number = int(place)
        page = await visit.console.orchestrator.read_items(
            batch_id, actor=visit.person, after=number - 1, limit=1
        )
    except (InvalidValueError, ValueError):
        raise BatchNotFoundError(batch_id) from None
    if not page.items:
        raise BatchNotFoundError(batch_id)
    (item,) = page.items
    names = await visit.names([item.outcome.mentor_id])
    return ItemRow(item=item, name=names.of(item.outcome.mentor_id))
