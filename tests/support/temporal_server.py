"""
Temporal's real development server, from the package that has its program.
"""

from __future__ import annotations

import asyncio
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

LONG = 25
"""Events after which the server says that a history is long; in production so many thousands."""

_LONG_HISTORY = "limit.historyCount.suggestContinueAsNew"


def program() -> Path | None:
    """
    Return the server's program, or nothing where its package is not installed.
    """
    path = Path(sysconfig.get_path("scripts")) / "temporal"
    return path if path.exists() else None


@contextmanager
def running_temporal(path: Path, *, port: int | None = None, file: Path | None = None) -> Iterator[str]:
    """
    Run a server; yield its address once it answers.
    """
    with asyncio.Runner() as runner:
        starting = WorkflowEnvironment.start_local(
            dev_server_existing_path=str(path),
            dev_server_database_filename=None if file is None else str(file),
            dev_server_log_level="never",
            dev_server_extra_args=["--dynamic-config-value", f"{_LONG_HISTORY}={LONG}"],
            port=port,
        )
        environment = runner.run(starting)
        try:
            yield environment.client.service_client.config.target_host
        finally:
            runner.run(environment.shutdown())
