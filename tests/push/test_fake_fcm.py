"""
The fake FCM is faithful: Google's own client gets along with it, and reads its answers as what they are.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

pytest.importorskip("firebase_admin")

import firebase_admin
import requests
from firebase_admin import credentials, exceptions, messaging
from google.auth.exceptions import RefreshError

from proxy_orchestration.notification.notices import PushTarget
from proxy_orchestration.push.fcm.messages import encode

pytestmark = [
    pytest.mark.dateless,
    # Google's client warns about `token` and about parts of its own.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    # It leaves sessions open that fetch access tokens; they are collected before these filters end.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def app(fcm: Any, account: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """
    Google's client, sent to the fake.
    """
    gc.freeze()  # what was there before is none of this test's, and takes a second to look through
    service = messaging._MessagingService
    monkeypatch.setattr(service, "FCM_URL", f"{fcm.url}/v1/projects/{{0}}/messages:send")
    app = firebase_admin.initialize_app(credentials.Certificate(account), name="invented")
    # Without its own repetitions, which wait for seconds.
    client = messaging._get_messaging_service(app)._client
    client.session.mount("http://", requests.adapters.HTTPAdapter(max_retries=0))
    yield app
    client.close()
    firebase_admin.delete_app(app)
    del app, client
    gc.collect()
    gc.unfreeze()


def _message(**target: str) -> Any:
    """
    Return, in the words of Google's client, what our sender sends.
    """
    return messaging.Message(
        data={"route": "/certificate/renew/1", "push_id": "push-1"},
        notification=messaging.Notification(title="Invented title", body="Invented text 1"),
        android=messaging.AndroidConfig(
            collapse_key="mentor-1:first_aid",
            priority="high",
            ttl=timedelta(days=7),
            notification=messaging.AndroidNotification(tag="mentor-1:first_aid"),
        ),
        apns=messaging.APNSConfig(
            headers={
                "apns-collapse-id": "mentor-1:first_aid",
                "apns-expiration": "1767830400",
                "apns-priority": "10",
            }
        ),
        **target,
    )


@pytest.mark.parametrize("kind", ["fid", "token"])
def test_googles_client_delivers_a_message(app, fcm, fake, kind) -> None:
    """
    It gets an access token with its own assertion, and a message's name back.
    """
    name = messaging.send(_message(**{kind: "device-1"}), app=app)

    assert f"projects/{fake.PROJECT}/messages/1" == name
    assert ["access-1"] == [call.bearer for call in fcm.calls]
    assert fcm.calls[0].user_agent.startswith("python-requests")
    assert [] == fcm.refused


@pytest.mark.parametrize("kind", ["fid", "token"])
def test_our_sender_says_the_same_as_googles_client(app, fcm, push, clock, kind) -> None:
    """
    Field by field; only the name of a priority may be written in small letters.
    """
    messaging.send(_message(**{kind: "device-1"}), app=app)
    theirs = json.loads(json.dumps(fcm.calls[0].message))
    theirs["android"]["priority"] = theirs["android"]["priority"].upper()

    ours = json.loads(encode(push(), PushTarget(kind=kind, value="device-1"), now=clock.now()))

    assert theirs == ours["message"]


@pytest.mark.parametrize(
    "refusal",
    [
        (400, "INVALID_ARGUMENT", exceptions.InvalidArgumentError),
        (400, None, exceptions.InvalidArgumentError),
        (401, "THIRD_PARTY_AUTH_ERROR", messaging.ThirdPartyAuthError),
        (401, None, exceptions.UnauthenticatedError),
        (403, "SENDER_ID_MISMATCH", messaging.SenderIdMismatchError),
        (403, None, exceptions.PermissionDeniedError),
        (404, "UNREGISTERED", messaging.UnregisteredError),
        (404, None, exceptions.NotFoundError),
        (429, "QUOTA_EXCEEDED", messaging.QuotaExceededError),
        (500, "INTERNAL", exceptions.InternalError),
        (503, "UNAVAILABLE", exceptions.UnavailableError),
    ],
)
def test_googles_client_reads_every_refusal_as_what_it_is(app, fcm, fake, refusal) -> None:
    """
    The error it raises says which row of the table it saw; after a 401 it asks again with a new token.
    """
    status, code, error = refusal
    fcm.script("device-1", *[fake.failure(status, code)] * 3)

    with pytest.raises(error) as caught:
        messaging.send(_message(fid="device-1"), app=app)

    assert error is type(caught.value)


def test_googles_client_is_refused_where_it_breaks_a_rule(app, fcm) -> None:
    """
    Reserved keys, too much, a collapse id that is too long: it does not look at these itself.
    """
    wrong = [
        messaging.Message(fid="device-1", data={"from": "x"}),
        messaging.Message(fid="device-1", data={"text": "x" * 4096}),
        messaging.Message(fid="device-1", apns=messaging.APNSConfig(headers={"apns-collapse-id": "x" * 65})),
    ]

    for message in wrong:
        with pytest.raises(exceptions.InvalidArgumentError):
            messaging.send(message, app=app)

    assert ([], 3) == (fcm.calls, len(fcm.refused))


def test_googles_client_with_another_key_gets_no_access_token(app, fcm) -> None:
    """
    The assertion's signature is checked.
    """
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    fcm.public_key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()

    with pytest.raises(RefreshError, match="Invalid JWT Signature"):
        messaging.send(_message(fid="device-1"), app=app)

    assert [] == fcm.calls


def test_googles_client_sends_many_at_once(app, fcm, fake) -> None:
    """
    A call for each; one is gone, the others are not.
    """
    fcm.script("device-1", fake.failure(404, "UNREGISTERED"))

    batch = messaging.send_each([_message(fid=f"device-{number}") for number in range(3)], app=app)

    assert [True, False, True] == [response.success for response in batch.responses]
    assert isinstance(batch.responses[1].exception, messaging.UnregisteredError)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_googles_asynchronous_client_sends_many_at_once(app, fcm, anyio_backend) -> None:
    """
    On asyncio, which is all it knows.
    """
    messages = [_message(fid=f"device-{number}") for number in range(3)]

    batch = await messaging.send_each_async(messages, app=app)
    await messaging._get_messaging_service(app)._async_client.aclose()

    assert 3 == batch.success_count == len(fcm.calls)
