"""
From what a host wrote as its database's address to what SQLAlchemy connects to.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from proxy_orchestration._extras import needs_extra
from proxy_orchestration.errors import RepositoryUnavailableError

_ADVICE: Final = (
    "Write it as sqlite:///file.db or postgresql+psycopg://user:password@host/database, "
    "with the special characters of the password percent-encoded."
)
_SQLITE: Final = ("sqlite", "sqlite+pysqlite")
_POSTGRESQL: Final = "postgresql+psycopg"
_SHORTER: Final = ("postgres", "postgresql")
PREPARE_THRESHOLD: Final = "prepare_threshold"
"""After how many executions the driver prepares a statement, where an address asks for it."""

_SECRETS: Final = ("password", "sslpassword")
_DEFAULTS: Final[dict[str, Any]] = {
    "connect_timeout": 10,
    "fallback_application_name": "proxy-orchestration",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    # Behind a pooler a name means another client's statement, and may run it without an error; decision 151.
    PREPARE_THRESHOLD: None,
}
"""A server that fell silent is noticed within half a minute or so, and not after hours."""


def read_address(address: str | URL) -> tuple[URL, dict[str, Any]]:
    """
    Return the address, and what goes to the driver beside it: secrets that the address would show.

    Raises:
        RepositoryUnavailableError: it is no address of SQLite or PostgreSQL.
            Nothing of it is told, since what was misread may be a password.
        MissingExtraError: it is PostgreSQL's, and psycopg is not installed.
    """
    url = _parsed(address)
    if url is None or "@" in (url.host or ""):
        reason = "The database's address is not understood."
        raise RepositoryUnavailableError(reason, advice=_ADVICE)
    if url.drivername in _SHORTER:
        url = url.set(drivername=_POSTGRESQL)
    if url.drivername == _POSTGRESQL:
        return _postgresql(url)
    if url.drivername not in _SQLITE:
        reason = "There is no store for this kind of database, or for this driver of it."
        raise RepositoryUnavailableError(reason, advice=_ADVICE)
    return url, {}


def _parsed(address: str | URL) -> URL | None:
    try:
        return make_url(address)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        return None


def _postgresql(url: URL) -> tuple[URL, dict[str, Any]]:
    with needs_extra("postgresql", "psycopg", needed_by="A store on PostgreSQL"):
        import psycopg  # noqa: F401, PLC0415 - an extra of its own
    arguments = {name: value for name, value in _DEFAULTS.items() if name not in url.query}
    for name in (*_SECRETS, PREPARE_THRESHOLD):
        if name in url.query:
            arguments[name] = url.query[name]
            url = url.difference_update_query([name])
    if arguments[PREPARE_THRESHOLD] is not None:
        arguments[PREPARE_THRESHOLD] = _number(arguments[PREPARE_THRESHOLD])
    return url, arguments


def _number(given: str | tuple[str, ...]) -> int:
    if isinstance(given, str) and given.isascii() and given.isdecimal():
        return int(given)
    reason = "The prepare_threshold in the database's address is not a number."
    raise RepositoryUnavailableError(
        reason, advice="Write for example prepare_threshold=5, or leave it out for no prepared statements."
    )
