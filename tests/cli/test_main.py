"""
The program as it is started, and when a part of it is not installed.
"""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import pytest
from waits import LONGEST_WAIT

pytest.importorskip("typer")
pytest.importorskip("sqlalchemy")

from proxy_orchestration.cli import main
from proxy_orchestration.cli.exits import ExitCode


def test_python_can_run_the_package(start: Any) -> None:
    """
    `python -m proxy_orchestration` is the command line under its own name.
    """
    out, _ = start("--help").communicate(timeout=LONGEST_WAIT)

    assert "Usage: proxy-orchestration " in out


def test_a_host_may_replace_the_standard_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A stream that cannot be reconfigured is written to as it is.
    """
    out = io.StringIO()
    monkeypatch.setattr("sys.argv", ["proxy-orchestration", "--help"])
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", io.StringIO())

    with pytest.raises(SystemExit) as caught:
        main()

    assert ExitCode.SUCCESS == caught.value.code
    assert "Usage: proxy-orchestration " in out.getvalue()


def test_an_interrupt_while_starting_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Ctrl-C before the program has begun ends it with the same code and no traceback.
    """
    app = "proxy_orchestration.cli.app"

    class Interrupting:
        def find_spec(self, name: str, _path: object, _target: object = None) -> None:
            if name == app:
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, app, raising=False)
    monkeypatch.setattr("sys.meta_path", [Interrupting(), *sys.meta_path])

    with pytest.raises(SystemExit) as caught:
        main()

    assert (ExitCode.INTERRUPTED, "") == (caught.value.code, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("part", "extra"), [("typer", "cli"), ("rich", "cli"), ("sqlalchemy", "cli"), ("alembic", "sql")]
)
def test_a_missing_part_is_told_with_the_line_that_installs_it(part: str, extra: str) -> None:
    """
    Without the extra the program prints one line, not a traceback.
    """
    program = f"import sys; sys.modules[{part!r}] = None; from proxy_orchestration.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ExitCode.UNFORESEEN == ended.returncode
    assert f"pip install 'proxy-orchestration[{extra}]'\n" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_import_error_of_our_own_is_not_hidden() -> None:
    """
    Only a missing part of the extra is told as one.
    """
    part = "proxy_orchestration.cli.session"
    program = f"import sys; sys.modules[{part!r}] = None; from proxy_orchestration.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert "import of proxy_orchestration.cli.session halted" in ended.stderr
