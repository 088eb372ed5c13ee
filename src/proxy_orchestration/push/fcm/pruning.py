"""
Decides which devices are removed, and when removing stops.
"""

from __future__ import annotations

import logging
from typing import Final

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration.notification.ports import DeviceAnswerCounts
from proxy_orchestration.notification.records import DeviceAnswers
from proxy_orchestration.push.fcm.settings import FcmSettings

_CHANNEL: Final = "fcm"

_log = logging.getLogger(_loggers.FCM)


@attrs.define(eq=False)
class OwnCounts:
    """
    A `DeviceAnswerCounts` of this process alone, for a sender that is given none.
    """

    _sums: dict[str, DeviceAnswers] = attrs.field(init=False, factory=dict)

    async def count_device_answers(
        self, channel: str, /, *, answered: int, gone: int, window: int
    ) -> DeviceAnswers:
        """
        Add these to the channel's sums, and return the sums.
        """
        known = self._sums.get(channel, DeviceAnswers())
        sums = self._sums[channel] = known.plus(answered=answered, gone=gone, window=window)
        return sums


@attrs.define(eq=False, kw_only=True)
class PruneBreaker:
    """
    Stops pruning when too many devices are called gone at once, which tells of a mistake of ours or Google's.

    It allows pruning again by itself, as newer answers are better.
    """

    settings: FcmSettings
    counts: DeviceAnswerCounts = attrs.field(factory=OwnCounts)
    _answered: int = attrs.field(init=False, default=0)
    _gone: int = attrs.field(init=False, default=0)
    _tripped: bool = attrs.field(init=False, default=False)

    def delivered(self) -> None:
        """
        Take note of a device that took a message; it is counted with the next one that is gone.
        """
        self._answered += 1

    async def gone(self) -> bool:
        """
        Count a device that is gone; return whether it may be forgotten.
        """
        self._answered += 1
        self._gone += 1
        await self.count()
        return not self._tripped

    async def count(self) -> None:
        """
        Count what was noted since the last time; where that fails, it is counted the next time.
        """
        answered, self._answered = self._answered, 0
        gone, self._gone = self._gone, 0
        if not answered:
            return
        try:
            # Counted where others see it before anything is forgotten: five fresh processes with
            # 19 devices each forgot 95 of 95; decision 223.
            sums = await self.counts.count_device_answers(
                self._channel, answered=answered, gone=gone, window=self.settings.prune_window
            )
        except BaseException:
            self._answered += answered
            self._gone += gone
            raise
        self._judge(sums)

    @property
    def _channel(self) -> str:
        project = self.settings.project_id
        return f"{_CHANNEL}:{project}" if project else _CHANNEL

    def _judge(self, sums: DeviceAnswers) -> None:
        # Many at once are a wrong project and no exodus; decision 42.
        too_many = sums.gone > self.settings.prune_share * sums.answered
        tripped = too_many and sums.gone >= self.settings.prune_minimum
        if tripped and not self._tripped:
            _log.error(
                "pruning of devices is stopped, because FCM reports %d of the last %d devices as "
                "unregistered; check the project",
                sums.gone,
                sums.answered,
                extra={"code": "prune_breaker", "gone": sums.gone, "answered": sums.answered},
            )
        self._tripped = tripped
