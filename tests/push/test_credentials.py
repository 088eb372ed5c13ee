"""
Where the service account comes from, and what is said when it cannot be used.
"""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from waits import LONGEST_WAIT

pytest.importorskip("httpx")
pytest.importorskip("google.auth")

from proxy_orchestration.errors import OrchestrationError
from proxy_orchestration.notification.notices import PushOutcome
from proxy_orchestration.push.fcm import FcmCredentials, FcmCredentialsError, FcmPushSender, FcmSettings


async def test_a_path_goes_before_the_environment_and_a_key_before_a_path_in_it(
    account, account_file: Path, tmp_path: Path
) -> None:
    """
    The nearest word counts.
    """
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**account, "project_id": "other"}), encoding="utf-8")
    inline = json.dumps({**account, "project_id": "inline"})
    both = {"FCM_SERVICE_ACCOUNT_JSON": inline, "GOOGLE_APPLICATION_CREDENTIALS": str(other)}
    path_only = {"FCM_SERVICE_ACCOUNT_JSON": " ", "GOOGLE_APPLICATION_CREDENTIALS": str(other)}

    found = [
        (await FcmCredentials(path=str(account_file), environ=both).load()).project_id,
        (await FcmCredentials(environ=both).load()).project_id,
        (await FcmCredentials(environ=path_only).load()).project_id,
    ]

    assert ["invented-project", "inline", "other"] == found


async def test_the_process_environment_is_read_when_it_is_needed(account_file: Path, monkeypatch) -> None:
    """
    Not when the object is made.
    """
    monkeypatch.delenv("FCM_SERVICE_ACCOUNT_JSON", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    credentials = FcmCredentials()
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account_file))

    assert "invented-project" == (await credentials.load()).project_id


async def test_a_key_that_leaves_out_what_has_a_default_is_good(account) -> None:
    """
    Google's own token endpoint, and no project.
    """
    account = {key: account[key] for key in ("type", "client_email", "private_key")}

    loaded = await FcmCredentials(environ={"FCM_SERVICE_ACCOUNT_JSON": json.dumps(account)}).load()

    assert ("", "https://oauth2.googleapis.com/token") == (loaded.project_id, loaded.token_uri)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "authorized_user"}, '"type": "service_account" is missing'),
        ({"client_email": ""}, "client_email is missing"),
        ({"private_key": None}, "private_key is missing"),
        ({"private_key": "SECRET", "private_key_id": "x"}, "contains a private key that cannot be used"),
        (
            {"private_key": "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n"},
            "cannot be used",
        ),
    ],
)
async def test_a_malformed_key_is_told_without_being_shown(account, change, said) -> None:
    """
    Neither the error nor what led to it holds anything of the key.
    """
    text = json.dumps({**account, **change})

    with pytest.raises(FcmCredentialsError, match=said) as caught:
        await FcmCredentials(environ={"FCM_SERVICE_ACCOUNT_JSON": text}).load()

    assert isinstance(caught.value, OrchestrationError)
    assert "SECRET" not in str(caught.value) + repr(caught.value.__context__) + repr(caught.value.__cause__)


@pytest.mark.parametrize("content", ["", "SECRET", "[]", "[" * 100_000])
async def test_a_file_without_a_json_object_is_told(tmp_path: Path, content) -> None:
    """
    The parser's own error, which holds the text, does not come along.
    """
    path = tmp_path / "account.json"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(FcmCredentialsError, match="does not contain a JSON object") as caught:
        await FcmCredentials(path=str(path)).load()

    assert caught.value.__context__ is None


@pytest.mark.parametrize("path", ["missing.json", '{"private_key": "SECRET"}', "\0"])
async def test_a_file_that_cannot_be_read_is_told_without_its_path(tmp_path: Path, path) -> None:
    """
    Somebody may have put the key where its path belongs.
    """
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / path)}

    with pytest.raises(
        FcmCredentialsError, match="GOOGLE_APPLICATION_CREDENTIALS does not name a readable file"
    ) as caught:
        await FcmCredentials(environ=environ).load()

    assert path not in str(caught.value)
    assert caught.value.__context__ is None


async def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    """
    A key in another format, for example.
    """
    path = tmp_path / "key.p12"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(FcmCredentialsError, match="The path given does not name a readable file"):
        await FcmCredentials(path=str(path)).load()


async def test_entering_the_sender_tells_that_there_are_no_credentials(devices, clock) -> None:
    """
    With both ways to give them.
    """
    sender = FcmPushSender(targets=devices, credentials=FcmCredentials(environ={}), clock=clock)

    with pytest.raises(
        FcmCredentialsError, match=r"GOOGLE_APPLICATION_CREDENTIALS .* FCM_SERVICE_ACCOUNT_JSON"
    ):
        await sender.__aenter__()


async def test_without_credentials_nothing_is_lost(devices, clock, push, caplog) -> None:
    """
    The messages wait, no attempt counts, and the log says what to do.
    """
    devices.add("mentor-1", "token-1")
    sender = FcmPushSender(targets=devices, credentials=FcmCredentials(environ={}), clock=clock)

    assert [PushOutcome.retry(push(), 60.0, counted=False)] == await sender.send([push()])
    assert any("No FCM credentials are configured" in text for text in caplog.messages)


async def test_a_key_without_a_project_needs_one_in_the_settings(world, account, caplog) -> None:
    """
    Nothing is sent to a project without a name.
    """
    world.devices.add("mentor-1", "token-1")
    del account["project_id"]
    credentials = FcmCredentials(environ={"FCM_SERVICE_ACCOUNT_JSON": json.dumps(account)})
    settings = FcmSettings(base_url=world.fcm.url)
    sender = FcmPushSender(
        targets=world.devices, credentials=credentials, clock=world.clock, settings=settings
    )

    assert [PushOutcome.retry(world.push(), 60.0, counted=False)] == await sender.send([world.push()])
    assert any("names no project" in text for text in caplog.messages)
    assert [] == world.fcm.calls


@pytest.mark.parametrize(
    ("status", "body", "header", "wait"),
    [
        (400, b'{"error": "invalid_grant"}', None, 60.0),
        (401, b"", None, 60.0),
        (403, b"", "5", 60.0),
        (500, b"", None, 10.0),
        (503, b"", "90", 90.0),
        (200, b"", None, 10.0),
        (200, b"[]", None, 10.0),
        (200, b'{"access_token": ""}', None, 10.0),
        (200, b'{"access_token": 3}', None, 10.0),
        (200, '{"access_token": "å"}'.encode(), None, 10.0),
    ],
)
async def test_a_token_endpoint_that_gives_none_keeps_messages_waiting(
    world, status, body, header, wait
) -> None:
    """
    Long where our key is refused, short where Google fails; no attempt counts.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.token_replies.append(world.fake.Reply(status, body, {"Retry-After": header} if header else {}))

    assert [PushOutcome.retry(world.push(), wait, counted=False)] == await world.sender.send([world.push()])
    assert [] == world.fcm.calls


async def test_a_token_that_names_no_lifetime_is_used_once(world) -> None:
    """
    Better one request too many than a token past its end.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.token_replies.append(
        world.fake.Reply(200, b'{"access_token": "access-x", "expires_in": "long"}')
    )

    assert [PushOutcome.delivered(world.push())] == await world.sender.send([world.push()])
    assert 2 == len(world.fcm.assertions)


async def test_a_token_endpoint_that_cannot_be_reached_keeps_messages_waiting(world) -> None:
    """
    A reset is no answer.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.token_replies.append(world.fake.RESET)

    assert [PushOutcome.retry(world.push(), 10.0, counted=False)] == await world.sender.send([world.push()])


async def test_a_token_endpoint_that_hangs_is_cut(world) -> None:
    """
    After the time of a call.
    """
    world.devices.add("mentor-1", "token-1")
    world.fcm.token_replies.append(world.fake.HANG)
    outcomes: list[PushOutcome] = []

    async def send() -> None:
        outcomes.extend(await world.sender.send([world.push()]))

    with anyio.fail_after(LONGEST_WAIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await to_thread.run_sync(world.fcm.hanging.acquire)
            world.clock.advance(15)

    assert [PushOutcome.retry(world.push(), 10.0, counted=False)] == outcomes


async def test_a_key_that_is_refused_when_a_token_is_renewed_closes_the_channel(world) -> None:
    """
    The key was deleted in between, for example.
    """
    world.devices.add("mentor-1", "token-1")
    await world.sender.send([world.push()])
    world.fcm.revoked.add("access-1")
    world.fcm.token_replies.append(world.fake.Reply(400, b'{"error": "invalid_grant"}'))

    assert [PushOutcome.retry(world.push(), 60.0, counted=False)] == await world.sender.send([world.push()])


async def test_a_token_that_ends_between_two_calls_is_asked_for_again(
    fcm, fake, devices, sender, push
) -> None:
    """
    Where the key is refused then, the message waits.
    """
    devices.add("mentor-1", "token-1")
    fcm.token_replies.append(fake.Reply(200, b'{"access_token": "access-x", "expires_in": 0}'))
    fcm.token_replies.append(fake.Reply(400, b'{"error": "invalid_grant"}'))

    assert [PushOutcome.retry(push(), 60.0, counted=False)] == await sender.send([push()])
    assert [] == fcm.calls
