"""
The command that sends: dispatch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import attrs

from proxy_orchestration.cli.csv_targets import FileTargets, read_targets
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.json_output import dispatch_document
from proxy_orchestration.cli.notice_rendering import outbox_sentences, show_dispatch
from proxy_orchestration.cli.notice_session import NoticeSession
from proxy_orchestration.cli.options import Common
from proxy_orchestration.cli.progress import show_progress
from proxy_orchestration.cli.session import ending_on_errors
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.notices import PushMessage, PushOutcome, PushState, PushVerdict
from proxy_orchestration.notification.ports import PushSender
from proxy_orchestration.notification.results import DispatchResult
from proxy_orchestration.notification.settings import DispatchSettings


class OpenableSender(PushSender, AbstractAsyncContextManager["OpenableSender"], Protocol):
    """
    A sender that checks its credentials when it is opened.
    """


@attrs.frozen(kw_only=True)
class Channel:
    """
    How pushes leave.

    Attributes:
        sender: what delivers them.
        targets: the devices of the file.
    """

    sender: OpenableSender
    targets: FileTargets


def open_channel(common: Common, targets: Path, *, credentials: Path | None, endpoint: str) -> Channel:
    """
    Read the devices and make the sender; end the program at a fault or without the extra.
    """
    with ending_on_errors(common.output):
        # only this command needs the extra
        from proxy_orchestration.push.fcm import (  # noqa: PLC0415 - see above
            FcmCredentials,
            FcmPushSender,
            FcmSettings,
        )

        devices = read_targets(targets)
        return Channel(
            targets=devices,
            sender=FcmPushSender(
                targets=devices,
                credentials=FcmCredentials(path=None if credentials is None else str(credentials)),
                settings=FcmSettings(base_url=endpoint),
            ),
        )


async def dispatch(session: NoticeSession, channel: Channel, *, replay_dead: bool) -> ExitCode:
    """
    Send what is due, and say what became of it.
    """
    settings = DispatchSettings()
    async with channel.sender:
        if replay_dead:
            replayed = await session.repository.replay_dead(None, now=session.clock.now())
            session.output.say(f"Queued again: {replayed}.")
        waiting = await session.repository.count_pushes()
        with show_progress(session.output) as board:
            total = max(1, waiting.get(PushState.QUEUED, 0))
            show = board.meter("Sending", total=total, verb="handed over")
            sender = _CountingSender(inner=channel.sender, show=show)
            dispatcher = PushDispatcher(
                repository=session.repository, sender=sender, clock=session.clock, settings=settings
            )
            result = await dispatcher.drain()
    left = await session.repository.count_pushes()
    _show(session, result, sender.unsent, left, channel.targets.gone, hold=settings.hold)
    return code_of_dispatch(result)


def code_of_dispatch(result: DispatchResult) -> ExitCode:
    """
    Return how a dispatch ends: by what was given up or put back.
    """
    if not result.dead and not result.retried:
        return ExitCode.SUCCESS
    return ExitCode.PARTIAL_SUCCESS if result.sent else ExitCode.TOTAL_FAILURE


@attrs.define(eq=False, kw_only=True)
class _CountingSender:
    """
    Hands messages on, and counts them and those that were not delivered.

    Attributes:
        unsent: how many, by recipient and reason.
    """

    inner: PushSender
    show: Callable[[int, str], None]
    unsent: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    _handed: int = 0

    async def send(self, messages: Sequence[PushMessage], /) -> Sequence[PushOutcome]:
        """
        Send each by the sender itself.
        """
        outcomes = await self.inner.send(messages)
        recipients = {message.message_id: message.recipient_id for message in messages}
        for outcome in outcomes:
            if outcome.verdict is not PushVerdict.DELIVERED:
                code = outcome.code or "later"
                self.unsent[recipients.get(outcome.message_id, ""), code] += 1
        self._handed += len(messages)
        self.show(self._handed, "")
        return outcomes


def _show(  # noqa: PLR0913 - all that a dispatch has to tell
    session: NoticeSession,
    result: DispatchResult,
    unsent: Mapping[tuple[str, str], int],
    left: Mapping[PushState, int],
    gone: Iterable[int],
    *,
    hold: float,
) -> None:
    output, lines = session.output, sorted(gone)
    if output.as_json:
        output.document(dispatch_document(result, unsent, left, lines))
    else:
        show_dispatch(output, result, unsent)
    for sentence in outbox_sentences(left, hold=hold):
        output.conclude(sentence)
    if lines:
        output.conclude(f"Take these lines out of the file of devices, FCM knows them no more: {lines}.")
    if not any(attrs.astuple(result)):
        output.conclude("Nothing was due.")
