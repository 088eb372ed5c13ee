"""
One transaction per call, in a worker thread, and one place where vendors' errors are translated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import anyio
import attrs
from anyio import to_thread
from anyio.lowlevel import RunVar
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from proxy_orchestration.errors import (
    OrchestrationError,
    RecordRefusedError,
    RepositoryUnavailableError,
    SchemaVersionError,
)
from proxy_orchestration.storage.sql.engines import database_file, prepare, writing
from proxy_orchestration.storage.sql.versions import check_version

T = TypeVar("T")

_READERS: Final = 8

_TROUBLES: Final = (
    ("locked", "The database is locked by another process.", "Wait for it to finish, or end it, and resume."),
    ("readonly", "The database is read-only.", "Make the file and its folder writable, and resume."),
    ("read-only", "The database is read-only.", "Connect to a database that accepts writes, and resume."),
    ("full", "The disk or the database is full.", "Free space, and resume."),
    (
        "unable to open",
        "The database cannot be opened.",
        "Check that its folder exists and may be written to.",
    ),
    (
        "not a database",
        "The file is not a database, or is damaged.",
        "Choose another file, or restore a backup.",
    ),
    ("malformed", "The database is damaged.", "Restore it from a backup, and resume."),
    ("disk i/o", "The disk failed.", "Check the disk, and resume."),
)
"""What a vendor's message holds, what that means, and what to do."""

MISSING_SCHEMA: Final = ("no such table", "no such column", "does not exist")


@contextmanager
def translated_errors() -> Iterator[None]:
    """
    Turn whatever the database raises into an error that says what to do, and hides the vendor's text.

    Raises:
        SchemaVersionError: a table or a column is missing.
        RepositoryUnavailableError: everything else.
    """
    try:
        yield
    except (IntegrityError, DataError) as error:
        raise _translated(error) from None  # the driver's text may show the row
    except SQLAlchemyError as error:
        raise _translated(error) from error
    except UnicodeEncodeError:
        raise RecordRefusedError from None  # the driver's error holds the whole text


@contextmanager
def refused_as(error: OrchestrationError) -> Iterator[None]:
    """
    Raise this error where a constraint refuses a row.
    """
    try:
        yield
    except IntegrityError:
        raise error from None  # the driver's text may show the row


def _translated(error: SQLAlchemyError) -> RepositoryUnavailableError:
    text = str(error.orig if isinstance(error, DBAPIError) else error).lower()
    if any(sign in text for sign in MISSING_SCHEMA):
        return SchemaVersionError(
            "The database lacks this library's schema, or has an older one.",
            advice="Run proxy_orchestration.storage.sql.create_schema on it.",
        )
    for sign, reason, advice in _TROUBLES:
        if sign in text:
            return RepositoryUnavailableError(reason, advice=advice)
    return RepositoryUnavailableError(
        f"The database failed ({type(error).__name__}).", advice="Check the database, and resume."
    )


@attrs.define(eq=False)
class Transactions:
    """
    Runs plain functions over a connection, each in one transaction, all or nothing.

    Writes queue for one thread, since SQLite lets waiting writers starve each
    other; reads run beside them.
    """

    engine: Engine = attrs.field(converter=prepare)
    _writing: Engine = attrs.field(init=False)
    _file: Path | None = attrs.field(init=False)
    _identity: tuple[int, int] | None = attrs.field(init=False, default=None)
    _writers: RunVar[anyio.CapacityLimiter] = attrs.field(init=False, factory=lambda: RunVar("writers"))
    _readers: RunVar[anyio.CapacityLimiter] = attrs.field(init=False, factory=lambda: RunVar("readers"))
    _version_known: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._writing = writing(self.engine)
        self._file = database_file(self.engine)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """
        Run a function that reads, on one consistent snapshot.
        """
        return await to_thread.run_sync(
            self._run, self.engine, work, limiter=_limiter(self._readers, _READERS)
        )

    async def write(self, work: Callable[[Connection], T]) -> T:
        """
        Run a function that writes; when it returns, all it wrote survives a crash.
        """
        return await to_thread.run_sync(self._run, self._writing, work, limiter=_limiter(self._writers, 1))

    def _run(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        with translated_errors(), engine.begin() as connection:
            if not self._version_known:
                check_version(connection)
                self._version_known = True
            result = work(connection)
        self._check_file()
        return result

    def _check_file(self) -> None:
        # A commit into a file that was unlinked "succeeds", and nobody will ever read it.
        if self._file is None:
            return
        try:
            found = self._file.stat()
        except OSError:
            identity = None
        else:
            identity = (found.st_dev, found.st_ino)
        if self._identity is None:
            self._identity = identity
        if identity is None or identity != self._identity:
            reason = "The database file was deleted or replaced while it was open."
            raise RepositoryUnavailableError(
                reason, advice="Put the file back or choose another, start anew, and resume."
            )


def _limiter(kept: RunVar[anyio.CapacityLimiter], tokens: int) -> anyio.CapacityLimiter:
    # One for each event loop: a limiter belongs to the kind of loop that it was first used in.
    limiter = kept.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(tokens)
        kept.set(limiter)
    return limiter
