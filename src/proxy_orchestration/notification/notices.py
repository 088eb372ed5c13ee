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
    In which capacity somebody is told.
    """

    MENTOR = "mentor"  # the holder
    COORDINATOR = "coordinator"  # who answers for the mentor
    CHAPTER_ADMIN = "chapter_admin"  # told instead where no coordinator is assigned


class NoticeStatus(enum.Enum):
    """
    The state of a notice in somebody's inbox.
    """

    PENDING = "pending"  # waits to be acknowledged
    ACKNOWLEDGED = "acknowledged"  # somebody took note of it
    CLEARED = "cleared"  # the certificate was renewed since


class NoticeKey(NamedTuple):
    """
    What a notice is told by: for one key there is one notice, ever.
    """

    mentor_id: str
    certificate_type: str
    tier: NotificationThresholdTier
    window_start: date
    audience: Audience
    recipient_id: str


def notification_id_of(key: NoticeKey) -> str:
    """
    Return the one id of the notice with that key.
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
        notification_id: derived from the key.
        mentor_id: whose certificate it is about.
        certificate_type: its kind, as `type_code` spells it.
        tier: how close to its end it is.
        window_start: the first day of the window that this notice fills.
        audience: in which capacity the recipient is told.
        recipient_id: who is told.
        status: whether it waits, was acknowledged, or was cleared by a renewal.
        title, body: the text; may hold a name, so never in a repr or a log.
        deep_link: where a tap leads, or `None`.
        created_at: the run's moment; aware, UTC.
        acknowledged_at, acknowledged_by, note: when, by whom and with what words.
        organization_id: the mentor's organization, or `None`.
        expires: the certificate's last valid day, so that the text can be made anew for
            another day; `None`: the notice is older than that, and keeps its text.
        holder_name: the mentor's name, for the same; empty if not known.
        locale: the reader's, as it was known when the notice was written, or `None`.
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
        Return what the notice is told by.
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
        message_id: the same whenever it is sent.
        notification_id: the notice it belongs to; a digest's own id for a digest.
        recipient_id: whose devices.
        tier: the notice's tier; of a digest the closest one in it.
        title, body: the text; may hold a name, so never in a repr or a log.
        data: what the app gets, strings only.
        collapse_key: a later push with the same key replaces an earlier one on the device.
        expires_at: aware, UTC; not sent from then on.
        owed: the `fingerprint` of each device that has not got it yet, while others have;
            `None`: all devices. No other device is sent it again.
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
        updated_at: when the device last told its address, or `None`.
    """

    kind: str
    value: str = attrs.field(repr=False)
    platform: str = ""
    updated_at: datetime | None = None

    @property
    def fingerprint(self) -> str:
        """
        Return what tells this address from others, and from which it cannot be found.
        """
        named = f"{self.kind}:{self.value}".encode(errors="backslashreplace")
        return hashlib.sha256(named).hexdigest()[:_FINGERPRINT]


class PushState(enum.Enum):
    """
    The state of a message in the outbox.
    """

    QUEUED = "queued"  # due, or due later
    LEASED = "leased"  # a dispatcher holds it
    SENT = "sent"  # the provider took it
    DEAD = "dead"  # will not be sent unless it is replayed
    CANCELLED = "cancelled"  # renewed, revoked or opted out since
    EXPIRED = "expired"  # its time is over


class PushVerdict(enum.Enum):
    """
    What a sender says about one message.
    """

    DELIVERED = "delivered"  # the provider took it for at least one device
    RETRY = "retry"  # worth another attempt
    DEAD = "dead"  # will never be taken
    NO_TARGET = "no_target"  # the recipient has no device


def _code(value: object) -> str:
    return value if isinstance(value, str) and _CODE.fullmatch(value) else "unreadable_code"


@attrs.frozen
class PushOutcome:
    """
    What became of one message; made by the four class methods.

    Attributes:
        message_id: the message.
        verdict: what the sender says.
        after: seconds to wait before the next attempt, where the provider named them.
        code: why it is dead, or what a check found, `snake_case`; empty otherwise. It is
            logged: what may be a sentence of a provider's is `unreadable_code` instead.
        counted: whether the wait before the next attempt grows by it.
        in_doubt: whether the provider may have taken the message all the same.
        targets: the devices that are still owed it, where others took it; `None`: all.
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
        Say that the provider took the message for at least one device.
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
        Say that the message is worth another attempt, after that many seconds if given.

        Args:
            message: it is repeated until it expires, however often.
            after: seconds.
            counted: whether the wait before the next attempt grows by it.
            in_doubt: the provider may have taken it, as after a connection that broke.
                Whoever says so sends it under a key by which the second replaces the
                first on the device.
            targets: the devices that are still owed it, where others took it.
        """
        owed = None if targets is None else tuple(targets)
        return cls(
            message.message_id, PushVerdict.RETRY, after, counted=counted, in_doubt=in_doubt, targets=owed
        )

    @classmethod
    def dead(cls, message: PushMessage, code: str) -> PushOutcome:
        """
        Say that the message will never be taken, and why.
        """
        return cls(message.message_id, PushVerdict.DEAD, code=code)

    @classmethod
    def no_target(cls, message: PushMessage) -> PushOutcome:
        """
        Say that the recipient has no device.
        """
        return cls(message.message_id, PushVerdict.NO_TARGET, code="no_target")
