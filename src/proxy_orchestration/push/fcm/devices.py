"""
What the sender remembers about devices between calls: pauses, quarantine, and what to prune.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final, Generic, TypeAlias, TypeVar

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import NoAnswerError, ask
from proxy_orchestration.clock import Clock
from proxy_orchestration.notification.notices import PushMessage, PushTarget
from proxy_orchestration.notification.ports import PushTargetDirectory
from proxy_orchestration.push.fcm.answers import Action
from proxy_orchestration.push.fcm.messages import content_digest
from proxy_orchestration.push.fcm.pruning import PruneBreaker
from proxy_orchestration.push.fcm.settings import FcmSettings

V = TypeVar("V")

FORGETTING: Final = 2.0
"""Seconds that a device may take to be counted and forgotten; a sender's own time has them twice."""

_MOST_REMEMBERED: Final = 10_000
_MOST_DOUBLINGS: Final = 16

_log = logging.getLogger(_loggers.FCM)

_Key: TypeAlias = tuple[str, bytes, datetime | None]


@attrs.define(eq=False, kw_only=True)
class Pause:
    """
    A time in which nothing is sent; each that follows on another without a success between is twice as long.

    Attributes:
        clock: where time comes from.
        initial: seconds of the first.
        longest: seconds that none exceeds.
    """

    clock: Clock
    initial: float
    longest: float
    _until: float = attrs.field(init=False, default=-math.inf)
    _row: int = attrs.field(init=False, default=0)

    @property
    def remaining(self) -> float:
        """
        Return the seconds that are left; 0 if there is no pause.
        """
        return max(0.0, self._until - self.clock.monotonic())

    def begin(self, seconds: float | None) -> bool:
        """
        Pause, for that long if given; return whether there was no pause already.

        Calls that were under way together are refused together: they lead to
        one pause.
        """
        is_new = not self.remaining
        self._row += is_new
        own = self.initial * 2.0 ** min(self._row - 1, _MOST_DOUBLINGS)
        length = min(self.longest, own if seconds is None else seconds)
        # Only a time that FCM names extends a pause: of calls refused together each would double it.
        if is_new or seconds is not None:
            self._until = max(self._until, self.clock.monotonic() + length)
        return is_new

    def succeed(self) -> None:
        """
        Note that a call went well; a pause that began since the call did stays.
        """
        if not self.remaining:
            self._row = 0


@attrs.define(eq=False, kw_only=True)
class Pauses:
    """
    The pauses that a device is subject to.
    """

    clock: Clock
    settings: FcmSettings
    _project: Pause = attrs.field(init=False)
    _channel: Pause = attrs.field(init=False)
    _platforms: dict[str, Pause] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._project = self._pause(self.settings.quota_pause)
        self._channel = self._pause(self.settings.channel_pause)

    def remaining_for(self, target: PushTarget | None = None) -> float:
        """
        Return the seconds for which nothing is sent to this device, or to any; 0 for none.
        """
        return max(pause.remaining for pause in self._pauses_of(target))

    def succeed(self, target: PushTarget) -> None:
        """
        Note that a call for this device went well.
        """
        for pause in self._pauses_of(target):
            pause.succeed()

    def begin(self, action: Action, target: PushTarget | None, seconds: float | None) -> float:
        """
        Pause what the answer says is not to be used, and return for how long.

        A device whose platform is not known pauses no other.
        """
        pause = self._pause_for(action, target)
        if pause.begin(seconds):
            code = action.value
            _log.error("sending is paused for a while: %s", code, extra={"code": code})
        return pause.remaining

    def _pause_for(self, action: Action, target: PushTarget | None) -> Pause:
        if action is Action.QUOTA:
            return self._project
        if action is not Action.PLATFORM_REFUSED:
            return self._channel
        pause = self._pause(self.settings.channel_pause)
        platform = target.platform if target else ""
        return self._platforms.setdefault(platform, pause) if platform else pause

    def _pauses_of(self, target: PushTarget | None) -> list[Pause]:
        own = self._platforms.get(target.platform) if target else None
        return [self._project, self._channel] + ([own] if own else [])

    def _pause(self, initial: float) -> Pause:
        return Pause(clock=self.clock, initial=initial, longest=self.settings.longest_pause)


class _Memory(Generic[V]):
    """
    What is known about devices, by a hash of their addresses; the oldest is forgotten first.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, V] = OrderedDict()

    def get(self, target: PushTarget) -> V | None:
        return self._known.get(_key(target))

    def put(self, target: PushTarget, value: V) -> None:
        self._known[_key(target)] = value
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)


def _key(target: PushTarget) -> _Key:
    # With the time at which it was told: a device that tells its address again starts afresh.
    return target.kind, hashlib.sha256(target.value.encode()).digest(), target.updated_at


@attrs.define(eq=False, kw_only=True)
class TargetKeeper:
    """
    Decides what becomes of a device, and tells the directory.
    """

    directory: PushTargetDirectory = attrs.field(repr=False)
    clock: Clock
    settings: FcmSettings
    breaker: PruneBreaker
    _quarantine: _Memory[float] = attrs.field(init=False, factory=_Memory, repr=False)
    _suspects: _Memory[bytes] = attrs.field(init=False, factory=_Memory, repr=False)

    def is_quarantined(self, target: PushTarget) -> bool:
        """
        Tell whether the device was found to belong to another sender a short while ago.
        """
        until = self._quarantine.get(target)
        return until is not None and self.clock.monotonic() < until

    def quarantine(self, target: PushTarget) -> None:
        """
        Leave the device alone for a while; it is not forgotten, since the project may be the wrong one.
        """
        self._quarantine.put(target, self.clock.monotonic() + self.settings.quarantine)

    async def gone(self, message: PushMessage, target: PushTarget) -> None:
        """
        Forget a device, unless too many are gone at once; where that cannot be told, the next message does.
        """
        name = await self._failure_of(partial(self._forget, message, target))
        if name:
            _log.error("an unregistered device could not be removed: %s", name, extra={"error": name})

    async def count(self) -> None:
        """
        Count what was delivered since the last device that was gone.
        """
        name = await self._failure_of(self.breaker.count)
        if name:
            _log.error("devices could not be counted: %s", name, extra={"error": name})

    async def suspect(self, message: PushMessage, target: PushTarget, *, sent_at: datetime) -> None:
        """
        Note that an address was found invalid; forget it once two messages of different content say so.
        """
        # FCM may blame an address for what is wrong with a payload, hence two of them; decision 42.
        content = content_digest(message)
        first = self._suspects.get(target)
        if first is None:
            self._suspects.put(target, content)
        elif first != content and not told_after(target, sent_at):
            await self.gone(message, target)

    async def _forget(self, message: PushMessage, target: PushTarget) -> None:
        if await self.breaker.gone():
            await self.directory.prune(message.recipient_id, target)

    async def _failure_of(self, work: Callable[[], Awaitable[None]]) -> str:
        """
        Return the type of the error that the work of a host's directory or store ends with; empty if none.
        """
        try:
            await ask(work, clock=self.clock, seconds=FORGETTING)
        except NoAnswerError:
            return "TimeoutError"
        except Exception as error:  # noqa: BLE001 - a host's directory or store
            return type(error).__name__
        return ""


def told_after(target: PushTarget, sent_at: datetime) -> bool:
    """
    Tell whether the device told its address after that moment, so that an answer from before says nothing.
    """
    told = target.updated_at
    if told is None:
        return False
    return (told if told.tzinfo else told.replace(tzinfo=UTC)) > sent_at
