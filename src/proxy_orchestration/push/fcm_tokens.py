"""
Access tokens: asked for once, kept until shortly before their end.
"""

from __future__ import annotations

import math
from typing import Any, Final

import anyio
import attrs
import httpx

from proxy_orchestration.clock import Clock
from proxy_orchestration.push.fcm_credentials import (
    GRANT_TYPE,
    FcmCredentials,
    FcmCredentialsError,
    ServiceAccount,
)
from proxy_orchestration.push.fcm_errors import seconds_of

_MARGIN: Final = 300.0
_OK: Final = 200
_DEFINITE: Final = frozenset({400, 401, 403})


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
        good_until: by the clock's `monotonic`.
    """

    value: str = attrs.field(repr=False)
    project_id: str
    good_until: float


@attrs.define(eq=False, kw_only=True)
class AccessTokens:
    """
    Hands out the current access token; of tasks that need a new one at once, one asks for it.
    """

    credentials: FcmCredentials
    clock: Clock
    _current: AccessToken | None = attrs.field(init=False, default=None, repr=False)
    _asking: anyio.Lock = attrs.field(init=False, factory=anyio.Lock, repr=False)

    async def current(
        self, client: httpx.AsyncClient, *, instead_of: AccessToken | None = None
    ) -> AccessToken:
        """
        Return a token that is good for some minutes.

        Args:
            client: what a new one is asked for with.
            instead_of: one that FCM refused.

        Raises:
            FcmCredentialsError: there is no service account, or Google refuses it.
            TokenUnavailableError: Google cannot be reached, or does not answer as it should.
        """
        async with self._asking:
            token = self._current
            if token is None or token is instead_of or self.clock.monotonic() >= token.good_until:
                self._current = token = await self._ask(client)
            return token

    async def _ask(self, client: httpx.AsyncClient) -> AccessToken:
        account = await self.credentials.load()
        began = self.clock.monotonic()
        form = {"grant_type": GRANT_TYPE, "assertion": account.assertion(now=self.clock.now())}
        try:
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
                reason="Google refuses the service account's key.",
                advice="Check that the key was not deleted, and that this machine's clock is right.",
            )
        if response.status_code != _OK or not isinstance(value, str) or not value.isascii() or not value:
            asked = seconds_of(response.headers.get("retry-after"), now=self.clock.now())
            raise TokenUnavailableError(asked)
        return AccessToken(value, account.project_id, began + max(0.0, _number(seconds) - _MARGIN))


def _number(value: object) -> float:
    return value if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _answer(response: httpx.Response) -> dict[str, Any]:
    try:
        value = response.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
