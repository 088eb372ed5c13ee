"""
Wraps a store of notices and a sender: records runs, pushes and digests.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

import attrs
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from proxy_orchestration.notification.notices import PushMessage, PushOutcome, PushState, PushVerdict
from proxy_orchestration.notification.ports import (
    NotificationRepository,
    PushSender,
    SupportsCompleteAndClaim,
)
from proxy_orchestration.notification.records import LeasedPush, NoticeChunk, PushCompletion, RecordedChunk
from proxy_orchestration.notification.run_log import RunEnding, RunRecord
from proxy_orchestration.telemetry.instruments import CODE, OUTCOME, STATE, TIER, Instruments
from proxy_orchestration.telemetry.open_runs import ENDING
from proxy_orchestration.telemetry.spans import ERROR_TYPE, CurrentSpan

METHODS: Final = ("record", "log_run", "claim_pushes", "complete_pushes", "complete_and_claim")
"""What is watched of a store for notices, as far as it has it."""

_NANOSECONDS: Final = 1_000_000_000
_MOST_LAGS: Final = 10_000
"""Digests under lease whose age is kept; of more the oldest are forgotten."""


class AbleRepository(NotificationRepository, SupportsCompleteAndClaim, Protocol):
    """
    A store with its ability; one that lacks it is never asked for it.
    """


@attrs.define(eq=False, kw_only=True)
class WatchedNotices:
    """
    Asks a store for notices, and notes what came of it.

    Attributes:
        repository: the host's.
        tracer: `None` where spans are off.
        instruments: `None` where metrics are off.
    """

    repository: AbleRepository
    tracer: Tracer | None
    instruments: Instruments | None
    _lags: dict[str, float] = attrs.field(factory=dict, init=False)

    async def record(self, chunk: NoticeChunk, /) -> RecordedChunk:
        """
        Write a chunk of a run.
        """
        recorded = await self.repository.record(chunk)
        if self.instruments is not None:
            made = Counter(
                (draft.notice.tier.value, fate.state.value)
                for draft, fate in zip(chunk.drafts, recorded.fates, strict=True)
            )
            for (tier, outcome), count in made.items():
                self.instruments.notices.add(count, {TIER: tier, OUTCOME: outcome})
        return recorded

    async def log_run(self, run: RunRecord, /) -> None:
        """
        Add a run that has ended to the log, with a span that began when the run did.
        """
        if self.instruments is not None and run.failed:
            self.instruments.notices.add(run.failed, {OUTCOME: "failed"})
        if self.tracer is not None:
            self._tell(self.tracer, run)
        await self.repository.log_run(run)

    def _tell(self, tracer: Tracer, run: RunRecord) -> None:
        # Made at its end: a span that is open while a stream's reader has the turn would be the
        # reader's; and who cancels a run, or fails it, is told of here too.
        ended = time.time_ns()
        span = tracer.start_span(
            "proxy_orchestration.notice_run",
            attributes={
                "proxy_orchestration.run_id": run.run_id,
                "proxy_orchestration.processed": run.processed,
                "proxy_orchestration.created": run.created,
                "proxy_orchestration.skipped": run.skipped,
                "proxy_orchestration.failed": run.failed,
                ENDING: run.ending.value,
            },
            start_time=ended - int(run.duration * _NANOSECONDS),
        )
        if run.ending is not RunEnding.COMPLETED:
            span.set_attribute(ERROR_TYPE, run.error)
            span.set_status(Status(StatusCode.ERROR, run.ending.value))
        span.end(ended)

    async def claim_pushes(self, /, *, now: datetime, limit: int, hold: float) -> Sequence[LeasedPush]:
        """
        Lease messages.
        """
        return self._claimed(await self.repository.claim_pushes(now=now, limit=limit, hold=hold), now)

    async def complete_pushes(self, completions: Sequence[PushCompletion], /) -> int:
        """
        Store how attempts ended.
        """
        held = await self.repository.complete_pushes(completions)
        self._note_completed(completions)
        return held

    async def complete_and_claim(
        self, completions: Sequence[PushCompletion], /, *, now: datetime, limit: int, hold: float
    ) -> Sequence[LeasedPush]:
        """
        Do both.
        """
        leased = await self.repository.complete_and_claim(completions, now=now, limit=limit, hold=hold)
        self._note_completed(completions)
        return self._claimed(leased, now)

    def _claimed(self, leased: Sequence[LeasedPush], now: datetime) -> Sequence[LeasedPush]:
        for push in leased:
            if push.digest is not None:
                lag = (now - push.digest.opened_at).total_seconds()
                self._lags[push.message.message_id] = max(0.0, lag)
        while len(self._lags) > _MOST_LAGS:
            self._lags.pop(next(iter(self._lags)))
        return leased

    def _note_completed(self, completions: Sequence[PushCompletion]) -> None:
        lags = [
            (each.state, lag)
            for each in completions
            if (lag := self._lags.pop(each.message_id, None)) is not None
        ]
        if self.instruments is None:
            return
        for state, lag in lags:
            if state is PushState.SENT:
                self.instruments.digest_lag.record(lag)
        tried = Counter((each.state.value, each.code) for each in completions if not each.untried)
        for (state_value, code), count in tried.items():
            said = {STATE: state_value, CODE: code} if code else {STATE: state_value}
            self.instruments.pushes.add(count, said)


@attrs.define(eq=False, kw_only=True)
class WatchedSender:
    """
    Has a sender send, in a span.
    """

    sender: PushSender
    tracer: Tracer

    async def send(self, messages: Sequence[PushMessage], /) -> Sequence[PushOutcome]:
        """
        Send them.
        """
        said = {"proxy_orchestration.pushes": len(messages)}
        with CurrentSpan(self.tracer, "proxy_orchestration.dispatch", said, kind=SpanKind.CLIENT) as span:
            outcomes = tuple(await self.sender.send(messages))
            # What is no outcome the dispatcher tells by itself, and keeps those that stand beside it.
            verdicts = (getattr(each, "verdict", None) for each in outcomes)
            sound = Counter(each.value for each in verdicts if isinstance(each, PushVerdict))
            for verdict, count in sound.items():
                span.set_attribute(f"proxy_orchestration.pushes.{verdict}", count)
            return outcomes
