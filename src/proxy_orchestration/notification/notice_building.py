"""
What one certificate is to tell: classified, worded and addressed, before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from types import MappingProxyType
from urllib.parse import quote

import attrs

from proxy_orchestration._pseudonyms import is_pseudonym
from proxy_orchestration._texts import is_storable, is_storable_id
from proxy_orchestration.errors import OrchestrationError
from proxy_orchestration.ids import IdFlaw, IdRule, usual_id_rule
from proxy_orchestration.notification.certificates import PeerMentorCertificate, type_code
from proxy_orchestration.notification.dependency_answers import is_locale
from proxy_orchestration.notification.enrollment import EnrollmentLinks
from proxy_orchestration.notification.labels import plain_line
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
from proxy_orchestration.notification.results import RecordProblem, SkipReason
from proxy_orchestration.notification.tiers import (
    Classification,
    ExpiryPolicy,
    NotificationThresholdTier,
    TierClassifier,
    WindowPolicy,
    last_valid_day,
)
from proxy_orchestration.notification.visibility import end_at


class UnreadableRecordError(OrchestrationError, error_code="unreadable_record", repeat_helps=False):
    """
    A certificate record cannot be processed; only this record fails.

    Attributes:
        code: the reason, a code in `snake_case`.
    """

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"A certificate cannot be processed: {code}. Correct it, and submit it again.")


@attrs.frozen(kw_only=True)
class ClassifiedCertificate:
    """
    A certificate that makes sense, and the tier it is in.

    Attributes:
        certificate: as it came.
        certificate_type: as it is compared and stored.
        end: when it ends.
        classification: `None` while it is far from its end, or revoked.
    """

    certificate: PeerMentorCertificate
    certificate_type: str
    end: CertificateEnd
    classification: Classification | None

    def skip_reason(self, policy: ExpiryPolicy) -> SkipReason | None:
        """
        Return why the certificate by itself tells nobody anything; `None` where it does.
        """
        if self.certificate.revoked:
            return SkipReason.REVOKED
        if self.classification is None:
            return SkipReason.NOT_DUE
        # Daily reminders end; the notices that were written stay in the inboxes; decision 38.
        daily = policy.window is WindowPolicy.DAILY
        lapsed = self.classification.tier is NotificationThresholdTier.LAPSED
        if daily and lapsed and -self.classification.days_left > policy.lapsed_push_days:
            return SkipReason.STALE
        return None


def classify_certificate(
    record: object, classifier: TierClassifier, id_rule: IdRule = usual_id_rule
) -> ClassifiedCertificate:
    """
    Return what a source's record says.

    Raises:
        UnreadableRecordError: it is no certificate, lacks an id, has an id that no
            store can keep or that is nobody's, or has no usable end.
    """
    if not isinstance(record, PeerMentorCertificate):
        raise UnreadableRecordError("not_a_certificate")  # noqa: EM101 - a code
    _check_ids(record, id_rule)
    expires: object = record.expires
    if not isinstance(expires, date):
        raise UnreadableRecordError("invalid_expiry")  # noqa: EM101 - a code
    try:
        ends_at = None if record.revoked else classifier.end_of(record.expires)
        classification = None if record.revoked else classifier.classify(record.expires)
    except ValueError as error:
        raise UnreadableRecordError("naive_expiry") from error  # noqa: EM101 - a code
    return ClassifiedCertificate(
        certificate=record,
        certificate_type=type_code(record.certificate_type),
        end=end_at(record, ends_at),
        classification=classification,
    )


def _check_ids(certificate: PeerMentorCertificate, id_rule: IdRule) -> None:
    ids = certificate.certificate_id, certificate.mentor_id, certificate.certificate_type
    flaw = id_rule(certificate.mentor_id) if _are_named(*ids) else IdFlaw.MISSING
    if flaw is IdFlaw.MISSING:
        raise UnreadableRecordError("empty_id")  # noqa: EM101 - a code
    if is_pseudonym(certificate.mentor_id):
        # Who was erased is nobody to tell, and to keep an end of; decision 218.
        raise UnreadableRecordError("erased_mentor")  # noqa: EM101 - a code
    # Here and not in the store, so that a plan says the same as a run; decision 53.
    if flaw is not None or not all(map(is_storable_id, ids)):
        raise UnreadableRecordError("invalid_id")  # noqa: EM101 - a code


def _are_named(*ids: object) -> bool:
    for value in ids:  # noqa: SIM110 - a generator costs as much as the check, for each record of a run
        if not (isinstance(value, str) and value.strip()):
            return False
    return True


@attrs.frozen(kw_only=True)
class BuiltNotice:
    """
    A draft, and what could not be told with it.

    Attributes:
        draft: what is to be written.
        problems: texts for others and links that could not be made.
    """

    draft: NoticeDraft
    problems: tuple[RecordProblem, ...] = ()


@attrs.define(eq=False, kw_only=True)
class NoticeBuilder:
    """
    Words and addresses the notices of one run.

    Attributes:
        classifier: the run's moment and policy.
        messages: the words.
        enrollment: links to a course, for the tiers that carry one; `None` for none.
    """

    classifier: TierClassifier
    messages: Messages
    enrollment: EnrollmentLinks | None

    @property
    def policy(self) -> ExpiryPolicy:
        """
        Return when a certificate's end is told.
        """
        return self.classifier.policy

    def build(
        self,
        subject: ClassifiedCertificate,
        classification: Classification,
        others: tuple[Recipient, ...],
        locales: Mapping[str, str] = MappingProxyType({}),
    ) -> BuiltNotice:
        """
        Return what a certificate in that tier is to tell, to each in their own locale.

        Raises:
            UnreadableRecordError: the mentor's own text cannot be made.
        """
        mentor_id = subject.certificate.mentor_id
        problems: list[RecordProblem] = []
        try:
            link = self._link(subject, classification)
        except UnreadableRecordError as error:
            link = None
            problems.append(RecordProblem(mentor_id, error.code))
        # A register knows its mentor's language; who answers for the mentor may read another; decision 256.
        locale = locales.get(mentor_id, subject.certificate.locale)
        own = self._notice(subject, classification, Recipient(Audience.MENTOR, mentor_id), locale, link)
        told: list[CertificateExpiryNotification] = []
        for other in others:
            try:
                # Without the link, which is the mentor's own.
                their_own = locales.get(other.recipient_id)
                told.append(self._notice(subject, classification, other, their_own, None))
            except UnreadableRecordError as error:
                problems.append(RecordProblem(mentor_id, f"{other.audience.value}_{error.code}"))
        assert subject.end.ends_at is not None  # noqa: S101 - a revoked certificate is in no tier
        draft = NoticeDraft(
            notice=own,
            push=self._push(subject, own),
            others=tuple(told),
            ends_at=subject.end.ends_at,
            earlier=tuple(self._earlier_keys(subject, classification.tier)),
        )
        return BuiltNotice(draft=draft, problems=tuple(problems))

    def _link(self, subject: ClassifiedCertificate, classification: Classification) -> str | None:
        if self.enrollment is None:
            return None
        try:
            link: object = self.enrollment.link_for(
                classification.tier,
                mentor_id=subject.certificate.mentor_id,
                certificate_type=subject.certificate_type,
            )
        except Exception as error:
            raise UnreadableRecordError("link_failed") from error  # noqa: EM101 - a code
        if not isinstance(link, str | None):
            raise UnreadableRecordError("link_failed")  # noqa: EM101 - a code
        return link

    def _notice(
        self,
        subject: ClassifiedCertificate,
        classification: Classification,
        to: Recipient,
        locale: str | None,
        link: str | None,
    ) -> CertificateExpiryNotification:
        certificate = subject.certificate
        key = _key(subject, classification.tier, classification.window_start, to)
        context = self._context(certificate, key, classification.days_left, locale, link)
        text = self._text(context)
        name: object = certificate.holder_name
        written_for = (to.recipient_id, str(certificate.organization_id))
        if not is_storable(f"{text.title}{text.body}{link}") or not all(map(is_storable_id, written_for)):
            raise UnreadableRecordError("unstorable_text")  # noqa: EM101 - a code
        return CertificateExpiryNotification(
            notification_id=notification_id_of(key),
            mentor_id=key.mentor_id,
            certificate_type=key.certificate_type,
            tier=key.tier,
            window_start=key.window_start,
            audience=key.audience,
            recipient_id=key.recipient_id,
            title=text.title,
            body=text.body,
            deep_link=link,
            created_at=self.classifier.as_of,
            organization_id=certificate.organization_id,
            expires=context.expires,
            holder_name=plain_line(name) if isinstance(name, str) else "",
            locale=locale if is_locale(locale) else None,
        )

    def _context(
        self,
        certificate: PeerMentorCertificate,
        key: NoticeKey,
        days_left: int,
        locale: str | None,
        link: str | None,
    ) -> NoticeContext:
        return NoticeContext(
            mentor_id=key.mentor_id,
            holder_name=certificate.holder_name,
            certificate_type=key.certificate_type,
            tier=key.tier,
            expires=last_valid_day(certificate.expires, self.policy.timezone),
            days_left=days_left,
            audience=key.audience,
            locale=locale,
            link=link,
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
        if not answer.title.strip() or not answer.body.strip():
            raise UnreadableRecordError("empty_text")  # noqa: EM101 - a code
        return answer

    def _push(
        self, subject: ClassifiedCertificate, notice: CertificateExpiryNotification
    ) -> PushMessage | None:
        expires_at = self.classifier.push_end_of(subject.certificate.expires, notice.tier)
        if expires_at <= self.classifier.as_of:
            return None
        return PushMessage(
            message_id=notice.notification_id,
            notification_id=notice.notification_id,
            recipient_id=notice.recipient_id,
            tier=notice.tier,
            title=notice.title,
            body=notice.body,
            data=_data(subject, notice),
            collapse_key=f"certificate-expiry-{subject.certificate_type}",
            expires_at=expires_at,
        )

    def _earlier_keys(
        self, subject: ClassifiedCertificate, tier: NotificationThresholdTier
    ) -> Iterator[NoticeKey]:
        mentor = Recipient(Audience.MENTOR, subject.certificate.mentor_id)
        for earlier, start in self.classifier.earlier_windows(subject.certificate.expires, tier):
            yield _key(subject, earlier, start, mentor)


def _key(
    subject: ClassifiedCertificate, tier: NotificationThresholdTier, start: date, to: Recipient
) -> NoticeKey:
    mentor_id = subject.certificate.mentor_id
    return NoticeKey(mentor_id, subject.certificate_type, tier, start, to.audience, to.recipient_id)


def _data(subject: ClassifiedCertificate, notice: CertificateExpiryNotification) -> Mapping[str, str]:
    data = {
        "notification_type": "certificate_expiry",
        "notification_id": notice.notification_id,
        "threshold_tier": notice.tier.value,
        "certificate_type": notice.certificate_type,
        # Quoted, since a spreadsheet's id may hold a slash or a question mark.
        "route": f"/certificate/renew/{quote(subject.certificate.certificate_id, safe='')}",
    }
    return data if notice.deep_link is None else data | {"enrollmentUrl": notice.deep_link}
