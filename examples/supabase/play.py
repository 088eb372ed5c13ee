"""
The same without a project: on a PostgreSQL, a PgBouncer and a PostgREST that this program starts.

    python examples/supabase/play.py

It kills the PostgREST and the PgBouncer in the middle of the batch. Run it in a checkout: it starts
the servers as the tests do. It needs the extras `postgresql` and `supabase`, and the dependency
groups `postgresql-tests` and `supabase-tests`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

_CHECKOUT = Path(__file__).parents[2]
sys.path[:0] = [str(_CHECKOUT / "tests" / folder) for folder in ("support", "postgresql/support")]

from pooler import Pooler, running_pooler  # noqa: E402 - from the tests
from postgres_server import find_programs, running_server  # noqa: E402 - as above
from postgres_server.databases import Databases  # noqa: E402 - as above
from run import notify, register  # noqa: E402 - beside this file
from supabase_project import Project, running_project  # noqa: E402 - from the tests

from proxy_orchestration import BulkProgressUpdate  # noqa: E402 - after the path


async def play(project: Project, pooler: Pooler) -> None:
    """
    Register and notify, while both servers in front of the database are killed and started again.
    """
    strikes = {10: ("PostgREST", project.gateway.start), 30: ("PgBouncer", pooler.restart)}

    def strike(update: BulkProgressUpdate) -> None:
        for due in [settled for settled in strikes if settled <= update.settled]:
            name, restart = strikes.pop(due)
            print(f"{update.settled} of {update.total} are settled: {name} is killed, and started again.")
            restart()

    database = pooler.front(project.url)
    async with project.records() as records:
        await register(database, records, tell=strike)
    await notify(database)


def main() -> None:
    """
    Start the servers, play, and leave nothing behind.
    """
    with (
        running_server(find_programs()) as server,
        running_project(Databases(server.folder)) as project,
        running_pooler(server.folder, pool_mode="transaction", default_pool_size=3) as pooler,
    ):
        anyio.run(play, project, pooler)


if __name__ == "__main__":
    main()
