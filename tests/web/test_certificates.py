"""
A host gives its certificates as a function or as an object, to the router and to the console alike.
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("jinja2")
pytest.importorskip("babel")

from web_host import Host, certificates_of

from proxy_orchestration import MisconfiguredError
from proxy_orchestration.access import Actor, Role
from proxy_orchestration.console import create_console
from proxy_orchestration.web.certificates import certificates_for, checked_certificates
from proxy_orchestration.web.router import create_router

pytestmark = pytest.mark.dateless

ADMIN = Actor(user_id="admin-1", roles={Role.CHAPTER_ADMIN}, organization_id="oslo")


class Source:
    """
    What `CertificateSource` describes.
    """

    def certificates(self, *, actor: Actor) -> list[Any]:
        """
        Return the certificates of the organization.
        """
        return certificates_of(actor)


class AsyncSource:
    """
    One that would have to be awaited.
    """

    async def certificates(self, *, actor: Actor) -> list[Any]:
        """
        Return the certificates of the organization.
        """
        return certificates_of(actor)


async def awaited_certificates(actor: Actor) -> list[Any]:
    """
    Return the certificates of the organization, later.
    """
    return certificates_of(actor)


def for_nobody() -> list[Any]:
    """
    Return nothing, whoever asks.
    """
    return []


@pytest.mark.parametrize(
    "given", [certificates_of, awaited_certificates, Source()], ids=["plain", "awaited", "a source"]
)
async def test_a_function_will_do_and_so_will_a_source(given: Any) -> None:
    """
    Both give the same certificates.
    """
    read = checked_certificates(given, "create_router")

    assert read is not None
    assert certificates_of(ADMIN) == await certificates_for(ADMIN, read)


@pytest.mark.parametrize(
    ("unfit", "told"),
    [
        ([1], "it is a list. Give a function that takes an Actor"),
        (object, "it is the class object"),
        (for_nobody, "it cannot be called with an Actor as its only argument"),
        (Source().certificates, "it cannot be called with an Actor as its only argument"),
        (Source, "it is the class Source itself"),
        (AsyncSource(), "Write a plain `def`"),
    ],
    ids=["a list", "a class", "no argument", "a bound method", "the source's class", "an awaited source"],
)
@pytest.mark.parametrize("made", [create_router, create_console])
def test_anything_else_is_refused_when_it_is_given(made: Any, unfit: Any, told: str) -> None:
    """
    Under the name of what was to be made, with what to give.
    """
    with pytest.raises(MisconfiguredError, match=told) as raised:
        made(Host().orchestrator, actor=lambda: ADMIN, certificates=unfit)

    assert (made.__name__, "certificates") == (raised.value.owner, raised.value.part)


def test_what_tells_no_arguments_is_taken_for_a_function() -> None:
    """
    Such as one that is not written in Python.
    """
    assert dict.__init__ is checked_certificates(dict.__init__, "create_router")
    assert min is checked_certificates(min, "create_router")
