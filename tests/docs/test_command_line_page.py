"""
The command line does what its pages say.
"""

from __future__ import annotations

import enum
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from held_day import hold_the_day
from waits import LONGEST_WAIT

pytest.importorskip("typer", reason="needs the extra cli")
pytest.importorskip("sqlalchemy", reason="needs the extra sql")

import typer
from typer.testing import CliRunner

from proxy_orchestration.cli.app import app
from proxy_orchestration.cli.csv import certificates, decisions, targets
from proxy_orchestration.cli.csv.tables import FileFormat
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.registration.conflicts import ConflictDecision, ConflictKind, ConflictPolicy

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line.rpartition(".venv/bin/proxy-orchestration ")[2].replace("--pace 1", "--pace 0.05"))
    for line in README.splitlines()
    if ".venv/bin/proxy-orchestration " in line
]


def _run(arguments: list[str]) -> Any:
    """
    Run the command line where this process stands.
    """
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_the_first_command_of_the_readme_runs_as_a_program(tmp_path: Path) -> None:
    """
    It ends with partial success: three of the fifty are refused.
    """
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    program = "from proxy_orchestration.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *COMMANDS[0]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_WAIT,
    )

    assert ExitCode.PARTIAL_SUCCESS == done.returncode, done.stderr
    assert "47" in done.stdout


def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The first story ends with partial success, the second leaves nobody waiting, the third tells 18.

    All on one day, as a reader does it: `today` in the examples means the same in each command.
    """
    hold_the_day(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for variable in ("FCM_SERVICE_ACCOUNT_JSON", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(variable, raising=False)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")

    done = [(arguments[0], _run(_with_ids(arguments))) for arguments in COMMANDS]

    expected = [
        ("register", ExitCode.PARTIAL_SUCCESS),
        ("resume", ExitCode.SUCCESS),
        ("list", ExitCode.SUCCESS),
        ("status", ExitCode.PARTIAL_SUCCESS),
        ("register", ExitCode.SUCCESS),
        ("preview", ExitCode.NEEDS_REVIEW),
        ("register", ExitCode.NEEDS_REVIEW),
        ("review", ExitCode.SUCCESS),
        ("report", ExitCode.NEEDS_REVIEW),
        ("notify", ExitCode.SUCCESS),
        ("inbox", ExitCode.SUCCESS),
        ("acknowledge", ExitCode.SUCCESS),
        ("dispatch", ExitCode.BAD_INPUT),
    ]
    assert expected == [(name, result.exit_code) for name, result in done], done
    told = {name: result.output for name, result in done}
    assert "47" in done[0][1].stdout
    assert "25 certificates: 18 created" in told["notify"]
    assert "Acknowledged." in told["acknowledge"]
    assert "No FCM credentials are configured" in told["dispatch"]


def _with_ids(arguments: list[str]) -> list[str]:
    """
    Put the newest batch's id where the README says BATCH, and an inbox's first for NOTIFICATION.
    """
    store = arguments[arguments.index("--db") :] if "--db" in arguments else []
    found = {
        "BATCH": lambda: _first("batches", "batch_id", ["list", *store]),
        "NOTIFICATION": lambda: _first("notifications", "notification_id", ["inbox", "coord-119", *store]),
    }
    return [found[argument]() if argument in found else argument for argument in arguments]


def _first(many: str, field: str, arguments: list[str]) -> str:
    document = json.loads(_run([*arguments, "--json"]).stdout)
    identifier = document[many][0][field]
    assert isinstance(identifier, str)
    return identifier


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
    names = _names_of(app)
    for group in app.registered_groups:
        assert group.typer_instance is not None
        names += [f"{group.name} {name}" for name in _names_of(group.typer_instance)]

    table = PAGE.partition("| Command |")[2].partition("\n\n")[0]

    assert sorted(names) == sorted(re.findall(r"^\| `([a-z -]+)(?: [A-Z]+)?` \|", table, re.MULTILINE))


def _names_of(commands: typer.Typer) -> list[str]:
    return [
        command.name or command.callback.__name__
        for command in commands.registered_commands
        if command.callback
    ]


@pytest.mark.parametrize(("heading", "values"), [("Kind", ConflictKind), ("Policy", ConflictPolicy)])
def test_every_kind_and_policy_of_conflicts_is_on_the_page_and_no_other(
    heading: str, values: type[enum.Enum]
) -> None:
    """
    What a file's conflicts may be called, and what may become of them.
    """
    table = PAGE.partition(f"| {heading} | Meaning |")[2].partition("\n\n")[0]

    assert [value.value for value in values] == re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


@pytest.mark.parametrize(
    ("before", "file"),
    [("## Certificates", certificates.FORMAT), ("`dispatch --targets FILE`", targets.FORMAT)],
)
def test_every_column_of_certificates_and_devices_is_on_the_page(before: str, file: FileFormat) -> None:
    """
    The page's tables are the files' headers, in their order.
    """
    table = PAGE.rpartition(before)[2].partition("| Column | Content |")[2].partition("\n\n")[0]

    assert list(file.names) == re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_every_column_of_a_decisions_file_is_on_the_page() -> None:
    """
    The page's table is the file's header, and the decisions are the library's.
    """
    table = PAGE.partition("`review BATCH --decisions FILE`")[2].partition("\n## ")[0]

    assert list(decisions.FORMAT.names) == re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert all(f"`{decision.value}`" in table for decision in ConflictDecision)
