"""
The options that several commands share, and the parsers of their values.

An option of one command stands beside that command.
"""

from __future__ import annotations

import enum
import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Final, TypeVar

import attrs
import typer

from proxy_orchestration.access import Actor, Role
from proxy_orchestration.cli.csv.dates import relative_days
from proxy_orchestration.cli.output import Output
from proxy_orchestration.cli.stores import Store, as_store
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.notification.zones import zone

T = TypeVar("T")

PROGRAM: Final = "proxy-orchestration"
DEFAULT_STORE: Final = Store("proxy-orchestration.db")
APP_VARIABLE: Final = "PROXY_ORCHESTRATION_APP"


def _actor(text: str) -> Actor:
    """
    Return the coordinator that `USER@ORGANIZATION` names; the last @ separates.
    """
    user, _, organization = text.rpartition("@")
    try:
        return coordinator(user, organization)
    except ValueError:
        msg = f"{text!r} does not name an actor. Write USER@ORGANIZATION, for example anna@oslo."
        raise typer.BadParameter(msg) from None


def coordinator(user_id: str, organization_id: str) -> Actor:
    """
    Return a coordinator of an organization.
    """
    return Actor(user_id=user_id, roles=frozenset({Role.COORDINATOR}), organization_id=organization_id)


def _zone(text: str) -> tzinfo:
    try:
        return zone(text)
    except ValueError as error:
        msg = f"{error}."
        raise typer.BadParameter(msg) from None


def _store(named: str | Store) -> Store:
    # made anew for each command, since what stands before it names the tables
    store = Store(named.address if isinstance(named, Store) else named)
    if store.is_in_memory:
        msg = (
            "A SQLite database in memory is lost when the command ends. Give a file, or the address of a "
            "server."
        )
        raise typer.BadParameter(msg)
    return store


def moment(text: str) -> datetime:
    """
    Return the moment that `today+3` or an ISO moment with an offset means; `today` is now.
    """
    days = relative_days(text)
    try:
        meant = datetime.fromisoformat(text) if days is None else SystemClock().now() + timedelta(days=days)
        if meant.tzinfo is not None:
            return meant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    msg = (
        f"{text!r} is not a date and time. Write today, today+3, or a date and time with its offset: "
        "2026-11-21T00:05Z."
    )
    raise typer.BadParameter(msg)


def place_in(after: str | None, read: Callable[[str], T]) -> T | None:
    """
    Return the place in a list that somebody goes on behind; `None` for its beginning.
    """
    if after is None:
        return None
    try:
        return read(after)
    except InvalidValueError as error:
        raise typer.BadParameter(str(error), param_hint="--after") from error


StoreOption = Annotated[
    Store,
    typer.Option(
        "--db",
        metavar="FILE|URL",
        envvar="PROXY_ORCHESTRATION_DB",
        parser=_store,
        help="Where batches, activities and notices are stored: a SQLite file, or an address such as "
        "postgresql+psycopg://user@host/database.",
    ),
]
AppOption = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="MODULE:FACTORY",
        envvar=APP_VARIABLE,
        help="The function that returns your own orchestrator. Its service, store and settings are used, and "
        "--db is ignored.",
        show_default=False,
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
ActorIfOption = Annotated[
    Actor | None,
    typer.Option(
        "--actor",
        metavar="USER@ORGANIZATION",
        envvar="PROXY_ORCHESTRATION_ACTOR",
        parser=_actor,
        help="The coordinator who acts; needed for a batch.",
        show_default=False,
    ),
]
AfterOption = Annotated[
    str | None,
    typer.Option(
        "--after",
        metavar="CURSOR",
        help="Continue after a page: give its next_after, which --json shows.",
        show_default=False,
    ),
]
MentorArgument = Annotated[
    str, typer.Argument(metavar="MENTOR", help="The mentor's id, as stored.", show_default=False)
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Write JSON to standard output; text for people goes to standard error."),
]
ConcurrencyOption = Annotated[
    int, typer.Option("--concurrency", min=1, max=1000, help="The number of calls in progress at once.")
]
BatchArgument = Annotated[str, typer.Argument(metavar="BATCH", help="The batch's id.", show_default=False)]
ExpectedRunOption = Annotated[
    int | None,
    typer.Option(
        "--expected-run",
        min=1,
        help="Refuse unless this is the current run, so that a repeated command acts only once.",
    ),
]
ZoneOption = Annotated[
    tzinfo | None,
    typer.Option(
        "--zone",
        metavar="ZONE",
        parser=_zone,
        help="The time zone of calendar days, for example Europe/Oslo. Default: UTC.",
        show_default=False,
    ),
]


CALLS_THE_SERVICE: Final = ("preview", "register", "retry", "review", "cancel", "resume", "serve", "console")
"""The commands that take `--app`."""


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
        store: the database; `None` for a command that works without one.
        as_json: whether standard output is for a machine.
        actor: who acts; `None` for a command that acts as the host.
        concurrency: calls in flight at once.
        pace: seconds to pause before each call.
        atomic: whether all mentors are registered or none.
        if_absent: what to do when the store is not there.
        app: where the host's own orchestrator is made, as `module:factory`; `None` for the standard one.
        migrates: whether a SQLite file of an older version is brought up to date.
        output: where the command's text goes.
    """

    store: Store | None = attrs.field(converter=attrs.converters.optional(as_store))
    as_json: bool
    actor: Actor | None = None
    concurrency: int = 5
    pace: float = 0.0
    atomic: bool = False
    if_absent: IfAbsent = IfAbsent.REFUSE
    app: str | None = None
    migrates: bool = True
    output: Output = attrs.field(
        init=False,
        eq=False,
        default=attrs.Factory(lambda self: Output(as_json=self.as_json), takes_self=True),
    )

    @property
    def carry_on(self) -> str:
        """
        Say how to continue what was interrupted.
        """
        return f"Settled results are kept. Continue:  {self.command('resume', with_actor=False)}"

    def command(self, *words: str, with_actor: bool = True) -> str:
        """
        Return a command line over the same store, ready to be pasted into a shell; secrets are not in it.
        """
        line = [PROGRAM]
        if self.store is not None and self.store.names.schema is not None:
            line += ["--schema", self.store.names.schema]
        if self.store is not None and self.store.names.prefix:
            line += ["--prefix", self.store.names.prefix]
        line += [*words, "--db", str(self.store)]
        if self.app is not None and words[0] in CALLS_THE_SERVICE:
            line += ["--app", self.app]
        if with_actor and self.actor is not None:
            line += ["--actor", f"{self.actor.user_id}@{self.actor.organization_id}"]
        return shlex.join(line)
