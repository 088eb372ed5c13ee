"""
The host's source of certificates: a function, or an object with a method.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, cast

import attrs

from proxy_orchestration._wiring import check_parts
from proxy_orchestration.access import Actor
from proxy_orchestration.errors import MisconfiguredError
from proxy_orchestration.notification.certificate_source import Certificates

CertificatesOf: TypeAlias = Callable[[Actor], Certificates | Awaitable[Certificates]]
"""
A function that returns the certificates of the actor's organization; may be an `async def`.
"""


class CertificateSource(Protocol):
    """
    Gives the certificates of an organization, as the nightly job reads them.
    """

    def certificates(self, *, actor: Actor) -> Certificates:
        """
        Return the certificates that the actor may see; called once for each answer that needs them.
        """
        ...


def checked_certificates(given: object, owner: str) -> CertificatesOf | None:
    """
    Return the function that is given, or one that asks the source that is given; `None` for `None`.

    Raises:
        MisconfiguredError: it is neither; the message says what to give.
    """
    if given is None:
        return None
    if hasattr(given, "certificates"):
        return _asking(cast("CertificateSource", given), owner)
    if inspect.isclass(given) or not callable(given):
        kind = f"the class {given.__name__}" if inspect.isclass(given) else f"a {type(given).__name__}"
        raise _unfit(owner, f"it is {kind}")
    if not _takes_an_actor(given):
        raise _unfit(owner, "it cannot be called with an Actor as its only argument")
    return cast("CertificatesOf", given)


def _asking(source: CertificateSource, owner: str) -> CertificatesOf:
    # An error is told under the name of what was to be made.
    check_parts(attrs.make_class(owner, ["certificates"])(source), certificates=CertificateSource)

    def ask(actor: Actor) -> Certificates:
        return source.certificates(actor=actor)

    return ask


def _unfit(owner: str, found: str) -> MisconfiguredError:
    asked = "Give a function that takes an Actor and returns certificates, or an object with"
    return MisconfiguredError(owner, "certificates", f"{found}. {asked} `certificates(*, actor)`.")


def _takes_an_actor(function: Callable[..., object]) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # such as one that is not written in Python
        return True
    try:
        signature.bind("actor")
    except TypeError:
        return False
    return True


async def certificates_for(actor: Actor, certificates: CertificatesOf) -> Certificates:
    """
    Return the certificates that the actor may know of.
    """
    found = certificates(actor)
    return await found if inspect.isawaitable(found) else found
