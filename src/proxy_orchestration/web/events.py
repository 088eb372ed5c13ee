"""
Live progress: server-sent events for browsers, and long polls for other clients.

A browser's `EventSource` gives up for good at the first 4xx or 5xx, and at a 204; it
comes again after whatever else ends a stream. So what will pass is told inside
a 200, and 204 is kept for a client that has had the last event; decision 276.
"""

from __future__ import annotations

import json
import re
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Final

import anyio
import attrs
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from sse_starlette import EventSourceResponse, ServerSentEvent

from proxy_orchestration.access import Actor
from proxy_orchestration.errors import (
    BatchNotFoundError,
    NotAuthorizedError,
    OrchestrationError,
    RepositoryUnavailableError,
)
from proxy_orchestration.registration.batches import BatchSummary, BulkProgressUpdate
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.registration.progress import BatchRun
from proxy_orchestration.web import conversions
from proxy_orchestration.web.actors import CurrentActor
from proxy_orchestration.web.problems import (
    TOO_MANY_STREAMS,
    Problem,
    problem_of,
    responses_for,
    too_many_streams,
)
from proxy_orchestration.web.responses import ALWAYS
from proxy_orchestration.web.routes import problem_response
from proxy_orchestration.web.settings import WebSettings
from proxy_orchestration.web.wire.batches import Updates
from proxy_orchestration.web.wire.fields import LARGEST, Answer

_PLACE: Final = re.compile(r"(\d{1,10})(?:-run-(\d{1,10}))?", re.ASCII)
_MOST_UPDATES: Final = 500
_LINE: Final = "\n"
_NO_MORE: Final = 204
_EXAMPLE: Final = """\
: open
retry: 2000

id: 1
event: update
data: {"batch_id":"batch-0042","sequence":1,"settled":1,"total_items":1,"item":{"status":"success"}}

id: 1-run-1
event: result
data: {"batch_id":"batch-0042","status":"completed","total_items":1}
"""

_event = partial(ServerSentEvent, sep=_LINE)
_rendered: Final[weakref.WeakKeyDictionary[BulkProgressUpdate, bytes]] = weakref.WeakKeyDictionary()
"""By the update itself, which those who watch one batch share: written once for all their streams."""


@attrs.frozen
class Place:
    """
    How far a client has got.

    Attributes:
        after: the sequence of its last update.
        ended_run: the run whose last event it has had, or `None`.
    """

    after: int
    ended_run: int | None = None

    @property
    def event_id(self) -> str:
        """
        Return the place as the `id` of an event.
        """
        return str(self.after) if self.ended_run is None else f"{self.after}-run-{self.ended_run}"


def _place(last_event_id: str | None, after: int) -> Place:
    """
    Return where a stream goes on: the header knows better than an address that a page once made.
    """
    if not last_event_id:
        return Place(after)
    found = _PLACE.fullmatch(last_event_id)
    if found is None or max(int(part or 0) for part in found.groups()) > LARGEST:
        fault = {"loc": ("header", "Last-Event-ID"), "msg": "is not the id of an event of this stream"}
        raise RequestValidationError([fault])
    run = found[2]
    return Place(int(found[1]), None if run is None else int(run))


@attrs.define(eq=False, kw_only=True)
class EventEndpoints:
    """
    The endpoint of a batch's progress.
    """

    orchestrator: BulkRegistrationOrchestrator
    settings: WebSettings
    _open: int = attrs.field(default=0, init=False)

    async def watch_batch(  # noqa: PLR0913, PLR0917 - what a request may say
        self,
        batch_id: str,
        request: Request,
        actor: CurrentActor,
        after: Annotated[int, Query(ge=0, le=LARGEST, description="Send only what follows this update.")] = 0,
        wait: Annotated[
            float | None,
            Query(ge=0, le=3600, description="Answer in JSON, after at most this many seconds."),
        ] = None,
        last_event_id: Annotated[
            str | None,
            Header(
                description="The id of the last event that was received. It takes precedence over `after`."
            ),
        ] = None,
    ) -> Response:
        """
        Follow a batch: a stream of events, or with `wait` what settled since `after`.

        Events: `update` for each item that settles (`id` is its sequence), `result` with the
        batch as the last one, `problem` where the store is away. A stream that ends without
        `result` was cut: ask again.
        """
        place = _place(last_event_id, after)
        if wait is not None:
            return await self._answer(batch_id, request, actor, place, min(wait, self.settings.max_wait))
        return await self._stream(batch_id, request, actor, place)

    async def _answer(
        self, batch_id: str, request: Request, actor: Actor, place: Place, seconds: float
    ) -> Response:
        if self._open >= self.settings.max_streams:
            return problem_response(self._too_many(), request)
        with self._counted():
            updates, ended = await self._collect(batch_id, actor, place, seconds)
        summary = await self.orchestrator.get_batch_summary(batch_id, actor=actor)
        answer = Updates(
            updates=[conversions.update(each) for each in updates],
            next_after=updates[-1].sequence if updates else place.after,
            settled=ended and summary.settled_at is not None,
            batch=conversions.batch(summary),
        )
        return _json(answer)

    async def _collect(
        self, batch_id: str, actor: Actor, place: Place, seconds: float
    ) -> tuple[list[BulkProgressUpdate], bool]:
        """
        Return what settled, as soon as there is anything, and whether that was the end.
        """
        updates: list[BulkProgressUpdate] = []
        async with self.orchestrator.watch_batch(batch_id, actor=actor, after=place.after) as run:
            with anyio.move_on_after(seconds):
                await _take(run, updates, most=1)
            if updates:
                with anyio.move_on_after(0):  # what is there already, and nothing that would be waited for
                    await _take(run, updates, most=_MOST_UPDATES)
            return updates, run.ended

    async def _stream(self, batch_id: str, request: Request, actor: Actor, place: Place) -> Response:
        path = request.url.path
        if self._open >= self.settings.max_streams:
            return self._events(_once(self._told(self._too_many(), path)))
        try:
            summary = await self.orchestrator.get_batch_summary(batch_id, actor=actor)
        except RepositoryUnavailableError as error:
            return self._events(_once(self._told(self._problem(error), path)))
        if summary.settled_at is not None and summary.run == place.ended_run:
            return Response(status_code=_NO_MORE, headers={"Cache-Control": "no-store"})
        return self._events(self._progress(batch_id, actor, place.after, path))

    def _events(self, events: AsyncIterator[ServerSentEvent | bytes]) -> Response:
        return EventSourceResponse(
            events,
            ping=self.settings.heartbeat,
            ping_message_factory=lambda: _event(comment="heartbeat"),
            sep=_LINE,
        )

    async def _progress(
        self, batch_id: str, actor: Actor, after: int, path: str
    ) -> AsyncIterator[ServerSentEvent | bytes]:
        with self._counted():
            # At once, so that a proxy passes the header on, and the browser knows when to come again.
            yield _event(comment="open", retry=self._retry)
            try:
                while True:
                    async with self.orchestrator.watch_batch(batch_id, actor=actor, after=after) as run:
                        async for each in run:
                            after = each.sequence
                            yield _update(each)
                    if run.result.run == run.run:
                        yield _result(run.result, after)
                        return
                    # Somebody retried at once: that run is followed as well.
            except OrchestrationError as error:
                yield self._told(self._problem(error), path)

    def _problem(self, error: OrchestrationError) -> Problem:
        return problem_of(error, retry_after=self.settings.retry_after)

    def _too_many(self) -> Problem:
        return too_many_streams(self.settings.max_streams, retry_after=self.settings.retry_after)

    def _told(self, problem: Problem, path: str) -> ServerSentEvent:
        data = json.dumps(problem.members(path), separators=(",", ":"))
        return _event(event="problem", data=data, retry=self._retry)

    @property
    def _retry(self) -> int:
        return round(self.settings.reconnect_after * 1000)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


async def _take(run: BatchRun, updates: list[BulkProgressUpdate], *, most: int) -> None:
    async for each in run:
        updates.append(each)
        if len(updates) >= most:
            return


async def _once(event: ServerSentEvent) -> AsyncIterator[ServerSentEvent | bytes]:
    yield event


def _update(told: BulkProgressUpdate) -> bytes:
    text = _rendered.get(told)
    if text is None:
        data = conversions.update(told).model_dump_json()
        text = _event(event="update", id=Place(told.sequence).event_id, data=data).encode()
        _rendered[told] = text
    return text


def _result(summary: BatchSummary, after: int) -> ServerSentEvent:
    # An id of its own: who was cut just before it has to get it, and who had it gets 204.
    place = Place(after, ended_run=summary.run)
    return _event(event="result", id=place.event_id, data=conversions.batch(summary).model_dump_json())


def _json(answer: Answer) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(answer.model_dump_json(), media_type="application/json", headers=headers)


def add_event_routes(
    router: APIRouter, orchestrator: BulkRegistrationOrchestrator, settings: WebSettings
) -> None:
    """
    Add the endpoint of progress to a router.
    """
    does = EventEndpoints(orchestrator=orchestrator, settings=settings)
    responses: dict[int | str, dict[str, Any]] = {
        200: {
            "model": Updates,
            "description": "A stream of events; with `wait`, the settled items in JSON",
            # No schema: before OpenAPI 3.2 a reader cannot tell one of an event from one of the whole stream.
            "content": {"text/event-stream": {"example": _EXAMPLE}},
        },
        _NO_MORE: {"description": "The client has already received the last event"},
        **responses_for(*ALWAYS, BatchNotFoundError, NotAuthorizedError, TOO_MANY_STREAMS),
    }
    path = "/bulk-registrations/{batch_id}/events"
    router.get(path, response_class=Response, responses=responses)(does.watch_batch)
