"""
The verbs of certificate-expiry notification.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Final

import attrs

from proxy_orchestration._concurrency import NoAnswerError, ask
from proxy_orchestration._normal_forms import id_form
from proxy_orchestration._wiring import check_abilities, check_functions, check_optional_parts, check_parts
from proxy_orchestration.access import Actor, Role
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.errors import (
    InvalidValueError,
    NotAuthorizedError,
    NotificationNotFoundError,
    RepositoryUnavailableError,
)
from proxy_orchestration.ids import IdRule, usual_id_rule
from proxy_orchestration.notification.arguments import check_arguments
from proxy_orchestration.notification.certificate_run import CertificateRun
from proxy_orchestration.notification.certificate_source import Certificates
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.enrollment import EnrollmentLinks
from proxy_orchestration.notification.inbox import InboxVerbs
from proxy_orchestration.notification.mentor_statuses import PreviousStatuses
from proxy_orchestration.notification.messages import MessageCatalogue, Messages
from proxy_orchestration.notification.notice_building import NoticeBuilder, classify_certificate
from proxy_orchestration.notification.notices import Audience, CertificateExpiryNotification
from proxy_orchestration.notification.old_ends import forget_old_ends
from proxy_orchestration.notification.planned_chunks import PlannedChunks
from proxy_orchestration.notification.ports import (
    NotificationRecords,
    RecipientDirectory,
    RecipientLocales,
)
from proxy_orchestration.notification.recipients import directory_unavailable, who_answers_for
from proxy_orchestration.notification.records import Acknowledged, AcknowledgementEvent
from proxy_orchestration.notification.results import (
    NotificationPlan,
    OrchestrationResult,
    RecordOutcome,
)
from proxy_orchestration.notification.retention import NoticeRetentionVerbs
from proxy_orchestration.notification.run_log import RunPage, page_of, run_place
from proxy_orchestration.notification.run_logging import logged
from proxy_orchestration.notification.settings import NotificationSettings
from proxy_orchestration.notification.spellings import as_given
from proxy_orchestration.notification.tiers import ExpiryPolicy, TierClassifier, in_utc
from proxy_orchestration.notification.visibility import track_ends
from proxy_orchestration.notification.visibility_port import MentorStatuses, VisibilityRegistry
from proxy_orchestration.notification.visibility_verbs import VisibilityVerbs
from proxy_orchestration.notification.whole_feeds import FeedWatch

_RUNS: Final = uuid.UUID("a0b7c7be-5a3f-5d3c-8f55-0b8d2e9d4f10")

_FUTURE_TOLERANCE: Final = timedelta(hours=1)
"""How far a run's moment may be ahead of the clock: two machines' clocks differ, and no notice is early."""

_numbers = count()


@attrs.define(eq=False, kw_only=True)
class NotificationOrchestrator(InboxVerbs, VisibilityVerbs, NoticeRetentionVerbs):
    """
    Notifies mentors and coordinators of certificates that expire, once per tier.

    A run may be repeated, late, or parallel to another one: the store's unique key and the resend
    guard prevent a second notice. A notice and its push are stored in one transaction. The object
    holds no state between runs.

    Args:
        repository: stores notices, pushes and the log of runs.
        recipients: knows who is responsible for a mentor; `None`: only mentors are notified. If it
            is also a `RecipientLocales`, it gives the readers' languages.
        clock: the source of time when no `as_of` is given.
        policy: when, and how often, there is a notice about a certificate's end.
        messages: writes the texts of notices.
        enrollment: makes links to a renewal course, for urgent and lapsed notices.
        visibility: hides mentors whose certificate has lapsed; `None`: no mentor is hidden.
        statuses: knows the host's own statuses of mentors, which are stored before mentors are
            hidden; `None`: the previous status is not known.
        settings: limits and times.
        id_rule: decides which ids of mentors and recipients are valid. `usual_id_rule` treats
            fillers as missing ids, and refuses ids that a spreadsheet has changed.

    Raises:
        MisconfiguredError: a part is unsuitable; the message says what to do.
    """

    repository: NotificationRecords
    recipients: RecipientDirectory | None = None
    clock: Clock = attrs.field(factory=SystemClock)
    policy: ExpiryPolicy = attrs.field(factory=ExpiryPolicy)
    messages: Messages = attrs.field(factory=MessageCatalogue)
    enrollment: EnrollmentLinks | None = None
    visibility: VisibilityRegistry | None = None
    statuses: MentorStatuses | None = None
    settings: NotificationSettings = attrs.field(factory=NotificationSettings)
    id_rule: IdRule = usual_id_rule

    def __attrs_post_init__(self) -> None:
        # Without the outbox: pushes are the dispatcher's, which asks for it itself.
        check_parts(
            self,
            repository=NotificationRecords,
            clock=Clock,
            policy=ExpiryPolicy,
            messages=Messages,
            settings=NotificationSettings,
        )
        check_optional_parts(
            self,
            recipients=RecipientDirectory,
            enrollment=EnrollmentLinks,
            visibility=VisibilityRegistry,
            statuses=MentorStatuses,
        )
        check_abilities(self, "recipients", RecipientLocales)
        check_functions(self, "id_rule")

    async def run(
        self,
        certificates: Certificates,
        *,
        as_of: datetime | None = None,
        allow_future: bool = False,
        complete: bool = False,
    ) -> OrchestrationResult:
        """
        Write the notices that are due for these certificates, and queue their pushes.

        A failing record does not stop the others. The result lists the failures, and the next run
        tries them again.

        Args:
            certificates: a list or an async stream of certificates; read once, in chunks.
            as_of: the time for which to run, aware; `None`: now.
            allow_future: whether `as_of` may be more than an hour ahead of the clock. Mentors who
                are notified in such a run get no other notice until then, because the resend guard
                counts from `as_of`.
            complete: whether the feed is complete. If so, a known certificate of its organizations
                and types that is missing from it is withdrawn. If more than a fifth of the known
                ones are missing, or a record failed, none is withdrawn, and `data_quality` says so.

        Raises:
            InvalidValueError: `as_of` is naive, or in the future without `allow_future`; nothing
                was read.
        """
        check_arguments(certificates=certificates, as_of=as_of, allow_future=allow_future, complete=complete)
        work = self._begin(as_of, dry_run=False, allow_future=allow_future, complete=complete)
        async with logged(work, self.repository), aclosing(work.outcomes(certificates)) as outcomes:
            async for _outcome in outcomes:
                pass
        await forget_old_ends(self.repository, policy=self.policy, now=self.clock.now())
        return work.counters.result()

    async def plan(
        self, certificates: Certificates, *, as_of: datetime | None = None, complete: bool = False
    ) -> NotificationPlan:
        """
        Return what `run` would do, and write nothing; also for a time in the future.

        It uses the same code as `run`, and needs memory for a key and an end of each certificate.

        Raises:
            InvalidValueError: `as_of` is naive.
        """
        check_arguments(certificates=certificates, as_of=as_of, complete=complete)
        work = self._begin(as_of, dry_run=True, allow_future=True, complete=complete)
        async with aclosing(work.outcomes(certificates)) as outcomes:
            async for _outcome in outcomes:
                pass
        return NotificationPlan(result=work.counters.result(), notices=tuple(work.planned))

    @asynccontextmanager
    async def stream(
        self,
        certificates: Certificates,
        *,
        as_of: datetime | None = None,
        allow_future: bool = False,
        complete: bool = False,
    ) -> AsyncIterator[AsyncIterator[RecordOutcome]]:
        """
        Run, and yield the outcome of each certificate once its chunk is stored.

        Leaving the block early stops the run after the current chunk. A later run processes the
        rest, and no certificate is withdrawn, even with `complete`.

        Raises:
            InvalidValueError: `as_of` is naive, or more than an hour in the future without
                `allow_future`; nothing was read.
        """
        check_arguments(certificates=certificates, as_of=as_of, allow_future=allow_future, complete=complete)
        work = self._begin(as_of, dry_run=False, allow_future=allow_future, complete=complete)
        async with logged(work, self.repository), aclosing(work.outcomes(certificates)) as outcomes:
            yield outcomes
        await forget_old_ends(self.repository, policy=self.policy, now=self.clock.now())

    async def list_runs(self, *, actor: Actor, after: str | None = None, limit: int = 50) -> RunPage:
        """
        Return a page of the runs with mentors of the actor's organization, newest first.

        The counts are for those mentors only. A host that wants all runs asks its store:
        `list_runs(None, after=None, limit=50)`.

        Args:
            actor: a chapter admin, with current roles.
            after: the `next_after` of the previous page.
            limit: the most runs on a page, 1 to 100.

        Raises:
            NotAuthorizedError: the actor is not a chapter admin; nothing was read.
            RepositoryUnavailableError: the store failed.
            InvalidValueError: `after` is not valid, or the limit is out of range.
        """
        check_arguments(actor=actor, after=after, limit=limit)
        if Role.CHAPTER_ADMIN not in actor.roles:
            action = "read the log of runs"
            raise NotAuthorizedError(action, ask="a chapter admin")
        place = None if after is None else run_place(after)
        runs = await self.repository.list_runs(actor.organization_id, after=place, limit=limit + 1)
        return page_of(tuple(runs), limit=limit)

    async def record_renewals(self, certificates: Iterable[PeerMentorCertificate]) -> int:
        """
        Store renewed, corrected or revoked certificates at once, without waiting for the next run.

        The end of a certificate replaces the known end of the same certificate id, whether earlier
        or later. A revoked certificate no longer counts; then the next one of the same mentor and
        type counts.

        For an end that no longer counts, queued pushes are cancelled, pending notices are cleared,
        and mentors who were hidden for it are shown again.

        Returns:
            how many pushes were cancelled.

        Raises:
            UnreadableRecordError: a certificate has no id, an invalid id or no usable end; nothing
                was changed.
            RepositoryUnavailableError: the store failed.
        """
        check_arguments(certificates=certificates)
        now = self.clock.now()
        classifier = TierClassifier(now, self.policy)
        ends = [classify_certificate(each, classifier, self.id_rule).end for each in certificates]
        if not ends:
            return 0
        noted = await self.repository.renew(ends, at=now)
        counting = as_given(noted.ends, [end.mentor_id for end in ends])
        previous = PreviousStatuses(
            statuses=self.statuses,
            registry=self.visibility,
            clock=self.clock,
            seconds=self.settings.neighbour_timeout,
        )
        statuses = await previous.of(counting, at=now)
        problem = await track_ends(self.visibility, counting, at=now, statuses=statuses)
        if problem is not None:
            reason = "The renewals are stored, but the visibility of mentors could not be updated."
            raise RepositoryUnavailableError(
                reason, advice="Check the visibility registry. The next run updates it."
            )
        return noted.cancelled

    async def acknowledge(self, notification_id: str, *, actor: Actor, note: str = "") -> Acknowledged:
        """
        Acknowledge a notice and write one audit row; repeated calls add no other row.

        The acknowledgement applies to all recipients: the mentor's own notice and those of other
        chapter admins are acknowledged, too. The coordinator or chapter admin who was notified may
        acknowledge. A mentor's own notice may be acknowledged by the person who is responsible for
        the mentor.

        Args:
            notification_id: the id of the notice.
            actor: the person who acknowledges, with current roles.
            note: a free text, up to 500 characters.

        Raises:
            NotAuthorizedError: the actor is neither a coordinator nor a chapter admin; nothing was
                read.
            NotificationNotFoundError: there is no such notice that the actor may acknowledge.
            RepositoryUnavailableError: the store failed, or the directory did not answer.
            InvalidValueError: the note is too long, or contains characters that no store can keep.
        """
        check_arguments(notification_id=notification_id, actor=actor, note=note)
        if not actor.roles & {Role.COORDINATOR, Role.CHAPTER_ADMIN}:
            action = "acknowledge notices"
            raise NotAuthorizedError(action, ask="a coordinator or a chapter admin")
        notice = await self.repository.notification(notification_id)
        if notice is None or not await self._answers_for(actor, notice):
            raise NotificationNotFoundError(notification_id)
        return await self.repository.acknowledge(
            AcknowledgementEvent(
                notification_id=notification_id,
                mentor_id=notice.mentor_id,
                certificate_type=notice.certificate_type,
                tier=notice.tier,
                acknowledged_by=actor.user_id,
                acknowledged_at=self.clock.now(),
                note=note,
                organization_id=notice.organization_id,
            )
        )

    async def _answers_for(self, actor: Actor, notice: CertificateExpiryNotification) -> bool:
        # Never the mentor, whose banner ends by renewal or by somebody who answers for them; decision 41.
        if notice.organization_id not in {None, actor.organization_id}:
            return False
        own = id_form(actor.user_id)
        if notice.audience is not Audience.MENTOR:
            return id_form(notice.recipient_id) == own
        if self.recipients is None or id_form(notice.mentor_id) == own:
            return False
        try:
            answering = await ask(
                partial(who_answers_for, notice.mentor_id, self.recipients, self.id_rule),
                clock=self.clock,
                seconds=self.settings.neighbour_timeout,
            )
        except NoAnswerError:
            raise directory_unavailable() from None
        return own in map(id_form, answering)

    def _begin(
        self, as_of: datetime | None, *, dry_run: bool, allow_future: bool, complete: bool
    ) -> CertificateRun:
        now = self.clock.now()
        moment = now if as_of is None else in_utc(as_of)
        if moment - now > _FUTURE_TOLERANCE and not allow_future:
            # Its notices would take the guard, and nobody would be told anything until then; decision 205.
            rule = (
                "must not be in the future: make a plan instead, or allow it (allow_future=True, "
                "--allow-future)"
            )
            raise InvalidValueError("as_of", rule)  # noqa: EM101 - a field's name
        classifier = TierClassifier(moment, self.policy)
        planned = PlannedChunks(self.repository)
        return CertificateRun(
            run_id=_run_id(moment, now),
            builder=NoticeBuilder(classifier=classifier, messages=self.messages, enrollment=self.enrollment),
            write=planned.weigh if dry_run else self.repository.record,
            feed=FeedWatch(
                complete=complete,
                since=now,
                count=planned.count_unseen if dry_run else self.repository.count_unseen,
                store=None if dry_run else self.repository,
                page=self.settings.chunk_size,
            ),
            dry_run=dry_run,
            recipients=self.recipients,
            visibility=self.visibility,
            statuses=self.statuses,
            clock=self.clock,
            settings=self.settings,
            id_rule=self.id_rule,
        )


def _run_id(as_of: datetime, started_at: datetime) -> str:
    """
    Return an id that no other run has: of two at one moment the process or the number differs.
    """
    name = f"{as_of.isoformat()} {started_at.isoformat()} {os.getpid()} {next(_numbers)}"
    return str(uuid.uuid5(_RUNS, name))
