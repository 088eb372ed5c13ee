"""
Reads a file's bytes from the beginning as often as needed, in constant memory.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, TextIO

from proxy_orchestration.cli.csv.problems import CsvProblem, RefusedError

LONGEST_FILE: Final = 32 * 1024 * 1024
"""Bytes; a file beyond this is not even read to its end."""

_MOST_IN_MEMORY: Final = 1024 * 1024
_PIECE: Final = 64 * 1024


@contextmanager
def opened(source: Path | bytes) -> Iterator[IO[bytes]]:
    """
    Open a file, or bytes as if they were one, for reading it more than once.

    It is a copy, in a nameless file where it is long: what a pipe brings comes
    once, and what somebody writes into the file meanwhile is not read.

    Raises:
        RefusedError: it cannot be read, or is too long.
    """
    with tempfile.SpooledTemporaryFile(max_size=_MOST_IN_MEMORY) as file:
        if isinstance(source, bytes):
            file.write(source)
        else:
            _copy(source, file)
        if file.tell() > LONGEST_FILE:
            message = f"the file is larger than {LONGEST_FILE // 1024**2} MiB. Split it."
            raise RefusedError(CsvProblem(message))
        file.seek(0)
        yield file


def _copy(path: Path, file: IO[bytes]) -> None:
    try:
        with path.open("rb") as origin:
            while file.tell() <= LONGEST_FILE and (piece := origin.read(_MOST_IN_MEMORY)):
                file.write(piece)
    except FileNotFoundError:
        message = "there is no such file. Check the name and the folder."
    except IsADirectoryError:
        message = "this is a folder. Name a CSV file in it."
    except (OSError, ValueError) as error:
        message = f"the file cannot be read ({type(error).__name__}). Check its name and permissions."
    else:
        return
    raise RefusedError(CsvProblem(message))


def beginning_of(file: IO[bytes], length: int) -> bytes:
    """
    Return its first bytes, at most so many.
    """
    file.seek(0)
    return file.read(length)


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """
    Return its lines, each with its line feed.
    """
    file.seek(0)
    return iter(file.readline, b"")


def digest_of(file: IO[bytes]) -> str:
    """
    Return the SHA-256 of its bytes, as hexadecimal digits.
    """
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


@contextmanager
def decoded(file: IO[bytes], encoding: str) -> Iterator[TextIO]:
    """
    Read it as text from its beginning, with the ends of its lines as they are, and leave it open.
    """
    file.seek(0)
    text = io.TextIOWrapper(file, encoding, newline="")
    try:
        yield text
    finally:
        text.detach()
