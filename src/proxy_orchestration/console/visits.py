"""
The console's parts, and the data of one request: the actor, the language, and what a page needs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

import attrs
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from proxy_orchestration import _loggers
from proxy_orchestration._arguments import mapping_of, of_kind
from proxy_orchestration._concurrency import ask
from proxy_orchestration._validators import is_a
from proxy_orchestration._wiring import check_optional_parts, check_parts
from proxy_orchestration.access import Action, Actor
from proxy_orchestration.clock import Clock
from proxy_orchestration.console.forms import Form, FormError, read_form
from proxy_orchestration.console.guard import TOKEN_FIELD, FormGuard
from proxy_orchestration.console.languages import LANGUAGES, Words, chosen, marked
from proxy_orchestration.console.ports import (
    ActivityTypes,
    ExistingRecords,
    Mentor,
    MentorDirectory,
)
from proxy_orchestration.console.templating import rendered
from proxy_orchestration.console.wordings import NOTES
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.zones import as_zone, is_zone
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.web.certificates import CertificatesOf

_log = logging.getLogger(_loggers.CONSOLE)

LANGUAGE_COOKIE: Final = "console_language"
_SECONDS_FOR_NAMES: Final = 3.0


def _names_types(_console: object, attribute: attrs.Attribute[Any], value: object) -> None:
    mapping_of(str, of_kind(str))(attribute.name, value)


@attrs.frozen(kw_only=True)
class Console:
    """
    What the pages are made of; `create_console` tells what each part is.
    """

    orchestrator: BulkRegistrationOrchestrator
    notifications: NotificationOrchestrator | None
    dispatcher: PushDispatcher | None
    directory: MentorDirectory | None
    records: ExistingRecords
    certificates: CertificatesOf | None
    activity_types: ActivityTypes = attrs.field(validator=_names_types)
    guard: FormGuard
    title: str = attrs.field(validator=is_a(str))
    timezone: tzinfo = attrs.field(converter=as_zone, validator=is_zone)
    default_language: str

    def __attrs_post_init__(self) -> None:
        check_parts(self, orchestrator=BulkRegistrationOrchestrator, records=ExistingRecords)
        check_optional_parts(
            self,
            notifications=NotificationOrchestrator,
            dispatcher=PushDispatcher,
            directory=MentorDirectory,
        )

    @property
    def clock(self) -> Clock:
        """
        Return the orchestrator's clock.
        """
        return self.orchestrator.clock


@attrs.frozen(kw_only=True)
class Visit:
    """
    One request.

    Attributes:
        request: the request.
        console: the console's parts.
        actor: who is signed in, as the host says at this very request; `None` on a page that tells
            that nobody is.
        words: the visitor's language.
    """

    request: Request
    console: Console
    actor: Actor | None
    words: Words

    @property
    def person(self) -> Actor:
        """
        Return who is signed in.
        """
        assert self.actor is not None  # noqa: S101 - no endpoint is reached without an actor
        return self.actor

    def may(self, action: Action) -> bool:
        """
        Tell whether the person's roles allow an action; the verb itself asks again.
        """
        return self.console.orchestrator.access_policy.allows(self.person, action)

    @property
    def may_submit(self) -> bool:
        """
        Tell whether pages lead to a new registration; where it is not known they do, and it is asked there.
        """
        if self.actor is None:
            return True
        try:
            return self.may(Action.SUBMIT)
        except Exception as error:  # noqa: BLE001 - whatever a host's policy raises
            kind = type(error).__name__
            _log.warning("the access policy did not answer: %s", kind, extra={"error": kind})
            return True

    @property
    def here(self) -> str:
        """
        Return the page's path within the console, with its query; after a form, that of a page to go on from.
        """
        root = self.request.scope.get("root_path", "")
        path = self.request.scope["path"].removeprefix(root) or "/"
        if self.request.method != "GET":
            return path.removesuffix("/submit").removesuffix("/retry")
        query = self.request.url.query
        return f"{path}?{query}" if query else path

    @property
    def section(self) -> str:
        """
        Return the part of the console that the page belongs to.
        """
        return self.here.partition("?")[0].strip("/").partition("/")[0] or "batches"

    def url(self, *parts: str, **query: str | int | None) -> str:
        """
        Return an address of the console: its own path, these parts, and what of the query is not `None`.
        """
        root = self.request.scope.get("root_path", "")
        path = "/".join(quote(part, safe="") for part in parts)
        asked = urlencode({name: value for name, value in query.items() if value is not None})
        return f"{root}/{path}" + (f"?{asked}" if asked else "")

    def page(self, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
        """
        Return a page.
        """
        html = rendered(
            self.words.language,
            template,
            visit=self,
            words=self.words,
            url=self.url,
            t=self.words.text,
            note=NOTES.get(self.request.query_params.get("note", "")),
            **values,
        )
        return HTMLResponse(html, status_code=status, headers={"vary": "Cookie, Accept-Language"})

    def redirect(self, *parts: str, **query: str | int | None) -> Response:
        """
        Return the answer that leads a browser to a page after a form.
        """
        return RedirectResponse(self.url(*parts, **query), status_code=303)

    @property
    def token(self) -> str:
        """
        Return the token that the page's forms carry.
        """
        return self.console.guard.token(self.person)

    async def form(self) -> Form:
        """
        Return the form that was sent, if a page of ours gave it to this very person.

        Raises:
            FormError: it did not, or it is no form.
        """
        if not self.console.guard.is_own_origin(self.request.headers):
            raise FormError(marked("This form was sent from another site. Nothing was done."), status=403)
        form = await read_form(self.request)
        if not self.console.guard.accepts(self.person, form.get(TOKEN_FIELD)):
            raise FormError(
                marked(
                    "This form was made for another session, or before someone else signed in. Nothing was "
                    "done. Reload its page and send it again."
                ),
                status=403,
            )
        return form

    async def names(self, mentor_ids: Iterable[str]) -> Names:
        """
        Return what these mentors are called; a directory that fails costs the names and no page.
        """
        wanted = frozenset(mentor_ids)
        directory = self.console.directory
        if directory is None or not wanted:
            return Names({}, failed=False)
        try:
            found = await ask(
                partial(directory.names, wanted), clock=self.console.clock, seconds=_SECONDS_FOR_NAMES
            )
        except Exception as error:  # noqa: BLE001 - whatever a host's directory raises
            kind = type(error).__name__
            _log.warning("the directory did not return names: %s", kind, extra={"error": kind})
            return Names({}, failed=True)
        return Names({str(key): str(name) for key, name in found.items()}, failed=False)

    async def search(self, text: str, limit: int) -> Sequence[Mentor] | None:
        """
        Return who matches, or `None` where the directory fails.
        """
        directory = self.console.directory
        if directory is None:
            return ()
        try:
            return await ask(
                partial(directory.search, text, actor=self.person, limit=limit),
                clock=self.console.clock,
                seconds=_SECONDS_FOR_NAMES,
            )
        except Exception as error:  # noqa: BLE001 - whatever a host's directory raises
            kind = type(error).__name__
            _log.warning("the directory could not be searched: %s", kind, extra={"error": kind})
            return None


@attrs.frozen
class Names:
    """
    Mentors' names.

    Attributes:
        known: by mentor id.
        failed: whether the directory did not answer.
    """

    known: Mapping[str, str] = attrs.field(repr=False)
    failed: bool = attrs.field(kw_only=True)

    def of(self, mentor_id: str) -> str:
        """
        Return the mentor's name, or the id where none is known.
        """
        return self.known.get(mentor_id) or mentor_id


def words_for(request: Request, console: Console) -> Words:
    """
    Return the visitor's language.
    """
    language = chosen(
        request.cookies.get(LANGUAGE_COOKIE),
        request.headers.get("accept-language", ""),
        console.default_language,
    )
    return Words(language=language, timezone=console.timezone)


def visit_of(request: Request) -> Visit:
    """
    Return the visit that a request is.
    """
    console: Console = request.app.state.console
    return Visit(
        request=request,
        console=console,
        actor=getattr(request.state, "actor", None),
        words=words_for(request, console),
    )


def is_language(text: str) -> bool:
    """
    Tell whether there are pages in that language.
    """
    return text in LANGUAGES
