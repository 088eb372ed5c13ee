"""
The console on a local machine: only a browser that opened the printed address is let in.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import attrs
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

TOKEN: Final = "token"  # noqa: S105 - the name of a parameter
_ADDRESS: Final = "the address that the command printed"
_NO_HOST: Final = f"This host name is not served here. Open {_ADDRESS}.\n"
_NO_TOKEN: Final = f"Open {_ADDRESS}. It contains a token, and this browser has sent none.\n"


@attrs.frozen(kw_only=True)
class LoopbackGate:
    """
    Lets in whoever opened the printed address once, and nobody who came by another name.

    A page of another site may send a browser to any address of this machine, and a name server of
    its own may call this machine by that site's name; so the name is checked, and the token.

    Attributes:
        app: the console.
        hosts: what a browser may call this machine, with the port.
        secret: from which the token and the cookie are made.
        cookie: its name; another for each port, since cookies know no ports.
    """

    app: ASGIApp
    hosts: frozenset[str]
    secret: bytes = attrs.field(repr=False)
    cookie: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer as the console does, or refuse.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = self._refused(Request(scope))
        await (self.app if refused is None else refused)(scope, receive, send)

    @property
    def token(self) -> str:
        """
        Return what the printed address has in it.
        """
        return self._made("address")

    def _refused(self, request: Request) -> Response | None:
        if request.headers.get("host", "") not in self.hosts:
            return PlainTextResponse(_NO_HOST, status_code=421)
        given = request.query_params.get(TOKEN)
        if given is not None and _equal(given, self.token):
            return self._welcome(request)
        if _equal(request.cookies.get(self.cookie, ""), self._made("cookie")):
            return None
        return PlainTextResponse(_NO_TOKEN, status_code=403)

    def _welcome(self, request: Request) -> Response:
        # Away from the token at once: it is not to stay in the address that a person copies.
        answer = RedirectResponse(
            request.url.path, status_code=303, headers={"referrer-policy": "no-referrer"}
        )
        answer.set_cookie(self.cookie, self._made("cookie"), httponly=True, samesite="strict", path="/")
        return answer

    def _made(self, purpose: str) -> str:
        return hmac.new(self.secret, f"console {purpose}".encode(), hashlib.sha256).hexdigest()


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def loopback_hosts(port: int) -> frozenset[str]:
    """
    Return what a browser calls this machine at that port.
    """
    return frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
