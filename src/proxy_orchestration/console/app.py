"""
The console as an application that a host mounts.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection
from datetime import UTC, tzinfo
from importlib import resources
from typing import Any, Final

from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from proxy_orchestration import _loggers
from proxy_orchestration._arguments import of_kind
from proxy_orchestration.access import Actor
from proxy_orchestration.console import (
    batch_actions,
    batch_lists,
    batch_pages,
    certificate_pages,
    registration_pages,
    review_pages,
    status_page,
)
from proxy_orchestration.console.error_words import (
    BAD_FORM,
    NO_PAGE,
    REFUSED,
    SIGNED_OUT,
    UNEXPECTED,
    ErrorWording,
    wording_of,
)
from proxy_orchestration.console.forms import FormError
from proxy_orchestration.console.guard import FormGuard, GuardingHeaders, origins
from proxy_orchestration.console.languages import LANGUAGES
from proxy_orchestration.console.ports import (
    ActivityTypes,
    ExistingRecords,
    MentorDirectory,
)
from proxy_orchestration.console.records import StoredRecords
from proxy_orchestration.console.visits import LANGUAGE_COOKIE, Console, is_language, visit_of
from proxy_orchestration.errors import InvalidValueError, MisconfiguredError, OrchestrationError
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.web.certificates import CertificatesOf, CertificateSource, checked_certificates
from proxy_orchestration.web.parts import check_dependency, check_part

_log = logging.getLogger(_loggers.CONSOLE)

_OWNER: Final = "create_console"
_SHORTEST_SECRET: Final = 32
_RETRY_AFTER: Final = "5"
_STATIC: Final = {"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8"}


def create_console(  # noqa: PLR0913 - each is a part that a host may have
    orchestrator: BulkRegistrationOrchestrator,
    *,
    actor: Callable[..., Any],
    notifications: NotificationOrchestrator | None = None,
    dispatcher: PushDispatcher | None = None,
    directory: MentorDirectory | None = None,
    records: ExistingRecords | None = None,
    certificates: CertificateSource | CertificatesOf | None = None,
    activity_types: ActivityTypes | None = None,
    secret: bytes | None = None,
    trusted_origins: Collection[str] = (),
    title: str = "proxy-orchestration",
    timezone: tzinfo | str = UTC,
    language: str = "en",
) -> ASGIApp:
    """
    Return the coordinators' pages as an ASGI application that a host mounts.

    Mount it with `app.mount("/console", create_console(orchestrator, actor=...))`. The pages accept
    batches and drive none, so run the orchestrator's `serve` as well.

    Args:
        orchestrator: carries out the actions on batches.
        actor: a FastAPI dependency that returns the signed-in `Actor`. It is called at every
            request. If nobody is signed in, it must raise `HTTPException` with 401, or redirect to
            your sign-in page with 303.
        notifications: carries out the actions on notices; without it there are no pages about
            certificates.
        dispatcher: carries out the actions on given-up messages.
        directory: gives names of mentors and searches for them. Without one, the pages show ids,
            and people enter ids.
        records: describes existing records that registrations conflict with; by default those of
            the orchestrator's own store.
        certificates: the certificates that the nightly job reads, for the pages about due
            certificates and data quality: a `CertificateSource`, or a function that takes an actor
            and returns certificates.
        activity_types: the codes to choose from, each with its name. Without it, people type a
            code.
        secret: the key that signs the forms' tokens, at least 32 bytes. Give one if several
            processes serve one console, or if forms must outlive a restart. By default a new random
            key is made.
        trusted_origins: the public addresses of the console, such as `https://admin.example`.
            Needed if a proxy changes the `Host` header.
        title: the name of the console at the top of each page.
        timezone: the zone in which times are shown; an IANA name such as `Europe/Oslo`, or a
            `tzinfo`.
        language: `en` or `nb`, used for browsers that ask for neither.

    Raises:
        InvalidInputError: the secret is too short, the language is neither of the two, the zone is
            unknown, or a value has the wrong type.
        MisconfiguredError: a part is unsuitable; the message says what to do.
    """
    check_part(_OWNER, "orchestrator", orchestrator, BulkRegistrationOrchestrator)
    check_dependency(_OWNER, actor)
    of_kind(str)("language", language)
    if language not in LANGUAGES:
        raise InvalidValueError("language", f"must be one of {', '.join(LANGUAGES)}")  # noqa: EM101 - an argument's name
    console = Console(
        orchestrator=orchestrator,
        notifications=notifications,
        dispatcher=dispatcher,
        directory=directory,
        records=records or StoredRecords(orchestrator.repository),
        certificates=checked_certificates(certificates, _OWNER),
        activity_types={} if activity_types is None else activity_types,
        guard=FormGuard(secret=_secret(secret), trusted_origins=origins(trusted_origins)),
        title=title,
        timezone=timezone,
        default_language=language,
    )
    return _application(console, actor)


def _secret(given: bytes | None) -> bytes:
    if given is None:
        return secrets.token_bytes(_SHORTEST_SECRET)
    of_kind(bytes)("secret", given)
    if len(given) < _SHORTEST_SECRET:
        raise InvalidValueError("secret", f"must have at least {_SHORTEST_SECRET} bytes")  # noqa: EM101 - an argument's name
    return given


def _application(console: Console, actor: Callable[..., Any]) -> ASGIApp:
    app = FastAPI(title="console", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.console = console
    signed_in = [Depends(_signed_in(actor))]
    for method, path, endpoint in _PAGES:
        app.add_api_route(path, endpoint, methods=[method], dependencies=signed_in, response_model=None)
    for method, path, endpoint in _OPEN_PAGES:
        app.add_api_route(path, endpoint, methods=[method], response_model=None)
    for kind, told in _ERRORS.items():
        app.add_exception_handler(kind, told)
    # Around the whole, not as a middleware of it: the page about an error of ours is guarded as well.
    return GuardingHeaders(app)


def _signed_in(actor: Callable[..., Any]) -> Callable[..., None]:
    """
    Return the dependency that notes who the host says is signed in.
    """

    def note(request: Request, found: object = Depends(actor)) -> None:
        if not isinstance(found, Actor):
            owner, part = "The console", "actor"
            raise MisconfiguredError(
                owner, part, f"it returned a {type(found).__name__}. It must return an Actor."
            )
        request.state.actor = found

    return note


async def _static(request: Request) -> Response:
    """
    Give the style or the script; both change with the version only.
    """
    name = request.path_params["name"]
    if name not in _STATIC:
        raise HTTPException(404)
    content = resources.files("proxy_orchestration.console").joinpath(f"static/{name}").read_bytes()
    return Response(content, media_type=_STATIC[name], headers={"cache-control": "public, max-age=3600"})


async def _choose_language(request: Request) -> Response:
    """
    Keep the language that was chosen, and lead back to the page.
    """
    visit = visit_of(request)
    language = request.query_params.get("to", "")
    if not is_language(language):
        raise HTTPException(404)
    back = request.query_params.get("back", "")
    # Only a path below the console, whatever is asked for: a link may not lead anywhere else.
    is_own = back.startswith("/") and not back.startswith(("//", "/\\"))
    answer = RedirectResponse(visit.url() + back[1:] if is_own else visit.url(), status_code=303)
    answer.set_cookie(
        LANGUAGE_COOKIE, language, max_age=31_536_000, path=visit.url(), httponly=True, samesite="lax"
    )
    return answer


def _told(request: Request, wording: ErrorWording, **headers: str) -> Response:
    visit = visit_of(request)
    answer = visit.page("error.html", status=wording.status, wording=wording)
    answer.headers.update(headers)
    return answer


def _orchestration_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OrchestrationError)  # noqa: S101 - what it is registered for
    wording = wording_of(error)
    if wording is None:
        raise error
    waits = {"retry-after": _RETRY_AFTER} if wording.status == 503 else {}  # noqa: PLR2004 - a status
    return _told(request, wording, **waits)


def _form_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, FormError)  # noqa: S101 - what it is registered for
    return _told(request, ErrorWording(error.status, BAD_FORM, error.message))


def _http_error(request: Request, error: Exception) -> Response:
    """
    Tell what the host's dependency or the router refused; a redirect of the host's stays one.
    """
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    headers = dict(error.headers or {})
    if 300 <= error.status_code < 400:  # noqa: PLR2004 - statuses that lead elsewhere
        return Response(status_code=error.status_code, headers=headers)
    told = {401: SIGNED_OUT, 403: REFUSED}.get(error.status_code, NO_PAGE)
    return _told(request, told._replace(status=error.status_code), **headers)


def _unexpected(request: Request, error: Exception) -> Response:
    name = type(error).__name__
    _log.error("a page of the console failed: %s", name, extra={"error": name})
    return _told(request, UNEXPECTED)


_ERRORS: Final[dict[type[Exception], Callable[[Request, Exception], Response]]] = {
    OrchestrationError: _orchestration_error,
    FormError: _form_error,
    HTTPException: _http_error,
    Exception: _unexpected,
}

_OPEN_PAGES: Final = (("GET", "/static/{name}", _static), ("GET", "/language", _choose_language))
_BATCH: Final = "/batches/{batch_id}"

_PAGES: Final = (
    ("GET", "/", batch_lists.show_batches),
    ("GET", "/new", registration_pages.begin),
    ("POST", "/new", registration_pages.choose),
    ("POST", "/new/submit", registration_pages.submit),
    ("GET", "/status", status_page.show_status),
    ("GET", "/certificates", certificate_pages.show_inbox),
    ("POST", "/certificates/read", certificate_pages.read_all),
    ("GET", "/certificates/quality", certificate_pages.show_quality),
    ("GET", "/certificates/messages", certificate_pages.show_messages),
    ("POST", "/certificates/messages", certificate_pages.replay),
    ("GET", "/certificates/nights", certificate_pages.show_nights),
    ("POST", "/certificates/notices/{notification_id}", certificate_pages.acknowledge),
    ("GET", _BATCH, batch_pages.show_batch),
    ("GET", f"{_BATCH}/progress", batch_pages.show_progress),
    ("GET", f"{_BATCH}/failed.csv", batch_pages.download_failed),
    ("POST", f"{_BATCH}/retry", batch_actions.on_batch(batch_actions.retry)),
    ("GET", f"{_BATCH}/items/{{place}}", batch_actions.ask_edit),
    ("POST", f"{_BATCH}/items/{{place}}", batch_actions.on_batch(batch_actions.edit)),
    ("GET", f"{_BATCH}/review", review_pages.show_review),
    ("POST", f"{_BATCH}/review", batch_actions.on_batch(review_pages.decide)),
    ("POST", f"{_BATCH}/pause", batch_actions.on_batch(batch_actions.pause)),
    ("POST", f"{_BATCH}/resume", batch_actions.on_batch(batch_actions.resume)),
    ("GET", f"{_BATCH}/cancel", batch_actions.ask_cancel),
    ("POST", f"{_BATCH}/cancel", batch_actions.on_batch(batch_actions.cancel)),
    ("POST", f"{_BATCH}/label", batch_actions.on_batch(batch_actions.relabel)),
    ("GET", f"{_BATCH}/delete", batch_actions.ask_delete),
    ("POST", f"{_BATCH}/delete", batch_actions.on_batch(batch_actions.delete)),
)
