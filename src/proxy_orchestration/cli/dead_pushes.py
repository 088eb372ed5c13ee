"""
The commands for pushes that were given up: dead and replay.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Final

import typer

from proxy_orchestration.cli.csv.problems import printable
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.options import DEFAULT_STORE, PROGRAM, Common, JsonOption, StoreOption
from proxy_orchestration.cli.output import Cell, Output
from proxy_orchestration.cli.rendering import counted, words
from proxy_orchestration.cli.session import NOTHING_CHANGED, Session, run_command
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.notification.dead_pushes import page_of, position_of
from proxy_orchestration.notification.records import DeadPush

_PAGE: Final = 500
_REPLAY_AGAIN: Final = "Some pushes may already be queued. Run the command again; no push is queued twice."

OrganizationOption = Annotated[
    str | None,
    typer.Option(
        "--organization",
        metavar="ORGANIZATION",
        help="Only pushes about mentors of this organization, or of no organization. Default: all.",
        show_default=False,
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="The number of pushes to show.")]
AfterOption = Annotated[
    str | None,
    typer.Option(
        "--after",
        metavar="CURSOR",
        help="Continue after a page: give the next_cursor that the page printed last.",
        show_default=False,
    ),
]
MessagesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MESSAGE]...",
        help="The ids of the pushes, as the command dead shows them.",
        show_default=False,
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="Replay all pushes that the command dead shows.")]


def dead(
    *,
    store: StoreOption = DEFAULT_STORE,
    organization: OrganizationOption = None,
    limit: LimitOption = 50,
    after: AfterOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show the pushes that were given up and the reasons, the oldest first.
    """
    common = Common(store=store, as_json=as_json)

    async def work(session: Session) -> ExitCode:
        output = session.output
        try:
            position = position_of(after)
        except InvalidValueError as error:
            output.end(ExitCode.BAD_INPUT, f"--after: {error}.")
            return ExitCode.BAD_INPUT
        found = await session.notices.dead_pushes(
            organization_id=organization, after=position, limit=limit + 1
        )
        page = page_of(tuple(found), limit=limit)
        if as_json:
            output.document(page)
        elif page.pushes:
            _show(output, page.pushes)
        output.conclude(f"{counted(len(page.pushes), 'push is', 'pushes are')} given up.")
        if page.next_cursor is not None:
            output.conclude(f"There are more. Show them with --after {page.next_cursor}")
        if page.pushes:
            output.conclude(f"After you fix the cause, {PROGRAM} replay queues them again.")
        return ExitCode.SUCCESS

    run_command(common, work, if_interrupted=NOTHING_CHANGED)


def replay(
    messages: MessagesArgument = None,
    *,
    everything: AllOption = False,
    store: StoreOption = DEFAULT_STORE,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Queue given-up pushes again. The next dispatch sends those that have not expired.
    """
    common = Common(store=store, as_json=as_json)

    async def work(session: Session) -> ExitCode:
        if bool(messages) is everything:
            session.output.end(ExitCode.BAD_INPUT, "Give either the ids of pushes or --all.")
            return ExitCode.BAD_INPUT
        replayed = await _replay(session, messages, organization)
        if as_json:
            session.output.document({"replayed": replayed})
        session.output.conclude(f"Queued again: {replayed}.")
        return ExitCode.SUCCESS

    run_command(common, work, if_interrupted=_REPLAY_AGAIN)


async def _replay(session: Session, named: Collection[str] | None, organization: str | None) -> int:
    """
    Queue what is named, or all, of that organization or of every one; return how many.
    """
    replayed, cursor = 0, ""
    while True:
        found = await session.notices.dead_pushes(
            organization_id=organization, after=position_of(cursor or None), limit=_PAGE + 1
        )
        page = page_of(tuple(found), limit=_PAGE)
        ids = {push.message_id for push in page.pushes}
        wanted = ids.intersection(named) if named else ids
        replayed += await session.notices.replay_dead(wanted, now=session.clock.now())
        if page.next_cursor is None:
            return replayed
        cursor = page.next_cursor


def _show(output: Output, pushes: Sequence[DeadPush]) -> None:
    rows = [
        (
            printable(push.message_id),
            printable(push.mentor_id or f"digest of {push.recipient_id}"),
            printable(push.certificate_type or ""),
            words(push.tier),
            f"{push.claimed_at:%Y-%m-%d %H:%M}",
            Cell(words(push.code), "red"),
        )
        for push in pushes
    ]
    output.table(("MESSAGE", "MENTOR", "TYPE", "TIER", "SINCE", "REASON"), rows)
    output.conclude("")
