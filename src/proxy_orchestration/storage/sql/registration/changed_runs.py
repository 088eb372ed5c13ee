"""
Runs that are there, changed many at once, each found by its key.

An update of many lets PostgreSQL read a whole table whose statistics are
those of an empty one. An upsert looks each row up by its key. The rows are
there, unless somebody's own SQL takes one away meanwhile: then the upsert
would make a run, which shows in what it returns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Dialect, FromClause, Row, literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

from proxy_orchestration.storage.sql.dialect.inserts import upserting_rows
from proxy_orchestration.storage.sql.schema import Instant, runs

_NOBODY: Final = ""
"""The actor of a run that an upsert would make; a real one's is JSON."""

_NOT_CHANGED: Final[Mapping[str, ColumnElement[Any]]] = {
    "actor": literal(_NOBODY),
    "opened_at": literal(datetime(1970, 1, 1, tzinfo=UTC), Instant()),
    "run_items": literal(0),
    "base": literal(0),
    "tail": literal(0),
}
"""What a row has to have, and no change of many says."""

KEY: Final = ("batch", "run")


class NotAsFoundError(Exception):
    """
    A row was not there to be changed by an upsert of many; each write alone tells whose.
    """


def changing(
    rows: FromClause, said: Mapping[str, ColumnElement[Any]], dialect: Dialect
) -> sqlite.Insert | postgresql.Insert:
    """
    Return an upsert to which to add what it does; `excluded` has what these rows say, by the columns' names.
    """
    return upserting_rows(runs, {**_NOT_CHANGED, **said}, rows, dialect)


def change(
    connection: Connection,
    statement: ReturningInsert[*tuple[Any, ...]],
    name: str,
    told: Iterable[tuple[Any, ...]],
) -> Mapping[int, Row[Any]]:
    """
    Change one run of each of these batches; return the rows that were changed, by their batches.

    Args:
        connection: in whose transaction.
        statement: returns the runs' batches and actors.
        name: of the parameter that the rows are bound to.
        told: those rows.

    Raises:
        NotAsFoundError: somebody's own SQL took a run away; what was done is to be undone.
    """
    changed = connection.execute(statement, {name: json.dumps(list(told))}).all()
    if any(row.actor == _NOBODY for row in changed):
        raise NotAsFoundError
    return {row.batch: row for row in changed}
