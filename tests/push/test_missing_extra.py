"""
What a host is told that imports the sender without its extra.
"""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("hidden", ["httpx", "h2", "google", "google.auth"])
def test_a_library_that_is_missing_is_told_with_the_pip_line(hidden) -> None:
    """
    Whichever of them it is.
    """
    statement = (
        f"import sys; sys.modules[{hidden!r}] = None\n"
        "from proxy_orchestration.errors import MissingExtraError\n"
        "try:\n    import proxy_orchestration.push.fcm\n"
        "except MissingExtraError as error:\n    print(error.extra, error)\n"
    )

    done = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True)

    needed = "proxy_orchestration.push.fcm needs an extra: pip install 'proxy-orchestration[fcm]'"
    assert f"fcm {needed}\n" == done.stdout


def test_the_room_itself_needs_no_extra() -> None:
    """
    A host that names it loads no library of an extra, and requests is never loaded.
    """
    statement = (
        "import sys, proxy_orchestration.push\n"
        "assert not {'httpx', 'google.auth'} & set(sys.modules)\n"
        "try:\n    import proxy_orchestration.push.fcm\nexcept ImportError:\n    pass\n"
        "assert 'requests' not in sys.modules\n"
    )

    done = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
