"""
One call of FCM for one device: signed, cut when it takes too long, with its answer read.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote

import attrs
import httpx

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import wait_at_most
from proxy_orchestration.clock import Clock
from proxy_orchestration.push.fcm_credentials import FcmCredentialsError
from proxy_orchestration.push.fcm_errors import SHORTEST_WAIT, Action, Answer, read_answer
from proxy_orchestration.push.fcm_settings import FcmSettings
from proxy_orchestration.push.fcm_tokens import AccessToken, AccessTokens, TokenUnavailableError

_JSON: Final = "application/json; charset=utf-8"

_log = logging.getLogger(_loggers.FCM)


@attrs.define(eq=False, kw_only=True)
class FcmCalls:
    """
    Calls FCM and says what the answer asks for; raises nothing but cancellation.
    """

    tokens: AccessTokens
    clock: Clock
    settings: FcmSettings

    async def authorize(self, client: httpx.AsyncClient) -> Answer | None:
        """
        Make sure that there is an access token; return what its lack asks for, or `None`.
        """
        refusal: list[Answer | None] = []

        async def ask() -> None:
            token = await self._token(client, None)
            refusal.append(token if isinstance(token, Answer) else self._without_project(token))

        await self._in_time(ask)
        return refusal[0] if refusal else Answer(Action.UNAUTHENTICATED, SHORTEST_WAIT)

    async def post(self, client: httpx.AsyncClient, content: bytes) -> Answer:
        """
        Send one message; a call past its time may have been taken all the same.
        """
        answers: list[Answer] = []

        async def call() -> None:
            answers.append(await self._post(client, content))

        await self._in_time(call)
        return answers[0] if answers else Answer(Action.TRANSIENT)

    async def _in_time(self, call: Callable[[], Awaitable[None]]) -> None:
        name = "TimeoutError"
        try:
            if await wait_at_most(self.clock, self.settings.call_timeout, call):
                return
        except Exception as error:  # noqa: BLE001 - what a transport raises concerns this message only
            name = type(error).__name__
        _log.error("a call of FCM failed: %s", name, extra={"error": name})

    async def _post(self, client: httpx.AsyncClient, content: bytes) -> Answer:
        token = await self._token(client, None)
        if isinstance(token, Answer):
            return token
        answer = await self._call(client, content, token)
        if answer.action is not Action.UNAUTHENTICATED:
            return answer
        renewed = await self._token(client, token)
        return renewed if isinstance(renewed, Answer) else await self._call(client, content, renewed)

    async def _token(self, client: httpx.AsyncClient, refused: AccessToken | None) -> AccessToken | Answer:
        try:
            return await self.tokens.current(client, instead_of=refused)
        except FcmCredentialsError as error:
            _log.error("no call without credentials: %s", error, extra={"code": "credentials"})
            return Answer(Action.UNAUTHENTICATED)
        except TokenUnavailableError as error:
            return Answer(Action.UNAUTHENTICATED, error.retry_after or SHORTEST_WAIT)

    async def _call(self, client: httpx.AsyncClient, content: bytes, token: AccessToken) -> Answer:
        headers = {"Authorization": f"Bearer {token.value}", "Content-Type": _JSON}
        response = await client.post(self._url(token), content=content, headers=headers)
        return read_answer(
            response.status_code,
            response.content,
            retry_after=response.headers.get("retry-after"),
            now=self.clock.now(),
        )

    def _url(self, token: AccessToken) -> str:
        project = quote(self.settings.project_id or token.project_id, safe="")
        return f"{self.settings.base_url.rstrip('/')}/v1/projects/{project}/messages:send"

    def _without_project(self, token: AccessToken) -> Answer | None:
        if self.settings.project_id or token.project_id:
            return None
        _log.error(
            "the service account's key names no project: give FcmSettings.project_id",
            extra={"code": "credentials"},
        )
        return Answer(Action.UNAUTHENTICATED)
