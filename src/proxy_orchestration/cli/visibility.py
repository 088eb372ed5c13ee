"""
The commands for mentors who are hidden because a certificate lapsed: changes and restore.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Annotated, Final

import attrs
import typer

from proxy_orchestration.access import Role
from proxy_orchestration.cli.csv.problems import printable
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.options import (
    DEFAULT_STORE,
    ActorOption,
    AfterOption,
    Common,
    JsonOption,
    MentorArgument,
    StoreOption,
    place_in,
)
from proxy_orchestration.cli.output import Cell, Output
from proxy_orchestration.cli.rendering import counted, words
from proxy_orchestration.cli.session import NOTHING_CHANGED, Session, run_command
from proxy_orchestration.errors import InvalidInputError
from proxy_orchestration.notification.visibility_records import VisibilityChange, change_place, changes_page

_RESTORE_AGAIN: Final = "The mentor may already be visible. Run the command again; it then changes nothing."
_MOST: Final = 100


class RestoringRole(enum.Enum):
    """
    In which role somebody has a mentor shown again.
    """

    COORDINATOR = Role.COORDINATOR.value
    CHAPTER_ADMIN = Role.CHAPTER_ADMIN.value


OfOrganizationOption = Annotated[
    str | None,
    typer.Option(
        "--organization",
        metavar="ORGANIZATION",
        help="Only mentors of this organization. Default: all.",
        show_default=False,
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=_MOST, help="The number of changes to show.")]
TypeOption = Annotated[
    str | None,
    typer.Option(
        "--type", metavar="TYPE", help="Only this type of certificate. Default: all.", show_default=False
    ),
]
RoleOption = Annotated[RestoringRole, typer.Option("--role", help="The role in which the actor restores.")]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="The reason, up to 500 characters; it is kept with the audit row.")
]


def changes(
    *,
    store: StoreOption = DEFAULT_STORE,
    organization: OfOrganizationOption = None,
    after: AfterOption = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """
    List when and why mentors were hidden and shown again, newest first.
    """
    place = place_in(after, change_place)

    async def work(session: Session) -> ExitCode:
        found = await session.visibility.changes(organization, after=place, limit=limit + 1)
        page = changes_page(tuple(found), limit=limit)
        if as_json:
            session.output.document(page)
        elif page.changes:
            _show(session.output, page.changes)
        session.output.conclude(f"{counted(len(page.changes), 'change', 'changes')} shown.")
        if page.next_after is not None:
            session.output.conclude(f"More:  --after {page.next_after}")
        return ExitCode.SUCCESS

    run_command(Common(store=store, as_json=as_json), work, if_interrupted=NOTHING_CHANGED)


def restore(  # noqa: PLR0913 - a command's parameters are its options
    mentor: MentorArgument,
    *,
    actor: ActorOption,
    certificate_type: TypeOption = None,
    role: RoleOption = RestoringRole.COORDINATOR,
    reason: ReasonOption = "",
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """
    Show a mentor again who is hidden because a certificate lapsed. A later lapse hides them again.
    """
    acting = attrs.evolve(actor, roles={Role(role.value)})

    async def work(session: Session) -> ExitCode:
        output = session.output
        try:
            restored = await session.notifications.restore_visibility(
                mentor, certificate_type, actor=acting, reason=reason
            )
        except InvalidInputError as error:
            output.end(ExitCode.BAD_INPUT, f"{error}.")
            return ExitCode.BAD_INPUT
        if as_json:
            output.document({"mentor_id": mentor, "restored": restored})
        output.conclude(_told(restored))
        return ExitCode.SUCCESS

    common = Common(store=store, as_json=as_json, actor=actor)
    run_command(common, work, if_interrupted=_RESTORE_AGAIN)


def _told(restored: Sequence[VisibilityChange]) -> str:
    if not restored:
        return "No certificate in your organization hides this mentor; nothing was changed."
    types = ", ".join(printable(change.certificate_type) for change in restored)
    previous = next((change.previous_status for change in restored if change.previous_status), None)
    status = "is not known" if previous is None else f"was {printable(previous)}"
    return f"The mentor is visible again for {types}. The previous status {status}."


def _show(output: Output, shown: Sequence[VisibilityChange]) -> None:
    rows = [
        (
            f"{change.at:%Y-%m-%d %H:%M}",
            printable(change.mentor_id),
            printable(change.certificate_type),
            Cell("hidden", "red") if change.hidden else Cell("shown", "green"),
            words(change.cause),
            f"{change.ends_at:%Y-%m-%d %H:%M}",
            printable(change.previous_status or ""),
            printable(change.by or ""),
        )
        for change in shown
    ]
    output.table(("AT", "MENTOR", "TYPE", "NOW", "WHY", "END", "STATUS BEFORE", "BY"), rows)
    output.conclude("")
