"""
The two commands that a newcomer copies from the README.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
from pathlib import Path

import pytest
from waits import LONGEST_WAIT

ROOT = Path(__file__).parents[2]
COLUMNS = ["mentor_id", "activity_type", "activity_date", "duration_minutes", "notes"]


def _first_block() -> list[str]:
    """
    Return the lines of the README's first code block.
    """
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert block is not None
    return block.group(1).splitlines()


def test_the_first_code_block_is_the_main_job_and_the_tests() -> None:
    """
    Two lines, each of which works alone: neither is continued, neither is empty.
    """
    commands = _first_block()

    assert 2 == len(commands)
    assert all(command.startswith("python3 -m venv .venv && ") for command in commands)
    assert "proxy-orchestration register examples/mentors.csv " in commands[0]
    assert commands[1].endswith(".venv/bin/nox")


@pytest.mark.parametrize(
    ("second", "total"),
    [
        (
            "exit 1\necho '== 7 passed, 2 failed in 0.1s =='; exit 4",
            "7 passed, 2 failed, 0 skipped (exit status 4)",
        ),
        ("exit 1\necho '== 7 passed in 0.1s =='", "12 passed, 1 failed, 0 skipped (exit status 5)"),
    ],
    ids=["the second fails", "the rest fails"],
)
def test_ci_runs_the_second_of_them_and_then_the_rest(tmp_path: Path, second: str, total: str) -> None:
    """
    CI takes the command out of the README instead of repeating it, and fails with it or with the rest.
    """
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci" / "run"
    script.write_text((ROOT / ".ci" / "run").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "README.md").write_text(f"# A\n\n```console\n{second}\n```\n", encoding="utf-8")
    nox = tmp_path / ".venv" / "bin" / "nox"
    nox.parent.mkdir(parents=True)
    nox.write_text('#!/bin/sh\necho "== 5 passed, 1 failed in 0.1s == $*"; exit 5\n', encoding="utf-8")
    nox.chmod(0o755)

    done = subprocess.run(
        ["bash", str(script)],  # noqa: S607 - bash is found on PATH
        cwd=os.sep,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_WAIT,
    )

    assert total == done.stdout.splitlines()[-1], done.stderr
    assert total.endswith(f"(exit status {done.returncode})")
    assert ("== -s full" in done.stdout) is ("12 passed" in total)


def test_the_example_file_has_fifty_mentors() -> None:
    """
    Each stands in it once, and three of them are meant to be refused.
    """
    with (ROOT / "examples" / "mentors.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)

    assert COLUMNS == reader.fieldnames
    assert 50 == len({row["mentor_id"] for row in rows}) == len(rows)
    assert {"today+5", "today-120"} < {row["activity_date"] for row in rows}
    assert "coord-119" in {row["mentor_id"] for row in rows}


@pytest.mark.parametrize("name", ["LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "docs/decisions.md"])
def test_what_the_readme_links_to_exists(name: str) -> None:
    """
    A newcomer follows these links.
    """
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert f"({name})" in text
    assert (ROOT / name).is_file()
