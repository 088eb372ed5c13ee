"""
When nothing is sent: pauses of the whole project and of one platform.
"""

from __future__ import annotations

import logging
import math
from typing import Final

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration.clock import Clock
from proxy_orchestration.notification.records import PushTarget
from proxy_orchestration.push.fcm_errors import Action
from proxy_orchestration.push.fcm_settings import FcmSettings

_MOST_DOUBLINGS: Final = 16

_log = logging.getLogger(_loggers.FCM)


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
            _log.error("nothing is sent for a while: %s", code, extra={"code": code})
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
