"""
One run over certificates: chunk by chunk, each in a constant number of calls.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeAlias

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import NoAnswerError, ask
from proxy_orchestration._texts import is_storable_id
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.ids import IdRule
from proxy_orchestration.notification.certificate_source import Certificates, chunks_of
from proxy_orchestration.notification.ends import Certificate, EndKey, key_of
from proxy_orchestration.notification.locales import find_locales
from proxy_orchestration.notification.mentor_statuses import PreviousStatuses
from proxy_orchestration.notification.notice_building import (
    BuiltNotice,
    ClassifiedCertificate,
    NoticeBuilder,
    UnreadableRecordError,
    classify_certificate,
)
from proxy_orchestration.notification.notices import NoticeKey
from proxy_orchestration.notification.ports import RecipientDirectory, RecipientLocales
from proxy_orchestration.notification.recipients import RECIPIENTS_UNKNOWN, Recipients, find_recipients
from proxy_orchestration.notification.records import (
    CertificateEnd,
    DraftFate,
    DraftState,
    NoticeChunk,
    RecordedChunk,
)
from proxy_orchestration.notification.results import (
    RecordOutcome,
    RecordProblem,
    RecordState,
    RunCounters,
    SkipReason,
)
from proxy_orchestration.notification.run_log import RunEnding
from proxy_orchestration.notification.settings import NotificationSettings
from proxy_orchestration.notification.spellings import about_form, as_given
from proxy_orchestration.notification.visibility import VISIBILITY_UNKNOWN, track_ends
from proxy_orchestration.notification.visibility_port import MentorStatuses, VisibilityRegistry
from proxy_orchestration.notification.whole_feeds import FeedWatch

ChunkWriter: TypeAlias = Callable[[NoticeChunk], Awaitable[RecordedChunk]]
"""What becomes of a chunk: `NoticeBook.record`, or `weigh` for a plan."""

STALE_CERTIFICATE: Final = "stale_certificate"
"""The code of a certificate that is due, and not told since another one of its mentor ends later."""

REPEATED_CERTIFICATE: Final = "repeated_certificate"
"""The code of an id that stands twice in a chunk, with two ends; the last one counts."""

_REASONS = {
    DraftState.DUPLICATE: SkipReason.DUPLICATE,
    DraftState.DEFERRED: SkipReason.DEFERRED,
    DraftState.STALE: SkipReason.STALE,
}

_log = logging.getLogger(_loggers.PASSES)


@attrs.define(eq=False)
class _Entry:
    """
    One record of a chunk on its way: how it is classified, what it is to tell, how it ended.
    """

    record: object
    subject: ClassifiedCertificate | None = None
    built: BuiltNotice | None = None
    outcome: RecordOutcome | None = None
    is_repeated: bool = False

    @property
    def end(self) -> CertificateEnd | None:
        """
        Return the certificate's end; `None` if it could not be read, or is told again in the same chunk.
        """
        return None if self.subject is None or self.is_repeated else self.subject.end

    def is_due_for(self, days: int) -> bool:
        """
        Tell whether it is in a tier, and not lapsed for longer than so many days.
        """
        classification = self.subject.classification if self.subject is not None else None
        return classification is not None and -classification.days_left <= days

    def create(self, *, queued: int) -> None:
        """
        End with a new notice.
        """
        self.outcome = self._outcome(RecordState.CREATED, queued=queued)

    def skip(self, reason: SkipReason) -> None:
        """
        End rightly without a notice.
        """
        self.built = None
        self.outcome = self._outcome(RecordState.SKIPPED, reason=reason)

    def fail(self, code: str) -> None:
        """
        End without having been dealt with.
        """
        self.built = None
        self.outcome = self._outcome(RecordState.FAILED, code=code)
        _log.error("a certificate failed: %s", code, extra={**_log_fields(self), "code": code})

    def fail_for(self, error: Exception) -> None:
        """
        End with an error that nobody foresaw.
        """
        name = type(error).__name__
        _log.error("a certificate cannot be read: %s", name, extra={**_log_fields(self), "error": name})
        self.fail(UnreadableRecordError.error_code)

    def _outcome(
        self, state: RecordState, *, reason: SkipReason | None = None, code: str = "", queued: int = 0
    ) -> RecordOutcome:
        subject = self.subject
        classification = subject.classification if subject is not None else None
        return RecordOutcome(
            certificate_id=_text_of(self.record, "certificate_id"),
            mentor_id=_text_of(self.record, "mentor_id"),
            certificate_type=subject.certificate_type
            if subject
            else _text_of(self.record, "certificate_type"),
            tier=None if classification is None else classification.tier,
            state=state,
            reason=reason,
            code=code,
            queued=queued,
        )


def _text_of(record: object, name: str) -> str:
    value = getattr(record, name, "")
    return value if isinstance(value, str) else ""


def _log_fields(entry: _Entry) -> dict[str, str]:
    """
    Return what a log may hold of a record.
    """
    subject = entry.subject
    classification = subject.classification if subject is not None else None
    return {
        "mentor_id": _text_of(entry.record, "mentor_id"),
        "certificate_type": subject.certificate_type if subject is not None else "",
        "tier": "" if classification is None else classification.tier.value,
    }


@attrs.define(eq=False, kw_only=True)
class CertificateRun:
    """
    Deals with every certificate of a source once; the same code for a run and for a plan.

    Attributes:
        run_id: its own in the store.
        builder: words and addresses.
        write: what becomes of a chunk.
        dry_run: whether nothing is written at all.
        recipients: who answers for mentors, if anybody does, and which language who reads.
        visibility: hides mentors, if anything does.
        statuses: says what the status of whom it hides was, if anybody does.
        id_rule: which ids of mentors and recipients are somebody's.
        feed: withdraws what a whole feed lacks.
        counters: what was done so far.
        shares: the same by the organization of the mentors, of those who have one.
        planned: the keys of the notices that a plan would write.
        ending: how it ended; until it has, that it was stopped.
        error: the type of what ended it early.
    """

    run_id: str
    builder: NoticeBuilder
    write: ChunkWriter
    dry_run: bool
    recipients: RecipientDirectory | None
    visibility: VisibilityRegistry | None
    statuses: MentorStatuses | None
    clock: Clock
    settings: NotificationSettings
    id_rule: IdRule
    feed: FeedWatch
    counters: RunCounters = attrs.field(init=False)
    shares: dict[str, RunCounters] = attrs.field(factory=dict, init=False)
    planned: list[NoticeKey] = attrs.field(factory=list, init=False)
    ending: RunEnding = attrs.field(default=RunEnding.STOPPED, init=False)
    error: str = attrs.field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        self.counters = RunCounters(most_problems=self.settings.most_problems)

    @property
    def as_of(self) -> datetime:
        """
        Return the run's moment.
        """
        return self.builder.classifier.as_of

    async def outcomes(self, certificates: Certificates) -> AsyncGenerator[RecordOutcome, None]:
        """
        Yield how each certificate ended, once its chunk is written.
        """
        try:
            async with aclosing(chunks_of(certificates, self.settings.chunk_size)) as chunks:
                async for records in chunks:
                    for outcome in await self._deal_with(records):
                        yield outcome
        except Exception as error:
            self.ending, self.error = RunEnding.SOURCE_FAILED, type(error).__name__
            raise
        problem = await self.feed.end(partial(self._track, withdrawn=True))
        self.counters.withdrawn = self.feed.withdrawn
        if problem is not None:
            self.counters.note([problem])
        self.ending = RunEnding.COMPLETED

    def end_with(self, error: BaseException) -> None:
        """
        Note what the run's block was left with, unless the source ended it.
        """
        if self.ending is not RunEnding.STOPPED:
            return
        if isinstance(error, Exception):
            self.error = type(error).__name__  # of who read the outcomes
        else:
            self.ending = RunEnding.CANCELLED

    async def _deal_with(self, records: Sequence[object]) -> list[RecordOutcome]:
        entries = [_Entry(record) for record in records]
        for entry in entries:
            self._classify(entry)
        self.counters.note(_supersede(entries))
        due = [entry for entry in entries if entry.outcome is None]
        # For duplicates too, so that the next run completes one whose directory failed; decision 39.
        others = await self._find_others(due)
        locales = await self._find_locales(due, others)
        for entry in due:
            self._build(entry, others, locales)
        # Also those that are not due: their ends may be the ones that count.
        told = [(entry, end) for entry in entries if (end := entry.end) is not None]
        self.feed.saw([end for _, end in told])
        counting = await self._write([entry for entry, _ in told])
        # The registry keeps ids as they come, whatever the store makes of them; decision 234.
        await self._track(as_given(counting, (end.mentor_id for _, end in told)))
        outcomes = [entry.outcome for entry in entries if entry.outcome is not None]
        self.counters.count(outcomes)
        self._count_shares(entries)
        if any(outcome.state is RecordState.FAILED for outcome in outcomes):
            self.feed.missed()
        _log.info(
            "a chunk of certificates is processed", extra={"certificates": len(entries), "due": len(due)}
        )
        return outcomes

    def _count_shares(self, entries: Sequence[_Entry]) -> None:
        of_each: dict[str, list[RecordOutcome]] = {}
        for entry in entries:
            organization = _text_of(entry.record, "organization_id")
            if organization and entry.outcome is not None and is_storable_id(organization):
                of_each.setdefault(organization, []).append(entry.outcome)
        for organization, outcomes in of_each.items():
            self.shares.setdefault(organization, RunCounters(most_problems=0)).count(outcomes)

    def _classify(self, entry: _Entry) -> None:
        try:
            entry.subject = classify_certificate(entry.record, self.builder.classifier, self.id_rule)
        except UnreadableRecordError as error:
            entry.fail(error.code)
            return
        except Exception as error:  # noqa: BLE001 - a date or a zone of a host's own; no record's failure is another's
            entry.fail_for(error)
            return
        reason = entry.subject.skip_reason(self.builder.policy)
        if reason is not None:
            entry.skip(reason)

    async def _find_others(self, due: Sequence[_Entry]) -> Recipients:
        mentors = list(dict.fromkeys(each.subject.certificate.mentor_id for each in due if each.subject))
        try:
            found = await ask(
                partial(find_recipients, self.recipients, mentors, self.id_rule),
                clock=self.clock,
                seconds=self.settings.neighbour_timeout,
            )
        except NoAnswerError:
            _log.error(
                "the directory did not answer in time; only the mentors are notified",
                extra={"code": RECIPIENTS_UNKNOWN, "error": "TimeoutError", "mentors": len(mentors)},
            )
            found = Recipients(problems=tuple(RecordProblem(each, RECIPIENTS_UNKNOWN) for each in mentors))
        self.counters.note(found.problems)
        return found

    async def _find_locales(self, due: Sequence[_Entry], others: Recipients) -> Mapping[str, str]:
        directory: object = self.recipients
        if not isinstance(directory, RecipientLocales):
            return {}
        mentors = [entry.subject.certificate.mentor_id for entry in due if entry.subject]
        told = [each.recipient_id for mentor_id in mentors for each in others.of(mentor_id)]
        return await find_locales(
            directory, [*mentors, *told], clock=self.clock, seconds=self.settings.neighbour_timeout
        )

    def _build(self, entry: _Entry, others: Recipients, locales: Mapping[str, str]) -> None:
        subject = entry.subject
        assert subject is not None  # noqa: S101 - an entry that is due was classified
        assert subject.classification is not None  # noqa: S101 - and is in a tier
        try:
            entry.built = self.builder.build(
                subject, subject.classification, others.of(subject.certificate.mentor_id), locales
            )
        except UnreadableRecordError as error:
            entry.fail(error.code)
        except Exception as error:  # noqa: BLE001 - something of a host's own; no record's failure is another's
            entry.fail_for(error)
        else:
            self.counters.note(entry.built.problems)

    async def _write(self, entries: Sequence[_Entry]) -> Sequence[CertificateEnd]:
        """
        Write the entries in one call; halve them when one of them spoils it, until it stands alone.

        Returns the ends that count of their mentors and types, as far as the store is there.
        """
        if not entries:
            return ()
        built = [entry for entry in entries if entry.built is not None]
        try:
            recorded = await self.write(self._chunk(entries))
            if not _answers(recorded, drafts=len(built)):
                raise UnreadableRecordError("store_answer")  # noqa: EM101, TRY301 - dealt with as a refusal
        except RepositoryUnavailableError as error:
            _log.error(
                "the store failed for a chunk of certificates; a later run processes it: %s",
                error,
                extra={"error": type(error).__name__, "certificates": len(entries)},
            )
            self.feed.missed()
            for entry in built:
                entry.fail("repository_unavailable")
            return ()
        except Exception as error:  # noqa: BLE001 - one of the entries, or the store itself
            return await self._write_halves(entries, error)
        for entry, result in zip(built, recorded.fates, strict=True):
            self._conclude(entry, result)
        return recorded.ends

    async def _write_halves(self, entries: Sequence[_Entry], error: Exception) -> Sequence[CertificateEnd]:
        if len(entries) > 1:
            middle = len(entries) // 2
            return [*await self._write(entries[:middle]), *await self._write(entries[middle:])]
        (entry,) = entries
        name = type(error).__name__
        _log.error("the store refused a record: %s", name, extra={**_log_fields(entry), "error": name})
        if entry.built is not None:
            entry.fail("record_refused")
            return await self._write(entries)  # its end alone, which may still be the one that counts
        self.feed.missed()
        return [] if entry.end is None else [entry.end]

    def _chunk(self, entries: Sequence[_Entry]) -> NoticeChunk:
        # A clock that goes back must not make what this run saw older than the run.
        now = max(self.clock.now(), self.feed.since)
        return NoticeChunk(
            as_of=self.as_of,
            guard=self.builder.policy.resend_guard,
            run_id=self.run_id,
            written_at=now,
            due_at=now + timedelta(seconds=self.settings.push_hold),
            drafts=tuple(entry.built.draft for entry in entries if entry.built is not None),
            ends=tuple(end for entry in entries if (end := entry.end) is not None),
            complete=self.feed.complete,
        )

    def _conclude(self, entry: _Entry, result: DraftFate) -> None:
        if result.state is not DraftState.CREATED:
            # Nobody is told of it, since another certificate is said to end later: somebody should look.
            if result.state is DraftState.STALE and entry.is_due_for(self.builder.policy.lapsed_push_days):
                self.counters.note([RecordProblem(_text_of(entry.record, "mentor_id"), STALE_CERTIFICATE)])
            entry.skip(_REASONS[result.state])
            return
        assert entry.built is not None  # noqa: S101 - only built notices have a result
        draft = entry.built.draft
        self.counters.missed.update(result.missed)
        if self.dry_run and len(self.planned) < self.settings.most_planned:
            self.planned.append(draft.notice.key)
        entry.create(queued=int(draft.push is not None))

    async def _track(self, ends: Sequence[CertificateEnd], *, withdrawn: bool = False) -> None:
        # Whatever became of the notices: who is lapsed is hidden although nobody was told.
        if self.dry_run:
            return
        clock, seconds = self.clock, self.settings.neighbour_timeout
        previous = PreviousStatuses(
            statuses=self.statuses, registry=self.visibility, clock=clock, seconds=seconds
        )
        statuses = await previous.of(ends, at=self.as_of)
        track = partial(
            track_ends, self.visibility, ends, at=self.as_of, statuses=statuses, withdrawn=withdrawn
        )
        try:
            problem = await ask(track, clock=clock, seconds=seconds)
        except NoAnswerError:
            _log.error(
                "the visibility registry did not answer in time; the next run updates it",
                extra={"code": VISIBILITY_UNKNOWN, "error": "TimeoutError", "mentors": len(ends)},
            )
            problem = RecordProblem("", VISIBILITY_UNKNOWN)
        if problem is not None:
            self.counters.note([problem])


def _answers(recorded: object, *, drafts: int) -> bool:
    """
    Tell whether a store's answer is one for that many drafts.
    """
    return (
        isinstance(recorded, RecordedChunk)
        and len(recorded.fates) == drafts
        and all(isinstance(each, DraftFate) for each in recorded.fates)
    )


def _supersede(entries: Sequence[_Entry]) -> list[RecordProblem]:
    """
    Skip all but one of several certificates of one mentor and type: the one that ends last counts.

    Of several records of one certificate the last counts; returns whose differ.
    """
    problems = _skip_repeated(entries)
    last: dict[Certificate, tuple[datetime, _Entry]] = {}
    for entry in entries:
        end = entry.end
        if end is None or end.ends_at is None:
            continue
        about, ends_at = about_form(end), end.ends_at
        known = last.get(about)
        if known is None:
            last[about] = (ends_at, entry)
        elif ends_at < known[0]:
            entry.skip(SkipReason.SUPERSEDED)
        else:
            known[1].skip(SkipReason.SUPERSEDED)
            last[about] = (ends_at, entry)
    return problems


def _skip_repeated(entries: Sequence[_Entry]) -> list[RecordProblem]:
    problems: list[RecordProblem] = []
    last: dict[tuple[Certificate, EndKey], CertificateEnd] = {}
    for entry in reversed(entries):
        end = entry.end
        if end is None:
            continue
        known = last.setdefault((about_form(end), key_of(end)), end)
        if known is end:
            continue
        if known.ends_at != end.ends_at:
            problems.append(RecordProblem(known.mentor_id, REPEATED_CERTIFICATE))
        entry.is_repeated = True
        entry.skip(SkipReason.SUPERSEDED)
    return problems
