"""
The commands for the notices in an inbox: inbox and acknowledge.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import attrs
import typer

from proxy_orchestration.access import Role
from proxy_orchestration.cli.csv.problems import printable
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.options import DEFAULT_STORE, ActorOption, Common, JsonOption, StoreOption
from proxy_orchestration.cli.output import Cell, Output
from proxy_orchestration.cli.rendering import counted, words
from proxy_orchestration.cli.session import NOTHING_CHANGED, Session, run_command
from proxy_orchestration.notification.notices import CertificateExpiryNotification, NoticeStatus
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.records import Acknowledged
from proxy_orchestration.notification.words import NoticeWords

_ACKNOWLEDGE_AGAIN: Final = (
    "The notice may already be acknowledged. Run the command again; it is acknowledged only once."
)
_WORDS: Final = NoticeWords()
_STATUS_STYLES: Final = {
    NoticeStatus.PENDING: "yellow",
    NoticeStatus.ACKNOWLEDGED: "green",
    NoticeStatus.CLEARED: "dim",
}


class AcknowledgingRole(enum.Enum):
    """
    In which role somebody acknowledges a notice.
    """

    COORDINATOR = Role.COORDINATOR.value
    CHAPTER_ADMIN = Role.CHAPTER_ADMIN.value


RecipientArgument = Annotated[
    str, typer.Argument(metavar="RECIPIENT", help="The id of the recipient.", show_default=False)
]
AllOption = Annotated[
    bool, typer.Option("--all", help="Also show notices that were acknowledged or cleared by a renewal.")
]
NoticeArgument = Annotated[
    str, typer.Argument(metavar="NOTIFICATION", help="The id of the notice.", show_default=False)
]
RoleOption = Annotated[
    AcknowledgingRole, typer.Option("--role", help="The role in which the actor acknowledges.")
]
NoteOption = Annotated[
    str, typer.Option("--note", help="What was done about it, up to 500 characters; kept with the audit row.")
]


def inbox(
    recipient: RecipientArgument,
    *,
    store: StoreOption = DEFAULT_STORE,
    whole: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Show the notices that a recipient has not acknowledged yet.
    """

    async def work(session: Session) -> ExitCode:
        output = session.output
        found = await session.notices.notifications_for(recipient, unacknowledged_only=not whole)
        notices = [_as_of(notice, session.clock.now()) for notice in found]
        if as_json:
            output.document({"recipient_id": recipient, "notifications": notices})
        elif notices:
            _show_notices(output, notices)
        pending = sum(notice.status is NoticeStatus.PENDING for notice in notices)
        told = counted(len(notices), "notice", "notices")
        output.conclude(f"{printable(recipient)}: {told}, {pending} pending.")
        return ExitCode.SUCCESS

    run_command(Common(store=store, as_json=as_json), work, if_interrupted=NOTHING_CHANGED)


def acknowledge(  # noqa: PLR0913 - a command's parameters are its options
    notification: NoticeArgument,
    *,
    actor: ActorOption,
    role: RoleOption = AcknowledgingRole.COORDINATOR,
    note: NoteOption = "",
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """
    Acknowledge a notice in the actor's inbox. Repeating the command changes nothing.
    """
    acting = attrs.evolve(actor, roles={Role(role.value)})

    async def work(session: Session) -> ExitCode:
        output = session.output
        orchestrator = NotificationOrchestrator(repository=session.notices, clock=session.clock)
        try:
            found = await orchestrator.acknowledge(notification, actor=acting, note=note)
        except ValueError as error:
            output.end(ExitCode.BAD_INPUT, f"--note: {error}.")
            return ExitCode.BAD_INPUT
        if as_json:
            output.document({"notification_id": notification, "acknowledged": found})
        notice = await session.notices.notification(notification)
        output.conclude("Acknowledged." if found is Acknowledged.NOW else _before(notice))
        return ExitCode.SUCCESS

    common = Common(store=store, as_json=as_json, actor=actor)
    run_command(common, work, if_interrupted=_ACKNOWLEDGE_AGAIN)


def _as_of(notice: CertificateExpiryNotification, now: datetime) -> CertificateExpiryNotification:
    """
    Return the notice with its text of now: how many days are left is another number every day.

    One that a host wrote in its own words, or in another zone, is shown as it was written.
    """
    written, text = _WORDS.as_of(notice, notice.created_at), _WORDS.as_of(notice, now)
    if (written.title, written.body) != (notice.title, notice.body):
        return notice
    return attrs.evolve(notice, title=text.title, body=text.body)


def _show_notices(output: Output, notices: Sequence[CertificateExpiryNotification]) -> None:
    rows = [
        (
            notice.notification_id,
            notice.mentor_id,
            notice.certificate_type,
            words(notice.tier),
            f"{notice.created_at:%Y-%m-%d}",
            Cell(words(notice.status), _STATUS_STYLES[notice.status]),
            notice.body,
        )
        for notice in notices
    ]
    output.table(("NOTIFICATION", "MENTOR", "TYPE", "TIER", "SINCE", "STATUS", "TEXT"), rows)
    output.conclude("")


def _before(notice: CertificateExpiryNotification | None) -> str:
    if notice is None or notice.status is NoticeStatus.CLEARED:
        return "A renewal cleared this notice; there is nothing to acknowledge."
    return f"The notice was already acknowledged by {notice.acknowledged_by}; nothing was changed."
