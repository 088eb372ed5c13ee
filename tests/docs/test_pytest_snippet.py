"""
The test file that a guide shows runs under pytest as it stands, where nothing is configured.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from proxy_orchestration.testing.contracts import registration_lookup, registration_service

PAGE = Path(__file__).parents[2] / "docs" / "guide-testing.md"


def test_the_file_that_the_guide_shows_is_a_whole_one(tmp_path: Path) -> None:
    """
    Every check runs, once, and none is skipped for want of a plugin.
    """
    (shown,) = [
        block
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        if "pytestmark" in block
    ]
    (tmp_path / "test_my_service.py").write_text(shown, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    # Where this test runs under a shifted clock, what shifts it is loaded before pytest, which says so.
    warnings = ["-W", "error", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *warnings]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert f"{len([*registration_service, *registration_lookup])} passed in" in done.stdout, done.stdout
