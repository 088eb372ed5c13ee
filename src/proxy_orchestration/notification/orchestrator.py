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
    Tells mentors and coordinators that certificates run out, once per tier.

    It may be run twice, late, or in parallel with itself: the store's unique
    key and its guard decide, and a notice and its push are one transaction.
    It holds no state between runs.

    Args:
        repository: where notices, pushes and the log of runs are.
        recipients: who answers for a mentor; `None`: only mentors are told. One that is also
            `RecipientLocales` says who reads which language.
        clock: where time comes from when no `as_of` is given.
        policy: when a certificate's end is told, and how often.
        messages: the words.
        enrollment: links to a renewal course, for urgent and lapsed notices.
        visibility: hides mentors whose certificate is lapsed; `None`: nobody is hidden.
        statuses: the host's own statuses of mentors, to note what it was before they are hidden;
            `None`: it is not known.
        settings: limits.
        id_rule: what the ids of mentors and of who is told may look like; `usual_id_rule` takes
            fillers for missing ones and refuses what spreadsheets make of ids.

    Raises:
        MisconfiguredError: a part does not fit; the message says what to do.
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
        Write what is due for these certificates, and queue its pushes.

        A record that fails stops no other; what could not be done is in the
        result, and the next run does it.

        Args:
            certificates: from anywhere, also asynchronously; read once, in chunks.
            as_of: the moment to run for, aware; `None`: now.
            allow_future: take a moment more than an hour ahead of the clock. Who is told in
                its name gets no other notice until then: the guard counts from it.
            complete: the feed is whole: a known certificate of its organizations and types that
                is not in it counts as withdrawn. Where that were more than a fifth of those known,
                or a record failed, nothing is withdrawn, and `data_quality` says so.

        Raises:
            InvalidValueError: `as_of` is naive, or in the future; nothing was read.
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
        Return what `run` would do, by the same code, and write nothing; also for a moment in the future.

        It keeps a key and an end for each certificate while it is made.

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
        Run, and yield how each certificate ended, once its chunk is durable.

        Leaving the block early stops after the chunk under way; a later run does the rest,
        and nothing is withdrawn, `complete` or not.

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
        Return a page of the runs that dealt with mentors of the actor's organization, newest first.

        The counts are of those mentors alone. A host that asks for all runs asks its
        store: `list_runs(None, after=None, limit=50)`.

        Args:
            actor: a chapter admin, with the roles held now.
            after: `next_after` of the page before.
            limit: runs on a page, 1 to 100.

        Raises:
            NotAuthorizedError: the actor is no chapter admin; nothing was read.
            RepositoryUnavailableError: the store failed.
            InvalidValueError: `after` is of no page, or the limit out of range.
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
        Note renewed, corrected or revoked certificates at once, without waiting for the next run.

        The end of a certificate takes the place of the one that is known of its id, earlier or
        later; a revoked one counts no more, and the next of its mentor and type does.

        Queued pushes for an end that does not count any more are cancelled, pending notices
        cleared, and mentors whom we hid for it shown again.

        Returns:
            how many pushes were cancelled.

        Raises:
            UnreadableRecordError: a certificate lacks an id, has one that is nobody's, or has no usable
                end; nothing was changed.
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
            reason = "The renewals are stored, and who is shown could not be updated."
            raise RepositoryUnavailableError(reason, advice="Check the registry; the next run updates it.")
        return noted.cancelled

    async def acknowledge(self, notification_id: str, *, actor: Actor, note: str = "") -> Acknowledged:
        """
        Take note of a notice, with one audit row, whoever repeats it.

        It is taken note of for all who were told: the mentor's own ends with it,
        and so do those of the other chapter admins. The coordinator or chapter
        admin who was told may; for a mentor's own notice the one who answers for
        the mentor may.

        Args:
            notification_id: the notice.
            actor: who takes note, with the roles held now.
            note: up to 500 characters.

        Raises:
            NotAuthorizedError: neither a coordinator nor a chapter admin; nothing was read.
            NotificationNotFoundError: no such notice, or none that is the actor's to acknowledge.
            RepositoryUnavailableError: the store failed, or the directory did not answer.
            InvalidValueError: the note is too long, or no store keeps it.
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
            rule = "is in the future: plan it, or allow it (allow_future=True, --allow-future)"
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
