"""
Calls FCM with an access token and a time limit, and reads the answers.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import quote

import anyio
import attrs
import httpx

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import NoAnswerError, ask
from proxy_orchestration._http_failures import NEVER_SENT
from proxy_orchestration.clock import Clock
from proxy_orchestration.push.fcm.answers import SHORTEST_WAIT, Action, Answer, read_answer, seconds_of
from proxy_orchestration.push.fcm.credentials import (
    GRANT_TYPE,
    FcmCredentials,
    FcmCredentialsError,
    ServiceAccount,
)
from proxy_orchestration.push.fcm.settings import FcmSettings

T = TypeVar("T")

_JSON: Final = "application/json; charset=utf-8"
_MARGIN: Final = 300.0
_OK: Final = 200
_DEFINITE: Final = frozenset({400, 401, 403})

_log = logging.getLogger(_loggers.FCM)


class TokenUnavailableError(Exception):
    """
    Google gave no access token, for no reason that is ours.

    Attributes:
        retry_after: seconds that it asks to wait, or `None`.
    """

    def __init__(self, retry_after: float | None = None) -> None:
        self.retry_after: float | None = retry_after
        super().__init__("Google gave no access token.")


@attrs.frozen
class AccessToken:
    """
    What a call is signed with.

    Attributes:
        value: the token; a secret.
        project_id: the project that the service account names; empty if it names none.
        renew_from: when a new one is to be asked for, by the clock's `monotonic`.
        ends_at: until when FCM accepts it, by the same.
    """

    value: str = attrs.field(repr=False)
    project_id: str
    renew_from: float
    ends_at: float


@attrs.define(eq=False, kw_only=True)
class AccessTokens:
    """
    Hands out the current access token; of tasks that need a new one at once, one asks for it.
    """

    credentials: FcmCredentials
    clock: Clock
    settings: FcmSettings
    _current: AccessToken | None = attrs.field(init=False, default=None, repr=False)
    _asking: anyio.Lock = attrs.field(init=False, factory=anyio.Lock, repr=False)
    _ask_from: float = attrs.field(init=False, default=-math.inf)

    async def current(
        self, client: httpx.AsyncClient, *, instead_of: AccessToken | None = None
    ) -> AccessToken:
        """
        Return a token that FCM accepts; a new one some minutes before the old one's end.

        While no new one is to be had, the old one is used to its end.

        Args:
            client: what a new one is asked for with.
            instead_of: one that FCM refused.

        Raises:
            FcmCredentialsError: there is no service account, or Google refuses it.
            TokenUnavailableError: Google cannot be reached, or does not answer as it should.
        """
        if self._current is instead_of:
            self._current = None
        old = self._current
        if old is not None and (self._is_fresh(old) or self._asking.locked()) and self._is_good(old):
            return old
        # Under a lock, so that of many calls that find the token old one asks and all get the new one.
        async with self._asking:
            token = self._current
            if token is not None and self._is_good(token):
                return token if self._is_fresh(token) else await self._renewed(client, token)
            self._current = token = await self._ask(client)
            return token

    def _is_good(self, token: AccessToken) -> bool:
        return self.clock.monotonic() < token.ends_at

    def _is_fresh(self, token: AccessToken) -> bool:
        return self.clock.monotonic() < max(token.renew_from, self._ask_from)

    async def _renewed(self, client: httpx.AsyncClient, old: AccessToken) -> AccessToken:
        """
        Return a new token, or the old one where none is to be had in half a call's time.
        """
        half = self.settings.call_timeout / 2
        try:
            self._current = token = await ask(partial(self._ask, client), clock=self.clock, seconds=half)
        except (NoAnswerError, TokenUnavailableError) as error:
            wait = getattr(error, "retry_after", None) or SHORTEST_WAIT
            self._ask_from = self.clock.monotonic() + wait
            left = old.ends_at - self.clock.monotonic()
            _log.warning(
                "no new access token was obtained; the current one is valid for %.0f s more",
                left,
                extra={"seconds": left},
            )
            return old
        return token

    async def _ask(self, client: httpx.AsyncClient) -> AccessToken:
        account = await self.credentials.load()
        began = self.clock.monotonic()
        form = {"grant_type": GRANT_TYPE, "assertion": account.assertion(now=self.clock.now())}
        try:
            # Through our own client: google-auth's transport blocks a thread; decision 43.
            response = await client.post(account.token_uri, data=form)
        except (httpx.HTTPError, httpx.InvalidURL):
            response = None
        if response is None:
            raise TokenUnavailableError
        return self._token(response, account, began)

    def _token(self, response: httpx.Response, account: ServiceAccount, began: float) -> AccessToken:
        answer = _answer(response)
        value, seconds = answer.get("access_token"), answer.get("expires_in")
        if response.status_code in _DEFINITE:
            raise FcmCredentialsError(
                reason="Google refused the service account's key.",
                advice="Check that the key was not deleted, and that this machine's clock is right.",
            )
        if response.status_code != _OK or not isinstance(value, str) or not value.isascii() or not value:
            asked = seconds_of(response.headers.get("retry-after"), now=self.clock.now())
            raise TokenUnavailableError(asked)
        life = max(0.0, _number(seconds))
        # Half its life at most, or a token of five minutes would be asked for before every call.
        return AccessToken(value, account.project_id, began + life - min(_MARGIN, life / 2), began + life)


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
        token = await self._in_time(partial(self._token, client, None))
        if token is None:
            return Answer(Action.UNAUTHENTICATED, SHORTEST_WAIT)
        return token if isinstance(token, Answer) else self._without_project(token)

    async def post(self, client: httpx.AsyncClient, content: bytes) -> Answer:
        """
        Send one message; a call past its time may have been taken all the same.
        """
        answer = await self._in_time(partial(self._post, client, content))
        return Answer(Action.TRANSIENT, in_doubt=True) if answer is None else answer

    async def _in_time(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """
        Return what the call comes to; `None` where it fails or takes too long, which is logged.
        """
        try:
            return await ask(call, clock=self.clock, seconds=self.settings.call_timeout)
        except NoAnswerError:
            name = "TimeoutError"
        except Exception as error:  # noqa: BLE001 - what a transport raises concerns this message only
            name = type(error).__name__
        _log.error("a call to FCM failed: %s", name, extra={"error": name})
        return None

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
            _log.error(
                "FCM was not called, because there are no credentials: %s",
                error,
                extra={"code": "credentials"},
            )
            return Answer(Action.UNAUTHENTICATED)
        except TokenUnavailableError as error:
            return Answer(Action.UNAUTHENTICATED, error.retry_after or SHORTEST_WAIT)

    async def _call(self, client: httpx.AsyncClient, content: bytes, token: AccessToken) -> Answer:
        headers = {"Authorization": f"Bearer {token.value}", "Content-Type": _JSON}
        try:
            response = await client.post(self._url(token), content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            name = type(error).__name__
            _log.error("a call to FCM failed: %s", name, extra={"error": name})
            # A connection that FCM closes in good order (GOAWAY) takes answers along that it still
            # had to give: only what never left us was surely not taken; decision 224.
            return Answer(Action.TRANSIENT, in_doubt=not isinstance(error, NEVER_SENT))
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
            "the service account's key names no project: set FcmSettings.project_id",
            extra={"code": "credentials"},
        )
        return Answer(Action.UNAUTHENTICATED)


def _number(value: object) -> float:
    return value if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _answer(response: httpx.Response) -> dict[str, Any]:
    try:
        value = response.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
