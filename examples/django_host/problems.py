"""
What the library raises, as an answer.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

from proxy_orchestration import (
    BatchNotFoundError,
    BatchStateError,
    NotAuthorizedError,
    OrchestrationError,
    RepositoryUnavailableError,
)

STATUSES = {
    NotAuthorizedError: 403,
    BatchNotFoundError: 404,
    BatchStateError: 409,
    RepositoryUnavailableError: 503,
    OrchestrationError: 422,
}


class ProblemMiddleware:
    """
    Answers errors of the library with their code, their sentence and a status.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """
        Hand the request on.
        """
        return self._get_response(request)

    def process_exception(self, _request: HttpRequest, error: Exception) -> HttpResponse | None:
        """
        Answer an error of the library; all others go Django's way.
        """
        if not isinstance(error, OrchestrationError):
            return None
        status = next(status for kind, status in STATUSES.items() if isinstance(error, kind))
        return JsonResponse({"code": error.error_code, "detail": str(error)}, status=status)
