"""
What one certificate is to tell: read, worded and addressed, before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import attrs

from proxy_orchestration._texts import is_storable, is_storable_id
from proxy_orchestration.notification.certificates import PeerMentorCertificate, type_code
from proxy_orchestration.notification.enrollment import EnrollmentLinks
from proxy_orchestration.notification.messages import (
    Messages,
    MissingMessageFieldError,
    NoticeContext,
    NoticeText,
)
from proxy_orchestration.notification.notices import (
    Audience,
    CertificateExpiryNotification,
    NoticeKey,
    PushMessage,
    notification_id_of,
)
from proxy_orchestration.notification.recipients import Recipient
from proxy_orchestration.notification.records import CertificateEnd, NoticeDraft
from proxy_orchestration.notification.results import RecordProblem
from proxy_orchestration.notification.tiers import (
    ExpiryPolicy,
    NotificationThresholdTier,
    TierReader,
    TierReading,
    WindowPolicy,
    first_lapsed_day,
    last_valid_day,
    tier_start,
)
from proxy_orchestration.notification.visibility import certificate_end

_TIERS: Final = tuple(NotificationThresholdTier)


class UnreadableRecordError(Exception):
    """
    A record cannot be dealt with; only it fails.

    Attributes:
        code: why, `snake_case`.
    """

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


@attrs.frozen(kw_only=True)
class ReadCertificate:
    """
    A certificate that makes sense.

    Attributes:
        certificate: as it came.
        code: its type, as it is compared.
        end: when it ends.
        reading: the tier it is in; `None` while it is far from its end, or revoked.
    """

    certificate: PeerMentorCertificate
    code: str
    end: CertificateEnd
    reading: TierReading | None


def read_certificate(record: object, reader: TierReader) -> ReadCertificate:
    """
    Return what a source's record says.

    Raises:
        UnreadableRecordError: it is no certificate, lacks an id, has an id that no
            store can keep, or has no usable end.
    """
    if not isinstance(record, PeerMentorCertificate):
        raise UnreadableRecordError("not_a_certificate")  # noqa: EM101 - a code
    ids: tuple[object, ...] = (record.certificate_id, record.mentor_id, record.certificate_type)
    if not all(isinstance(value, str) and value.strip() for value in ids):
        raise UnreadableRecordError("empty_id")  # noqa: EM101 - a code
    if not all(is_storable_id(str(value)) for value in ids):
        raise UnreadableRecordError("invalid_id")  # noqa: EM101 - a code
    expires: object = record.expires
    if not isinstance(expires, date):
        raise UnreadableRecordError("invalid_expiry")  # noqa: EM101 - a code
    try:
        end = certificate_end(record, reader.policy.timezone)
        reading = None if record.revoked else reader.read(record.expires)
    except ValueError as error:
        raise UnreadableRecordError("naive_expiry") from error  # noqa: EM101 - a code
    return ReadCertificate(
        certificate=record, code=type_code(record.certificate_type), end=end, reading=reading
    )


@attrs.frozen(kw_only=True)
class Drafted:
    """
    A draft, and what could not be told with it.

    Attributes:
        draft: what is to be written.
        problems: texts for others that could not be made.
    """

    draft: NoticeDraft
    problems: tuple[RecordProblem, ...] = ()


@attrs.define(eq=False, kw_only=True)
class Drafter:
    """
    Words and addresses notices of one run.

    Attributes:
        reader: the run's moment and policy.
        messages: the words.
        enrollment: links to a course, for the tiers that carry one; `None` for none.
    """

    reader: TierReader
    messages: Messages
    enrollment: EnrollmentLinks | None

    @property
    def policy(self) -> ExpiryPolicy:
        """
        Return when a certificate's end is told.
        """
        return self.reader.policy

    def draft(self, read: ReadCertificate, reading: TierReading, others: tuple[Recipient, ...]) -> Drafted:
        """
        Return what the certificate is to tell.

        Raises:
            UnreadableRecordError: the mentor's own text cannot be made.
        """
        certificate = read.certificate
        link = None
        if self.enrollment is not None:
            link = self.enrollment.link_for(
                reading.tier, mentor_id=certificate.mentor_id, certificate_type=read.code
            )
        mentor = Recipient(Audience.MENTOR, certificate.mentor_id)
        own = self._notice(read, reading, mentor, link)
        told: list[CertificateExpiryNotification] = []
        problems: list[RecordProblem] = []
        for other in others:
            try:
                told.append(self._notice(read, reading, other, None))
            except UnreadableRecordError as error:
                problems.append(RecordProblem(certificate.mentor_id, f"{other.audience.value}_{error.code}"))
        assert read.end.ends_at is not None  # noqa: S101 - a revoked certificate is in no tier
        draft = NoticeDraft(
            notice=own,
            push=self._push(read, reading, own, link),
            others=tuple(told),
            ends_at=read.end.ends_at,
            earlier=tuple(self._earlier(read, reading)),
        )
        return Drafted(draft=draft, problems=tuple(problems))

    def _notice(
        self, read: ReadCertificate, reading: TierReading, to: Recipient, link: str | None
    ) -> CertificateExpiryNotification:
        certificate = read.certificate
        key = _key(read, reading.tier, reading.window_start, to)
        context = NoticeContext(
            mentor_id=certificate.mentor_id,
            holder_name=certificate.holder_name,
            certificate_type=read.code,
            tier=reading.tier,
            expires=last_valid_day(certificate.expires, self.policy.timezone),
            days_left=reading.days_left,
            audience=to.audience,
            locale=certificate.locale,
            link=link,
        )
        text = self._text(context)
        written_for = (to.recipient_id, str(certificate.organization_id))
        if not is_storable(f"{text.title}{text.body}{link}") or not all(map(is_storable_id, written_for)):
            raise UnreadableRecordError("unstorable_text")  # noqa: EM101 - a code
        return CertificateExpiryNotification(
            notification_id=notification_id_of(key),
            mentor_id=certificate.mentor_id,
            certificate_type=read.code,
            tier=reading.tier,
            window_start=reading.window_start,
            audience=to.audience,
            recipient_id=to.recipient_id,
            title=text.title,
            body=text.body,
            deep_link=link,
            created_at=self.reader.as_of,
            organization_id=certificate.organization_id,
        )

    def _text(self, context: NoticeContext) -> NoticeText:
        try:
            answer: object = self.messages.render(context)
        except MissingMessageFieldError as error:
            raise UnreadableRecordError("missing_text_field") from error  # noqa: EM101 - a code
        except Exception as error:
            raise UnreadableRecordError("text_failed") from error  # noqa: EM101 - a code
        if not isinstance(answer, NoticeText):
            raise UnreadableRecordError("text_failed")  # noqa: EM101 - a code
        return answer

    def _push(
        self,
        read: ReadCertificate,
        reading: TierReading,
        notice: CertificateExpiryNotification,
        link: str | None,
    ) -> PushMessage | None:
        over = self._told_until(read, reading.tier)
        if over <= self.reader.as_of:
            return None
        return PushMessage(
            message_id=notice.notification_id,
            notification_id=notice.notification_id,
            recipient_id=notice.recipient_id,
            tier=reading.tier,
            title=notice.title,
            body=notice.body,
            data=_data(read, notice, link),
            collapse_key=f"certificate-expiry-{read.code}",
            expires_at=over,
        )

    def _told_until(self, read: ReadCertificate, tier: NotificationThresholdTier) -> datetime:
        """
        Return the moment at which the tier's push is too late: the next tier's start.
        """
        expires = read.certificate.expires
        if tier is NotificationThresholdTier.LAPSED:
            last = first_lapsed_day(expires, self.policy.timezone)
            return self._midnight(last + timedelta(days=self.policy.lapsed_push_days))
        following = _TIERS[_TIERS.index(tier) + 1]
        if following is NotificationThresholdTier.LAPSED and read.end.ends_at is not None:
            return read.end.ends_at
        return self._midnight(tier_start(expires, following, policy=self.policy))

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), tzinfo=self.policy.timezone).astimezone(UTC)

    def _earlier(self, read: ReadCertificate, reading: TierReading) -> Iterator[NoticeKey]:
        if self.policy.window is WindowPolicy.DAILY:
            return
        mentor = Recipient(Audience.MENTOR, read.certificate.mentor_id)
        for tier in _TIERS[: _TIERS.index(reading.tier)]:
            start = tier_start(read.certificate.expires, tier, policy=self.policy)
            yield _key(read, tier, start, mentor)


def _key(read: ReadCertificate, tier: NotificationThresholdTier, start: date, to: Recipient) -> NoticeKey:
    return NoticeKey(read.certificate.mentor_id, read.code, tier, start, to.audience, to.recipient_id)


def _data(
    read: ReadCertificate, notice: CertificateExpiryNotification, link: str | None
) -> Mapping[str, str]:
    data = {
        "notification_type": "certificate_expiry",
        "notification_id": notice.notification_id,
        "threshold_tier": notice.tier.value,
        "certificate_type": read.code,
        "route": f"/certificate/renew/{read.certificate.certificate_id}",
    }
    return data if link is None else data | {"enrollmentUrl": link}
