"""
What all endpoints share: a limit for the body, and errors as problem details.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeAlias

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from proxy_orchestration.errors import OrchestrationError
from proxy_orchestration.web.problems import (
    BODY_TOO_LARGE,
    MALFORMED_BODY,
    MEDIA_TYPE,
    Problem,
    ProblemKind,
    invalid_request,
    problem_of,
)
from proxy_orchestration.web.settings import WebSettings

Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]


class BodyError(HTTPException):
    """
    A body that cannot be taken. An `HTTPException`, since FastAPI makes 400 of whatever else reading raises.
    """

    def __init__(self, kind: ProblemKind, detail: str) -> None:
        super().__init__(kind.status, detail)
        self.problem: Problem = Problem(kind=kind, detail=detail)


def problem_response(problem: Problem, request: Request) -> Response:
    """
    Return the answer that tells a problem.
    """
    waits = problem.retry_after
    return JSONResponse(
        problem.members(request.url.path),
        status_code=problem.kind.status,
        headers=None if waits is None else {"Retry-After": str(waits)},
        media_type=MEDIA_TYPE,
    )


def route_class(settings: WebSettings) -> type[APIRoute]:
    """
    Return the class of a router's routes.
    """

    class ProblemRoute(APIRoute):
        """
        A route whose body is bounded, and whose errors of this library are problems.
        """

        def get_route_handler(self) -> Handler:
            """
            Return what answers a request.
            """
            return _telling_problems(super().get_route_handler(), settings)

    return ProblemRoute


def _telling_problems(handle: Handler, settings: WebSettings) -> Handler:
    async def handler(request: Request) -> Response:
        bounded = _BoundedRequest(request.scope, request.receive)
        bounded.max_bytes = settings.max_body_bytes
        try:
            return await handle(bounded)
        except Exception as error:
            lone = _lone(error)
            problem = _problem_in(lone, settings)
            if problem is None:
                if lone is error:
                    raise
                raise lone from None  # the host's own, out of a task group; decision 276
            return problem_response(problem, request)

    return handler


def _lone(error: Exception) -> Exception:
    """
    Return the one failure in a group of a task group's; several stay a group.
    """
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _problem_in(error: Exception, settings: WebSettings) -> Problem | None:
    if isinstance(error, OrchestrationError):
        return problem_of(error, retry_after=settings.retry_after)
    if isinstance(error, RequestValidationError):
        return invalid_request(error.errors())
    return error.problem if isinstance(error, BodyError) else None


class _BoundedRequest(Request):
    """
    A request that gives up on its body once that is too large, whatever length it told.
    """

    max_bytes: int

    async def stream(self) -> AsyncGenerator[bytes, None]:
        told = self.headers.get("content-length", "")
        received = int(told) if told.isdecimal() else 0
        self._check_size(received)
        received = 0
        async for part in super().stream():
            received += len(part)
            self._check_size(received)
            yield part

    async def json(self) -> Any:  # noqa: ANN401 - whatever JSON is
        try:
            return await super().json()
        except (ValueError, RecursionError):  # also bytes that are no text, and numbers without end
            detail = "Nothing was stored. Send one JSON object in UTF-8."
            raise BodyError(MALFORMED_BODY, detail) from None

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            detail = (
                f"A request may have at most {self.max_bytes} bytes. Nothing was stored. Split the request."
            )
            raise BodyError(BODY_TOO_LARGE, detail)
