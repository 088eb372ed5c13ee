"""
A fake FCM with an account of its own, a directory of devices, and senders between them.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from proxy_orchestration.notification.notices import PushMessage, PushTarget
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.testing import FakeClock

START = datetime(2026, 1, 1, tzinfo=UTC)


@attrs.define(eq=False, slots=False)
class Devices:
    """
    A `PushTargetDirectory` in memory.
    """

    known: dict[str, list[PushTarget]] = attrs.field(factory=dict)
    pruned: list[tuple[str, str]] = attrs.field(factory=list)
    broken: Exception | None = None

    def add(self, recipient_id: str, value: str, **rest: Any) -> PushTarget:
        """
        Give the recipient a further device.
        """
        target = PushTarget(**{"kind": "token", "value": value, **rest})
        self.known.setdefault(recipient_id, []).append(target)
        return target

    async def targets_of(self, recipient_ids: Collection[str], /) -> Mapping[str, Sequence[PushTarget]]:
        """
        Return what is known.
        """
        if self.broken is not None:
            raise self.broken
        return {key: tuple(self.known[key]) for key in recipient_ids if key in self.known}

    async def prune(self, recipient_id: str, target: PushTarget, /) -> None:
        """
        Take note of who is forgotten.
        """
        if self.broken is not None:
            raise self.broken
        self.pruned.append((recipient_id, target.value))


@pytest.fixture(scope="session")
def fake() -> ModuleType:
    """
    Load the module of the fake server.
    """
    spec = importlib.util.spec_from_file_location("fake_fcm", Path(__file__).with_name("fake_fcm.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def private_key() -> Any:
    """
    Generate a key; nobody else has it.
    """
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def private_pem(private_key: Any) -> str:
    """
    Return the key as a service account's file holds it.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - comes with an extra

    return private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture
def fcm(fake: ModuleType, private_key: Any) -> Iterator[Any]:
    """
    Run a fake FCM.
    """
    with fake.FakeFcm(private_key.public_key()) as server:
        yield server


@pytest.fixture
def account(fcm: Any, fake: ModuleType, private_pem: str) -> dict[str, str]:
    """
    Return a service account's key that the fake FCM accepts.
    """
    return {
        "type": "service_account",
        "project_id": fake.PROJECT,
        "private_key_id": "invented",
        "private_key": private_pem,
        "client_email": "sender@invented-project.example",
        "token_uri": f"{fcm.url}/token",
    }


@pytest.fixture
def account_file(account: dict[str, str], tmp_path: Path) -> Path:
    """
    Write the key to a file.
    """
    path = tmp_path / "account.json"
    path.write_text(json.dumps(account), encoding="utf-8")
    return path


@pytest.fixture
def devices() -> Devices:
    """
    A directory without any device.
    """
    return Devices()


@pytest.fixture
def clock() -> FakeClock:
    """
    A clock that stands still.
    """
    return FakeClock(START)


@pytest.fixture
def sender_with(fcm: Any, account: dict[str, str], devices: Devices, clock: FakeClock) -> Callable[..., Any]:
    """
    Build a sender for the fake FCM, with these settings.
    """
    module = pytest.importorskip("proxy_orchestration.push.fcm", exc_type=ImportError)

    def build(**settings: Any) -> Any:
        return module.FcmPushSender(
            targets=devices,
            credentials=module.FcmCredentials(environ={"FCM_SERVICE_ACCOUNT_JSON": json.dumps(account)}),
            clock=clock,
            settings=module.FcmSettings(**{"base_url": fcm.url, **settings}),
        )

    return build


@pytest.fixture
def sender(sender_with: Callable[..., Any]) -> Any:
    """
    A sender with the default settings.
    """
    return sender_with()


@pytest.fixture(scope="session")
def push() -> Callable[..., PushMessage]:
    """
    Make a message, to `mentor-1` if nothing else is said.
    """

    def make(number: int = 1, **rest: Any) -> PushMessage:
        return PushMessage(
            **{
                "message_id": f"push-{number}",
                "notification_id": f"notice-{number}",
                "recipient_id": "mentor-1",
                "tier": NotificationThresholdTier.URGENT_7,
                "title": "Invented title",
                "body": f"Invented text {number}",
                "data": {"route": "/certificate/renew/1"},
                "collapse_key": "mentor-1:first_aid",
                "expires_at": START + timedelta(days=7),
                **rest,
            }
        )

    return make


@attrs.frozen(eq=False)
class World:
    """
    All of these at once, for tests that need most of them.
    """

    fcm: Any
    fake: ModuleType
    devices: Devices
    clock: FakeClock
    sender_with: Callable[..., Any]
    push: Callable[..., PushMessage]
    sender: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "sender", self.sender_with())


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    """
    Gather them.
    """
    names = ("fcm", "fake", "devices", "clock", "sender_with", "push")
    return World(*[request.getfixturevalue(name) for name in names])
