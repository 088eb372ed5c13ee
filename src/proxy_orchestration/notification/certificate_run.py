"""
One pass over certificates: chunk by chunk, each in a constant number of calls.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, time, timedelta
from typing import TypeAlias, TypeVar

import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import wait_at_most
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.drafting import (
    Drafted,
    Drafter,
    ReadCertificate,
    UnreadableRecordError,
    read_certificate,
)
from proxy_orchestration.notification.notices import NoticeKey
from proxy_orchestration.notification.ports import RecipientDirectory, VisibilityRegistry
from proxy_orchestration.notification.recipients import RECIPIENTS_UNKNOWN, Recipients, find_recipients
from proxy_orchestration.notification.records import DraftFate, DraftState, NoticeChunk
from proxy_orchestration.notification.results import (
    RecordOutcome,
    RecordProblem,
    RecordState,
    SkipReason,
    Tally,
)
from proxy_orchestration.notification.settings import NotificationSettings
from proxy_orchestration.notification.tiers import NotificationThresholdTier, WindowPolicy
from proxy_orchestration.notification.visibility import VISIBILITY_UNKNOWN, latest_ends, track_ends

Write: TypeAlias = Callable[[NoticeChunk], Awaitable[Sequence[DraftFate]]]
"""What becomes of a chunk: `NoticeBook.record`, or `weigh` for a plan."""

T = TypeVar("T")

_REASONS = {
    DraftState.DUPLICATE: SkipReason.DUPLICATE,
    DraftState.DEFERRED: SkipReason.DEFERRED,
    DraftState.STALE: SkipReason.STALE,
}

_log = logging.getLogger(_loggers.PASSES)


@attrs.define(eq=False)
class _Row:
    """
    One record of a chunk on its way: what it says, what it is to tell, how it ended.
    """

    record: object
    read: ReadCertificate | None = None
    drafted: Drafted | None = None
    outcome: RecordOutcome | None = None


@attrs.define(eq=False, kw_only=True)
class Pass:
    """
    Deals with every certificate of a source once; the same code for a run and for a plan.

    Attributes:
        drafter: words and addresses.
        write: what becomes of a chunk.
        dry_run: whether nothing is written at all.
        tally: what was done so far.
        planned: the keys of the notices that a plan would write.
    """

    drafter: Drafter
    write: Write
    dry_run: bool
    recipients: RecipientDirectory | None
    visibility: VisibilityRegistry | None
    clock: Clock
    settings: NotificationSettings
    tally: Tally = attrs.field(init=False)
    planned: list[NoticeKey] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.tally = Tally(most_problems=self.settings.most_problems)

    @property
    def as_of(self) -> datetime:
        """
        Return the run's moment.
        """
        return self.drafter.reader.as_of

    async def outcomes(self, certificates: Certificates) -> AsyncGenerator[RecordOutcome, None]:
        """
        Yield how each certificate ended, once its chunk is written.
        """
        async with aclosing(chunked(certificates, self.settings.chunk_size)) as chunks:
            async for records in chunks:
                for outcome in await self._deal_with(records):
                    yield outcome

    async def _deal_with(self, records: Sequence[object]) -> list[RecordOutcome]:
        rows = [_Row(record) for record in records]
        for row in rows:
            self._read(row)
        self._supersede(rows)
        due = [row for row in rows if row.outcome is None]
        others = await self._others(due)
        for row in due:
            self._draft(row, others)
        await self._write([row for row in rows if row.read is not None])
        await self._track(rows)
        outcomes = [row.outcome for row in rows if row.outcome is not None]
        self.tally.take(outcomes)
        _log.info("a chunk is done", extra={"certificates": len(rows), "due": len(due)})
        return outcomes

    def _read(self, row: _Row) -> None:
        try:
            row.read = read_certificate(row.record, self.drafter.reader)
        except UnreadableRecordError as error:
            self._fail(row, error.code)
            return
        if row.read.certificate.revoked:
            self._skip(row, SkipReason.REVOKED)
        elif row.read.reading is None:
            self._skip(row, SkipReason.NOT_DUE)
        elif self._is_stale(row.read):
            self._skip(row, SkipReason.STALE)

    def _is_stale(self, read: ReadCertificate) -> bool:
        """
        Tell a daily reminder that nobody is to get any more, so long after the end.
        """
        policy, reading = self.drafter.policy, read.reading
        return (
            policy.window is WindowPolicy.DAILY
            and reading is not None
            and reading.tier is NotificationThresholdTier.LAPSED
            and -reading.days_left > policy.lapsed_push_days
        )

    def _supersede(self, rows: Sequence[_Row]) -> None:
        """
        Of several certificates of one mentor and type, only the one that ends last counts.
        """
        last: dict[tuple[str, str], _Row] = {}
        for row in rows:
            if row.read is None or row.read.end.ends_at is None:
                continue
            key = (row.read.certificate.mentor_id, row.read.code)
            known = last.setdefault(key, row)
            if known is not row:
                earlier, last[key] = sorted((known, row), key=_end)
                self._skip(earlier, SkipReason.SUPERSEDED)

    async def _others(self, due: Sequence[_Row]) -> Recipients:
        mentors = list(dict.fromkeys(row.read.certificate.mentor_id for row in due if row.read))
        found = await self._in_time(lambda: find_recipients(self.recipients, mentors))
        if found is None:
            _log.error(
                "the directory did not answer in time; only the mentors are told",
                extra={"code": RECIPIENTS_UNKNOWN, "error": "TimeoutError", "mentors": len(mentors)},
            )
            found = Recipients(problems=tuple(RecordProblem(each, RECIPIENTS_UNKNOWN) for each in mentors))
        self.tally.report(found.problems)
        return found

    def _draft(self, row: _Row, others: Recipients) -> None:
        read = row.read
        assert read is not None  # noqa: S101 - a row that is due was read
        assert read.reading is not None  # noqa: S101 - and is in a tier
        try:
            row.drafted = self.drafter.draft(read, read.reading, others.of(read.certificate.mentor_id))
        except UnreadableRecordError as error:
            self._fail(row, error.code)
        else:
            self.tally.report(row.drafted.problems)

    async def _write(self, rows: Sequence[_Row]) -> None:
        """
        Write the rows in one call; halve them when one of them spoils it, until it stands alone.
        """
        if not rows:
            return
        drafted = [row for row in rows if row.drafted is not None]
        try:
            fates = await self.write(self._chunk(rows))
            if len(fates) != len(drafted):
                raise UnreadableRecordError("store_answer")  # noqa: EM101, TRY301 - dealt with as a refusal
        except RepositoryUnavailableError as error:
            _log.error(
                "the store failed for a chunk; a later run deals with it: %s",
                error,
                extra={"error": type(error).__name__, "certificates": len(rows)},
            )
            for row in drafted:
                self._fail(row, "repository_unavailable")
        except Exception as error:  # noqa: BLE001 - some row of it, or the store itself
            await self._halve(rows, drafted, error)
        else:
            for row, fate in zip(drafted, fates, strict=True):
                self._conclude(row, fate)

    async def _halve(self, rows: Sequence[_Row], drafted: Sequence[_Row], error: Exception) -> None:
        if len(rows) > 1:
            middle = len(rows) // 2
            await self._write(rows[:middle])
            await self._write(rows[middle:])
            return
        name = type(error).__name__
        _log.error("the store refused a record: %s", name, extra={**_about(rows[0]), "error": name})
        for row in drafted:
            self._fail(row, "record_refused")

    def _chunk(self, rows: Sequence[_Row]) -> NoticeChunk:
        today = self.drafter.reader.today
        tomorrow = datetime.combine(today + timedelta(days=1), time(), tzinfo=self.drafter.policy.timezone)
        return NoticeChunk(
            as_of=self.as_of,
            guard=self.drafter.policy.resend_guard,
            digest_date=today,
            digest_expires_at=tomorrow.astimezone(UTC),
            drafts=tuple(row.drafted.draft for row in rows if row.drafted is not None),
            ends=latest_ends(row.read.end for row in rows if row.read is not None),
        )

    def _conclude(self, row: _Row, fate: DraftFate) -> None:
        if fate.state is not DraftState.CREATED:
            self._skip(row, _REASONS[fate.state])
            return
        assert row.drafted is not None  # noqa: S101 - only drafted rows have a fate
        draft = row.drafted.draft
        self.tally.missed.update(fate.missed)
        if self.dry_run and len(self.planned) < self.settings.most_planned:
            self.planned.append(draft.notice.key)
        row.outcome = _outcome(row, RecordState.CREATED, queued=int(draft.push is not None))

    async def _track(self, rows: Sequence[_Row]) -> None:
        ends = latest_ends(row.read.end for row in rows if row.read is not None)
        problems: list[RecordProblem | None] = []

        async def track() -> bool:
            problems.append(await track_ends(self.visibility, ends, at=self.as_of, dry_run=self.dry_run))
            return True

        if await self._in_time(track) is None:
            _log.error(
                "the visibility registry did not answer in time; the next run updates it",
                extra={"code": VISIBILITY_UNKNOWN, "error": "TimeoutError", "mentors": len(ends)},
            )
            problems.append(RecordProblem("", VISIBILITY_UNKNOWN))
        self.tally.report(problem for problem in problems if problem is not None)

    async def _in_time(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """
        Return a neighbour's answer, or `None` if it takes too long.
        """
        answers: list[T] = []

        async def wait() -> None:
            answers.append(await ask())

        await wait_at_most(self.clock, self.settings.neighbour_timeout, wait)
        return answers[0] if answers else None

    def _skip(self, row: _Row, reason: SkipReason) -> None:
        row.drafted = None
        row.outcome = _outcome(row, RecordState.SKIPPED, reason=reason)

    def _fail(self, row: _Row, code: str) -> None:
        row.drafted = None
        row.outcome = _outcome(row, RecordState.FAILED, code=code)
        _log.error("a certificate failed: %s", code, extra={**_about(row), "code": code})


def _end(row: _Row) -> datetime:
    assert row.read is not None  # noqa: S101 - asked of rows that were read
    assert row.read.end.ends_at is not None  # noqa: S101 - and that are not revoked
    return row.read.end.ends_at


def _text(record: object, name: str) -> str:
    value = getattr(record, name, "")
    return value if isinstance(value, str) else ""


def _outcome(
    row: _Row, state: RecordState, *, reason: SkipReason | None = None, code: str = "", queued: int = 0
) -> RecordOutcome:
    reading = row.read.reading if row.read is not None else None
    return RecordOutcome(
        certificate_id=_text(row.record, "certificate_id"),
        mentor_id=_text(row.record, "mentor_id"),
        certificate_type=row.read.code if row.read is not None else _text(row.record, "certificate_type"),
        tier=None if reading is None else reading.tier,
        state=state,
        reason=reason,
        code=code,
        queued=queued,
    )


def _about(row: _Row) -> dict[str, str]:
    """
    Return what a log may hold of a record.
    """
    reading = row.read.reading if row.read is not None else None
    return {
        "mentor_id": _text(row.record, "mentor_id"),
        "certificate_type": row.read.code if row.read is not None else "",
        "tier": "" if reading is None else reading.tier.value,
    }


Certificates: TypeAlias = Iterable[PeerMentorCertificate] | AsyncIterable[PeerMentorCertificate]
"""Where certificates come from; read once, and never further than one chunk ahead."""


async def chunked(certificates: Certificates, size: int) -> AsyncGenerator[list[object], None]:
    """
    Yield the source's records, `size` at a time; what they are is not checked.

    A source that fails in the middle is read up to there: what came before is
    yielded, then its error is raised.
    """
    chunk: list[object] = []
    failure: Exception | None = None
    try:
        async with aclosing(_each(certificates)) as records:
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


async def _each(certificates: Certificates) -> AsyncGenerator[object, None]:
    if isinstance(certificates, AsyncIterable):
        async for certificate in certificates:
            yield certificate
        return
    for certificate in certificates:
        yield certificate
    await checkpoint()
