"""
Protects forms and pages: a token, a check of the origin, and security headers.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

import attrs
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy_orchestration._arguments import collection_of
from proxy_orchestration.access import Actor

TOKEN_FIELD: Final = "form_token"  # noqa: S105 - the name of a field
_PURPOSE: Final = "proxy-orchestration console form 1"

_ALLOWED_SOURCES: Final = {
    "default-src": "'none'",
    "style-src": "'self'",
    "script-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}

_HEADERS: Final = {
    "content-security-policy": "; ".join(map(" ".join, _ALLOWED_SOURCES.items())),
    "x-content-type-options": "nosniff",
    # Under "no-referrer" Chromium sends "Origin: null" with a form, and every form would look forged.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@attrs.frozen(kw_only=True)
class FormGuard:
    """
    Tells forms that a page of ours gave this very person from all others.

    Attributes:
        secret: the key of the tokens; the same in every process that serves one console.
        trusted_origins: beside the address of the request itself, such as `https://admin.example`
            where a proxy passes another `Host` on.
    """

    secret: bytes = attrs.field(repr=False)
    trusted_origins: frozenset[str] = frozenset()

    def token(self, actor: Actor) -> str:
        """
        Return what every form for this person carries.
        """
        who = f"{_PURPOSE}\0{len(actor.organization_id)}:{actor.organization_id}{actor.user_id}"
        return hmac.new(self.secret, who.encode(), hashlib.sha256).hexdigest()

    def accepts(self, actor: Actor, token: str) -> bool:
        """
        Tell whether the token is that person's.
        """
        return hmac.compare_digest(self.token(actor).encode(), token.encode())

    def is_own_origin(self, headers: Headers) -> bool:
        """
        Tell whether a form was sent by a page of this address; browsers say so with every form.
        """
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site") == "same-origin"
        return origin in self.trusted_origins or urlsplit(origin).netloc == headers.get("host", "")


@attrs.frozen
class GuardingHeaders:
    """
    Puts the headers that guard a page on every response; nothing of it is kept by a cache.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer as the application does, with the headers.
        """

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _guard(MutableHeaders(scope=message))
            await send(message)

        await self.app(scope, receive, send_guarded if scope["type"] == "http" else send)


def _guard(headers: MutableHeaders) -> None:
    for name, value in _HEADERS.items():
        headers[name] = value
    headers.setdefault("cache-control", "no-store")


def origins(values: Collection[str]) -> frozenset[str]:
    """
    Return origins as browsers write them: without a slash at the end.
    """
    collection_of(str)("trusted_origins", values)
    return frozenset(value.rstrip("/") for value in values)
