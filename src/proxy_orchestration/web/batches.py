"""
The endpoints of batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final
from urllib.parse import quote

import attrs
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from proxy_orchestration import errors as e
from proxy_orchestration.access import Actor
from proxy_orchestration.registration.batches import CancelReport
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.web import conversions
from proxy_orchestration.web.actors import CurrentActor
from proxy_orchestration.web.problems import responses_for
from proxy_orchestration.web.responses import ALWAYS, WITH_BODY
from proxy_orchestration.web.wire import batches as wire
from proxy_orchestration.web.wire.fields import LARGEST, Body, IsoMoment
from proxy_orchestration.web.words import BatchWord, ItemWord, states_of, statuses_of

PATH: Final = "/bulk-registrations"
_ONE: Final = f"{PATH}/{{batch_id}}"
_ACCEPTED: Final = 202
_MOST_PER_PAGE: Final = 100


class ListQuery(Body):
    """
    Which batches a list is asked for.
    """

    page: int = Field(default=1, ge=1, le=LARGEST)
    limit: int = Field(default=20, ge=1, le=_MOST_PER_PAGE)
    status: tuple[BatchWord, ...] = ()
    needs_review: bool | None = None
    label: str | None = None
    coordinator_id: str | None = None
    submitted_from: IsoMoment | None = None
    submitted_before: IsoMoment | None = None
    cursor: str | None = None


class ItemQuery(Body):
    """
    Which items of a batch are asked for.
    """

    status: tuple[ItemWord, ...] = ()
    after: int = Field(default=0, ge=0, le=LARGEST)
    limit: int = Field(default=_MOST_PER_PAGE, ge=1, le=_MOST_PER_PAGE)


@attrs.define(eq=False)
class BatchEndpoints:
    """
    Asks the orchestrator on behalf of whoever is signed in, and answers in the wire's words.
    """

    orchestrator: BulkRegistrationOrchestrator

    async def list_batches(self, actor: CurrentActor, query: Annotated[ListQuery, Query()]) -> wire.BatchList:
        """
        List the batches that the actor may know of, newest first.
        """
        page = await self.orchestrator.list_batches(
            actor=actor,
            page=query.page,
            limit=query.limit,
            statuses=statuses_of(query.status),
            needs_review=query.needs_review,
            label=query.label,
            coordinator_id=query.coordinator_id,
            submitted_from=query.submitted_from,
            submitted_before=query.submitted_before,
            cursor=query.cursor,
        )
        return conversions.batch_list(page)

    async def get_batch(
        self, batch_id: str, actor: CurrentActor, query: Annotated[ItemQuery, Query()]
    ) -> wire.BatchDetail:
        """
        Tell a batch's status, with a page of its items.
        """
        summary = await self.orchestrator.get_batch_summary(batch_id, actor=actor)
        page = await self.orchestrator.read_items(
            batch_id, actor=actor, states=states_of(query.status), after=query.after, limit=query.limit
        )
        return conversions.batch_detail(summary, page)

    async def submit_batch(
        self,
        body: wire.NewBatch,
        request: Request,
        response: Response,
        actor: CurrentActor,
        idempotency_key: Annotated[
            str | None, Header(description="The same key and items always mean the same batch.")
        ] = None,
    ) -> wire.Batch:
        """
        Accept a batch durably; it is driven in the background.
        """
        key = None if idempotency_key is None else _unquoted(idempotency_key)
        wanted = conversions.request_of(body, idempotency_key=key)
        result = await self.orchestrator.submit_bulk_registration(wanted, actor=actor, drive=False)
        response.headers["Location"] = f"{request.url.path}/{quote(result.batch_id, safe='')}"
        return conversions.batch(result)

    async def preview_batch(self, body: wire.NewBatch, actor: CurrentActor) -> wire.Preview:
        """
        Tell what a submission would conflict with; nothing is stored.
        """
        wanted = conversions.request_of(body, idempotency_key=None)
        return conversions.preview(await self.orchestrator.preview(wanted, actor=actor))

    async def change_batch(
        self, batch_id: str, body: wire.BatchChange, actor: CurrentActor
    ) -> wire.CancelledBatch:
        """
        Cancel a batch, or call it something else, or both.
        """
        _check_changes(body)
        if "label" in body.model_fields_set:
            await self.orchestrator.relabel_batch(batch_id, body.label, actor=actor)
        report = None
        if body.status is not None:
            report = await self._cancel(batch_id, body.cancellation_reason, actor)
        return await self._changed(batch_id, actor, report)

    async def cancel_batch(
        self, batch_id: str, actor: CurrentActor, body: wire.Cancellation | None = None
    ) -> wire.CancelledBatch:
        """
        Cancel what has not begun, wait for what has, and tell what became of each item.
        """
        report = await self._cancel(batch_id, None if body is None else body.cancellation_reason, actor)
        return await self._changed(batch_id, actor, report)

    async def delete_batch(
        self, batch_id: str, actor: CurrentActor, *, with_open_reviews: bool = False
    ) -> wire.Deleted:
        """
        Delete a settled batch; its key stays taken.
        """
        await self.orchestrator.delete_batch(batch_id, actor=actor, with_open_reviews=with_open_reviews)
        return wire.Deleted(deleted_id=batch_id)

    async def retry_batch(
        self, batch_id: str, actor: CurrentActor, body: wire.Retry | None = None
    ) -> wire.Batch:
        """
        Open a new run over what failed, or over whom the body names; nothing else is touched.
        """
        wanted = body or wire.Retry()
        result = await self.orchestrator.retry_failed_items(
            batch_id,
            actor=actor,
            mentor_ids=wanted.mentor_ids,
            expected_run=wanted.expected_run,
            activities=conversions.activities_of(wanted),
            drive=False,
        )
        return conversions.batch(result)

    async def decide_conflicts(self, batch_id: str, body: wire.Decisions, actor: CurrentActor) -> wire.Batch:
        """
        Decide item by item what becomes of those that need a review.
        """
        result = await self.orchestrator.resolve_conflicts(
            batch_id,
            conversions.decisions_of(body),
            actor=actor,
            expected_run=body.expected_run,
            drive=False,
        )
        return conversions.batch(result)

    async def pause_batch(self, batch_id: str, actor: CurrentActor) -> wire.Batch:
        """
        Have no further call begin until the batch is resumed or cancelled.
        """
        return conversions.batch(await self.orchestrator.pause_batch(batch_id, actor=actor))

    async def resume_batch(self, batch_id: str, actor: CurrentActor) -> wire.Batch:
        """
        Let a paused batch go on.
        """
        return conversions.batch(await self.orchestrator.resume_batch(batch_id, actor=actor))

    async def _cancel(self, batch_id: str, reason: str | None, actor: Actor) -> CancelReport:
        return await self.orchestrator.cancel_batch(batch_id, actor=actor, reason=reason)

    async def _changed(self, batch_id: str, actor: Actor, report: CancelReport | None) -> wire.CancelledBatch:
        summary = await self.orchestrator.get_batch_summary(batch_id, actor=actor)
        return conversions.cancelled_batch(summary, report)


def _unquoted(key: str) -> str:
    # The header's draft standard writes its value in quotes, and hardly any client does.
    quoted = len(key) > 1 and key[0] == key[-1] == '"'
    return key[1:-1] if quoted else key


def _check_changes(body: wire.BatchChange) -> None:
    if body.status is not None:
        return
    if "label" not in body.model_fields_set:
        raise RequestValidationError([{"loc": ("body",), "msg": _NO_CHANGE}])
    if body.cancellation_reason is not None:
        raise RequestValidationError([{"loc": ("body", "cancellation_reason"), "msg": _NO_CANCEL}])


_NO_CHANGE: Final = "must contain a status or a label, because nothing would change without them"
_NO_CANCEL: Final = "is allowed only with a cancel: give the status, too"

_SELECTION: Final = (e.EmptySelectionError, e.DuplicateSelectionError, e.InvalidValueError)
_FOUND: Final = (e.BatchNotFoundError, e.NotAuthorizedError)
_FURTHER_RUN: Final = (
    *_FOUND,
    e.EmptySelectionError,
    e.UnknownMentorError,
    e.InvalidValueError,
    e.BatchStateError,
    e.StaleRunError,
    e.WrongServiceError,
)
_NEW: Final = (
    e.NotAuthorizedError,
    *_SELECTION,
    e.BatchTooLargeError,
    e.AtomicModeError,
    e.IdempotencyKeyReusedError,
    e.RecordRefusedError,
    e.WrongServiceError,
)


_LOCATED: Final[Mapping[int | str, dict[str, Any]]] = MappingProxyType(
    {
        _ACCEPTED: {
            "description": "Accepted and stored durably",
            "headers": {
                "Location": {"description": "The address of the batch.", "schema": {"type": "string"}}
            },
        }
    }
)


def add_batch_routes(router: APIRouter, orchestrator: BulkRegistrationOrchestrator) -> None:
    """
    Add the endpoints of batches to a router.
    """
    does = BatchEndpoints(orchestrator)
    listed = responses_for(*ALWAYS, e.NotAuthorizedError, e.InvalidValueError)
    found = responses_for(*ALWAYS, *_FOUND, e.InvalidValueError)
    changed = responses_for(*WITH_BODY, *_FOUND, e.InvalidValueError, e.BatchStateError)
    new = responses_for(*WITH_BODY, *_NEW)
    further = responses_for(*WITH_BODY, *_FURTHER_RUN)
    stopped = responses_for(*ALWAYS, *_FOUND, e.BatchStateError, e.WrongServiceError)
    router.get(PATH, responses=listed)(does.list_batches)
    router.post(PATH, status_code=_ACCEPTED, responses={**new, **_LOCATED})(does.submit_batch)
    router.post(f"{PATH}/preview", responses=new)(does.preview_batch)
    router.get(_ONE, responses=found)(does.get_batch)
    router.put(_ONE, responses=changed)(does.change_batch)
    router.delete(_ONE, responses=stopped)(does.delete_batch)
    router.post(f"{_ONE}/cancel", responses=changed)(does.cancel_batch)
    router.post(f"{_ONE}/retry", status_code=_ACCEPTED, responses=further)(does.retry_batch)
    router.post(f"{_ONE}/decisions", status_code=_ACCEPTED, responses=further)(does.decide_conflicts)
    router.post(f"{_ONE}/pause", responses=stopped)(does.pause_batch)
    router.post(f"{_ONE}/resume", responses=stopped)(does.resume_batch)
