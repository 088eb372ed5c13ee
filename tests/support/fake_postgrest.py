"""
The functions of Supabase's side in this process, over the store in memory, as an httpx transport.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any, Final

import attrs
import httpx

from proxy_orchestration.access import Visibility
from proxy_orchestration.errors import RecordRefusedError
from proxy_orchestration.registration.records import CorrectionNote, RecordFilter
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.storage.postgrest import PostgrestActivityRecords
from proxy_orchestration.storage.postgrest.wire import note_from_json, record_from_json, record_to_json

ADDRESS: Final = "https://abc.supabase.co"


def refusal(status: int, code: str, *, hint: str | None = None, **headers: str) -> httpx.Response:
    """
    Return an error as PostgREST writes it.
    """
    body = {"code": code, "message": "canary of a row", "details": "canary of a row", "hint": hint}
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=body, headers=told)


@attrs.define(eq=False)
class FakePostgrest:
    """
    Answers calls as the real thing does; or first with what a test has put there.

    Attributes:
        scripted: what the next calls are answered with, in order; a function decides by itself.
        requests: every call that came.
    """

    scripted: list[httpx.Response | Exception | Callable[[httpx.Request], Awaitable[httpx.Response]]] = (
        attrs.field(factory=list)
    )
    requests: list[httpx.Request] = attrs.field(factory=list, init=False)
    store: MemoryActivityRepository = attrs.field(factory=MemoryActivityRepository, init=False)

    @property
    def functions(self) -> list[str]:
        """
        Return which functions were called.
        """
        return [request.url.path.rpartition("/")[2] for request in self.requests]

    @asynccontextmanager
    async def records(self, **arguments: Any) -> AsyncIterator[PostgrestActivityRecords]:
        """
        Open the records over it.
        """
        given = {"key": "sb_secret_canary", "transport": httpx.MockTransport(self._answer)} | arguments
        async with PostgrestActivityRecords.open(ADDRESS, **given) as records:
            yield records

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.scripted:
            answer = self.scripted.pop(0)
            if isinstance(answer, httpx.Response):
                return answer
            if isinstance(answer, Exception):
                raise answer
            return await answer(request)
        arguments = json.loads(request.content)
        try:
            answered = await getattr(self, f"_{self.functions[-1]}")(**arguments)
        except RecordRefusedError:
            return refusal(400, "23514", hint="record_refused")
        return httpx.Response(200, json={"version": 1, **answered})

    async def _add_activities(self, *, p_records: Sequence[Any], p_atomic: bool) -> dict[str, Any]:
        asked = [record_from_json(row) for row in p_records]
        existing = await self.store.add_activities(asked, atomic=p_atomic)
        pairs = enumerate(zip(asked, existing, strict=True), start=1)
        standing = {str(place): record_to_json(found) for place, (one, found) in pairs if found != one}
        return {"asked": len(asked), "standing": standing}

    async def _find_activities(self, *, p_ids: Sequence[str]) -> dict[str, Any]:
        return _told(await self.store.find_activities(p_ids))

    async def _find_duplicates(self, *, p_org: str, p_keys: Sequence[str]) -> dict[str, Any]:
        found = await self.store.find_duplicates(p_org, p_keys)
        return _told(reversed(list(found.values())))

    async def _activities_of_batch(self, *, p_batch: str) -> dict[str, Any]:
        return _told(await self.store.activities_of_batch(p_batch))

    async def _void_activity(self, *, p_id: str, p_at: str) -> dict[str, Any]:
        return {"found": await self.store.void_activity(p_id, voided_at=datetime.fromisoformat(p_at))}

    async def _list_activities(self, *, p_org: str, p_limit: int, **asked: Any) -> dict[str, Any]:
        people = asked["p_coordinators"]
        if people == []:
            return {"records": []}
        cursor = None
        if asked["p_after_day"] is not None:
            cursor = "~".join(asked[f"p_after_{part}"] for part in ("day", "moment", "id"))
        found_by = RecordFilter(
            coordinator_id=None if people is None else people[0],
            mentor_ids=None if asked["p_mentors"] is None else frozenset(asked["p_mentors"]),
            activity_from=_day(asked["p_from"]),
            activity_through=_day(asked["p_through"]),
            cursor=cursor,
        )
        everybody = Visibility(organization_id=p_org)
        page = await self.store.list_activities(everybody, limit=p_limit, found_by=found_by)
        return {
            "records": [
                {
                    "record": record_to_json(listed.record),
                    "corrections": [note.to_dict() for note in listed.corrections],
                }
                for listed in page.records
            ]
        }

    async def _add_correction(self, *, p_org: str, p_coordinator: str | None, p_note: Any) -> dict[str, Any]:
        visibility = Visibility(organization_id=p_org, coordinator_id=p_coordinator)
        note: CorrectionNote | None = await self.store.add_correction(visibility, note_from_json(p_note))
        return {"note": None if note is None else note.to_dict()}


def _told(records: Any) -> dict[str, Any]:
    return {"records": [record_to_json(record) for record in records]}


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
