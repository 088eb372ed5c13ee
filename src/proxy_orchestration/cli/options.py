"""
The options that commands share, and what people write in them.
"""

from __future__ import annotations

import enum
import shlex
from pathlib import Path
from typing import Annotated, Final

import attrs
import typer

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.cli.output import Output
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.states import BulkStatus

PROGRAM: Final = "proxy-orchestration"
DEFAULT_STORE: Final = Path("proxy-orchestration.db")


def _actor(text: str) -> Actor:
    """
    Return the coordinator that `USER@ORGANIZATION` names; the last @ separates.
    """
    user, _, organization = text.rpartition("@")
    try:
        return Actor(user_id=user, roles=frozenset({Role.COORDINATOR}), organization_id=organization)
    except ValueError:
        msg = f"{text!r} names no actor. Write USER@ORGANIZATION, for example anna@oslo."
        raise typer.BadParameter(msg) from None


StoreOption = Annotated[
    Path,
    typer.Option(
        "--db",
        metavar="FILE",
        envvar="PROXY_ORCHESTRATION_DB",
        help="The SQLite file that holds batches, activities and notices.",
    ),
]
ActorOption = Annotated[
    Actor,
    typer.Option(
        "--actor",
        metavar="USER@ORGANIZATION",
        envvar="PROXY_ORCHESTRATION_ACTOR",
        parser=_actor,
        help="The coordinator who acts.",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Write JSON to standard output; text for people goes to standard error."),
]
ConcurrencyOption = Annotated[
    int, typer.Option("--concurrency", min=1, max=1000, help="Calls in flight at once.")
]
PaceOption = Annotated[
    float,
    typer.Option(
        "--pace",
        min=0.0,
        max=10.0,
        metavar="SECONDS",
        help="Pause before each call, to watch or interrupt a run.",
    ),
]
FileArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="CSV in UTF-8 with the columns mentor_id, activity_type, activity_date (YYYY-MM-DD, today or "
        "today-3), duration_minutes and, if wanted, notes.",
        show_default=False,
    ),
]
LabelOption = Annotated[str | None, typer.Option("--label", help="What people call the batch.")]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        help="Idempotency key. Default: drawn from actor, file, --on-conflict and --atomic, so that the same "
        "file joins its batch.",
    ),
]
PolicyOption = Annotated[
    ConflictPolicy,
    typer.Option(
        "--on-conflict",
        help="Mentors who have such an activity on that day already: review lets them wait for a decision, "
        "skip leaves them out, override registers them all the same.",
    ),
]
AtomicOption = Annotated[
    bool,
    typer.Option("--atomic", help="All or nothing: every mentor is registered, or none is."),
]
DecisionsOption = Annotated[
    Path | None,
    typer.Option(
        "--decisions",
        metavar="FILE",
        help="CSV in UTF-8 with the columns mentor_id and decision (override or skip), instead of questions.",
    ),
]
BatchArgument = Annotated[str, typer.Argument(metavar="BATCH", help="The batch's id.", show_default=False)]
MentorsOption = Annotated[
    list[str] | None,
    typer.Option("--mentor", metavar="ID", help="Only this mentor, also a cancelled one; may be repeated."),
]
ExpectedRunOption = Annotated[
    int | None,
    typer.Option(
        "--expected-run",
        min=1,
        help="Refuse unless this run is current, so that a repeated command acts once.",
    ),
]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; stored with the batch.")]
AfterOption = Annotated[
    int, typer.Option("--after", min=0, help="Begin after the update with this sequence number.")
]
PageOption = Annotated[int, typer.Option("--page", min=1, help="Which page, from 1.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=100, help="Batches on a page.")]
StatusesOption = Annotated[
    list[BulkStatus] | None,
    typer.Option("--status", help="Only batches of this status; may be repeated."),
]


class IfAbsent(enum.Enum):
    """
    What a command does when the store is not there.
    """

    REFUSE = enum.auto()  # it is about something that would be in it
    CREATE = enum.auto()  # it is the first to write
    PRETEND = enum.auto()  # it writes nothing, and reads as from an empty one


@attrs.frozen(kw_only=True)
class Common:
    """
    What every command was told.

    Attributes:
        store: the SQLite file.
        as_json: whether standard output is for a machine.
        actor: who acts; `None` for a command that acts as the host.
        concurrency: calls in flight at once.
        pace: seconds to pause before each call.
        atomic: whether all mentors share one fate.
        if_absent: what to do when the store is not there.
        output: where the command's text goes.
    """

    store: Path
    as_json: bool
    actor: Actor | None = None
    concurrency: int = 5
    pace: float = 0.0
    atomic: bool = False
    if_absent: IfAbsent = IfAbsent.REFUSE
    output: Output = attrs.field(
        init=False,
        eq=False,
        default=attrs.Factory(lambda self: Output(as_json=self.as_json), takes_self=True),
    )

    @property
    def resume_command(self) -> str:
        """
        Return the command line that carries on with what was interrupted.
        """
        return self.command("resume", with_actor=False)

    def command(self, *words: str, with_actor: bool = True) -> str:
        """
        Return a command line over the same store, ready to be pasted into a shell.
        """
        line = [PROGRAM, *words, "--db", str(self.store)]
        if with_actor and self.actor is not None:
            line += ["--actor", f"{self.actor.user_id}@{self.actor.organization_id}"]
        return shlex.join(line)
