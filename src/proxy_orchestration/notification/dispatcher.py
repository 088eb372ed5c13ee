"""
The push dispatcher: sends due messages of the outbox, and stores the results.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypedDict

import anyio
import attrs
from anyio.abc import TaskStatus

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee, is_being_cancelled
from proxy_orchestration._concurrency import NoAnswerError, ask, open_task_group
from proxy_orchestration._outages import Outage
from proxy_orchestration._wiring import check_optional_parts, check_parts
from proxy_orchestration.access import Actor, Role
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.errors import MisconfiguredError, NotAuthorizedError, OrchestrationError
from proxy_orchestration.notification.arguments import check_arguments
from proxy_orchestration.notification.dead_pushes import DeadPushPage, page_of, position_of
from proxy_orchestration.notification.dependency_answers import WANTS_PUSHES, Wishes, outcomes_in, wishes_in
from proxy_orchestration.notification.digests import DigestTexts, waits_until, with_text
from proxy_orchestration.notification.enrollment import EnrollmentLinks
from proxy_orchestration.notification.fresh_links import pushed_with_fresh_link
from proxy_orchestration.notification.locales import find_locales
from proxy_orchestration.notification.notices import PushMessage, PushOutcome, PushState, PushVerdict
from proxy_orchestration.notification.ports import (
    NotificationRepository,
    PushEligibility,
    PushOutbox,
    PushSender,
    RecipientLocales,
    SupportsCompleteAndClaim,
)
from proxy_orchestration.notification.push_endings import counters_of, ended, queued_again, untried
from proxy_orchestration.notification.records import (
    IN_DOUBT,
    NO_ANSWER,
    NOTHING_LEFT,
    LeasedPush,
    PushCompletion,
)
from proxy_orchestration.notification.results import DispatchResult
from proxy_orchestration.notification.settings import DispatchSettings
from proxy_orchestration.notification.words import NoticeWords
from proxy_orchestration.notification.zones import zone_or

_MOST_LISTED: Final = 1000
_LONGEST_DELAY: Final = 86_400.0

_log = logging.getLogger(_loggers.DISPATCH)


class _Next(TypedDict):
    now: datetime
    limit: int
    hold: float


@attrs.define(eq=False, kw_only=True)
class PushDispatcher:
    """
    Sends queued messages: each at least once, and normally exactly once.

    A message is leased before it is sent, and completed afterwards. If the process is killed in
    between, the lease ends, and the message is sent again with the same id and collapse key, so
    that a device shows it once. A message that the provider refuses temporarily is repeated until
    it expires.

    Args:
        repository: stores the outbox.
        sender: delivers messages to devices.
        clock: the source of time.
        settings: limits and times.
        eligibility: knows who wants no pushes; asked just before sending. `None`: all recipients
            want them.
        digests: the texts of digests for recipients without a known locale; `None`: those of the
            catalogue's default language.
        enrollment: makes a new link for an urgent or lapsed push when it is sent. `None`: the push
            has the link that its run made, which is valid for two days.
        words: writes the texts again for the day of sending and the reader, such as
            `orchestrator.words`; `None`: the stored texts are sent.
        locales: knows the languages of recipients; asked just before sending. `None`: the language
            that was known when the notice was written is used.

    Raises:
        MisconfiguredError: a part is unsuitable; the message says what to do.
    """

    repository: NotificationRepository
    sender: PushSender
    clock: Clock = attrs.field(factory=SystemClock)
    settings: DispatchSettings = attrs.field(factory=DispatchSettings)
    eligibility: PushEligibility | None = None
    digests: DigestTexts | None = None
    enrollment: EnrollmentLinks | None = None
    words: NoticeWords | None = None
    locales: RecipientLocales | None = None

    def __attrs_post_init__(self) -> None:
        check_parts(
            self,
            repository=PushOutbox,
            sender=PushSender,
            clock=Clock,
            settings=DispatchSettings,
        )
        check_optional_parts(
            self,
            eligibility=PushEligibility,
            enrollment=EnrollmentLinks,
            digests=DigestTexts,
            words=NoticeWords,
            locales=RecipientLocales,
        )
        limit: object = getattr(self.sender, "send_limit", None)
        if isinstance(limit, int | float) and limit >= self.settings.send_timeout:
            problem = (
                f"it may need {limit:g} s for a batch, but DispatchSettings.send_timeout is "
                f"{self.settings.send_timeout:g} s. Raise send_timeout and a hold above it, or shorten the "
                "sender's own times."
            )
            raise MisconfiguredError(type(self).__name__, "sender", problem)

    async def drain(self) -> DispatchResult:
        """
        Send the messages that are due now, and return the counts.

        Raises:
            RepositoryUnavailableError: the store failed; claimed messages are sent again later.
        """
        totals: Counter[str] = Counter()
        leased = await self.repository.claim_pushes(**self._next())
        while leased:
            completions = await self._dispatch(leased)
            totals.update(name for completion in completions for name in counters_of(completion))
            leased = await self._complete_and_claim(completions)
        return DispatchResult(**totals)

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """
        Send messages when they become due, until cancelled; failures are tried again after growing pauses.
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
                _log.error("pushes could not be dispatched: %s", said, extra={"error": type(error).__name__})
            return outage.pause(usual)
        lasted = outage.end(now=self.clock.monotonic())
        if lasted is not None:
            _log.warning("dispatching is tried again after %.1f s", lasted, extra={"seconds": lasted})
        return wait

    async def dead_pushes(self, *, actor: Actor, cursor: str | None = None, limit: int = 20) -> DeadPushPage:
        """
        Return the given-up messages of the actor's organization with the reasons, the oldest first.

        Messages about mentors without a known organization are included. A host that wants the
        messages of all organizations asks the repository.

        Args:
            actor: a coordinator or chapter admin.
            cursor: the `next_cursor` of the previous page.
            limit: the most messages on a page, 1 to 100.

        Raises:
            NotAuthorizedError: the actor is neither a coordinator nor a chapter admin; nothing was
                read.
            RepositoryUnavailableError: the store failed.
            InvalidInputError: the cursor is not valid, or the limit is out of range.
        """
        check_arguments(actor=actor, cursor=cursor, limit=limit)
        _check_oversees(actor, "list pushes")
        return await self._dead_page(actor, cursor, limit)

    async def replay_pushes(self, message_ids: Collection[str] | None = None, *, actor: Actor) -> int:
        """
        Queue given-up messages again, these or all that `dead_pushes` shows the actor; return how many.

        Raises:
            NotAuthorizedError: the actor is neither a coordinator nor a chapter admin.
            RepositoryUnavailableError: the store failed; some messages may be queued.
        """
        check_arguments(message_ids=message_ids, actor=actor)
        _check_oversees(actor, "replay pushes")
        replayed, page = 0, await self._dead_page(actor, None, _MOST_LISTED)
        while page.pushes:
            seen = {push.message_id for push in page.pushes}
            wanted = seen if message_ids is None else seen.intersection(message_ids)
            replayed += await self.repository.replay_dead(wanted, now=self.clock.now())
            if page.next_cursor is None:
                break
            page = await self._dead_page(actor, page.next_cursor, _MOST_LISTED)
        return replayed

    async def replay_dead(self, message_ids: Collection[str] | None = None) -> int:
        """
        Queue given-up messages again, these or all of every organization; return how many.
        """
        check_arguments(message_ids=message_ids)
        return await self.repository.replay_dead(message_ids, now=self.clock.now())

    async def _dead_page(self, actor: Actor, cursor: str | None, limit: int) -> DeadPushPage:
        found = await self.repository.dead_pushes(
            organization_id=actor.organization_id, after=position_of(cursor), limit=limit + 1
        )
        return page_of(tuple(found), limit=limit)

    async def _complete_and_claim(self, completions: Sequence[PushCompletion]) -> Sequence[LeasedPush]:
        """
        Store how these ended, and lease the next ones: at once, where the store can.
        """
        if isinstance(self.repository, SupportsCompleteAndClaim):
            return await self.repository.complete_and_claim(completions, **self._next())
        await self.repository.complete_pushes(completions)
        return await self.repository.claim_pushes(**self._next())

    def _next(self) -> _Next:
        return {"now": self.clock.now(), "limit": self.settings.batch_size, "hold": self.settings.hold}

    async def _dispatch(self, leased: Sequence[LeasedPush]) -> Sequence[PushCompletion]:
        """
        Send these, and return how they ended.

        Those that their dispatchers were killed with are kept apart: one of them may be why.
        """
        sound = [push for push in leased if not push.lost]
        suspects = [push for push in leased if push.lost]
        now, back = (sound, suspects) if sound else (suspects[:1], suspects[1:])
        if back:
            # Not one of these is under lease while a suspect is tried, so that it takes none along.
            await self.repository.complete_pushes([untried(push) for push in back])
        return await self._send_leased(now)

    async def _send_leased(self, leased: Sequence[LeasedPush]) -> Sequence[PushCompletion]:
        wishes = await self._ask_wishes(leased)
        locales = await self._find_locales(leased)
        completions: list[PushCompletion] = []
        ready: dict[str, tuple[LeasedPush, PushMessage]] = {}
        for push in leased:
            prepared = self._prepare(push, wishes, locales)
            if isinstance(prepared, PushCompletion):
                completions.append(prepared)
            else:
                ready[prepared.message_id] = (push, prepared)
        answers = await self._send(ready.values())
        completions += [self._completion(push, answers.get(key)) for key, (push, _) in ready.items()]
        return completions

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
        _log.error(
            "it could not be found out who wants pushes: %s",
            name,
            extra={"error": name, "pushes": len(leased)},
        )
        return {}

    async def _find_locales(self, leased: Sequence[LeasedPush]) -> Mapping[str, str]:
        if self.words is None:
            return {}
        return await find_locales(
            self.locales,
            [push.message.recipient_id for push in leased],
            clock=self.clock,
            seconds=self.settings.eligibility_timeout / 2,
        )

    def _prepare(
        self, push: LeasedPush, wishes: Wishes | None, locales: Mapping[str, str]
    ) -> PushMessage | PushCompletion:
        """
        Return what to send now, or how the message ends that is not sent.
        """
        try:
            ending = self._without_sending(push, wishes)
            if ending is None:
                worded = self._worded(push, locales.get(push.message.recipient_id))
                return pushed_with_fresh_link(worded, self.enrollment)
        except Exception as error:  # noqa: BLE001 - a host's words or times; no message's failure may be another's
            name = type(error).__name__
            _log.error("a push could not be prepared: %s", name, extra={"error": name})
            return self._retry_later(push, "not_prepared", counted=False)
        return ending

    def _worded(self, push: LeasedPush, locale: str | None) -> PushMessage:
        """
        Return the message with the words of this moment, and for its reader.
        """
        now, words = self.clock.now(), self.words
        if push.digest is not None:
            return with_text(push.message, push.digest, self._digest_texts(locale), now)
        if words is None or push.notice is None:
            return push.message
        text = words.as_of(push.notice, now, locale=locale)
        return attrs.evolve(push.message, title=text.title, body=text.body)

    def _digest_texts(self, locale: str | None) -> DigestTexts:
        """
        Return the words in the reader's language, else those for everybody, else the default ones.
        """
        in_language = None if self.words is None else self.words.digest_texts(locale)
        if in_language is not None and (locale is not None or self.digests is None):
            return in_language
        for_all = self.digests or DigestTexts()
        return for_all if in_language is None else for_all.with_labels(in_language.labels)

    def _without_sending(self, push: LeasedPush, wishes: Wishes | None) -> PushCompletion | None:
        """
        Return how a message ends that is not sent now, or `None` for one that is.
        """
        now = self.clock.now()
        # A digest waits for as long as its notices do: they are told late, and never not at all.
        if push.digest is None and now >= push.message.expires_at:
            return ended(push, PushState.EXPIRED, "too_late")
        if push.lost >= self.settings.retry.max_attempts:
            return ended(push, PushState.DEAD, "attempts_exhausted")
        if push.digest is not None and not push.digest.counts:
            return ended(push, PushState.CANCELLED, NOTHING_LEFT)
        wish = WANTS_PUSHES if wishes is None else wishes.get(push.message.recipient_id)
        # Not sent, since it may be unwanted; not counted, since the message is not to blame.
        if wish is None:
            return self._retry_later(push, "eligibility_unknown", counted=False)
        if wish.opted_out:
            return ended(push, PushState.CANCELLED, "opted_out")
        return self._put_off(push, now, wish.timezone)

    def _put_off(self, push: LeasedPush, now: datetime, timezone: str | None) -> PushCompletion | None:
        """
        Put a message off that is not to come at this hour of the recipient's; `None` if it may.
        """
        quiet = self.settings.quiet_hours
        over = quiet.over_at(now, timezone) if quiet is not None else None
        if over is not None:
            return queued_again(push, over, "quiet_hours", counted=False)
        if push.digest is None:
            return None
        later = waits_until(
            push.digest,
            now,
            zone_or(timezone, self.settings.digest_timezone),
            digest_at=self.settings.digest_at,
            once_a_day=self.settings.one_digest_a_day,
        )
        return None if later is None else queued_again(push, later, "digest_waits", counted=False)

    async def _send(self, ready: Collection[tuple[LeasedPush, PushMessage]]) -> Mapping[str, PushOutcome]:
        """
        Return the sender's answers by message id; a message without one is sent again later.

        What had none the last time is handed over alone, so that it costs no other its answer.
        """
        alone = [[message] for push, message in ready if push.code == NO_ANSWER]
        together = [message for push, message in ready if push.code != NO_ANSWER]
        answers: dict[str, PushOutcome] = {}

        async def send(messages: Sequence[PushMessage]) -> None:
            answers.update(await self._hand_over(messages))

        async with open_task_group() as tasks:
            for messages in [together, *alone] if together else alone:
                tasks.start_soon(send, messages)
        return answers

    async def _hand_over(self, messages: Sequence[PushMessage]) -> Mapping[str, PushOutcome]:
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
            return self._retry_later(push, NO_ANSWER)
        match outcome.verdict:
            case PushVerdict.DELIVERED:
                return ended(push, PushState.SENT, "")
            case PushVerdict.RETRY:
                return self._repeated(push, outcome)
            case _:  # dead, or no device
                return ended(push, PushState.DEAD, outcome.code)

    def _repeated(self, push: LeasedPush, outcome: PushOutcome) -> PushCompletion:
        owed = None if outcome.targets is None else tuple(each.fingerprint for each in outcome.targets)
        # What one device was told of a digest is told: another one would tell the other device more; 222.
        if owed is not None and (not owed or push.digest is not None):
            return ended(push, PushState.SENT, "")
        code = IN_DOUBT if outcome.in_doubt else "retry"
        later = self._retry_later(push, code, after=outcome.after, counted=outcome.counted)
        return attrs.evolve(later, owed=owed)

    def _retry_later(
        self, push: LeasedPush, code: str, *, after: float | None = None, counted: bool = True
    ) -> PushCompletion:
        delay = self.settings.retry.delay_before(
            push.attempts + 1, key=push.message.message_id, retry_after=after
        )
        now = self.clock.now()
        # Not beyond its end, so that it is seen to be too late, whatever a provider asked for.
        left = max(0.0, (push.message.expires_at - now).total_seconds())
        due_at = now + timedelta(seconds=min(delay, left if push.digest is None else _LONGEST_DELAY))
        return queued_again(push, due_at, code, counted=counted)


def _check_oversees(actor: Actor, action: str) -> None:
    if not actor.roles & {Role.COORDINATOR, Role.CHAPTER_ADMIN}:
        raise NotAuthorizedError(action, ask="a coordinator or a chapter admin")
