"""
One run over certificates: chunk by chunk, each in a constant number of calls.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import NoAnswerError, ask
from proxy_orchestration._normal_forms import id_form
from proxy_orchestration._texts import is_storable_id
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.ids import IdRule
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.locales import find_locales
from proxy_orchestration.notification.notice_building import (
    BuiltNotice,
    ClassifiedCertificate,
    NoticeBuilder,
    UnreadableRecordError,
    classify_certificate,
)
from proxy_orchestration.notification.notices import NoticeKey
from proxy_orchestration.notification.ports import RecipientDirectory, RecipientLocales, VisibilityRegistry
from proxy_orchestration.notification.recipients import RECIPIENTS_UNKNOWN, Recipients, find_recipients
from proxy_orchestration.notification.records import DraftFate, DraftState, NoticeChunk
from proxy_orchestration.notification.results import (
    RecordOutcome,
    RecordProblem,
    RecordState,
    RunCounters,
    SkipReason,
)
from proxy_orchestration.notification.run_log import RunEnding
from proxy_orchestration.notification.settings import NotificationSettings
from proxy_orchestration.notification.visibility import VISIBILITY_UNKNOWN, latest_ends, track_ends

Certificates: TypeAlias = Iterable[PeerMentorCertificate] | AsyncIterable[PeerMentorCertificate]
"""Where certificates come from; read once, and never further than one chunk ahead."""

ChunkWriter: TypeAlias = Callable[[NoticeChunk], Awaitable[Sequence[DraftFate]]]
"""What becomes of a chunk: `NoticeBook.record`, or `weigh` for a plan."""

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

    @property
    def ends_at(self) -> datetime | None:
        """
        Return when the certificate ends; `None` if it was revoked or could not be read.
        """
        return None if self.subject is None else self.subject.end.ends_at

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
        id_rule: which ids of mentors and recipients are somebody's.
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
    clock: Clock
    settings: NotificationSettings
    id_rule: IdRule
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
            async with aclosing(_chunks_of(certificates, self.settings.chunk_size)) as chunks:
                async for records in chunks:
                    for outcome in await self._deal_with(records):
                        yield outcome
        except Exception as error:
            self.ending, self.error = RunEnding.SOURCE_FAILED, type(error).__name__
            raise
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
        _supersede(entries)
        due = [entry for entry in entries if entry.outcome is None]
        # For duplicates too, so that the next run completes one whose directory failed; decision 39.
        others = await self._find_others(due)
        locales = await self._find_locales(due, others)
        for entry in due:
            self._build(entry, others, locales)
        # Also those that are not due: their ends cancel what is queued for earlier ones.
        await self._write([entry for entry in entries if entry.subject is not None])
        await self._track(entries)
        outcomes = [entry.outcome for entry in entries if entry.outcome is not None]
        self.counters.count(outcomes)
        self._count_shares(entries)
        _log.info("a chunk is done", extra={"certificates": len(entries), "due": len(due)})
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
                "the directory did not answer in time; only the mentors are told",
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

    async def _write(self, entries: Sequence[_Entry]) -> None:
        """
        Write the entries in one call; halve them when one of them spoils it, until it stands alone.
        """
        if not entries:
            return
        built = [entry for entry in entries if entry.built is not None]
        try:
            results = await self.write(self._chunk(entries))
            if len(results) != len(built) or not all(isinstance(each, DraftFate) for each in results):
                raise UnreadableRecordError("store_answer")  # noqa: EM101, TRY301 - dealt with as a refusal
        except RepositoryUnavailableError as error:
            _log.error(
                "the store failed for a chunk; a later run deals with it: %s",
                error,
                extra={"error": type(error).__name__, "certificates": len(entries)},
            )
            for entry in built:
                entry.fail("repository_unavailable")
        except Exception as error:  # noqa: BLE001 - one of the entries, or the store itself
            await self._write_halves(entries, error)
        else:
            for entry, result in zip(built, results, strict=True):
                self._conclude(entry, result)

    async def _write_halves(self, entries: Sequence[_Entry], error: Exception) -> None:
        if len(entries) > 1:
            middle = len(entries) // 2
            await self._write(entries[:middle])
            await self._write(entries[middle:])
            return
        name = type(error).__name__
        _log.error("the store refused a record: %s", name, extra={**_log_fields(entries[0]), "error": name})
        if entries[0].built is not None:
            entries[0].fail("record_refused")

    def _chunk(self, entries: Sequence[_Entry]) -> NoticeChunk:
        now = self.clock.now()
        return NoticeChunk(
            as_of=self.as_of,
            guard=self.builder.policy.resend_guard,
            run_id=self.run_id,
            written_at=now,
            digest_due_at=now + timedelta(seconds=self.settings.digest_hold),
            drafts=tuple(entry.built.draft for entry in entries if entry.built is not None),
            ends=latest_ends(entry.subject.end for entry in entries if entry.subject is not None),
        )

    def _conclude(self, entry: _Entry, result: DraftFate) -> None:
        if result.state is not DraftState.CREATED:
            entry.skip(_REASONS[result.state])
            return
        assert entry.built is not None  # noqa: S101 - only built notices have a result
        draft = entry.built.draft
        self.counters.missed.update(result.missed)
        if self.dry_run and len(self.planned) < self.settings.most_planned:
            self.planned.append(draft.notice.key)
        entry.create(queued=int(draft.push is not None))

    async def _track(self, entries: Sequence[_Entry]) -> None:
        # All ends, whatever became of the notices: who is lapsed is hidden although nobody was told.
        ends = latest_ends(entry.subject.end for entry in entries if entry.subject is not None)
        try:
            problem = await ask(
                partial(track_ends, self.visibility, ends, at=self.as_of, dry_run=self.dry_run),
                clock=self.clock,
                seconds=self.settings.neighbour_timeout,
            )
        except NoAnswerError:
            _log.error(
                "the visibility registry did not answer in time; the next run updates it",
                extra={"code": VISIBILITY_UNKNOWN, "error": "TimeoutError", "mentors": len(ends)},
            )
            problem = RecordProblem("", VISIBILITY_UNKNOWN)
        if problem is not None:
            self.counters.note([problem])


def _supersede(entries: Iterable[_Entry]) -> None:
    """
    Skip all but one of several certificates of one mentor and type: the one that ends last counts.
    """
    last: dict[tuple[str, str], tuple[datetime, _Entry]] = {}
    for entry in entries:
        if entry.subject is None or entry.ends_at is None:
            continue
        key = (id_form(entry.subject.certificate.mentor_id), entry.subject.certificate_type)
        known = last.get(key)
        if known is None:
            last[key] = (entry.ends_at, entry)
        elif entry.ends_at < known[0]:
            entry.skip(SkipReason.SUPERSEDED)
        else:
            known[1].skip(SkipReason.SUPERSEDED)
            last[key] = (entry.ends_at, entry)


async def _chunks_of(certificates: Certificates, size: int) -> AsyncGenerator[list[object], None]:
    """
    Yield the source's records, `size` at a time; what they are is not checked.

    A source that fails in the middle is read up to there: what came before is
    yielded, then its error is raised.
    """
    chunk: list[object] = []
    failure: Exception | None = None
    try:
        async with aclosing(_each_of(certificates)) as records:
            async for record in records:
                chunk.append(record)
                if len(chunk) == size:
                    yield chunk
                    chunk = []
    except Exception as error:  # noqa: BLE001 - the source's own error, raised again below
        failure = error
    if chunk:
        yield chunk
    if failure is not None:
        raise failure


async def _each_of(certificates: Certificates) -> AsyncGenerator[object, None]:
    if isinstance(certificates, AsyncIterable):
        async for certificate in certificates:
            yield certificate
        return
    for certificate in certificates:
        yield certificate
    await checkpoint()
