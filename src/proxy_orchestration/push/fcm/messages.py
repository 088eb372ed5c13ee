"""
Makes the JSON message for one device, with FCM's limits. Pure.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Final

from proxy_orchestration.notification.notices import PushMessage, PushTarget
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.push.fcm.options import FcmOptions

MOST_BYTES: Final = 4096
"""Bytes of all keys and values that FCM takes for one device."""

PUSH_ID: Final = "push_id"
"""The data key under which an app finds the message's id, by which it can tell a repetition."""

KINDS: Final = frozenset({"fid", "token"})
"""The kinds of address that FCM knows for one device."""

_USUAL: Final = FcmOptions()
_ONE_KEY: Final = "certificate-expiry"
_RESERVED_KEYS: Final = frozenset({"from", "message_type"})
_RESERVED_PREFIXES: Final = ("google", "gcm")
_LONGEST_TTL: Final = 2_419_200
_LONGEST_COLLAPSE_ID: Final = 64
_PRESSING: Final = frozenset({NotificationThresholdTier.URGENT_7, NotificationThresholdTier.LAPSED})


def problem_of(message: PushMessage) -> str:
    """
    Return why FCM would not take the message, as a code; empty if it may.
    """
    texts = (message.title, message.body, message.collapse_key, *message.data, *message.data.values())
    if not all(isinstance(text, str) for text in texts):
        return "payload_invalid"
    if any(key in _RESERVED_KEYS or key.startswith(_RESERVED_PREFIXES) for key in message.data):
        return "payload_reserved_key"
    try:
        "".join(texts).encode()
        size = size_of(message)
    except UnicodeEncodeError:
        return "payload_invalid"
    return "payload_too_large" if size > MOST_BYTES else ""


def size_of(message: PushMessage) -> int:
    """
    Return the bytes that FCM counts: the keys and values of the notification and of the data.
    """
    parts = (*_notification(message).items(), *_data(message).items())
    return sum(len(key.encode()) + len(value.encode()) for key, value in parts)


def is_usable(target: PushTarget) -> bool:
    """
    Tell whether FCM can be asked about the address at all.
    """
    return target.kind in KINDS and bool(target.value) and target.value.isprintable()


def encode(message: PushMessage, target: PushTarget, *, now: datetime, options: FcmOptions = _USUAL) -> bytes:
    """
    Return the body of the call that sends the message to one device.
    """
    body: dict[str, Any] = {
        target.kind: target.value,
        "data": _data(message),
        "android": _android(message, now, options),
        "apns": _apns(message, options),
    }
    notification = _notification(message)
    if notification:
        body["notification"] = notification
        channel = {"channel_id": options.android_channel} if options.android_channel else {}
        body["android"]["notification"] = {"tag": _replacing_key(message), **channel}
    if options.analytics_label:
        body["fcm_options"] = {"analytics_label": options.analytics_label}
    only = {"validate_only": True} if options.validate_only else {}
    return json.dumps({**only, "message": body}, ensure_ascii=False).encode()


def content_digest(message: PushMessage) -> bytes:
    """
    Return what two messages with the same content have in common.
    """
    content = [message.title, message.body, sorted(message.data.items())]
    return hashlib.sha256(json.dumps(content).encode()).digest()


def _notification(message: PushMessage) -> dict[str, str]:
    texts = {"title": message.title, "body": message.body}
    return {key: text for key, text in texts.items() if text}


def _data(message: PushMessage) -> dict[str, str]:
    return {PUSH_ID: message.message_id, **message.data}


def _replacing_key(message: PushMessage) -> str:
    """
    Return the key under which a repetition replaces the first on the device, also where the host gave none.
    """
    return message.collapse_key or message.message_id


def _android(message: PushMessage, now: datetime, options: FcmOptions) -> dict[str, Any]:
    left = int((message.expires_at - now).total_seconds())
    return {
        "collapse_key": _ONE_KEY if options.one_collapse_key else _replacing_key(message),
        "priority": "HIGH" if message.tier in _PRESSING else "NORMAL",
        "ttl": f"{min(_LONGEST_TTL, max(0, left))}s",
    }


def _apns(message: PushMessage, options: FcmOptions) -> dict[str, Any]:
    """
    Return Apple's part; a message without a text must be sent as a quiet one there.
    """
    visible = bool(message.title or message.body)
    headers = {
        "apns-collapse-id": _collapse_id(_replacing_key(message)),
        "apns-expiration": str(int(message.expires_at.timestamp())),
        "apns-priority": "10" if visible and message.tier in _PRESSING else "5",
    }
    if not visible:
        return {"headers": headers, "payload": _BACKGROUND}
    sound = {"sound": options.ios_sound} if options.ios_sound else {}
    badge = {} if options.ios_badge is None else {"badge": options.ios_badge}
    shown = {"payload": {"aps": {**sound, **badge}}} if sound or badge else {}
    return {"headers": headers, **shown}


def _collapse_id(key: str) -> str:
    """
    Return the key, or its hash in hexadecimal, which has 64 bytes, where the key is longer than Apple takes.
    """
    encoded = key.encode()
    return key if len(encoded) <= _LONGEST_COLLAPSE_ID else hashlib.sha256(encoded).hexdigest()


_BACKGROUND: Final = {"aps": {"content-available": 1}}
