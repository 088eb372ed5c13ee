"""
Every check of this repository. `nox` runs them all, `nox -l` lists them.

Needs nothing but Python with venv and pip: each session installs its own tools.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nox

ROOT = Path(__file__).parent
VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
CODE = ("src", "tests", "examples", "benchmarks", "docs", "README.md", "noxfile.py")
FULLY_COVERED = "src/proxy_orchestration/registration/*,src/proxy_orchestration/notification/*"
MEASURED = {"COVERAGE_FILE": str(ROOT / ".nox" / ".coverage")}
PROBE = (
    "import ssl, sqlite3, sys, sysconfig as s;"
    "ok = sys.implementation.name == 'cpython' and sys.version_info.releaselevel == 'final';"
    "print('%d.%d' % sys.version_info[:2] if ok and not s.get_config_var('Py_GIL_DISABLED') else '')"
)


def _candidates() -> Iterator[str]:
    """Name every place where an interpreter may be; pyenv's shims among them may not work."""
    yield sys.executable
    folders = os.environ.get("PATH", "").split(os.pathsep)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders += [str(folder) for folder in sorted(pyenv.glob("versions/*/bin"), reverse=True)]
    for folder in folders:
        for version in VERSIONS:
            found = shutil.which(f"python{version}", path=folder)
            if found:
                yield found


def _version_of(interpreter: str) -> str:
    """Run the interpreter and return its version, or nothing if it is not a released CPython."""
    try:
        probe = subprocess.run(  # noqa: S603 - interpreters of this machine, a fixed question
            [interpreter, "-I", "-c", PROBE], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return probe.stdout.strip() if probe.returncode == 0 else ""


def _interpreters() -> dict[str, str]:
    """Return the first interpreter that works for each supported version, lowest version first."""
    found: dict[str, str] = {}
    for candidate in _candidates():
        version = _version_of(candidate)
        if version in VERSIONS:
            found.setdefault(version, candidate)
    return dict(sorted(found.items(), key=lambda pair: VERSIONS.index(pair[0])))


INTERPRETERS = _interpreters()
PYTHONS = list(INTERPRETERS)
MAIN = PYTHONS[0]  # the lowest supported version here: its rules bind the code
NEWEST = PYTHONS[-1]
BETWEEN = ("tests/behaviour", "tests/contracts", "tests/push", "tests/storage", "tests/testing")
# nox asks for "python3.12" on the PATH: the interpreters that were seen to work come first there.
os.environ["PATH"] = os.pathsep.join(
    [*(str(Path(path).parent) for path in INTERPRETERS.values()), os.environ.get("PATH", "")]
)

nox.options.default_venv_backend = "virtualenv"
nox.options.download_python = "never"
nox.options.error_on_external_run = True
nox.options.sessions = ["lint", "typing", "docs", "tests", "tests_core", "coverage"]


def _pytest(session: nox.Session, *arguments: str, measured: bool = False) -> None:
    runner = ["coverage", "run", "-m", "pytest"] if measured else ["python", "-m", "pytest"]
    session.run(
        *runner,
        "-n",
        "2",
        "--dist",
        "worksteal",
        "--durations",
        "5",
        *arguments,
        *session.posargs,
        env=MEASURED,
    )


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """
    Run the tests with all extras.

    Everything, and measured, on the lowest version; no crashes on the others;
    between lowest and newest only what depends on the language and its libraries.
    """
    if session.python == MAIN:
        session.install(".[cli,fcm-reference,postgresql-tests,tests]")
        session.run("coverage", "erase", env=MEASURED)
        _pytest(session, "-m", "not crash", measured=True)
        _pytest(session, "-m", "crash")  # what is killed measures nothing
    else:
        session.install(".[cli,fcm,tests]")
        _pytest(session, "-m", "not crash", *(() if session.python == NEWEST else BETWEEN))


@nox.session(python=MAIN)
def tests_core(session: nox.Session) -> None:
    """Run the tests without any extra: what needs one skips itself."""
    session.install(".[tests]")
    _pytest(session, "-m", "not crash")


@nox.session(python=MAIN)
def coverage(session: nox.Session) -> None:
    """Ask for 95 % of everything and for every branch of the registration core."""
    session.install("coverage>=7.10")
    session.run("coverage", "combine", "--quiet", env=MEASURED)
    session.run("coverage", "report", "--fail-under=95", env=MEASURED)
    session.run("coverage", "report", f"--include={FULLY_COVERED}", "--fail-under=100", env=MEASURED)


@nox.session(python=MAIN)
def lint(session: nox.Session) -> None:
    """Check format, rules and the direction of imports."""
    session.install("-e", ".[lint]")
    code = [name for name in CODE if (ROOT / name).exists()]
    session.run("ruff", "format", "--check", *code)
    session.run("ruff", "check", *code)
    session.run("lint-imports", "--no-cache")


@nox.session(python=MAIN)
def typing(session: nox.Session) -> None:
    """Check all types twice, and that users see a type for every public name."""
    session.install(".[cli,fcm,postgresql,typing]")
    session.run("mypy", "--strict", "src", "tests/typing")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "proxy_orchestration", "--ignoreexternal")


@nox.session(python=MAIN)
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.install(".[cli,fcm,docs]")
    built = ROOT / ".nox" / "docs-html"
    session.run("sphinx-build", "-q", "-W", "--keep-going", "-n", "-E", "-b", "html", "docs", str(built))


@nox.session(python=MAIN)
def benchmarks(session: nox.Session) -> None:
    """Run every benchmark, or the scripts named after `--`."""
    session.install(".[benchmarks]")
    scripts = session.posargs or sorted(str(path) for path in (ROOT / "benchmarks").glob("bench_*.py"))
    for script in scripts:
        session.run("python", script)


@nox.session(python=MAIN)
def peers(session: nox.Session) -> None:
    """Let peers do the same job and rewrite docs/benchmarks-peers.md; installs them here and nowhere else."""
    session.install(".[sql]", "-r", "benchmarks/peers/requirements.txt")
    session.run("python", "benchmarks/peers/run.py", *session.posargs)
