"""
Sends messages to the devices of their recipients, and answers for each message.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from ssl import SSLContext
from types import TracebackType
from typing import Final, Self

import attrs
import httpx

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import NoAnswerError, ask, open_task_group
from proxy_orchestration._wiring import check_optional_parts, check_parts
from proxy_orchestration.clock import Clock, SystemClock
from proxy_orchestration.notification.dependency_answers import Devices, devices_in
from proxy_orchestration.notification.notices import PushMessage, PushOutcome, PushTarget, PushVerdict
from proxy_orchestration.notification.ports import DeviceAnswerCounts, PushTargetDirectory
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.push.fcm.answers import SHORTEST_WAIT, Action, Answer
from proxy_orchestration.push.fcm.calls import AccessTokens, FcmCalls
from proxy_orchestration.push.fcm.credentials import FcmCredentials
from proxy_orchestration.push.fcm.devices import FORGETTING, Pauses, TargetKeeper, told_after
from proxy_orchestration.push.fcm.messages import encode, is_usable, problem_of
from proxy_orchestration.push.fcm.options import FcmOptions
from proxy_orchestration.push.fcm.pruning import OwnCounts, PruneBreaker
from proxy_orchestration.push.fcm.settings import FcmSettings

ACCEPTED: Final = "accepted"
"""What a check of a push found that FCM would take."""

_CHECKED_AGAIN: Final = 60.0
_DEAD: Final = {Action.PAYLOAD_INVALID: "payload_invalid", Action.REFUSED: "refused"}
_PAUSING: Final = frozenset(
    {Action.QUOTA, Action.UNAUTHENTICATED, Action.CHANNEL_REFUSED, Action.PLATFORM_REFUSED}
)

_log = logging.getLogger(_loggers.FCM)


@attrs.define(eq=False)
class _Delivery:
    """
    One message on its way to one device.
    """

    message: PushMessage
    target: PushTarget
    outcome: PushOutcome | None = None


@attrs.define(eq=False, kw_only=True)
class FcmPushSender:
    """
    A `PushSender` for Android, Apple and web devices through FCM; for one event loop at a time.

    FCM has no idempotency keys, so a message is sent again after a time-out or a crash. It then has
    the same collapse key, tag and `apns-collapse-id`, so that a device shows it once. The data
    value `push_id` is its id.

    `async with sender:` reads the credentials, so that a missing or malformed key raises an error
    at once. It also keeps connections from one `send` to the next. Without it, each `send` opens
    its own.

    Args:
        targets: knows the devices.
        credentials: tells where the service account's key is.
        clock: the source of time.
        settings: limits and times.
        options: how devices show pushes, and how FCM counts them.
        device_answers: counts unregistered devices over all processes, for example a
            `SqlNotificationRepository`; `None`: this sender counts only its own.

    Raises:
        MisconfiguredError: a part is unsuitable; the message says what to do.
    """

    targets: PushTargetDirectory = attrs.field(repr=False)
    credentials: FcmCredentials = attrs.field(factory=FcmCredentials)
    clock: Clock = attrs.field(factory=SystemClock)
    settings: FcmSettings = attrs.field(factory=FcmSettings)
    options: FcmOptions = attrs.field(factory=FcmOptions)
    device_answers: DeviceAnswerCounts | None = attrs.field(default=None, repr=False)
    _calls: FcmCalls = attrs.field(init=False, repr=False)
    _pauses: Pauses = attrs.field(init=False, repr=False)
    _keeper: TargetKeeper = attrs.field(init=False, repr=False)
    _client: httpx.AsyncClient | None = attrs.field(init=False, default=None, repr=False)
    _tls: SSLContext | None = attrs.field(init=False, default=None, repr=False)
    _told: set[tuple[str, NotificationThresholdTier]] = attrs.field(init=False, factory=set, repr=False)
    _stack: AsyncExitStack = attrs.field(init=False, factory=AsyncExitStack, repr=False)

    def __attrs_post_init__(self) -> None:
        check_parts(self, options=FcmOptions)
        check_optional_parts(self, device_answers=DeviceAnswerCounts)
        tokens = AccessTokens(credentials=self.credentials, clock=self.clock, settings=self.settings)
        self._calls = FcmCalls(tokens=tokens, clock=self.clock, settings=self.settings)
        self._pauses = Pauses(clock=self.clock, settings=self.settings)
        breaker = PruneBreaker(settings=self.settings, counts=self.device_answers or OwnCounts())
        self._keeper = TargetKeeper(
            directory=self.targets, clock=self.clock, settings=self.settings, breaker=breaker
        )

    @property
    def send_limit(self) -> float:
        """
        Return the longest time, in seconds, that `send` takes with these settings.
        """
        return self.settings.time_budget + self.settings.call_timeout + 2 * FORGETTING

    async def __aenter__(self) -> Self:
        """
        Check the credentials and keep connections from here on.

        Raises:
            FcmCredentialsError: there are none, or they are malformed.
        """
        await self.credentials.load()
        self._client = await self._stack.enter_async_context(self._new_client())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client = None
        await self._stack.aclose()

    async def send(self, messages: Sequence[PushMessage], /) -> Sequence[PushOutcome]:
        """
        Send each message to all devices of its recipient; return one outcome for each, in order.

        A message is delivered if at least one device accepted it, and each other device accepted it
        or never will. If some devices may accept it later, it is sent again to these only. A
        failure that is not caused by a message leads to another attempt that does not count.
        """
        until = self.clock.monotonic() + self.settings.time_budget
        problems = [problem_of(message) for message in messages]
        sound = [message for message, problem in zip(messages, problems, strict=True) if not problem]
        devices = await self._devices_of(sound)
        deliveries: dict[int, list[_Delivery]] = {}
        for place, message in enumerate(messages):
            targets = None if problems[place] else devices.get(message.recipient_id)
            deliveries[place] = [
                _Delivery(message, target)
                for target in targets or ()
                if message.owed is None or target.fingerprint in message.owed
            ]
        await self._deliver([delivery for each in deliveries.values() for delivery in each], until)
        outcomes = [
            self._outcome(
                message,
                problems[place],
                deliveries[place],
                known=devices.get(message.recipient_id) is not None,
            )
            for place, message in enumerate(messages)
        ]
        _report(outcomes)
        return outcomes

    def _outcome(
        self, message: PushMessage, problem: str, deliveries: Sequence[_Delivery], *, known: bool
    ) -> PushOutcome:
        if problem:
            outcome = self._dead(message, problem)
        elif known:
            outcome = _combined(message, deliveries)
        else:
            outcome = PushOutcome.retry(message, counted=False)
        return _checked(message, outcome) if self.options.validate_only else outcome

    async def _devices_of(self, messages: Sequence[PushMessage]) -> Devices:
        """
        Return the devices by recipient; nobody's where the directory does not answer.
        """
        recipients = {message.recipient_id for message in messages}
        if not recipients:
            return {}
        try:
            answer: object = await ask(
                partial(self.targets.targets_of, recipients),
                clock=self.clock,
                seconds=self.settings.call_timeout,
            )
            return devices_in(answer, recipients)
        except NoAnswerError:
            name = "TimeoutError"
        except Exception as error:  # noqa: BLE001 - a host's directory; the messages are sent another time
            name = type(error).__name__
        _log.error("the devices could not be looked up: %s", name, extra={"error": name})
        return {}

    async def _deliver(self, deliveries: Sequence[_Delivery], until: float) -> None:
        """
        Call FCM for each, some at a time; each has an outcome afterwards.
        """
        if not deliveries:
            return
        queue = iter(deliveries)
        async with self._connected() as client, open_task_group() as tasks:
            if not self._pauses.remaining_for():
                await self._authorize(client)
            for _ in range(min(self.settings.max_concurrency, len(deliveries))):
                tasks.start_soon(self._work, client, queue, until)
        await self._keeper.count()

    async def _authorize(self, client: httpx.AsyncClient) -> None:
        refusal = await self._calls.authorize(client)
        if refusal is not None:
            self._pauses.begin(refusal.action, None, refusal.retry_after)

    async def _work(self, client: httpx.AsyncClient, queue: Iterator[_Delivery], until: float) -> None:
        for delivery in queue:
            try:
                delivery.outcome = self._without_call(delivery, until) or await self._attempt(
                    client, delivery
                )
            except Exception as error:  # noqa: BLE001 - no message's failure may be another's
                name = type(error).__name__
                _log.error("a push could not be sent: %s", name, extra={"error": name})
                delivery.outcome = PushOutcome.retry(delivery.message, SHORTEST_WAIT)

    def _without_call(self, delivery: _Delivery, until: float) -> PushOutcome | None:
        """
        Return how a delivery ends that FCM is not called for, or `None`.
        """
        message, target = delivery.message, delivery.target
        if not is_usable(target):
            return self._dead(message, "target_invalid")
        if self._keeper.is_quarantined(target):
            return PushOutcome.dead(message, "sender_id_mismatch")
        wait = self._pauses.remaining_for(target)
        if wait:
            return PushOutcome.retry(message, wait, counted=False)
        if self.clock.monotonic() >= until:
            return PushOutcome.retry(message, counted=False)
        return None

    async def _attempt(self, client: httpx.AsyncClient, delivery: _Delivery) -> PushOutcome:
        sent_at = self.clock.now()
        content = encode(delivery.message, delivery.target, now=sent_at, options=self.options)
        answer = await self._calls.post(client, content)
        return await self._settle(delivery, answer, sent_at)

    async def _settle(self, delivery: _Delivery, answer: Answer, sent_at: datetime) -> PushOutcome:
        message, target, action = delivery.message, delivery.target, answer.action
        if action is Action.DELIVERED:
            return self._delivered(message, target)
        if action in _DEAD:
            return self._dead(message, _DEAD[action])
        if action in _PAUSING:
            wait = self._pauses.begin(action, target, answer.retry_after)
            return PushOutcome.retry(message, wait, counted=action is Action.QUOTA)
        if action is Action.TRANSIENT:
            wait = answer.retry_after or SHORTEST_WAIT
            return PushOutcome.retry(message, wait, in_doubt=answer.in_doubt)
        return await self._settle_target(delivery, action, sent_at)

    def _delivered(self, message: PushMessage, target: PushTarget) -> PushOutcome:
        self._pauses.succeed(target)
        if not self.options.validate_only:
            self._keeper.breaker.delivered()
        return PushOutcome.delivered(message)

    async def _settle_target(self, delivery: _Delivery, action: Action, sent_at: datetime) -> PushOutcome:
        message, target = delivery.message, delivery.target
        if self.options.validate_only:
            return self._dead(message, action.value)
        if action is Action.SENDER_MISMATCH:
            self._keeper.quarantine(target)
            return self._dead(message, "sender_id_mismatch")
        if action is Action.TARGET_INVALID:
            await self._keeper.suspect(message, target, sent_at=sent_at)
            return self._dead(message, "target_invalid")
        # The device told its address during the call, so the answer is about an old one; decision 42.
        if told_after(target, sent_at):
            return PushOutcome.retry(message, SHORTEST_WAIT)
        await self._keeper.gone(message, target)
        return PushOutcome.no_target(message)

    def _dead(self, message: PushMessage, code: str) -> PushOutcome:
        """
        Give a message up; said once for each tier, since one text that is wrong is wrong for all.
        """
        if (code, message.tier) not in self._told:
            self._told.add((code, message.tier))
            _log.error("FCM refused a push: %s", code, extra={"code": code, "tier": message.tier.value})
        return PushOutcome.dead(message, code)

    def _new_client(self) -> httpx.AsyncClient:
        if self._tls is None:
            self._tls = httpx.create_ssl_context()  # reads the machine's certificates, which takes its time
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        return httpx.AsyncClient(
            http2=True,
            verify=self._tls,
            limits=limits,  # none: `max_concurrency` bounds the calls, and HTTP/2 shares a connection
            timeout=None,  # noqa: S113 - calls are cut by the clock, which a test holds in its hand
        )

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[httpx.AsyncClient]:
        if self._client is not None:
            yield self._client
            return
        async with self._new_client() as client:
            yield client


def _combined(message: PushMessage, deliveries: Sequence[_Delivery]) -> PushOutcome:
    """
    Return what the devices' outcomes come to: one worth an attempt comes first, one that took it is next.
    """
    outcomes = [each.outcome for each in deliveries if each.outcome is not None]
    reached = message.owed is not None or any(each.verdict is PushVerdict.DELIVERED for each in outcomes)
    again = [outcome for outcome in outcomes if outcome.verdict is PushVerdict.RETRY]
    if again:
        after = max((outcome.after or 0.0) for outcome in again) or None
        owed = [each.target for each in deliveries if each.outcome in again]
        return PushOutcome.retry(
            message,
            after,
            counted=any(outcome.counted for outcome in again),
            in_doubt=any(outcome.in_doubt for outcome in again),
            targets=owed if reached else None,
        )
    if reached:
        return PushOutcome.delivered(message)
    dead = [outcome for outcome in outcomes if outcome.verdict is PushVerdict.DEAD]
    dead.sort(key=lambda outcome: not outcome.code.startswith("payload_"))
    return dead[0] if dead else PushOutcome.no_target(message)


def _checked(message: PushMessage, outcome: PushOutcome) -> PushOutcome:
    """
    Return the outcome of a message that was checked and not sent: it stays queued, whatever was found.
    """
    after = outcome.after or _CHECKED_AGAIN
    code = ACCEPTED if outcome.verdict is PushVerdict.DELIVERED else outcome.code
    return attrs.evolve(PushOutcome.retry(message, after, counted=False), code=code)


def _report(outcomes: Sequence[PushOutcome]) -> None:
    if not outcomes:
        return
    counts = dict(Counter(outcome.verdict.value for outcome in outcomes))
    _log.info("pushes were sent: %s", counts, extra={"counts": counts})
