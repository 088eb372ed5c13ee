"""
Where this library is imported from: this checkout, or another build of it to compare with.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
HERE: Final = ROOT / "src"
RELEASED: Final = "eeba6bf"
"""The commit of release 0.5.0."""


class NoBuildError(Exception):
    """
    There is no such build here.
    """

    def __init__(self, asked: str) -> None:
        super().__init__(f"{asked} is not a wheel, a checkout or a commit of this repository")


def build_of(asked: str, folder: Path) -> Path:
    """
    Return the folder to import another build from.

    Args:
        asked: a wheel, a checkout or a folder with the package in it, or a commit of this repository.
        folder: an empty one, for what is unpacked.

    Raises:
        NoBuildError: it is none of these.
    """
    place = Path(asked)
    if place.suffix == ".whl" and place.exists():
        with zipfile.ZipFile(place) as wheel:
            wheel.extractall(folder)  # noqa: S202 - a build that whoever measures has named
        return folder
    if place.is_dir():
        return (place / "src" if (place / "src").is_dir() else place).absolute()
    return _commit(asked, folder)


def _commit(asked: str, folder: Path) -> Path:
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", asked, "src"]
    try:
        archive = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoBuildError(asked) from error
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folder, filter="data")
    return folder / "src"
