"""
Where PgBouncer is: on the system, or fetched from the system's own package source into a cache.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import attrs

_PACKAGES = ("pgbouncer", "libc-ares2", "libevent-2.1-7")
_CACHE = Path("~/.cache/proxy-orchestration-tests/pgbouncer").expanduser()
_PATIENCE = 120.0


class PoolerFailedError(Exception):
    """
    There is no PgBouncer, or it does not start.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"PgBouncer does not start: {reason}")


@attrs.frozen
class Program:
    """
    A PgBouncer that can be run.

    Attributes:
        path: the program.
        libraries: a folder with what it is linked to; `None` for the system's own.
    """

    path: Path
    libraries: Path | None = None


def find_program() -> Program:
    """
    Return the system's PgBouncer, or the one in the cache, which is filled when it is empty.

    Raises:
        PoolerFailedError: there is neither, and this system's packages cannot be had.
    """
    system = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if system is not None:
        return Program(Path(system))
    if not _CACHE.exists():
        _fetch()
    return _unpacked(_CACHE)


def _unpacked(folder: Path) -> Program:
    program = folder / "usr" / "sbin" / "pgbouncer"
    libraries = next(folder.glob("usr/lib/*-linux-gnu*"), None)
    if not program.is_file() or libraries is None:
        reason = "its packages hold no program"
        raise PoolerFailedError(reason)
    return Program(program, libraries)


def _fetch() -> None:
    """
    Fill the cache without being root; several test workers may do so at once.
    """
    _CACHE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE.parent) as folder:
        packages, unpacked = Path(folder, "packages"), Path(folder, "unpacked")
        packages.mkdir()
        if not _told("apt-get", "download", *_PACKAGES, folder=packages):
            _told("apt-get", "update", folder=packages)  # a clean machine knows no packages yet
            if not _told("apt-get", "download", *_PACKAGES, folder=packages):
                reason = "there is none on this system, and apt-get download does not bring it"
                raise PoolerFailedError(reason)
        for package in packages.glob("*.deb"):
            if not _told("dpkg-deb", "-x", str(package), str(unpacked), folder=packages):
                reason = "its packages cannot be unpacked"
                raise PoolerFailedError(reason)
        try:
            unpacked.rename(_CACHE)
        except OSError:
            if not _CACHE.exists():
                raise  # otherwise another worker was faster


def _told(*command: str, folder: Path) -> bool:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
