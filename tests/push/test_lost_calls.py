"""
A call that failed is in doubt, unless the failure proves that nothing was sent.
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("google.auth")

import httpx

from proxy_orchestration._http_failures import NEVER_SENT
from proxy_orchestration.push.fcm.answers import Action, Answer
from proxy_orchestration.push.fcm.calls import AccessToken, FcmCalls
from proxy_orchestration.push.fcm.settings import FcmSettings
from proxy_orchestration.testing import FakeClock

SENT = (
    httpx.ReadError,
    httpx.ReadTimeout,
    httpx.WriteError,
    httpx.WriteTimeout,
    httpx.CloseError,
    httpx.LocalProtocolError,
    httpx.RemoteProtocolError,
    httpx.DecodingError,
    httpx.TooManyRedirects,
    httpx.ProxyError,
)


class Tokens:
    """
    Has a token.
    """

    async def current(self, client: Any, *, instead_of: Any = None) -> AccessToken:
        """
        Return it.
        """
        return AccessToken("token", "project", renew_from=1e9, ends_at=1e9)


@pytest.mark.parametrize(
    ("failure", "in_doubt"), [*((each, False) for each in NEVER_SENT), *((each, True) for each in SENT)]
)
async def test_a_message_is_in_doubt_unless_it_was_never_sent(
    failure: type[Exception], in_doubt: bool
) -> None:
    """
    The first may be sent again as if nothing had been; of the others a device may show two.
    """

    def fail(_request: Any) -> Any:
        message = "lost"
        raise failure(message)

    tokens: Any = Tokens()
    calls = FcmCalls(tokens=tokens, clock=FakeClock(), settings=FcmSettings())
    async with httpx.AsyncClient(transport=httpx.MockTransport(fail)) as client:
        answer = await calls.post(client, b"{}")

    assert Answer(Action.TRANSIENT, in_doubt=in_doubt) == answer


def test_every_failure_of_the_client_is_one_or_the_other() -> None:
    """
    A kind that a later version of it adds is looked at.
    """
    named = [getattr(httpx, name) for name in httpx.__all__]
    failures = [each for each in named if isinstance(each, type) and issubclass(each, httpx.RequestError)]
    kinds = [each for each in failures if not any(each in other.__bases__ for other in failures)]

    assert {httpx.InvalidURL, *kinds} == {*NEVER_SENT, *SENT}
