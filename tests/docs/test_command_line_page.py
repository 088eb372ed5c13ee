"""
The command line does what its pages say.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
pytest.importorskip("sqlalchemy", reason="needs the extra sql")

from proxy_orchestration.cli.app import app
from proxy_orchestration.cli.exits import ExitCode

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line.rpartition(".venv/bin/proxy-orchestration ")[2])
    for line in README.splitlines()
    if ".venv/bin/proxy-orchestration " in line
]


def _run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """
    Run the command line in a process of its own, as the README's commands do.
    """
    program = "from proxy_orchestration.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path) -> None:
    """
    Register ends with partial success, resume finds nothing to do, list shows the batch.
    """
    shutil.copytree(ROOT / "examples", tmp_path / "examples")

    done = {arguments[0]: _run(arguments, tmp_path) for arguments in COMMANDS}

    codes = {name: (result.returncode, result.stderr) for name, result in done.items()}
    assert ["register", "resume", "list"] == list(done)
    assert ExitCode.PARTIAL_SUCCESS == done["register"].returncode, codes
    assert ExitCode.SUCCESS == done["resume"].returncode, codes
    assert ExitCode.SUCCESS == done["list"].returncode, codes
    assert "47" in done["register"].stdout


def test_every_exit_code_is_on_the_page_and_no_other() -> None:
    """
    A script's author reads the table.
    """
    section = PAGE.partition("## Exit codes")[2].partition("\n## ")[0]

    assert sorted(ExitCode) == [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]


def test_every_command_is_on_the_page_and_no_other() -> None:
    """
    The table of commands is complete.
    """
    names = [
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    ]

    table = PAGE.partition("| Command |")[2].partition("\n\n")[0]

    assert sorted(names) == sorted(re.findall(r"^\| `(\w+)(?: [A-Z]+)?` \|", table, re.MULTILINE))
