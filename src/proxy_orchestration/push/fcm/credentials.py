"""
The service account: reads its key when it is needed, and signs assertions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import anyio
import attrs
from google.auth import crypt, jwt

from proxy_orchestration.errors import OrchestrationError

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
"""What an access token is asked for; the narrowest that lets us send."""

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
"""How a service account asks for an access token (RFC 7523)."""

AUDIENCE: Final = "https://oauth2.googleapis.com/token"
"""Whom an assertion is made for: always this, whichever address it is sent to."""

JSON_VARIABLE: Final = "FCM_SERVICE_ACCOUNT_JSON"
"""Holds a service account's key itself."""

PATH_VARIABLE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
"""Names the file with a service account's key."""

_LIFETIME: Final = 3600
_DOWNLOAD: Final = (
    "Create a key for a service account that may send messages, "
    "in the Google Cloud console, and use its JSON."
)
_FIELDS: Final = ("client_email", "private_key")


class FcmCredentialsError(OrchestrationError, error_code="fcm_credentials", repeat_helps=False):
    """
    There is no usable key of a service account; nothing was sent.

    Attributes:
        reason: what is wrong, without any part of the key.
        advice: what to do about it.
    """

    def __init__(self, *, reason: str, advice: str) -> None:
        self.reason: str = reason
        self.advice: str = advice
        super().__init__(f"{reason} {advice}")


@attrs.frozen(kw_only=True)
class ServiceAccount:
    """
    A service account that can sign.

    Attributes:
        project_id: the project that its key names; empty if it names none.
        token_uri: where access tokens are asked for.
        client_email, signer: its name, and what signs with its key; never in a repr or a log.
    """

    project_id: str
    token_uri: str
    client_email: str = attrs.field(repr=False)
    signer: crypt.Signer = attrs.field(repr=False)

    def assertion(self, *, now: datetime) -> str:
        """
        Return what an access token is asked for with, signed; good for an hour.
        """
        issued = int(now.timestamp())
        claims = {
            "iat": issued,
            "exp": issued + _LIFETIME,
            "iss": self.client_email,
            "aud": AUDIENCE,
            "scope": SCOPE,
        }
        signed: bytes = jwt.encode(self.signer, claims)  # type: ignore[no-untyped-call]  # google-auth has no types
        return signed.decode("ascii")


@attrs.frozen(kw_only=True)
class FcmCredentials:
    """
    Tells where to read a service account's key.

    It is read whenever a new access token is needed, and never kept.

    Attributes:
        path: the file with the key. `None`: use the environment, that is the key itself in
            `FCM_SERVICE_ACCOUNT_JSON`, or else the path of a file in
            `GOOGLE_APPLICATION_CREDENTIALS`.
        environ: the environment variables.
    """

    path: str | None = attrs.field(default=None, repr=False)
    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ, repr=False)

    async def load(self) -> ServiceAccount:
        """
        Read the key.

        Raises:
            FcmCredentialsError: there is no key, it cannot be read, or it is malformed.
        """
        own = self.environ.get(JSON_VARIABLE, "").strip()
        if self.path is not None:
            return _account(await _content(self.path, "The path given"), "The file at the path given")
        if own:
            return _account(own, JSON_VARIABLE)
        path = self.environ.get(PATH_VARIABLE, "").strip()
        if path:
            return _account(await _content(path, PATH_VARIABLE), f"The file that {PATH_VARIABLE} names")
        raise FcmCredentialsError(
            reason="No FCM credentials are configured.",
            advice=f"Set {PATH_VARIABLE} to the path of a service account's JSON file, "
            f"or {JSON_VARIABLE} to its content.",
        )


async def _content(path: str, place: str) -> str:
    """
    Return a file's text; errors name neither the path, which may be a key put there by mistake, nor the text.
    """
    try:
        return await anyio.Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        name = type(error).__name__
    raise FcmCredentialsError(
        reason=f"{place} does not name a readable file ({name}).",
        advice="It must be the path of a service account's JSON file, readable for this process.",
    )


def _account(text: str, place: str) -> ServiceAccount:
    info = _key_of(text)
    if info is None:
        raise FcmCredentialsError(reason=f"{place} does not contain a JSON object.", advice=_DOWNLOAD)
    lacking = [name for name in _FIELDS if not (isinstance(info.get(name), str) and info[name])]
    if info.get("type") != "service_account":
        lacking.insert(0, '"type": "service_account"')
    if lacking:
        lack = ", ".join(lacking)
        raise FcmCredentialsError(
            reason=f"{place} does not contain the key of a service account: {lack} is missing.",
            advice=_DOWNLOAD,
        )
    signer = _signer(info)
    if signer is None:
        raise FcmCredentialsError(
            reason=f"{place} contains a private key that cannot be used.", advice=_DOWNLOAD
        )
    return ServiceAccount(
        project_id=str(info.get("project_id") or ""),
        token_uri=str(info.get("token_uri") or AUDIENCE),
        client_email=info["client_email"],
        signer=signer,
    )


def _key_of(text: str) -> Mapping[str, Any] | None:
    # Errors are dropped here and told by the caller: the parser's own ones carry the whole text.
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _signer(info: Mapping[str, Any]) -> crypt.Signer | None:
    key_id = info.get("private_key_id")
    try:
        signer: crypt.Signer = crypt.RSASigner.from_string(info["private_key"], key_id)  # type: ignore[no-untyped-call]  # google-auth has no types
    except Exception:  # noqa: BLE001 - the crypto backend's own errors, which may quote the key
        return None
    return signer
