"""
The command line `proxy-orchestration`; needs the extra `cli`.
"""

from __future__ import annotations

import io
import sys

from proxy_orchestration._extras import needs_extra
from proxy_orchestration.cli.signals import terminating_like_ctrl_c
from proxy_orchestration.errors import MissingExtraError

__all__ = ["main"]


def main() -> None:
    """
    Run the command line and leave the interpreter with its exit code.

    SIGTERM ends it as Ctrl-C does, whatever it is doing.
    """
    with terminating_like_ctrl_c():
        _run()


def _run() -> None:
    try:
        with needs_extra("cli", "typer", "rich", "sqlalchemy", needed_by="The command line"):
            from proxy_orchestration.cli.app import app  # noqa: PLC0415 - a missing extra is told in one line
    except MissingExtraError as error:
        print(error, file=sys.stderr)  # noqa: T201 - Rich itself may be what is missing
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal that cannot show a character must not stop a run
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="proxy-orchestration")
