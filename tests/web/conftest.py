"""
A live host, and a client of it that is signed in.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from proxy_orchestration import BulkSettings

if TYPE_CHECKING:
    from web_host import Coordinator, Host

# Fixtures import what they need: without an extra test modules skip themselves, and this file is read.


@pytest.fixture(scope="module")
def host() -> Host:
    """
    One host for a module.
    """
    from web_host import Host  # noqa: PLC0415 - an extra

    return Host(bulk_settings=BulkSettings(cancel_grace=0.01, poll_interval=0.05))


@pytest.fixture(scope="module")
def address(host: Host) -> Iterator[str]:
    """
    Where it answers.
    """
    from live_server import live  # noqa: PLC0415 - an extra

    with live(host.app) as url:
        yield url


_organizations = itertools.count(1)


@pytest.fixture
def sign_in(address: str) -> Iterator[Callable[..., Coordinator]]:
    """
    Sign somebody in; by default a coordinator of an organization that is the test's own.
    """
    import httpx  # noqa: PLC0415 - an extra
    from live_server import LONGEST  # noqa: PLC0415 - an extra
    from web_host import Coordinator  # noqa: PLC0415 - an extra

    own = f"org-{next(_organizations)}"
    clients = []

    def enter(user: str = "coord-119", *, org: str = own, roles: str = "coordinator") -> Coordinator:
        headers = {"X-User": user, "X-Org": org, "X-Roles": roles}
        client = httpx.Client(base_url=address, headers=headers, timeout=LONGEST)
        clients.append(client)
        return Coordinator(client)

    yield enter
    for client in clients:
        client.close()


@pytest.fixture
def anna(sign_in: Callable[..., Coordinator]) -> Coordinator:
    """
    A coordinator.
    """
    return sign_in()
