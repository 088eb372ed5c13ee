"""
Decides what an answer of PostgREST means: a result, a refusal, or an unknown outcome. Pure, no I/O.

A refusal that says for sure that nothing was written carries `nothing_written`;
everything else is in doubt. Decided by SQLSTATE and HTTP status first: newer
versions of PostgREST have codes of their own that this one does not know.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

import attrs

from proxy_orchestration.errors import RecordRefusedError, RepositoryUnavailableError, SchemaVersionError

VERSION: Final = 1
"""Of the functions; each says in its answer which it is of."""

_NEVER_RUN: Final = frozenset({"PGRST000", "PGRST002", "PGRST003"})
_LOST: Final = frozenset({"PGRST001"})
_UNKNOWN_FUNCTION: Final = frozenset({"PGRST106", "PGRST202", "PGRST203", "42883", "42P01", "42703", "3F000"})
_SQLSTATE: Final = re.compile(r"(?=.*[0-9])[0-9A-Z]{5}")
_PARTS_OF_AN_ERROR: Final = {"code", "message", "details", "hint"}
# The statement's own class of error was rolled back; these say that the connection broke, or the server did.
_BROKEN: Final = re.compile(r"08...|57P0[124]|58...|XX...")
# Marked by our own functions: without that, the last says that the key's role lacks a right; decision 382.
_REFUSED_ROWS: Final = re.compile(r"(?:22|23|54)...|P0001|42501")
_MARK: Final = "record_refused"
_LONGEST_MESSAGE: Final = 60

OK: Final = 200
UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_REQUEST_TIMEOUT: Final = 408
_TOO_LARGE: Final = 413
_TOO_MANY: Final = 429
_UNAVAILABLE: Final = 503
_SERVER_ERRORS: Final = 500
_REDIRECTS: Final = 300

_INSTALL: Final = (
    "Run `proxy-orchestration sql supabase --apply`, of this version of the library, on the database. If the "
    "functions exist already, PostgREST's schema cache is outdated: run NOTIFY pgrst, 'reload schema'."
)


@attrs.frozen
class Reply:
    """
    What came over HTTP.

    Attributes:
        status: HTTP's.
        content: the body.
        retry_after: seconds that it asks to wait, or `None`.
    """

    status: int
    content: bytes = attrs.field(repr=False)
    retry_after: float | None = None

    @property
    def code(self) -> str:
        """
        Return PostgREST's code or PostgreSQL's SQLSTATE, empty where neither of them answered.
        """
        return str(self._body().get("code") or "")

    @property
    def hint(self) -> str:
        """
        Return the hint that came with the code.
        """
        return str(self._body().get("hint") or "")

    def _body(self) -> dict[str, Any]:
        try:
            body = json.loads(self.content)
        except ValueError:
            return {}
        # A gateway's own errors are of another shape, and its codes mean something else.
        return body if isinstance(body, dict) and body.keys() >= _PARTS_OF_AN_ERROR else {}


def seconds_of(header: str | None) -> float | None:
    """
    Return the seconds of a `Retry-After`; `None` for what is no number of them.
    """
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def in_doubt(what: str) -> RepositoryUnavailableError:
    """
    Return the error of a call whose answer is not known.
    """
    return RepositoryUnavailableError(
        f"PostgREST's answer is unknown: {what}.",
        advice="Repeat the call: a record that was written is found by its key.",
    )


def leave_in_doubt(what: str) -> NoReturn:
    """
    Raise that error, without what led to it: a cause's text may show a row or a key.
    """
    raise in_doubt(what) from None


def not_executed(reason: str, *, advice: str, retry_after: float | None = None) -> RepositoryUnavailableError:
    """
    Return the error of a call that was definitely not executed.
    """
    return RepositoryUnavailableError(reason, advice=advice, nothing_written=True, retry_after=retry_after)


def result_of(reply: Reply, *, longest_retry_after: float) -> dict[str, Any]:
    """
    Return what the function answered.

    Args:
        reply: the answer.
        longest_retry_after: the longest wait that counts of those that a PostgREST asks for
            whose database is away.

    Raises:
        RecordRefusedError: a record breaks a rule, or the body is larger than the gateway takes.
        SchemaVersionError: the function is not there, or is of another version.
        RepositoryUnavailableError: everything else; `nothing_written` where that is sure.
    """
    if reply.status != OK:
        raise _error_of(reply, longest_retry_after)
    try:
        body = json.loads(reply.content)
    except ValueError:
        body = None
    if not isinstance(body, dict) or "version" not in body:
        leave_in_doubt("it was cut off, or it did not come from the function")
    if body["version"] != VERSION:
        # It may have written: only what it has to say is not understood.
        reason = (
            f"The database functions have version {body['version']!r}, and this library needs version "
            f"{VERSION}."
        )
        raise SchemaVersionError(reason, advice=_INSTALL)
    return body


def _error_of(reply: Reply, longest_retry_after: float) -> Exception:
    code = reply.code
    if code in _LOST or _BROKEN.fullmatch(code):
        return in_doubt(f"its database aborted the call ({code})")
    if code in _NEVER_RUN:
        return not_executed(
            f"PostgREST has no connection to its database ({code}).",
            advice="Nothing was written. The call is repeated.",
            retry_after=min(reply.retry_after or 0.0, longest_retry_after),
        )
    if code in _UNKNOWN_FUNCTION:
        return SchemaVersionError(
            f"PostgREST does not know the function ({code}).", advice=_INSTALL, nothing_written=True
        )
    if _SQLSTATE.fullmatch(code):
        return _refusal_of_the_database(reply)
    return _error_by_status(reply)


def _refusal_of_the_database(reply: Reply) -> Exception:
    """
    Return what an error of the database says, which rolled its transaction back.
    """
    code = reply.code
    if _REFUSED_ROWS.fullmatch(code) and reply.hint == _MARK:
        return RecordRefusedError()
    if code == "42501":
        return not_executed(
            "The role of the key is not allowed to do this (42501).",
            advice="Use the service's key, not a client's, and run both SQL scripts again.",
        )
    return not_executed(
        f"The database refused the call ({code}).",
        advice="Nothing was written. If this happens again, read the database's log.",
    )


def _error_by_status(reply: Reply) -> Exception:
    status, code = reply.status, reply.code[:_LONGEST_MESSAGE] or "no code"
    told = f"HTTP {status}, {code}"
    if status == _TOO_LARGE:
        # A chunk is halved then, down to the one record that is too large by itself.
        return RecordRefusedError()
    if status in {UNAUTHORIZED, _FORBIDDEN}:
        return not_executed(
            f"PostgREST refused the key ({told}).",
            advice="Use the secret key of this project's service; a signed key must not have expired.",
        )
    if status == _TOO_MANY:
        return not_executed(
            "The gateway accepts no more calls for now.",
            advice="The call is repeated.",
            retry_after=reply.retry_after,
        )
    if status in {_REQUEST_TIMEOUT, OK} or status < _REDIRECTS or status >= _SERVER_ERRORS:
        return in_doubt(told)
    advice = "Check the address, the schema that PostgREST exposes, and any proxy in front of it."
    return not_executed(f"PostgREST did not accept the call ({told}).", advice=advice)
