"""
The service's key: read when needed, renewed before it ends, and never shown.
"""

from __future__ import annotations

import base64
import inspect
import json
import math
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import anyio
import attrs

from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import RepositoryUnavailableError

KeySource: TypeAlias = Callable[[], str | Awaitable[str]]
"""A function that returns the service's key, or an awaitable of it: from a vault, or newly signed."""

VARIABLES: Final = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")
"""Where the key is looked for when nobody gives one."""

# PostgREST accepts a token for 29 seconds after its end: renewed before, it is never refused for that.
_MARGIN: Final = 30.0
_PRINTABLE: Final = re.compile(r"[!-~]+")
_PARTS: Final = 3


@attrs.frozen(eq=False)
class ServiceKey:
    """
    What calls are signed with.

    Attributes:
        value: a secret.
        renew_from: in seconds since 1970; infinite where nobody knows an end.
    """

    value: str = attrs.field(repr=False)
    renew_from: float

    def headers(self) -> dict[str, str]:
        """
        Return what a call is signed with; a key that is no token goes in one header only.
        """
        signed = {"apikey": self.value}
        if self.value.count(".") == _PARTS - 1:
            signed["Authorization"] = f"Bearer {self.value}"
        return signed


def environment_key() -> str:
    """
    Return the key from the environment, empty without one.
    """
    return next(filter(None, (os.environ.get(name, "").strip() for name in VARIABLES)), "")


@attrs.define(eq=False, kw_only=True)
class ServiceKeys:
    """
    Hands out the current key; of tasks that need a new one at once, one asks for it.
    """

    source: KeySource = attrs.field(repr=False)
    clock: Clock
    _current: ServiceKey | None = attrs.field(init=False, default=None, repr=False)
    _asking: anyio.Lock = attrs.field(init=False, factory=anyio.Lock, repr=False)

    async def current(self, *, instead_of: ServiceKey | None = None) -> ServiceKey:
        """
        Return a key that is good for some time.

        Args:
            instead_of: one that was refused.

        Raises:
            RepositoryUnavailableError: none is to be had; nothing was sent.
        """
        key = self._usable(instead_of)
        if key is not None:
            return key
        # Under a lock, so that of many calls that find the key old one asks and all get the new one.
        async with self._asking:
            key = self._usable(instead_of)
            if key is None:
                key = self._current = await self._renewed(instead_of)
            return key

    def _usable(self, refused: ServiceKey | None) -> ServiceKey | None:
        key = self._current
        if key is None or key is refused or self.clock.now().timestamp() >= key.renew_from:
            return None
        return key

    async def _renewed(self, refused: ServiceKey | None) -> ServiceKey:
        old = self._current
        value: Any
        try:
            given = self.source()
            value = await given if inspect.isawaitable(given) else given
        except Exception as error:  # noqa: BLE001 - a host's vault may raise anything
            if old is not None and old is not refused:
                return old  # good until it is refused
            reason = f"The service's key could not be obtained ({type(error).__name__})."
            advice = "Nothing was sent. Check the function that returns the key."
        else:
            if isinstance(value, str) and _PRINTABLE.fullmatch(value):
                return ServiceKey(value, _end_of(value) - _MARGIN)
            reason = "The service's key is missing, or cannot be sent in a header."
            advice = f"Nothing was sent. Set {VARIABLES[0]}, or give a key or a function that returns one."
        # Not from the host's error: its text may show the key.
        raise RepositoryUnavailableError(reason, advice=advice, nothing_written=True) from None


def _end_of(value: str) -> float:
    """
    Return when a token ends, in seconds since 1970; never, where it does not say so or is none.
    """
    parts = value.split(".")
    if len(parts) != _PARTS:
        return math.inf
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return math.inf
    end = claims.get("exp") if isinstance(claims, dict) else None
    return float(end) if isinstance(end, int | float) else math.inf
