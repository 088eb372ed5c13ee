"""
Problem details (RFC 9457): one stable `type` for each error of this library.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs

from proxy_orchestration import errors as e
from proxy_orchestration.notification.messages import MissingMessageFieldError
from proxy_orchestration.notification.notice_building import UnreadableRecordError

MEDIA_TYPE: Final = "application/problem+json"

_TYPE_PREFIX: Final = "urn:proxy-orchestration:problem:"

_SHOWN: Final = (
    "batch_id",
    "mentor_ids",
    "size",
    "limit",
    "deleted",
    "expected_run",
    "current_run",
    "retry_after",
    "notification_id",
    "activity_id",
)
"""Fields of errors that a client acts on; each is the actor's own, or of the actor's own request."""


@attrs.frozen
class ProblemKind:
    """
    What all problems of one type have in common.

    Attributes:
        code: the last part of `type`.
        status: the HTTP status.
        title: the same for all of the type.
    """

    code: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """
        Return the URI that programs compare.
        """
        return f"{_TYPE_PREFIX}{self.code}"


def _kinds(rows: Mapping[type[e.OrchestrationError], tuple[int, str]]) -> Mapping[type, ProblemKind]:
    return MappingProxyType(
        {error: ProblemKind(error.error_code, status, title) for error, (status, title) in rows.items()}
    )


KINDS: Final = _kinds(
    {
        e.ActivityNotFoundError: (404, "The activity was not found"),
        e.AtomicModeError: (422, "All or nothing is not possible"),
        e.BatchLeasedError: (409, "Another driver holds this batch"),
        e.BatchNotFoundError: (404, "The batch was not found"),
        e.BatchStateError: (409, "The batch's state does not allow this"),
        e.BatchTooLargeError: (422, "The batch is too large"),
        e.CallsAbandonedError: (503, "Cancelled calls have not ended"),
        e.DuplicateActivityError: (409, "The activity is already registered"),
        e.DuplicateSelectionError: (422, "Selected more than once"),
        e.EmptySelectionError: (422, "No mentor is selected"),
        e.HostTransactionError: (500, "The host's transaction does not allow this"),
        e.IdempotencyKeyReusedError: (422, "The idempotency key belongs to another request"),
        e.InvalidInputError: (422, "A value is not valid"),
        e.InvalidTypeError: (422, "A value has the wrong type"),
        e.InvalidValueError: (422, "A value breaks a rule"),
        e.LeaseLostError: (409, "Another driver took over"),
        e.MisconfiguredError: (500, "The server is misconfigured"),
        e.MissingExtraError: (500, "An optional part is not installed"),
        MissingMessageFieldError: (500, "A text lacks a value"),
        e.NotAuthorizedError: (403, "Not allowed"),
        e.NotificationNotFoundError: (404, "The notice was not found"),
        e.OrchestrationError: (500, "The library raised an error"),
        e.OutcomeUnknownError: (502, "The answer of the registration service was lost"),
        e.RecordRefusedError: (422, "The store refused a record"),
        e.RegistrationError: (502, "The registration service failed"),
        e.RegistrationRejected: (422, "The registration service refused the registration"),
        e.RegistrationUnavailable: (503, "The registration service is unavailable"),
        e.RepositoryUnavailableError: (503, "The store is unavailable"),
        e.RunHookError: (500, "A function of the host failed"),
        e.SchemaVersionError: (503, "The store has another schema version"),
        e.StaleRunError: (409, "Another run is current"),
        e.UnknownMentorError: (422, "Not part of the batch"),
        UnreadableRecordError: (422, "A certificate cannot be read"),
        e.WrongServiceError: (409, "Another service accepted the batch"),
        e.WrongTaskError: (500, "A driving block was left by another task"),
        e.OrchestratorClosedError: (503, "The server is shutting down"),
        e.WrongThreadError: (500, "A blocking method was called in the thread of an event loop"),
    }
)
"""The problem of every error of this library; a host's own error has that of its base."""

INVALID_REQUEST: Final = ProblemKind("invalid_request", 422, "The request is not valid")
MALFORMED_BODY: Final = ProblemKind("malformed_body", 400, "The body is not JSON")
BODY_TOO_LARGE: Final = ProblemKind("body_too_large", 413, "The body is too large")
TOO_MANY_STREAMS: Final = ProblemKind("too_many_streams", 429, "Too many streams are open")

OWN_KINDS: Final = (INVALID_REQUEST, MALFORMED_BODY, BODY_TOO_LARGE, TOO_MANY_STREAMS)
"""Problems of a request itself, before the library was asked."""

_WAITING: Final = frozenset({429, 503})
"""Statuses that say when to come back."""


@attrs.frozen(kw_only=True)
class Problem:
    """
    One problem, as it is told.

    Attributes:
        kind: its type.
        detail: what happened and what to do, for people.
        errors: where in the request, and what is wrong there.
        extras: members by which a program can act.
        retry_after: whole seconds for the header, or `None`.
    """

    kind: ProblemKind
    detail: str
    errors: Sequence[Mapping[str, str]] = ()
    extras: Mapping[str, Any] = attrs.field(factory=dict)
    retry_after: int | None = None

    def members(self, instance: str) -> dict[str, Any]:
        """
        Return the members of the JSON object, for a request to that path.
        """
        kind = self.kind
        told: dict[str, Any] = {"type": kind.type, "title": kind.title, "status": kind.status}
        told |= {"detail": self.detail, "instance": instance, "code": kind.code, **self.extras}
        return told | ({"errors": list(self.errors)} if self.errors else {})


def kind_of(error: e.OrchestrationError) -> ProblemKind:
    """
    Return the type of problem that an error is.
    """
    return next(KINDS[base] for base in type(error).__mro__ if base in KINDS)


def problem_of(error: e.OrchestrationError, *, retry_after: float) -> Problem:
    """
    Return the problem that an error is; `retry_after` counts where it does not say when to come back.
    """
    kind = kind_of(error)
    extras = {name: value for name in _SHOWN if (value := getattr(error, name, None)) is not None}
    own = extras.get("retry_after")
    waits = own is not None or kind.status in _WAITING
    return Problem(
        kind=kind,
        detail=str(error),
        extras=extras,
        retry_after=math.ceil(retry_after if own is None else own) if waits else None,
    )


def too_many_streams(limit: int, *, retry_after: float) -> Problem:
    """
    Return the problem of whoever wants one stream more than one router keeps.
    """
    return Problem(
        kind=TOO_MANY_STREAMS,
        detail=f"{limit} streams are already open in this process. Try again later.",
        retry_after=math.ceil(retry_after),
    )


def _place(location: Sequence[str | int]) -> Mapping[str, str]:
    """
    Return where in the request something is, as a JSON pointer in the body, by name elsewhere.
    """
    part, *path = (str(step) for step in location)
    if part != "body":
        return {"in": part, "name": ".".join(path)}
    return {"in": part, "pointer": "#" + "".join(f"/{step}" for step in path)}


def invalid_request(found: Sequence[Mapping[str, Any]]) -> Problem:
    """
    Return the problem of a request that does not fit; no value of it is repeated.
    """
    return Problem(
        kind=INVALID_REQUEST,
        detail="Nothing was stored. Correct the fields that `errors` names, and send the request again.",
        errors=[{**_place(error["loc"]), "detail": str(error["msg"])} for error in found],
    )


SCHEMA: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "title": "Problem",
        "description": "RFC 9457. Programs compare `type`; it determines the further members.",
        "type": "object",
        "required": ["type", "title", "status", "detail", "instance", "code"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
            "code": {"type": "string"},
            "errors": {"type": "array", "items": {"type": "object"}},
        },
    }
)
"""The JSON schema of every problem."""


def _response(status: int, kinds: Sequence[ProblemKind]) -> dict[str, Any]:
    examples = {
        kind.code: {"value": Problem(kind=kind, detail="What happened and what to do.").members("/api/v1/…")}
        for kind in kinds
    }
    content = {MEDIA_TYPE: {"schema": dict(SCHEMA), "examples": examples}}
    headers = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    titles = "; ".join(kind.title for kind in kinds)
    return {"description": titles, "content": content} | ({"headers": headers} if status in _WAITING else {})


def responses_for(*kinds: type[e.OrchestrationError] | ProblemKind) -> dict[int | str, dict[str, Any]]:
    """
    Return the OpenAPI responses of an endpoint that may answer with these problems.
    """
    by_status: dict[int, list[ProblemKind]] = {}
    for each in kinds:
        kind = each if isinstance(each, ProblemKind) else KINDS[each]
        by_status.setdefault(kind.status, []).append(kind)
    return {status: _response(status, by_status[status]) for status in sorted(by_status)}
