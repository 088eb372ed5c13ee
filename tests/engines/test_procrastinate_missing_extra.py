"""
What a host is told that imports the engine's room without its extra.
"""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("hidden", ["procrastinate", "psycopg"])
def test_a_library_that_is_missing_is_told_with_the_pip_line(hidden) -> None:
    """
    Whichever of them it is.
    """
    statement = (
        f"import sys; sys.modules[{hidden!r}] = None\n"
        "from proxy_orchestration.errors import MissingExtraError\n"
        "try:\n    import proxy_orchestration.engines.procrastinate\n"
        "except MissingExtraError as error:\n    print(error.extra, error)\n"
    )

    done = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True)

    needed = (
        "proxy_orchestration.engines.procrastinate needs an extra: "
        "pip install 'proxy-orchestration[procrastinate]'"
    )
    assert f"procrastinate {needed}\n" == done.stdout
