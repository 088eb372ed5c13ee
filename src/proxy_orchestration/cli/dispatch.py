"""
The command `dispatch`: sends the pushes that are due through Firebase Cloud Messaging.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import attrs
import typer

from proxy_orchestration.cli.csv.targets import FileTargets, parse_targets
from proxy_orchestration.cli.exits import ExitCode, code_of_shares
from proxy_orchestration.cli.layout_options import (
    ColumnsOption,
    EncodingOption,
    IgnoreOption,
    SheetOption,
    layout_of,
)
from proxy_orchestration.cli.options import DEFAULT_STORE, Common, JsonOption, StoreOption, ZoneOption
from proxy_orchestration.cli.output import Cell, Output
from proxy_orchestration.cli.progress import show_progress
from proxy_orchestration.cli.rendering import counted, words
from proxy_orchestration.cli.session import Session, ending_on_errors, run_command
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.notices import PushMessage, PushOutcome, PushState, PushVerdict
from proxy_orchestration.notification.ports import DeviceAnswerCounts, PushSender
from proxy_orchestration.notification.results import DispatchResult
from proxy_orchestration.notification.settings import DispatchSettings
from proxy_orchestration.notification.tiers import ExpiryPolicy
from proxy_orchestration.notification.words import NoticeWords

if TYPE_CHECKING:
    from proxy_orchestration.push.fcm import FcmPushSender

FCM: Final = "https://fcm.googleapis.com"
_SEND_AGAIN: Final = (
    "Pushes already sent are not sent again. Run the command again: pushes that were being sent are released "
    "within two minutes, and are then sent once more with the same key."
)
_SETTINGS: Final = DispatchSettings()
_STYLES: Final = {"sent": "green", "retried": "yellow", "dead": "red"}

TargetsOption = Annotated[
    Path,
    typer.Option(
        "--targets",
        metavar="FILE",
        help="CSV in UTF-8 with the devices: recipient_id, kind (fid or token), value; optional: platform.",
        show_default=False,
    ),
]
CredentialsOption = Annotated[
    Path | None,
    typer.Option(
        "--credentials",
        metavar="FILE",
        help="A file with a service account's JSON key. Default: the content of FCM_SERVICE_ACCOUNT_JSON, or "
        "the file that GOOGLE_APPLICATION_CREDENTIALS names.",
        show_default=False,
    ),
]
EndpointOption = Annotated[str, typer.Option("--endpoint", metavar="URL", help="The address of FCM.")]
ReplayOption = Annotated[
    bool, typer.Option("--replay-dead", help="First queue the given-up pushes again, and send them too.")
]
ValidateOption = Annotated[
    bool,
    typer.Option(
        "--validate-only", help="Let FCM check the pushes without delivering them. They stay queued."
    ),
]


def dispatch(  # noqa: PLR0913 - a command's parameters are its options
    *,
    targets: TargetsOption,
    store: StoreOption = DEFAULT_STORE,
    credentials: CredentialsOption = None,
    endpoint: EndpointOption = FCM,
    replay_dead: ReplayOption = False,
    zone: ZoneOption = None,
    validate_only: ValidateOption = False,
    encoding: EncodingOption = None,
    sheet: SheetOption = None,
    columns: ColumnsOption = None,
    ignore_columns: IgnoreOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Send the pushes that are due through Firebase Cloud Messaging.
    """
    common = Common(store=store, as_json=as_json)
    words_of_today = NoticeWords(policy=ExpiryPolicy(timezone=zone or UTC))
    layout = layout_of(common, encoding=encoding, sheet=sheet, columns=columns, ignore_columns=ignore_columns)
    with ending_on_errors(common.output):
        devices = parse_targets(targets, name=str(targets), layout=layout)
        make = _channel(devices, credentials, endpoint, validate_only=validate_only)

    async def work(session: Session) -> ExitCode:
        async with make(session.notices) as sender:
            if replay_dead:
                replayed = await session.notices.replay_dead(None, now=session.clock.now())
                session.output.say(f"Queued again: {replayed}.")
            result, unsent = await _drain(session, sender, words_of_today)
        left = await session.notices.count_pushes()
        _show(session.output, result, unsent, left, devices)
        unread = len({problem.line for problem in devices.unread})
        if validate_only:
            session.output.conclude(
                "Nothing was delivered: FCM only checked the pushes, and they stay queued."
            )
            refused = sum(number for (_, code), number in unsent.items() if code != "accepted")
            return code_of_shares(failed=refused + unread, done=unsent.total() - refused or unread)
        # Of the file's devices the unread ones failed, whatever was due; others can be sent to.
        return code_of_shares(failed=result.dead + result.retried + unread, done=result.sent or unread)

    run_command(common, work, if_interrupted=_SEND_AGAIN)


def _channel(
    devices: FileTargets, credentials: Path | None, endpoint: str, *, validate_only: bool
) -> Callable[[DeviceAnswerCounts], FcmPushSender]:
    """
    Return what makes the sender once there is a store that counts.
    """
    from proxy_orchestration.push.fcm import (  # noqa: PLC0415 - only here is the extra needed
        FcmCredentials,
        FcmOptions,
        FcmPushSender,
        FcmSettings,
    )

    def make(counts: DeviceAnswerCounts) -> FcmPushSender:
        return FcmPushSender(
            targets=devices,
            credentials=FcmCredentials(path=None if credentials is None else str(credentials)),
            settings=FcmSettings(base_url=endpoint),
            options=FcmOptions(validate_only=validate_only),
            device_answers=counts,
        )

    return make


async def _drain(
    session: Session, sender: PushSender, words_of_today: NoticeWords
) -> tuple[DispatchResult, Counter[tuple[str, str]]]:
    """
    Send what is due; return what became of it, and how much was not delivered by recipient and reason.
    """
    waiting = await session.notices.count_pushes()
    with show_progress(session.output) as board:
        total = max(1, waiting.get(PushState.QUEUED, 0))  # a bar needs an end
        show = board.meter("Sending", total=total, verb="handed over")
        counting = _CountingSender(inner=sender, show=show)
        dispatcher = PushDispatcher(
            repository=session.notices,
            sender=counting,
            clock=session.clock,
            settings=_SETTINGS,
            words=words_of_today,
        )
        return await dispatcher.drain(), counting.unsent


@attrs.define(eq=False, kw_only=True)
class _CountingSender:
    """
    Hands messages on, and counts them and those that were not delivered.
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


def _show(
    output: Output,
    result: DispatchResult,
    unsent: Mapping[tuple[str, str], int],
    left: Mapping[PushState, int],
    devices: FileTargets,
) -> None:
    """
    Write what became of the pushes, for whom nothing was sent, and what is left in the outbox.
    """
    counts, gone = result.to_dict(), sorted(devices.gone)
    if output.as_json:
        failed = [
            {"recipient_id": who, "code": code, "pushes": number} for (who, code), number in unsent.items()
        ]
        output.document(
            {**counts, "unsent": failed, "outbox": left, "gone_lines": gone, "unread": devices.unread}
        )
    else:
        rows = [(Cell(name, _STYLES.get(name, "dim")), str(number)) for name, number in counts.items()]
        output.table(("RESULT", "PUSHES"), rows)
        if unsent:
            output.conclude("")
            names = [(who, words(code), str(number)) for (who, code), number in unsent.items()]
            output.table(("NOT DELIVERED TO", "REASON", "PUSHES"), names)
        output.conclude("")
    for sentence in _sentences(result, left, gone):
        output.conclude(sentence)
    if devices.unread:
        output.conclude("These lines could not be read, so nothing was sent to their devices:")
        for problem in devices.unread:
            output.conclude(f"  {problem}")
        output.conclude(
            "Correct them. Then --replay-dead also sends the pushes that were given up because no device was "
            "known."
        )


def _sentences(result: DispatchResult, left: Mapping[PushState, int], gone: Sequence[int]) -> Iterator[str]:
    """
    Yield what is left in the outbox, and what to do about it.
    """
    if queued := left.get(PushState.QUEUED):
        yield f"{counted(queued, 'push waits', 'pushes wait')} for a later time."
    if leased := left.get(PushState.LEASED):
        held = counted(leased, "push is", "pushes are")
        free = f"released within {_SETTINGS.hold:.0f} s"
        yield f"{held} held by another dispatch, or by one that was killed; {free}."
    if dead := left.get(PushState.DEAD):
        yield (
            f"{counted(dead, 'push is', 'pushes are')} given up. The command dead lists them, and replay "
            "queues them again."
        )
    if gone:
        yield f"FCM no longer knows the devices on these lines. Remove the lines from the file: {gone}."
    if not any(attrs.astuple(result)):
        yield "No push was due."
