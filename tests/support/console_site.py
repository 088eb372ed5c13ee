"""
A host with the console, and somebody who reads its pages.
"""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

import anyio
import attrs
import httpx
from fastapi import FastAPI, HTTPException

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.console import Mentor, create_console
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.batches import BatchSummary, BulkSubmissionResult
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.registration.requests import BulkRegistrationRequest
from proxy_orchestration.testing import FakeClock

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
ANNA = Actor(user_id="anna", roles=frozenset({Role.COORDINATOR}), organization_id="oslo")
BERIT = Actor(user_id="berit", roles=frozenset({Role.COORDINATOR}), organization_id="bergen")
ADMIN = Actor(
    user_id="admin", roles=frozenset({Role.COORDINATOR, Role.CHAPTER_ADMIN}), organization_id="oslo"
)
ADDRESS = "http://console.example"
VISIT = ProxyActivity(activity_type="home_visit", activity_date=date(2026, 11, 20), duration_minutes=45)


def mentors(count: int) -> list[str]:
    """
    Return the ids of so many mentors.
    """
    return [f"mentor-{number:03}" for number in range(1, count + 1)]


@attrs.define
class Directory:
    """
    A directory of thirty mentors; one of them has a name that would be a script.
    """

    known: dict[str, str] = attrs.field(factory=lambda: {each: f"Person {each[-3:]}" for each in mentors(30)})
    fails: bool = False

    async def names(self, mentor_ids: Collection[str], /) -> Mapping[str, str]:
        """
        Return the names.
        """
        if self.fails:
            msg = "the directory is away"
            raise OSError(msg)
        return {each: self.known[each] for each in mentor_ids if each in self.known}

    async def search(self, text: str, /, *, actor: Actor, limit: int) -> Sequence[Mentor]:
        """
        Return who has the text in the name.
        """
        if self.fails:
            msg = "the directory is away"
            raise OSError(msg)
        found = [Mentor(mentor_id=key, name=name) for key, name in self.known.items() if text in name]
        return found[:limit]


@attrs.define
class Page:
    """
    An answer of the console, as somebody reads it.
    """

    answer: httpx.Response

    @property
    def status(self) -> int:
        """
        Return the answer's status.
        """
        return self.answer.status_code

    @property
    def path(self) -> str:
        """
        Return where the browser is now.
        """
        return self.answer.url.path

    @property
    def html(self) -> str:
        """
        Return the page as it was sent.
        """
        return self.answer.text

    @property
    def text(self) -> str:
        """
        Return the words of the page, without tags.
        """
        body = re.sub(r"<(script|style)\b.*?</\1>", " ", self.html, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())

    def hidden(self, name: str) -> str:
        """
        Return a hidden field's value.
        """
        found = re.search(rf'name="{name}" value="([^"]*)"', self.html)
        assert found is not None, f"no field {name} in: {self.text}"
        return html.unescape(found[1])

    def ticked(self, name: str) -> list[str]:
        """
        Return the values of the boxes of that name that are ticked.
        """
        return re.findall(rf'type="(?:checkbox|radio)" name="{name}" value="([^"]*)" checked', self.html)


@attrs.define(kw_only=True)
class Site:
    """
    A host with the console, and a browser that speaks to it.
    """

    orchestrator: BulkRegistrationOrchestrator
    clock: FakeClock
    directory: Directory
    browser: httpx.AsyncClient
    signed_in: list[Actor | None]

    def sign_in(self, actor: Actor | None) -> None:
        """
        Let that person, or nobody, be signed in from now on.
        """
        self.signed_in[0] = actor

    async def get(self, path: str = "/", **headers: str) -> Page:
        """
        Open a page of the console.
        """
        return Page(await self.browser.get(f"/console{path}", headers=headers))

    async def post(self, path: str, page: Page | None = None, /, **fields: object) -> Page:
        """
        Send a form, with the token of the page that it is on.
        """
        token = {} if page is None else {"form_token": page.hidden("form_token")}
        headers = {"origin": ADDRESS}
        return Page(await self.browser.post(f"/console{path}", data={**token, **fields}, headers=headers))

    @asynccontextmanager
    async def driving(self) -> AsyncIterator[None]:
        """
        Have whatever is accepted driven while the block lasts, by a clock that goes by itself.
        """
        async with anyio.create_task_group() as group:
            await group.start(self.orchestrator.serve)
            yield
            group.cancel_scope.cancel()

    async def settled_batch(self, *, run: int) -> BatchSummary:
        """
        Return the newest batch once that run of it is settled.
        """
        with anyio.fail_after(60):
            while True:
                newest = (await self.orchestrator.list_batches(actor=ANNA)).batches
                if newest and newest[0].run >= run and newest[0].settled_at is not None:
                    return newest[0]
                await self.clock.sleep(0.5)

    async def submitted(
        self, mentor_ids: Sequence[str], *, actor: Actor = ANNA, drive: bool = True, **rest: Any
    ) -> BulkSubmissionResult:
        """
        Return a batch that is accepted by the library itself.
        """
        request = BulkRegistrationRequest.for_mentors(mentor_ids, VISIT, **rest)
        return await self.orchestrator.submit_bulk_registration(request, actor=actor, drive=drive)


def site_of(orchestrator: BulkRegistrationOrchestrator, **parts: Any) -> tuple[FastAPI, list[Actor | None]]:
    """
    Return a host that mounts the console, and who is signed in.
    """
    signed_in: list[Actor | None] = [ANNA]

    def actor() -> Actor:
        if signed_in[0] is None:
            raise HTTPException(401)
        return signed_in[0]

    app = FastAPI()
    app.mount("/console", create_console(orchestrator, actor=actor, secret=b"s" * 32, **parts))
    return app, signed_in


@asynccontextmanager
async def opened_site(
    orchestrator: BulkRegistrationOrchestrator, clock: FakeClock, **parts: Any
) -> AsyncIterator[Site]:
    """
    Open a browser without scripts at a host with the console.
    """
    directory = Directory()
    app, signed_in = site_of(orchestrator, **{"directory": directory, **parts})
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ADDRESS, follow_redirects=True) as browser:
        yield Site(
            orchestrator=orchestrator,
            clock=clock,
            directory=directory,
            browser=browser,
            signed_in=signed_in,
        )
