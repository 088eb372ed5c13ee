"""
What becomes of devices that FCM does not take: quarantine, suspicion, pruning, and the breaker that stops it.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict, deque
from datetime import UTC, datetime
from typing import Final, Generic, TypeAlias, TypeVar

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._concurrency import wait_at_most
from proxy_orchestration.clock import Clock
from proxy_orchestration.notification.notices import PushMessage
from proxy_orchestration.notification.ports import PushTargetDirectory
from proxy_orchestration.notification.records import PushTarget
from proxy_orchestration.push.fcm_messages import content_digest
from proxy_orchestration.push.fcm_settings import FcmSettings

V = TypeVar("V")

_MOST_REMEMBERED: Final = 10_000

_log = logging.getLogger(_loggers.FCM)

_Key: TypeAlias = tuple[str, bytes, datetime | None]


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
class PruneBreaker:
    """
    Stops pruning when too many devices are called gone at once, which tells of a mistake of ours or Google's.

    It mends by itself, as newer answers are better.
    """

    settings: FcmSettings
    _answers: deque[bool] = attrs.field(init=False, factory=deque)
    _gone: int = attrs.field(init=False, default=0)
    _tripped: bool = attrs.field(init=False, default=False)

    def note(self, *, gone: bool) -> bool:
        """
        Take note of an answer about a device; return whether pruning is allowed.
        """
        self._answers.append(gone)
        self._gone += gone
        if len(self._answers) > self.settings.prune_window:
            self._gone -= self._answers.popleft()
        too_many = self._gone > self.settings.prune_share * len(self._answers)
        tripped = too_many and self._gone >= self.settings.prune_minimum
        if tripped and not self._tripped:
            _log.error(
                "pruning is stopped: FCM calls %d of the last %d devices gone; check the project",
                self._gone,
                len(self._answers),
                extra={"code": "prune_breaker", "gone": self._gone, "answered": len(self._answers)},
            )
        self._tripped = tripped
        return not tripped


@attrs.define(eq=False, kw_only=True)
class TargetKeeper:
    """
    Decides what becomes of a device, and tells the directory.
    """

    directory: PushTargetDirectory = attrs.field(repr=False)
    clock: Clock
    settings: FcmSettings
    _breaker: PruneBreaker = attrs.field(init=False)
    _quarantine: _Memory[float] = attrs.field(init=False, factory=_Memory, repr=False)
    _suspects: _Memory[bytes] = attrs.field(init=False, factory=_Memory, repr=False)

    def __attrs_post_init__(self) -> None:
        self._breaker = PruneBreaker(settings=self.settings)

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

    def delivered(self) -> None:
        """
        Note that a device took a message.
        """
        self._breaker.note(gone=False)

    async def gone(self, message: PushMessage, target: PushTarget) -> None:
        """
        Forget a device, unless too many are gone at once.
        """
        if self._breaker.note(gone=True):
            await self._prune(message.recipient_id, target)

    async def suspect(self, message: PushMessage, target: PushTarget, *, sent_at: datetime) -> None:
        """
        Note that an address was found invalid; forget it once two messages of different content say so.
        """
        content = content_digest(message)
        first = self._suspects.get(target)
        if first is None:
            self._suspects.put(target, content)
        elif first != content and not told_after(target, sent_at):
            await self.gone(message, target)

    async def _prune(self, recipient_id: str, target: PushTarget) -> None:
        async def prune() -> None:
            await self.directory.prune(recipient_id, target)

        name = ""
        try:
            if not await wait_at_most(self.clock, self.settings.call_timeout, prune):
                name = "TimeoutError"
        except Exception as error:  # noqa: BLE001 - a host's directory; the next message prunes
            name = type(error).__name__
        if name:
            _log.error("a device could not be pruned: %s", name, extra={"error": name})


def told_after(target: PushTarget, sent_at: datetime) -> bool:
    """
    Tell whether the device told its address after that moment, so that an answer from before says nothing.
    """
    told = target.updated_at
    if told is None:
        return False
    return (told if told.tzinfo else told.replace(tzinfo=UTC)) > sent_at
