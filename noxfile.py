"""
Every check of this repository, in three loops. `nox -l` lists the sessions.

- `nox -s quick`: an answer in 90 seconds while one works.
- `nox`: the README's ten minutes: lint, types, every test file; kills and storms are sampled.
- `nox -s full`: all the rest. Both together are what CI runs, and neither repeats the other.

Needs nothing but Python with venv and pip: sessions install their own tools.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nox

ROOT = Path(__file__).parent
VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
CODE = ("src", "tests", "examples", "benchmarks", "docs", "README.md", "noxfile.py")
ON_SQLITE = "not full and not crash and not postgresql"
FULLY_COVERED = "src/proxy_orchestration/registration/*,src/proxy_orchestration/notification/*"
MEASURED = {"COVERAGE_FILE": str(ROOT / ".nox" / ".coverage")}
EXTRAS = ".[cli,fcm,i18n,otel,postgresql,procrastinate,supabase,temporal,web,xlsx]"
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
SHARED = ROOT / ".nox" / "shared"
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
BETWEEN = ("tests/push", "tests/storage", "tests/testing")
MOMENTS = (
    "2026-12-31T23:59:55",  # a new year, which begins anew in each test, within five seconds
    "2027-03-28T00:30:00",  # half an hour before summer time begins in Oslo
    "2027-10-31T00:30:00",  # and before it ends
    "2028-02-29T22:30:00",  # a leap day, and the next day in Oslo
)
EVERYDAY = (
    "lint",
    "types",
    "tests",
    "postgresql-tests",
    "supabase-tests",
    "fcm-reference",
    "telemetry-tests",
    "web-tests",
    "hosts-tests",
    "temporal-tests",
    "browser-tests",
)
MEASURING = (
    "tests",
    "postgresql-tests",
    "supabase-tests",
    "fcm-reference",
    "telemetry-tests",
    "web-tests",
    "hosts-tests",
)
PROGRAMS = {
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "chromium": "chromium",
    "pgbouncer": "pgbouncer",
}  # by name: the Debian package that has it
PAGES = "tests/docs/test_reference.py"
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - every user's, like /tmp, which it stands in for
ROOM = 4 << 30  # bytes; the databases of a whole run take a quarter of that
DATED = ("tests/docs", "tests/examples", "tests/cli", "tests/behaviour", "tests/push")
# nox asks for "python3.12" on the PATH: the interpreters that were seen to work come first there.
os.environ["PATH"] = os.pathsep.join(
    [*(str(Path(path).parent) for path in INTERPRETERS.values()), os.environ.get("PATH", "")]
)

nox.options.default_venv_backend = "virtualenv"
nox.options.download_python = "never"
nox.options.error_on_external_run = True
nox.options.sessions = ["lint", "types", "tests"]


def _group(*names: str) -> tuple[str, ...]:
    """Return the requirements of these dependency groups, for any pip."""
    return nox.project.dependency_groups(PROJECT, *names)


def _shared(session: nox.Session, *groups: str) -> None:
    """
    Make the one environment that most sessions share, with these groups in it.

    What is there already is not asked for again until `pyproject.toml` changes.
    """
    wanted = f"{INTERPRETERS[MAIN]} {(ROOT / 'pyproject.toml').read_text(encoding='utf-8')}"
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    notes = [SHARED / f"installed-{group}" for group in groups]
    if all(note.exists() and note.read_text() == digest for note in notes):
        return
    if not SHARED.exists():
        maker = [sys.executable, "-m", "virtualenv", "--quiet", "--python", INTERPRETERS[MAIN], str(SHARED)]
        session.run(*maker, external=True)
    # Bytecode is written when a module is first imported; most of what is installed never is.
    install = ["-m", "pip", "install", "--quiet", "--no-compile", "-e", EXTRAS]
    _run(session, "python", *install, *_group(*groups))
    for note in notes:
        note.write_text(digest)


def _run(session: nox.Session, program: str, *arguments: str, **env: str) -> None:
    """
    Run a program of the session's own environment, or else of the shared one, by its path.

    Bytecode is kept whatever the caller's environment says: the tests start Python hundreds of times.
    """
    env = {"PYTHONDONTWRITEBYTECODE": "", **env}
    if session.python is False:
        scripts = SHARED / "bin"
        env["PATH"] = os.pathsep.join([str(scripts), os.environ["PATH"]])
        session.run(str(scripts / program), *arguments, env=env, external=True)
    else:
        session.run(program, *arguments, env=env)


def _room_in_memory() -> int:
    """Return how many bytes of files the memory takes: this machine's, and the container's."""
    try:
        told = Path("/proc/meminfo").read_text(encoding="ascii")
        room = min(
            shutil.disk_usage(IN_MEMORY).free, 1024 * int(re.findall(r"MemAvailable: +(\d+)", told)[0])
        )
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
        if limit.exists() and limit.read_text().strip().isdecimal():
            room = min(room, int(limit.read_text()) - int(used.read_text()))
    except (OSError, ValueError, IndexError):
        return 0
    return room


def _run_tests(session: nox.Session, program: str, *arguments: str, **env: str) -> None:
    """
    Run pytest so that it keeps its files in memory, where there is room.

    Databases that are synced to a disk for every commit, and thrown away, are what its tests wait for most.
    """
    tidy: tuple[str, ...] = ()
    if _room_in_memory() > ROOM:
        env = {"TMPDIR": str(IN_MEMORY), **env}
        tidy = ("-o", "tmp_path_retention_policy=failed")
    _run(session, program, *arguments, *tidy, **env)


def _pytest(
    session: nox.Session, *arguments: str, workers: tuple[str, ...] = ("-n", "2"), **env: str
) -> None:
    """Run these tests on two workers."""
    distribution = () if "--dist" in workers else ("--dist", "worksteal")
    options = [*workers, *distribution, "--durations", "5", *arguments, *session.posargs]
    _run_tests(session, "python", "-m", "pytest", *options, **env)


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Check format, rules and the direction of imports."""
    _shared(session, *EVERYDAY)
    code = [name for name in CODE if (ROOT / name).exists()]
    _run(session, "ruff", "format", "--check", *code)
    _run(session, "ruff", "check", *code)
    _run(session, "lint-imports", "--no-cache")


@nox.session(python=False)
def types(session: nox.Session) -> None:
    """Check the types of the source, and of code as hosts write it."""
    _shared(session, *EVERYDAY)
    _run(session, "mypy", "--strict", "src", "tests/typing")


def _programs(session: nox.Session) -> None:
    """
    Install the programs that tests use if they find them: in CI only, and where apt-get asks no question.

    What cannot be installed is no failure: those tests skip, and say so.
    """
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program, path=path) is None]
    if not (missing and os.environ.get("CI") and shutil.which("apt-get") and os.geteuid() == 0):
        return
    for step in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        session.run(
            *("apt-get", "-qq", *step),
            env={"DEBIAN_FRONTEND": "noninteractive"},
            external=True,
            success_codes=range(256),
            silent=True,
        )


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run every test file with all extras on both event loops; kills and storms are sampled."""
    _shared(session, *EVERYDAY)
    _programs(session)
    _pytest(session, "-m", "not full")


@nox.session(python=False)
def quick(session: nox.Session) -> None:
    """Give an answer while one works: lint, types, and on asyncio every test that starts nothing large."""
    lint(session)
    types(session)
    _pytest(session, "-m", "not full and not crash and not postgresql", EVENT_LOOPS="asyncio")


@nox.session(python=False)
def full(session: nox.Session) -> None:
    """Queue everything that the default run leaves out."""
    between = [f"versions-{version}" for version in PYTHONS[1:-1]]
    for name in ("storms", "coverage", *between, "core", "calendar", "typing", "docs", "package"):
        session.notify(name)


@nox.session(python=False)
def storms(session: nox.Session) -> None:
    """Run the kills, storms, long properties and large tables that other loops sample."""
    _shared(session, *EVERYDAY)
    _pytest(session, "-m", "full", f"--ignore={PAGES}")


@nox.session(python=False)
def calendar(session: nox.Session) -> None:
    """
    Run what has to do with dates at four moments, each a worker of its own under a shifted wall clock.

    In the first the clock is set back before each test, and midnight strikes in it. What asks the clock for
    the date, and programs that are started, are there at all four; of the others each test is at one of
    them.
    """
    _shared(session, *EVERYDAY)
    ledger = SHARED / f"wall-clock-{time.time_ns()}"
    ledger.touch()
    shifted = ROOT / "tests" / "support" / "shifted"
    workers = [
        f"--tx=popen//env:WALL_CLOCK={moment}+00:00//env:WALL_CLOCK_SHARE={number}/{len(MOMENTS)}"
        for number, moment in enumerate(MOMENTS, 1)
    ]
    workers[0] += "//env:WALL_CLOCK_AGAIN=5"
    _pytest(
        session,
        *("-p", "shifted_session", "-p", "no:time_machine", "-m", "not full and not dateless", *DATED),
        workers=("--dist", "each", *workers),
        EVENT_LOOPS="asyncio",
        PYTHONPATH=str(shifted),
        TZ="Europe/Oslo",
        WALL_CLOCK_LEDGER=str(ledger),
    )


@nox.session(python=NEWEST)
def coverage(session: nox.Session) -> None:
    """
    Measure the tests on the newest version: 95 % of everything, every branch of the core.

    On SQLite and asyncio, which have nearly all of it. What both halves do on trio runs there too, and so
    does what is long under coverage; neither is measured, since it would add no line.
    """
    session.install("--no-compile", EXTRAS, *_group(*MEASURING))
    session.run("coverage", "erase", env=MEASURED)
    options = ["-n", "2", "--dist", "worksteal", "--durations", "5", *session.posargs]
    pytest = ("-m", "pytest", *options, "-m")
    _run_tests(
        session,
        "coverage",
        "run",
        *pytest,
        f"{ON_SQLITE} and not untraced",
        EVENT_LOOPS="asyncio",
        **MEASURED,
    )
    _run_tests(session, "python", *pytest, ON_SQLITE, "tests/behaviour", EVENT_LOOPS="trio")
    session.run("coverage", "combine", "--quiet", env=MEASURED)
    session.run("coverage", "report", "--fail-under=95", env=MEASURED)
    session.run("coverage", "report", f"--include={FULLY_COVERED}", "--fail-under=100", env=MEASURED)


@nox.session(python=PYTHONS[1:-1])
def versions(session: nox.Session) -> None:
    """Between lowest and newest, run only what depends on the language and its libraries, on asyncio."""
    session.install("--no-compile", EXTRAS, *_group("tests"))
    _pytest(session, "-m", "not full and not crash", *BETWEEN, EVENT_LOOPS="asyncio")


@nox.session(python=MAIN)
def core(session: nox.Session) -> None:
    """Run the tests without any extra, on asyncio: what needs one skips itself."""
    session.install("--no-compile", ".", *_group("tests"))
    _pytest(session, "-m", "not full and not crash", EVENT_LOOPS="asyncio")


@nox.session(python=False)
def typing(session: nox.Session) -> None:
    """Check all types a second time, and that users see a type for every public name."""
    _shared(session, *EVERYDAY, "typing")
    _run(session, "pyright")
    _run(session, "pyright", "--verifytypes", "proxy_orchestration", "--ignoreexternal")


@nox.session(python=False)
def docs(session: nox.Session) -> None:
    """Build the documentation into `.nox/pages`, where a warning is an error, and test what it says."""
    _shared(session, *EVERYDAY, "docs")
    _pytest(session, f"--basetemp={ROOT / '.nox' / 'pages'}", PAGES, workers=("-n", "0"))


@nox.session(python=MAIN)
def package(session: nox.Session) -> None:
    """Build sdist and wheel, install each where nothing else is, and run the main job."""
    session.install("build")
    built = ROOT / ".nox" / "dist"
    shutil.rmtree(built, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(built))
    for archive in sorted(built.iterdir()):
        session.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", "proxy-orchestration")
        session.install(f"{archive}[cli]")
        store = str(built / f"{archive.name}.db")
        with session.chdir(built):  # away from the source
            mentors = str(ROOT / "examples" / "mentors.csv")
            command = ["proxy-orchestration", "register", mentors, "--db", store, "--actor", "anna@oslo"]
            session.run(*command, success_codes=[3])  # three of the fifty are refused: partial success
            session.run("proxy-orchestration", "list", "--db", store, "--actor", "anna@oslo")


@nox.session(python=MAIN)
def benchmarks(session: nox.Session) -> None:
    """Run every benchmark, or the scripts named after `--`."""
    groups = ("benchmarks", "postgresql-tests", "supabase-tests", "telemetry-tests", "temporal-tests")
    session.install(".[otel,postgresql,procrastinate,supabase,temporal,web]", *_group(*groups))
    scripts = session.posargs or sorted(str(path) for path in (ROOT / "benchmarks").glob("bench_*.py"))
    for script in scripts:
        session.run("python", script)


@nox.session(python=MAIN)
def peers(session: nox.Session) -> None:
    """Let peers do the same job and rewrite docs/benchmarks-peers.md; installs them here and nowhere else."""
    session.install(".[sql]", "-r", "benchmarks/peers/requirements.txt")
    session.run("python", "benchmarks/peers/run.py", *session.posargs)
