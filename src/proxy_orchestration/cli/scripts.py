"""
The command `sql supabase`: sets up a database behind PostgREST.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

import attrs
import typer
from anyio import to_thread

from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.options import DEFAULT_STORE, Common, StoreOption
from proxy_orchestration.cli.session import Session, run_command
from proxy_orchestration.storage.sql.database.names import Names
from proxy_orchestration.storage.sql.supabase import scripts_for_supabase, set_up

_SET_UP: Final = (
    "The database is set up: the tables exist, clients have no access to them, and the service may register "
    "over PostgREST."
)
_AGAIN: Final = "Run the command again; running it twice does no harm."

ApplyOption = Annotated[
    bool,
    typer.Option(
        "--apply",
        help="Also create the tables, and run the script on the database of --db, as the tables' owner.",
    ),
]

scripts: typer.Typer = typer.Typer(no_args_is_help=True, add_completion=False)


@scripts.callback()
def _scripts() -> None:
    """
    SQL for whoever owns the database.
    """


@scripts.command("supabase")
def supabase(*, store: StoreOption = DEFAULT_STORE, apply: ApplyOption = False) -> None:
    """
    Print or apply the SQL that closes the tables to clients and lets the service register over PostgREST.
    """

    async def work(session: Session) -> ExitCode:
        if apply:
            await to_thread.run_sync(partial(set_up, store.url, attrs.asdict(store.names)))
            session.output.conclude(_SET_UP)
        else:
            session.output.write(scripts_for_supabase(Names(store.names.schema, store.names.prefix)))
        return ExitCode.SUCCESS

    if apply and store.file is not None:
        msg = "Give --db the address of a PostgreSQL server: postgresql+psycopg://user@host/database."
        raise typer.BadParameter(msg)
    run_command(Common(store=None, as_json=False), work, if_interrupted=_AGAIN)
