"""
The command `serve`: drives accepted batches until it is stopped.
"""

from __future__ import annotations

from typing import Final

from proxy_orchestration._concurrency import open_task_group
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.options import (
    DEFAULT_STORE,
    AppOption,
    Common,
    ConcurrencyOption,
    JsonOption,
    StoreOption,
)
from proxy_orchestration.cli.ownership import others_waiting, told_of_others
from proxy_orchestration.cli.session import Session, run_command

_ENDED: Final = "Batches in progress were released; another serve or resume continues them."


def serve(
    *,
    store: StoreOption = DEFAULT_STORE,
    app: AppOption = None,
    concurrency: ConcurrencyOption = 5,
    as_json: JsonOption = False,
) -> None:
    """
    Drive accepted and interrupted batches until Ctrl-C or SIGTERM.
    """
    common = Common(store=store, as_json=as_json, concurrency=concurrency, app=app)
    run_command(common, _serve, if_interrupted=_ENDED)


async def _serve(session: Session) -> ExitCode:
    if others := await others_waiting(session):
        session.output.say(told_of_others(others))
    async with open_task_group() as group:  # which lasts until a signal cancels it
        await group.start(session.orchestrator.serve)
        session.output.say(
            "Serving. Press Ctrl-C or send SIGTERM to stop it."
        )  # what a supervisor may wait for
    return ExitCode.SUCCESS
