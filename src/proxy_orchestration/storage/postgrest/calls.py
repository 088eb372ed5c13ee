"""
Calls the database functions with a key and a time limit; returns a result or raises a typed error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import attrs
import httpx

from proxy_orchestration._concurrency import NoAnswerError, ask
from proxy_orchestration._http_failures import NEVER_SENT
from proxy_orchestration.clock import Clock
from proxy_orchestration.storage.postgrest.answers import (
    UNAUTHORIZED,
    Reply,
    leave_in_doubt,
    not_executed,
    result_of,
    seconds_of,
)
from proxy_orchestration.storage.postgrest.keys import ServiceKey, ServiceKeys
from proxy_orchestration.storage.postgrest.settings import PostgrestSettings

_UNREACHED: Final = "Nothing was sent. Check the address, and whether PostgREST is running."
_NO_KEY: Final = "Nothing was sent. Check the function that returns the key."


@attrs.define(eq=False)
class _Sending:
    """
    A call, and whether it was handed to PostgREST, and not refused for its key.
    """

    function: str
    content: bytes = attrs.field(repr=False)
    may_be_executed: bool = False


@attrs.define(eq=False, kw_only=True)
class PostgrestCalls:
    """
    Calls functions of one PostgREST.
    """

    address: str
    client: httpx.AsyncClient = attrs.field(repr=False)
    keys: ServiceKeys = attrs.field(repr=False)
    clock: Clock
    settings: PostgrestSettings

    async def call(self, function: str, arguments: Mapping[str, object]) -> dict[str, Any]:
        """
        Return the object that the function answers.

        Raises:
            RecordRefusedError: a record breaks a rule; nothing was written.
            SchemaVersionError: the function is missing or of another version.
            RepositoryUnavailableError: it could not be asked, or its answer is not known.
        """
        content = json.dumps(arguments, ensure_ascii=False, separators=(",", ":")).encode()
        sending = _Sending(function, content)
        try:
            reply = await ask(
                partial(self._signed, sending),
                clock=self.clock,
                seconds=self.settings.call_timeout,
            )
        except NoAnswerError:
            if not sending.may_be_executed:
                reason = "The service's key was not returned in time."
                raise not_executed(reason, advice=_NO_KEY) from None
            # A call that is cut goes on in the database, and may write yet.
            leave_in_doubt("it took too long")
        return result_of(reply, longest_retry_after=self.settings.longest_retry_after)

    async def _signed(self, sending: _Sending) -> Reply:
        key = await self.keys.current()
        reply = await self._post(sending, key)
        if reply.status != UNAUTHORIZED:
            return reply
        sending.may_be_executed = False
        renewed = await self.keys.current(instead_of=key)
        return reply if renewed.value == key.value else await self._post(sending, renewed)

    async def _post(self, sending: _Sending, key: ServiceKey) -> Reply:
        sending.may_be_executed = True
        headers = {"Content-Type": "application/json", **key.headers()}
        if self.settings.schema is not None:
            headers["Content-Profile"] = self.settings.schema
        url = f"{self.address}/rpc/{self.settings.prefix}{sending.function}"
        try:
            # Whatever the client does elsewhere: a redirect would take the key along to another host.
            response = await self.client.post(
                url, content=sending.content, headers=headers, follow_redirects=False
            )
        except NEVER_SENT as error:
            reason = f"PostgREST could not be reached ({type(error).__name__})."
            raise not_executed(reason, advice=_UNREACHED) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            leave_in_doubt(f"the connection broke ({type(error).__name__})")
        return Reply(response.status_code, response.content, seconds_of(response.headers.get("retry-after")))
