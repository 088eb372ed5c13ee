"""
The outbox's other end: sends what is due, and stores what became of it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import anyio
import attrs
from anyio.abc import TaskStatus

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee, is_being_cancelled
from proxy_orchestration._concurrency import NoAnswerError, ask
from proxy_orchestration._outages import Outage
from proxy_orchestration._wiring import check_optional_parts, check_parts
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.errors import OrchestrationError
from proxy_orchestration.notification.arguments import check_arguments
from proxy_orchestration.notification.dependency_answers import WANTS_PUSHES, Wishes, outcomes_in, wishes_in
from proxy_orchestration.notification.digests import DigestTexts, waits_until, with_text
from proxy_orchestration.notification.notices import PushMessage, PushOutcome, PushState, PushVerdict
from proxy_orchestration.notification.ports import (
    NotificationRepository,
    PushEligibility,
    PushOutbox,
    PushSender,
)
from proxy_orchestration.notification.records import (
    NOTHING_LEFT,
    LeasedPush,
    PushCompletion,
)
from proxy_orchestration.notification.results import DispatchResult
from proxy_orchestration.notification.settings import DispatchSettings, zone_or

_log = logging.getLogger(_loggers.DISPATCH)


@attrs.define(eq=False, kw_only=True)
class PushDispatcher:
    """
    Sends queued messages, each at least once and as a rule exactly once.

    A message is leased before it is sent and completed afterwards. Who is
    killed in between leaves a lease that ends: the message is sent again under
    the same id and collapse key, so that a device shows it once.

    Args:
        repository: where the outbox is.
        sender: delivers to devices.
        clock: where time comes from.
        settings: limits and times.
        eligibility: who wants no pushes, asked just before sending; `None`: everybody does.
        digests: words for a coordinator's digest.

    Raises:
        MisconfiguredError: a part does not fit; the message says what to do.
    """

    repository: NotificationRepository
    sender: PushSender
    clock: Clock = attrs.field(factory=SystemClock)
    settings: DispatchSettings = attrs.field(factory=DispatchSettings)
    eligibility: PushEligibility | None = None
    digests: DigestTexts = attrs.field(factory=DigestTexts)

    def __attrs_post_init__(self) -> None:
        check_parts(
            self,
            repository=PushOutbox,
            sender=PushSender,
            clock=Clock,
            settings=DispatchSettings,
            digests=DigestTexts,
        )
        check_optional_parts(self, eligibility=PushEligibility)

    async def drain(self) -> DispatchResult:
        """
        Send what is due now, and return what became of it.

        Raises:
            RepositoryUnavailableError: the store failed; what was claimed is sent again later.
        """
        totals: Counter[str] = Counter()
        while leased := await self.repository.claim_pushes(
            now=self.clock.now(), limit=self.settings.batch_size, hold=self.settings.hold
        ):
            totals.update(await self._dispatch(leased))
        return DispatchResult(**totals)

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """
        Send whatever becomes due, until cancelled; whatever fails is tried again, ever more rarely.
        """
        task_status.started()
        outage = Outage()
        while True:
            await self.clock.sleep(await self._drain_and_wait(outage))

    async def _drain_and_wait(self, outage: Outage) -> float:
        """
        Send what is due, and return how long to wait for more.
        """
        usual = self.settings.poll_interval
        try:
            await self.drain()
            due = await self.repository.push_wait(now=self.clock.now())
            wait = usual if due is None else min(usual, due)
        except BaseException as error:
            if not comes_from_callee(error):
                raise
            if outage.note(error, now=self.clock.monotonic()):
                said = error if isinstance(error, OrchestrationError) else type(error).__name__
                _log.error("could not dispatch: %s", said, extra={"error": type(error).__name__})
            return outage.pause(usual)
        lasted = outage.end(now=self.clock.monotonic())
        if lasted is not None:
            _log.warning("pushes are dispatched again after %.1f s", lasted, extra={"seconds": lasted})
        return wait

    async def replay_dead(self, message_ids: Sequence[str] | None = None) -> int:
        """
        Queue dead messages again, these or all; return how many.
        """
        check_arguments(message_ids=message_ids)
        return await self.repository.replay_dead(message_ids, now=self.clock.now())

    async def _dispatch(self, leased: Sequence[LeasedPush]) -> Counter[str]:
        wishes = await self._ask_wishes(leased)
        completions: list[PushCompletion] = []
        ready: dict[str, tuple[LeasedPush, PushMessage]] = {}
        for push in leased:
            prepared = self._prepare(push, wishes)
            if isinstance(prepared, PushCompletion):
                completions.append(prepared)
            else:
                ready[prepared.message_id] = (push, prepared)
        answers = await self._send([message for _, message in ready.values()])
        completions += [self._completion(push, answers.get(key)) for key, (push, _) in ready.items()]
        await self.repository.complete_pushes(completions)
        return Counter(_counter_of(completion) for completion in completions)

    async def _ask_wishes(self, leased: Sequence[LeasedPush]) -> Wishes | None:
        """
        Return how the recipients want it; `None` without anybody to ask.
        """
        if self.eligibility is None:
            return None
        recipients = {push.message.recipient_id for push in leased}
        try:
            answer: object = await ask(
                partial(self.eligibility.check, recipients),
                clock=self.clock,
                seconds=self.settings.eligibility_timeout,
            )
            return wishes_in(answer, recipients)
        except NoAnswerError:
            name = "no answer in time"
        except Exception as error:  # noqa: BLE001 - a host's directory; nobody is pushed against their will
            name = type(error).__name__
        _log.error("could not ask who wants pushes: %s", name, extra={"error": name, "pushes": len(leased)})
        return {}

    def _prepare(self, push: LeasedPush, wishes: Wishes | None) -> PushMessage | PushCompletion:
        """
        Return what to send now, or how the message ends that is not sent.
        """
        try:
            ending = self._without_sending(push, wishes)
            if ending is None and push.digest is not None:
                return with_text(push.message, push.digest, self.digests, self.clock.now())
        except Exception as error:  # noqa: BLE001 - a host's words or times; no message's failure may be another's
            name = type(error).__name__
            _log.error("a push could not be prepared: %s", name, extra={"error": name})
            return self._retry_later(push, "not_prepared", counted=False)
        return ending or push.message

    def _without_sending(self, push: LeasedPush, wishes: Wishes | None) -> PushCompletion | None:
        """
        Return how a message ends that is not sent now, or `None` for one that is.
        """
        now = self.clock.now()
        # A digest waits for as long as its notices do: they are told late, and never not at all.
        if push.digest is None and now >= push.message.expires_at:
            return _ended(push, PushState.EXPIRED, "too_late")
        if push.attempts > self.settings.retry.max_attempts:
            return _ended(push, PushState.DEAD, "attempts_exhausted")
        if push.digest is not None and not push.digest.counts:
            return _ended(push, PushState.CANCELLED, NOTHING_LEFT)
        wish = WANTS_PUSHES if wishes is None else wishes.get(push.message.recipient_id)
        # Not sent, since it may be unwanted; not counted, since the message is not to blame.
        if wish is None:
            return self._retry_later(push, "eligibility_unknown", counted=False)
        if wish.opted_out:
            return _ended(push, PushState.CANCELLED, "opted_out")
        return self._put_off(push, now, wish.timezone)

    def _put_off(self, push: LeasedPush, now: datetime, timezone: str | None) -> PushCompletion | None:
        """
        Put a message off that is not to come at this hour of the recipient's; `None` if it may.
        """
        quiet = self.settings.quiet_hours
        over = quiet.over_at(now, timezone) if quiet is not None else None
        if over is not None:
            return _queued_again(push, over, "quiet_hours", counted=False)
        if push.digest is None:
            return None
        later = waits_until(
            push.digest,
            now,
            zone_or(timezone, self.settings.digest_timezone),
            digest_at=self.settings.digest_at,
            once_a_day=self.settings.one_digest_a_day,
        )
        return None if later is None else _queued_again(push, later, "digest_waits", counted=False)

    async def _send(self, messages: Sequence[PushMessage]) -> Mapping[str, PushOutcome]:
        """
        Return the sender's answers by message id; a message without one is sent again later.
        """
        if not messages:
            return {}
        try:
            outcomes = await ask(
                partial(self._call_sender, messages), clock=self.clock, seconds=self.settings.send_timeout
            )
        except NoAnswerError:
            _log.error(
                "the sender did not answer in time; its messages are sent again later",
                extra={"error": "TimeoutError", "pushes": len(messages)},
            )
            return {}
        return outcomes_in(outcomes, messages)

    async def _call_sender(self, messages: Sequence[PushMessage]) -> Sequence[object]:
        try:
            return tuple(await self.sender.send(messages))
        except BaseException as error:
            if not comes_from_callee(error) or is_being_cancelled():
                raise
            name = type(error).__name__
            _log.error(
                "the sender raised %s; its messages are sent again later",
                name,
                extra={"error": name, "pushes": len(messages)},
            )
            return ()

    def _completion(self, push: LeasedPush, outcome: PushOutcome | None) -> PushCompletion:
        if outcome is None:
            return self._retry_later(push, "no_answer")
        match outcome.verdict:
            case PushVerdict.DELIVERED:
                return _ended(push, PushState.SENT, "")
            case PushVerdict.RETRY:
                return self._retry_later(push, "retry", after=outcome.after, counted=outcome.counted)
            case _:  # dead, or no device
                return _ended(push, PushState.DEAD, outcome.code)

    def _retry_later(
        self, push: LeasedPush, code: str, *, after: float | None = None, counted: bool = True
    ) -> PushCompletion:
        if counted and push.attempts >= self.settings.retry.max_attempts:
            return _ended(push, PushState.DEAD, "attempts_exhausted")
        delay = self.settings.retry.delay_before(
            push.attempts + 1, key=push.message.message_id, retry_after=after
        )
        now = self.clock.now()
        # Not beyond its end, so that it is seen to be too late, whatever a provider asked for.
        left = max(0.0, (push.message.expires_at - now).total_seconds())
        return _queued_again(push, now + timedelta(seconds=min(delay, left)), code, counted=counted)


def _ended(push: LeasedPush, state: PushState, code: str) -> PushCompletion:
    if state is PushState.DEAD:
        _log.error("a push is dead: %s", code, extra={"tier": push.message.tier.value, "code": code})
    return PushCompletion(message_id=push.message.message_id, token=push.token, state=state, code=code)


def _queued_again(push: LeasedPush, due_at: datetime, code: str, *, counted: bool) -> PushCompletion:
    return PushCompletion(
        message_id=push.message.message_id,
        token=push.token,
        state=PushState.QUEUED,
        due_at=due_at,
        code=code,
        counted=counted,
    )


def _counter_of(completion: PushCompletion) -> str:
    return "retried" if completion.state is PushState.QUEUED else completion.state.value
