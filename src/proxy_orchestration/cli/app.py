"""
The Typer application: registers the commands and sets the text of `--help`.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Final

import typer

from proxy_orchestration.cli import (
    batches,
    console,
    dead_pushes,
    dispatch,
    housekeeping,
    inbox,
    notify,
    records,
    registration,
    review,
    scripts,
    serving,
    visibility,
)
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.options import PROGRAM
from proxy_orchestration.cli.stores import NAMED_TABLES, TableNames

_HELP: Final = f"""
Register activities on behalf of many mentors. Every outcome is durable, and nothing is registered twice.

Notify mentors and coordinators of expiring certificates: once per tier, however often you run it.

Everything is stored in a SQLite file or in PostgreSQL (--db). Stop at any time; "{PROGRAM} resume" continues.
"""

_EPILOG: Final = "\n".join(
    ("\b", "Exit codes:", *(f"{int(code):>5}  {code.meaning}" for code in ExitCode))  # \b keeps the lines
)


def _tell_version(asked: bool) -> None:  # noqa: FBT001 - what Typer calls
    if asked:
        typer.echo(f"{PROGRAM} {version(PROGRAM)}")
        raise typer.Exit


SchemaOption = Annotated[
    str | None,
    typer.Option(
        "--schema",
        envvar="PROXY_ORCHESTRATION_SCHEMA",
        help="The PostgreSQL schema of the tables. Default: the connection's own schema.",
        show_default=False,
    ),
]
PrefixOption = Annotated[
    str,
    typer.Option(
        "--prefix",
        envvar="PROXY_ORCHESTRATION_PREFIX",
        help="The prefix of the table names.",
        show_default=False,
    ),
]
VersionOption = Annotated[
    bool,
    typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit."),
]


app: typer.Typer = typer.Typer(
    name=PROGRAM,
    help=_HELP,
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(help=_HELP, epilog=_EPILOG)
def _before_a_command(
    *, schema: SchemaOption = None, prefix: PrefixOption = "", _version: VersionOption = False
) -> None:
    NAMED_TABLES.set(TableNames(schema=schema, prefix=prefix))


app.command()(registration.preview)
app.command()(registration.register)
app.command()(batches.status)
app.command()(batches.retry)
app.command()(review.review)
app.command()(batches.cancel)
app.command()(batches.pause)
app.command()(batches.unpause)
app.command()(batches.watch)
app.command("list")(batches.list_batches)
app.command()(batches.resume)
app.command()(serving.serve)
app.command()(console.console)
app.command()(housekeeping.relabel)
app.command()(housekeeping.delete)
app.command()(housekeeping.purge)
app.command()(housekeeping.upgrade)
app.command()(housekeeping.health)
app.command()(notify.notify)
app.command()(dispatch.dispatch)
app.command()(dead_pushes.dead)
app.command()(dead_pushes.replay)
app.command()(inbox.inbox)
app.command()(inbox.acknowledge)
app.command()(visibility.changes)
app.command()(visibility.restore)
app.command()(records.runs)
app.command()(records.export)
app.command()(records.erase)
app.add_typer(notify.reports, name="report")
app.add_typer(scripts.scripts, name="sql")
