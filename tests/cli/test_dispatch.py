"""
`dispatch`, over real HTTP against a fake FCM.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest
from waits import LONGEST_WAIT

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")
pytest.importorskip("google.auth")

from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.storage.sql import SqlNotificationRepository

TESTS = Path(__file__).parents[1]
EXAMPLE = TESTS.parent / "examples" / "certificates.csv"
RECIPIENTS = ("m1", "m2", "coord")

Dispatch = Callable[..., Any]


@pytest.fixture(scope="module")
def fake() -> ModuleType:
    """
    Load the module of the fake server.
    """
    spec = importlib.util.spec_from_file_location("cli_fake_fcm", TESTS / "push" / "fake_fcm.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def private_key() -> Any:
    """
    Generate a key; nobody else has it.
    """
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def fcm(fake: ModuleType, private_key: Any) -> Iterator[Any]:
    """
    Run a fake FCM.
    """
    with fake.FakeFcm(private_key.public_key()) as server:
        yield server


@pytest.fixture
def account(fcm: Any, fake: ModuleType, private_key: Any, tmp_path: Path) -> Path:
    """
    Write a service account's key that the fake FCM accepts.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - comes with an extra

    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "account.json"
    key = {
        "type": "service_account",
        "project_id": fake.PROJECT,
        "private_key_id": "invented",
        "private_key": pem.decode(),
        "client_email": "sender@invented-project.example",
        "token_uri": f"{fcm.url}/token",
    }
    path.write_text(json.dumps(key), encoding="utf-8")
    return path


@pytest.fixture
def targets(tmp_path: Path) -> Callable[..., Path]:
    """
    Writes a file with a device for each of these recipients.
    """

    def write(*recipients: str) -> Path:
        path = tmp_path / "targets.csv"
        lines = [f"{each},token,device-of-{each},android" for each in recipients]
        path.write_text("\n".join(("recipient_id,kind,value,platform", *lines, "")), encoding="utf-8")
        return path

    return write


@pytest.fixture
def dispatch(run: Any, fcm: Any, account: Path, targets: Callable[..., Path]) -> Dispatch:
    """
    Dispatches to the devices of these recipients through the fake FCM.
    """

    def dispatch(*recipients: str, options: tuple[object, ...] = ()) -> Any:
        file = targets(*recipients)
        return run("dispatch", "--targets", file, "--credentials", account, "--endpoint", fcm.url, *options)

    return dispatch


@pytest.fixture
def queued(run: Any, tmp_path: Path) -> None:
    """
    Queue the pushes of two mentors and of their coordinator's digest.
    """
    path = tmp_path / "certificates.csv"
    path.write_text(
        "certificate_id,mentor_id,certificate_type,expires,coordinator_id\n"
        "c1,m1,first_aid,today+5,coord\nc2,m2,first_aid,today+20,coord\n",
        encoding="utf-8",
    )
    assert ExitCode.SUCCESS == run("notify", path).code


@pytest.mark.usefixtures("queued")
def test_what_is_due_is_sent_once(dispatch: Dispatch, fcm: Any) -> None:
    """
    Each device gets its push; a second dispatch finds nothing due.
    """
    first, second = dispatch(*RECIPIENTS), dispatch(*RECIPIENTS)

    assert (ExitCode.SUCCESS, ExitCode.SUCCESS) == (first.code, second.code)
    assert "sent       3\n" in first.out
    assert "Sending: 3 of 3 handed over\n" in first.err
    assert "No push was due.\n" in second.out
    assert sorted(f"device-of-{each}" for each in RECIPIENTS) == sorted(call.address for call in fcm.calls)
    assert "device-of" not in first.out + first.err


def test_the_example_reaches_every_recipient(run: Any, dispatch: Dispatch, store: Path, fcm: Any) -> None:
    """
    Seventeen mentors' pushes, and a digest for each coordinator and chapter admin.
    """
    run("notify", EXAMPLE)
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()[1:]
    mentors = {line.split(",")[1] for line in lines}

    ended = dispatch(*mentors, "coord-119", "coord-204", "admin-7", "admin-9", options=("--json",))

    assert store.exists()
    assert ExitCode.SUCCESS == ended.code
    assert {"sent": 21, "retried": 0, "dead": 0, "cancelled": 0, "expired": 0} == {
        name: ended.document[name] for name in ("sent", "retried", "dead", "cancelled", "expired")
    }
    assert 21 == len(fcm.calls)


@pytest.mark.usefixtures("queued")
def test_credentials_come_from_the_environment_too(
    run: Any, fcm: Any, account: Path, targets: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The variable of Google's own tools names the file.
    """
    monkeypatch.delenv("FCM_SERVICE_ACCOUNT_JSON", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))

    ended = run("dispatch", "--targets", targets(*RECIPIENTS), "--endpoint", fcm.url, "--json")

    assert (ExitCode.SUCCESS, 3) == (ended.code, ended.document["sent"])


@pytest.mark.usefixtures("queued")
def test_without_credentials_nothing_is_claimed(
    run: Any,
    dispatch: Dispatch,
    targets: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    The error says where they are looked for; the pushes are sent by the next dispatch.
    """
    for name in ("FCM_SERVICE_ACCOUNT_JSON", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)

    ended = run("dispatch", "--targets", targets(*RECIPIENTS))

    assert ExitCode.BAD_INPUT == ended.code
    assert "No FCM credentials are configured. Set GOOGLE_APPLICATION_CREDENTIALS" in ended.err
    assert "sent       3\n" in dispatch(*RECIPIENTS).out


@pytest.mark.usefixtures("queued")
def test_a_line_that_cannot_be_read_stops_no_other(
    run: Any, fcm: Any, account: Path, targets: Callable[..., Path]
) -> None:
    """
    It is told with its place, and the code says that not everybody was served.
    """
    file = targets("m1", "m2")
    file.write_text(file.read_text(encoding="utf-8") + "coord,pigeon,device-of-coord,android\n", "utf-8")

    ended = run(
        *("dispatch", "--targets", file, "--credentials", account, "--endpoint", fcm.url, "--json"),
    )

    assert (ExitCode.PARTIAL_SUCCESS, 2) == (ended.code, ended.document["sent"])
    assert [(4, "kind")] == [(each["line"], each["column"]) for each in ended.document["unread"]]
    assert ["device-of-m1", "device-of-m2"] == sorted(call.address for call in fcm.calls)


@pytest.mark.usefixtures("queued")
def test_recipients_without_a_device_are_told_and_replayed(dispatch: Dispatch) -> None:
    """
    They are given up until --replay-dead; the code says that some were sent.
    """
    first = dispatch("m1")
    second = dispatch(*RECIPIENTS, options=("--replay-dead",))

    assert ExitCode.PARTIAL_SUCCESS == first.code
    assert "m2                no target  1" in first.out
    assert "2 pushes are given up. The command dead lists them, and replay queues them again.\n" in first.out
    assert ExitCode.SUCCESS == second.code
    assert "Queued again: 2.\n" in second.err
    assert "sent       2\n" in second.out


@pytest.mark.usefixtures("queued")
def test_what_was_given_up_is_listed_and_replayed(dispatch: Dispatch, run: Any) -> None:
    """
    With its reason, mentor and type, page by page; named ones, or all.
    """
    dispatch("m1")

    shown, told, page = run("dead"), run("dead", "--json").document, run("dead", "--limit", "1")
    first = run("dead", "--limit", "1", "--json").document
    rest = run("dead", "--after", first["next_cursor"], "--json").document
    (mine,) = [each for each in told["pushes"] if each["mentor_id"] == "m2"]
    named = run("replay", mine["message_id"], "no-such", "--json")
    both = run("replay", "--all")

    assert {ExitCode.SUCCESS} == {each.code for each in (shown, named, both)}
    assert "2 pushes are given up.\n" in shown.out
    assert "digest of coord" in shown.out
    assert ("first_aid", "no_target") == (mine["certificate_type"], mine["code"])
    assert told["pushes"] == first["pushes"] + rest["pushes"]
    assert f"There are more. Show them with --after {first['next_cursor']}\n" in page.out
    assert ({"replayed": 1}, "Queued again: 1.\n") == (named.document, both.out)
    assert "0 pushes are given up.\n" == run("dead").out


@pytest.mark.usefixtures("queued")
@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("replay",), "Give either the ids of pushes or --all."),
        (("replay", "x", "--all"), "Give either the ids of pushes or --all."),
        (("dead", "--after", "x"), "--after: cursor is not a valid cursor: give the next_cursor of a page"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Any, command: tuple[str, ...], told: str) -> None:
    """
    The line says what to give.
    """
    ended = run(*command)

    assert ExitCode.BAD_INPUT == ended.code
    assert told in ended.err


@pytest.mark.usefixtures("queued")
def test_pushes_are_checked_without_being_sent(dispatch: Dispatch, fcm: Any, fake: ModuleType) -> None:
    """
    They stay queued, with what FCM says of them; the code says whether all would be taken.
    """
    fcm.script("device-of-m2", fake.failure(404, "UNREGISTERED"))

    checked = dispatch(*RECIPIENTS, options=("--validate-only", "--json"))

    assert ExitCode.PARTIAL_SUCCESS == checked.code
    assert ({"queued": 3}, []) == (checked.document["outbox"], checked.document["gone_lines"])
    found = {each["recipient_id"]: each["code"] for each in checked.document["unsent"]}
    assert {"m1": "accepted", "coord": "accepted", "m2": "target_gone"} == found
    assert {True} == {call.validate_only for call in fcm.calls}
    assert "Nothing was delivered" in checked.err


@pytest.mark.usefixtures("queued")
def test_a_provider_in_trouble_is_tried_later(dispatch: Dispatch, fcm: Any, fake: ModuleType) -> None:
    """
    Nothing was sent, all of it waits.
    """
    for each in RECIPIENTS:
        fcm.script(f"device-of-{each}", fake.failure(503, "UNAVAILABLE"))

    ended = dispatch(*RECIPIENTS, options=("--json",))

    assert ExitCode.TOTAL_FAILURE == ended.code
    assert (3, {"queued": 3}) == (ended.document["retried"], ended.document["outbox"])
    assert sorted(RECIPIENTS) == sorted(each["recipient_id"] for each in ended.document["unsent"])
    assert "3 pushes wait for a later time.\n" in ended.err


@pytest.mark.usefixtures("queued")
def test_devices_that_are_gone_are_told_by_their_lines(
    dispatch: Dispatch, fcm: Any, fake: ModuleType
) -> None:
    """
    The file is the host's to change.
    """
    fcm.script("device-of-m2", fake.failure(404, "UNREGISTERED"))

    ended = dispatch(*RECIPIENTS)

    assert ExitCode.PARTIAL_SUCCESS == ended.code
    assert (
        "FCM no longer knows the devices on these lines. Remove the lines from the file: [3].\n" in ended.out
    )


@pytest.mark.usefixtures("queued")
def test_pushes_that_another_dispatch_holds_are_told(dispatch: Dispatch, store: Path) -> None:
    """
    They may be those of one that was killed.
    """

    async def claim() -> None:
        async with SqlNotificationRepository.open(f"sqlite:///{store}") as repository:
            await repository.claim_pushes(now=SystemClock().now(), limit=1, hold=60)

    anyio.run(claim)

    assert "1 push is held by another dispatch, or by one that was killed" in dispatch(*RECIPIENTS).out


def test_a_faulty_file_of_devices_is_refused(run: Any, tmp_path: Path) -> None:
    """
    Before the store is looked for.
    """
    path = tmp_path / "targets.csv"
    path.write_text("recipient_id,kind,value\nm1,phone,abc\n", encoding="utf-8")

    ended = run("dispatch", "--targets", path)

    assert ExitCode.BAD_INPUT == ended.code
    assert "line 2, column kind: the cell is not a known kind of address. Write fid or token." in ended.err


def test_without_the_extra_the_install_line_is_shown(
    run: Any, targets: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Other commands do not need it.
    """
    monkeypatch.delitem(sys.modules, "proxy_orchestration.push.fcm", raising=False)
    monkeypatch.setitem(sys.modules, "httpx", None)

    ended = run("dispatch", "--targets", targets("m1"))

    assert ExitCode.UNFORESEEN == ended.code
    assert "proxy-orchestration[fcm]" in ended.err
    assert ExitCode.SUCCESS == run("notify", EXAMPLE).code


@pytest.mark.crash
@pytest.mark.usefixtures("queued")
def test_an_interrupted_dispatch_says_when_to_run_it_again(
    start: Callable[..., Any], fcm: Any, fake: ModuleType, account: Path, targets: Callable[..., Path]
) -> None:
    """
    Calls under way are cut; there is no traceback, and what they carried is not lost.
    """
    for each in RECIPIENTS:
        fcm.script(f"device-of-{each}", fake.HANG)
    process = start(
        "dispatch", "--targets", targets(*RECIPIENTS), "--credentials", account, "--endpoint", fcm.url
    )
    assert fcm.hanging.acquire(timeout=LONGEST_WAIT)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LONGEST_WAIT)
    fcm.release()

    assert ExitCode.INTERRUPTED == process.returncode
    assert "Interrupted. Pushes already sent are not sent again. Run the command again" in err
    assert "Traceback" not in err
