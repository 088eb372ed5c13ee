"""
What a host is told that imports the engine without its extra.
"""

from __future__ import annotations

import subprocess
import sys


def test_the_sdk_that_is_missing_is_told_with_the_pip_line() -> None:
    """
    The room itself needs no extra.
    """
    statement = (
        "import sys; sys.modules['temporalio'] = None\n"
        "import proxy_orchestration.engines\n"
        "from proxy_orchestration.errors import MissingExtraError\n"
        "try:\n    import proxy_orchestration.engines.temporal\n"
        "except MissingExtraError as error:\n    print(error.extra, error)\n"
    )

    done = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True)

    needed = (
        "proxy_orchestration.engines.temporal needs an extra: pip install 'proxy-orchestration[temporal]'"
    )
    assert f"temporal {needed}\n" == done.stdout
