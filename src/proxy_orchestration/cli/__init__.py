"""
The command line `proxy-orchestration`; needs the extra `cli`.
"""

from __future__ import annotations

import io
import sys

from proxy_orchestration._extras import required_by
from proxy_orchestration.errors import MissingExtraError

__all__ = ["main"]


def main() -> None:
    """
    Run the command line and leave the interpreter with its exit code.
    """
    try:
        with required_by("The command line", extra="cli"):
            import alembic, rich, sqlalchemy, typer  # noqa: E401, F401, I001, PLC0415 - said in one line if missing
        from proxy_orchestration.cli.app import app  # noqa: PLC0415 - only after the line above
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
