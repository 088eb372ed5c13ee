"""
The Typer application: which commands there are, and what `--help` says about all of them.
"""

from __future__ import annotations

from typing import Final

import typer

from proxy_orchestration.cli import batches, dispatch, inbox, notify, registration, review
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.options import PROGRAM

_HELP: Final = f"""
Register activities on behalf of many mentors. Every outcome is durable, nothing is registered twice.

Tell mentors and coordinators that certificates run out: once per tier, however often it is run.

All of it is stored in a SQLite file (--db). Stop at any moment: "{PROGRAM} resume" continues the work.
"""

_EPILOG: Final = "\n".join(
    ("\b", "Exit codes:", *(f"{int(code):>5}  {code.meaning}" for code in ExitCode))  # \b keeps the lines
)

app: typer.Typer = typer.Typer(
    name=PROGRAM,
    help=_HELP,
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
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
app.command()(notify.notify)
app.command()(dispatch.dispatch)
app.command()(inbox.inbox)
app.command()(inbox.acknowledge)
app.add_typer(notify.reports, name="report")
