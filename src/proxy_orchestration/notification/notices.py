"""
What is told, to whom, and what becomes of the pushes. Immutable, no I/O.
"""

from __future__ import annotations

import enum
import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Final, NamedTuple, cast

import attrs

from proxy_orchestration._frozen_json import FrozenMapping
from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration._uuid_texts import uuid5_text
from proxy_orchestration.notification.tiers import NotificationThresholdTier

_NAMESPACE: Final = uuid.UUID("0d3a4b51-4c0e-5f0e-9a2b-6e1f5f8f4c77")

_CODE: Final = re.compile(r"[\w.:/-]{0,64}", re.ASCII)
"""Any provider's code, and no sentence, address or number of a person."""

_FINGERPRINT: Final = 32


class Audience(enum.Enum):
    """
    A recipient's relation to the mentor of a notice.
    """

    MENTOR = "mentor"  # the holder
    COORDINATOR = "coordinator"  # the person who is responsible for the mentor
    CHAPTER_ADMIN = "chapter_admin"  # notified if no coordinator is assigned


class NoticeStatus(enum.Enum):
    """
    The state of a notice in a recipient's inbox.
    """

    PENDING = "pending"  # waits to be acknowledged
    ACKNOWLEDGED = "acknowledged"  # a person has acknowledged it
    CLEARED = "cleared"  # the certificate was renewed


class NoticeKey(NamedTuple):
    """
    The key that identifies a notice; there is never a second notice for one key.
    """

    mentor_id: str
    certificate_type: str
    tier: NotificationThresholdTier
    window_start: date
    audience: Audience
    recipient_id: str


def notification_id_of(key: NoticeKey) -> str:
    """
    Return the id of the notice with this key.
    """
    mentor_id, certificate_type, tier, start, audience, recipient_id = key
    threshold, day, capacity = tier.value, start.isoformat(), audience.value
    name = (
        f"{len(mentor_id)}:{mentor_id}{len(certificate_type)}:{certificate_type}"
        f"{len(threshold)}:{threshold}{len(day)}:{day}"
        f"{len(capacity)}:{capacity}{len(recipient_id)}:{recipient_id}"
    )
    return uuid5_text(_NAMESPACE, name)


@attrs.frozen(kw_only=True)
class CertificateExpiryNotification(PlainModel):
    """
    A notice in one recipient's inbox.

    Attributes:
        notification_id: the id, derived from the notice's key.
        mentor_id: the id of the certificate's holder.
        certificate_type: the certificate's type, in the form of `type_code`.
        tier: the tier of the notice.
        window_start: the first day of the window in which this notice is sent only once.
        audience: the recipient's relation to the mentor.
        recipient_id: the id of the recipient.
        status: whether it is pending, acknowledged, or cleared by a renewal.
        title, body: the text; it may contain a name, so it is never in a repr or a log.
        deep_link: the address that a tap opens, or `None`.
        created_at: the time for which the run was made; aware, UTC.
        acknowledged_at, acknowledged_by, note: when and by whom it was acknowledged, and that
            person's note.
        organization_id: the mentor's organization, or `None`.
        expires: the certificate's last valid day, from which the text can be written again on
            another day; `None`: the notice was stored by an older version, and its text stays
            unchanged.
        holder_name: the mentor's name, for the same purpose; empty if not known.
        locale: the reader's language when the notice was written, or `None`.
    """

    notification_id: str
    mentor_id: str
    certificate_type: str
    tier: NotificationThresholdTier
    window_start: date
    audience: Audience
    recipient_id: str
    status: NoticeStatus = NoticeStatus.PENDING
    title: str = attrs.field(repr=False)
    body: str = attrs.field(repr=False)
    deep_link: str | None = attrs.field(default=None, repr=False)
    created_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    note: str = attrs.field(default="", repr=False)
    organization_id: str | None = None
    expires: date | None = None
    holder_name: str = attrs.field(default="", repr=False)
    locale: str | None = None

    @property
    def key(self) -> NoticeKey:
        """
        Return the key that identifies the notice.
        """
        return NoticeKey(
            self.mentor_id,
            self.certificate_type,
            self.tier,
            self.window_start,
            self.audience,
            self.recipient_id,
        )


def _strings(values: Mapping[str, str]) -> Mapping[str, str]:
    if type(values) is FrozenMapping:  # as it is in a copy
        return cast("Mapping[str, str]", values)
    return cast("Mapping[str, str]", FrozenMapping(dict(values)))


@attrs.frozen(kw_only=True)
class PushMessage(PlainModel):
    """
    One push to all devices of one recipient.

    Attributes:
        message_id: the id, which is the same at every attempt.
        notification_id: the id of its notice; for a digest, the digest's own id.
        recipient_id: the id of the recipient.
        tier: the notice's tier; for a digest, the closest tier in it.
        title, body: the text; it may contain a name, so it is never in a repr or a log.
        data: the data for the app; keys and values are strings.
        collapse_key: a later push with the same key replaces an earlier one on a device.
        expires_at: the time from which it is no longer sent; aware, UTC.
        owed: the `fingerprint` of each device that has not received it, if others have; it is sent
            only to these again. `None`: all devices.
    """

    message_id: str
    notification_id: str
    recipient_id: str
    tier: NotificationThresholdTier
    title: str = attrs.field(repr=False)
    body: str = attrs.field(repr=False)
    data: Mapping[str, str] = attrs.field(factory=dict, converter=_strings, repr=False)
    collapse_key: str
    expires_at: datetime
    owed: tuple[str, ...] | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class PushTarget:
    """
    One device of a recipient.

    Attributes:
        kind: `fid` (a Firebase installation) or `token` (a registration token).
        value: the address itself; a secret, never in a repr or a log.
        platform: for example `android` or `ios`; empty if not known.
        updated_at: when the device last reported its address, or `None`.
    """

    kind: str
    value: str = attrs.field(repr=False)
    platform: str = ""
    updated_at: datetime | None = None

    @property
    def fingerprint(self) -> str:
        """
        Return a value that identifies this address, and from which the address cannot be computed.
        """
        named = f"{self.kind}:{self.value}".encode(errors="backslashreplace")
        return hashlib.sha256(named).hexdigest()[:_FINGERPRINT]


class PushState(enum.Enum):
    """
    The state of a message in the outbox.
    """

    QUEUED = "queued"  # due, or due later
    LEASED = "leased"  # a dispatcher holds it
    SENT = "sent"  # the provider accepted it
    DEAD = "dead"  # given up; not sent unless it is replayed
    CANCELLED = "cancelled"  # not sent because of a renewal, a revocation or an opt-out
    EXPIRED = "expired"  # too late to be sent


class PushVerdict(enum.Enum):
    """
    A sender's verdict about one message.
    """

    DELIVERED = "delivered"  # the provider accepted it for at least one device
    RETRY = "retry"  # another attempt may succeed
    DEAD = "dead"  # the provider will never accept it
    NO_TARGET = "no_target"  # the recipient has no device


def _code(value: object) -> str:
    return value if isinstance(value, str) and _CODE.fullmatch(value) else "unreadable_code"


@attrs.frozen
class PushOutcome:
    """
    A sender's answer for one message; use the four class methods to make one.

    Attributes:
        message_id: the id of the message.
        verdict: the sender's verdict.
        after: the seconds to wait before the next attempt, if the provider gave a time.
        code: why it is dead, or what a check found, a code in `snake_case`; otherwise empty. The
            code is logged, so anything that may be a provider's sentence is replaced by
            `unreadable_code`.
        counted: whether this attempt makes the wait before the next one longer.
        in_doubt: whether the provider may have accepted the message nevertheless.
        targets: the devices that have not received it, if others have; `None`: all.
    """

    message_id: str
    verdict: PushVerdict
    after: float | None = None
    code: str = attrs.field(default="", converter=_code)
    counted: bool = True
    in_doubt: bool = False
    targets: tuple[PushTarget, ...] | None = attrs.field(default=None, repr=False)

    @classmethod
    def delivered(cls, message: PushMessage) -> PushOutcome:
        """
        Return the outcome of a message that the provider accepted for at least one device.
        """
        return cls(message.message_id, PushVerdict.DELIVERED)

    @classmethod
    def retry(
        cls,
        message: PushMessage,
        after: float | None = None,
        *,
        counted: bool = True,
        in_doubt: bool = False,
        targets: Iterable[PushTarget] | None = None,
    ) -> PushOutcome:
        """
        Return the outcome of a message to send again, after `after` seconds if given.

        Args:
            message: the message; it is repeated until it expires.
            after: the seconds to wait, or `None`.
            counted: whether this attempt makes the wait before the next one longer.
            in_doubt: whether the provider may have accepted it, for example after a broken
                connection. The sender must then use a key by which the second push replaces the
                first on the device.
            targets: the devices that have not received it, if others have.
        """
        owed = None if targets is None else tuple(targets)
        return cls(
            message.message_id, PushVerdict.RETRY, after, counted=counted, in_doubt=in_doubt, targets=owed
        )

    @classmethod
    def dead(cls, message: PushMessage, code: str) -> PushOutcome:
        """
        Return the outcome of a message that the provider will never accept, with the reason's code.
        """
        return cls(message.message_id, PushVerdict.DEAD, code=code)

    @classmethod
    def no_target(cls, message: PushMessage) -> PushOutcome:
        """
        Return the outcome of a message whose recipient has no device.
        """
        return cls(message.message_id, PushVerdict.NO_TARGET, code="no_target")
