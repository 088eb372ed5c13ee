"""
A stand-in for FCM HTTP v1 and for Google's token endpoint, over real HTTP on this machine.

It checks what it is sent as strictly as the real one is documented to, answers
by a script or with success, and remembers every call. Needs no test runner.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import threading
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

import attrs

PROJECT = "invented-project"
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
SCOPES = {
    "https://www.googleapis.com/auth/firebase.messaging",
    "https://www.googleapis.com/auth/cloud-platform",
}
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCE = "https://oauth2.googleapis.com/token"
TARGETS = {"fid", "token", "topic", "condition"}
PARTS = TARGETS | {"name", "data", "notification", "android", "webpush", "apns", "fcm_options"}
ANDROID = {
    "collapse_key",
    "priority",
    "ttl",
    "restricted_package_name",
    "data",
    "notification",
    "fcm_options",
    "direct_boot_ok",
}
APNS = {"headers", "payload", "fcm_options", "live_activity_token"}
HANG = "hang"
RESET = "reset"


@attrs.frozen
class Reply:
    """
    One scripted answer.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict)


def failure(
    status: int,
    code: str | None = None,
    *,
    text: str = "invented",
    violations: Sequence[str] = (),
    retry_after: str | None = None,
) -> Reply:
    """
    Return an error as FCM words it: a `google.rpc.Status` with its details.
    """
    details: list[dict[str, Any]] = []
    if code is not None:
        details.append({"@type": FCM_ERROR, "errorCode": code})
    if violations:
        faults = [{"field": field, "description": "invented"} for field in violations]
        details.append({"@type": BAD_REQUEST, "fieldViolations": faults})
    error: dict[str, Any] = {"code": status, "message": text, "status": _rpc_status(status)}
    if details:
        error["details"] = details
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Reply(status, json.dumps({"error": error}).encode(), headers)


def _rpc_status(status: int) -> str:
    names = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        503: "UNAVAILABLE",
    }
    return names.get(status, "UNKNOWN")


@attrs.frozen
class Call:
    """
    What one device was sent.
    """

    project: str
    message: Mapping[str, Any]
    bearer: str
    user_agent: str
    validate_only: bool = False

    @property
    def address(self) -> str:
        """
        Return the one target's value.
        """
        return str(next(self.message[kind] for kind in TARGETS if kind in self.message))


@attrs.define(eq=False)
class FakeFcm:
    """
    The server; `with FakeFcm(public_key) as fcm:` runs it.
    """

    public_key: Any
    calls: list[Call] = attrs.field(init=False, factory=list)
    refused: list[list[str]] = attrs.field(init=False, factory=list)
    assertions: list[Mapping[str, Any]] = attrs.field(init=False, factory=list)
    token_replies: deque[Reply | str] = attrs.field(init=False, factory=deque)
    revoked: set[str] = attrs.field(init=False, factory=set)
    scripts: defaultdict[str, deque[Reply | str]] = attrs.field(
        init=False, factory=lambda: defaultdict(deque)
    )
    hanging: threading.Semaphore = attrs.field(init=False, factory=lambda: threading.Semaphore(0))
    most_in_flight: int = attrs.field(init=False, default=0)
    _released: threading.Event = attrs.field(init=False, factory=threading.Event)
    _in_flight: int = attrs.field(init=False, default=0)
    _lock: threading.Lock = attrs.field(init=False, factory=threading.Lock)
    _server: ThreadingHTTPServer = attrs.field(init=False)

    def __enter__(self) -> Self:
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """
        Return the address to send to.
        """
        return f"http://127.0.0.1:{self._server.server_port}"

    def script(self, address: str, *replies: Reply | str) -> None:
        """
        Answer the next calls for this address so, in order; then with success.
        """
        self.scripts[address].extend(replies)

    def release(self) -> None:
        """
        Let whatever hangs be answered now.
        """
        self._released.set()

    def next_reply(self, call: Call) -> Reply | str:
        """
        Remember the call and return how it is answered.
        """
        with self._lock:
            self.calls.append(call)
            name = f"projects/{call.project}/messages/{len(self.calls)}"
            script = self.scripts[call.address]
            return script.popleft() if script else Reply(200, json.dumps({"name": name}).encode())

    def next_token(self, form: Mapping[str, list[str]]) -> Reply | str:
        """
        Return an access token for an assertion that the account signed.
        """
        claims = self._claims(form)
        if claims is None:
            return Reply(400, b'{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}')
        with self._lock:
            self.assertions.append(claims)
            if self.token_replies:
                return self.token_replies.popleft()
            token = f"access-{len(self.assertions)}"
        return Reply(
            200,
            json.dumps({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}).encode(),
        )

    def accepts(self, bearer: str) -> bool:
        """
        Tell whether the token was handed out and not revoked since.
        """
        return bearer not in self.revoked and bearer.startswith("access-")

    def count(self, change: int) -> None:
        """
        Note that a call came or went.
        """
        with self._lock:
            self._in_flight += change
            self.most_in_flight = max(self.most_in_flight, self._in_flight)

    def hang(self) -> None:
        """
        Keep the caller waiting until `release`, or the end.
        """
        self.hanging.release()
        self._released.wait(30)

    def _claims(self, form: Mapping[str, list[str]]) -> Mapping[str, Any] | None:
        head, claims, signature = [*form.get("assertion", [""])[0].split("."), "", ""][:3]
        if form.get("grant_type") != [GRANT_TYPE] or not _is_signed(
            self.public_key, f"{head}.{claims}", signature
        ):
            return None
        told: Mapping[str, Any] = json.loads(_unpadded(claims))
        good = SCOPES.intersection(told["scope"].split()) and told["aud"] == AUDIENCE and told["iss"]
        return told if good and 0 < told["exp"] - told["iat"] <= 3600 else None


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _is_signed(public_key: Any, content: str, signature: str) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - comes with an extra
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - comes with an extra
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415 - comes with an extra

    try:
        public_key.verify(_unpadded(signature), content.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def problems_of(body: Any) -> list[str]:
    """
    Return the fields that the real service would find fault with.
    """
    if not isinstance(body, dict) or not isinstance(body.get("message"), dict):
        return ["message"]
    message = body["message"]
    faults = [key for key in body if key not in {"message", "validate_only", "validateOnly"}]
    faults += [f"message.{key}" for key in message if key not in PARTS]
    targets = [key for key in TARGETS if key in message]
    if len(targets) != 1 or not isinstance(message[targets[0]], str) or not message[targets[0]]:
        faults.append("message.target")
    data = message.get("data", {})
    faults += _data_faults(data)
    faults += _android_faults(message.get("android", {}))
    faults += _apns_faults(message.get("apns", {}))
    label = message.get("fcm_options", {}).get("analytics_label", "")
    if not isinstance(label, str) or not re.fullmatch(r"[a-zA-Z0-9\-_.~%]{0,50}", label):
        faults.append("message.fcm_options.analytics_label")
    notification = message.get("notification", {})
    if not isinstance(notification, dict) or set(notification) - {"title", "body", "image"}:
        return [*faults, "message.notification"]
    if not faults and _size({**notification}) + _size(data) > 4096:
        faults.append("message")
    return faults


def _size(values: Mapping[str, str]) -> int:
    return sum(len(key.encode()) + len(value.encode()) for key, value in values.items())


def _data_faults(data: Any) -> list[str]:
    if not isinstance(data, dict):
        return ["message.data"]
    reserved = [key for key in data if key in {"from", "message_type"} or re.match("google|gcm", key)]
    return [f"message.data.{key}" for key in data if key in reserved or not isinstance(data[key], str)]


def _android_faults(android: Mapping[str, Any]) -> list[str]:
    faults = [f"message.android.{key}" for key in android if key not in ANDROID]
    if android.get("priority", "normal").upper() not in {"NORMAL", "HIGH"}:
        faults.append("message.android.priority")
    ttl = android.get("ttl", "0s")
    found = re.fullmatch(r"(\d+)(\.\d{1,9})?s", ttl) if isinstance(ttl, str) else None
    if found is None or int(found[1]) > 2_419_200:
        faults.append("message.android.ttl")
    shown = android.get("notification", {})
    faults += [f"message.android.notification.{key}" for key in shown if key not in {"tag", "channel_id"}]
    tag = shown.get("tag", "")
    if not isinstance(android.get("collapse_key", ""), str) or not isinstance(tag, str):
        faults.append("message.android.collapse_key")
    return faults


def _apns_faults(apns: Mapping[str, Any]) -> list[str]:
    faults = [f"message.apns.{key}" for key in apns if key not in APNS]
    headers = apns.get("headers", {})
    faults += [f"message.apns.headers.{key}" for key in headers if not isinstance(headers[key], str)]
    if len(str(headers.get("apns-collapse-id", "")).encode()) > 64:
        faults.append("message.apns.headers.apns-collapse-id")
    if headers.get("apns-priority", "10") not in {"1", "5", "10"}:
        faults.append("message.apns.headers.apns-priority")
    if not re.fullmatch(r"\d+", headers.get("apns-expiration", "0")):
        faults.append("message.apns.headers.apns-expiration")
    return faults


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, fcm: FakeFcm) -> None:
        self.fcm = fcm
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """
        Say nothing: a client that goes away in the middle is part of the play.
        """


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        """
        Answer one call.
        """
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.fcm.count(1)
        try:
            reply = self._reply(body)
            if reply == HANG:
                self.server.fcm.hang()
                reply = Reply(200, b'{"name": "projects/late/messages/1"}')
        finally:
            self.server.fcm.count(-1)
        if isinstance(reply, Reply):
            self._answer(reply)
        else:
            self._reset()

    def _reply(self, body: bytes) -> Reply | str:
        fcm = self.server.fcm
        if self.path == "/token":
            return fcm.next_token(parse_qs(body.decode()))
        found = re.fullmatch(r"/v1/projects/([^/]+)/messages:send", self.path)
        if found is None:
            return Reply(404, b"<html>Not Found</html>", {"Content-Type": "text/html"})
        scheme, _, bearer = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not fcm.accepts(bearer):
            return failure(401)
        return self._message_reply(found[1], bearer, body)

    def _message_reply(self, project: str, bearer: str, body: bytes) -> Reply | str:
        fcm = self.server.fcm
        is_json = self.headers.get("Content-Type", "").startswith("application/json")
        content = json.loads(body) if is_json else None
        faults = problems_of(content)
        if faults:
            fcm.refused.append(faults)
            return failure(400, violations=faults)
        agent, only = self.headers.get("User-Agent", ""), content.get("validate_only", False)
        return fcm.next_reply(Call(project, content["message"], bearer, agent, only))

    def _answer(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's own name
        """
        Say nothing.
        """
