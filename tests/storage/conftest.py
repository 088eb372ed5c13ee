"""
Stores that the plan tests look at: new ones, and with the statistics of very many rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sqlalchemy import Column, Engine, Row

MANY = 100_000

_IN_COMMON = {
    "organization_id": 100,
    "coordinator_id": 1_000,
    "recipient_id": 1_000,
    "certificate_type": 10,
    "activity_type": 10,
    "threshold_tier": 4,
    "audience": 3,
    "status": 5,
    "state": 6,
}
"""How many values a column has, where rows share them."""


def _value(column: Column[object]) -> str:
    if column.name == "run":
        return "1"
    if column.type.python_type in {int, bool, float}:
        return "n"
    if column.name.endswith(("_at", "_date", "_start")):
        return "date('2000-01-01', n || ' days')"
    return f"'{column.name}-' || (n % {_IN_COMMON.get(column.name, MANY)})"


@pytest.fixture(scope="session")
def statistics_of_many(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Row[Any]]:
    """
    Return what SQLite knows of a store with very many rows in every table: all that its planner looks at.
    """
    from sqlalchemy import event  # noqa: PLC0415 - an extra

    from proxy_orchestration.storage.sql import metadata  # noqa: PLC0415 - an extra

    file = tmp_path_factory.mktemp("large") / "store.db"
    engine = _new_store(file)
    event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
    numbers = f"WITH RECURSIVE numbers(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers LIMIT {MANY})"  # noqa: S608 - our own number
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            values = ", ".join(map(_value, table.columns))
            connection.exec_driver_sql(f"INSERT INTO {table.name} {numbers} SELECT {values} FROM numbers")  # noqa: S608 - our own names
        connection.exec_driver_sql("ANALYZE")
        known = connection.exec_driver_sql("SELECT tbl, idx, stat FROM sqlite_stat1").all()
    engine.dispose()
    file.unlink()
    return known


def _new_store(file: Path) -> Engine:
    from sqlalchemy import create_engine  # noqa: PLC0415 - an extra

    from proxy_orchestration.storage.sql import create_schema  # noqa: PLC0415 - an extra

    engine = create_engine(f"sqlite:///{file}")
    create_schema(engine)
    return engine


@pytest.fixture(params=["no rows", pytest.param("100 000 rows", marks=pytest.mark.full)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """
    Yield a host's own engine over a file with the schema, whose statistics are of so many rows.
    """
    engine = _new_store(tmp_path / "store.db")
    if request.param == "100 000 rows":
        known = request.getfixturevalue("statistics_of_many")
        with engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")  # makes the table of statistics
            connection.exec_driver_sql("DELETE FROM sqlite_stat1")
            connection.exec_driver_sql(
                "INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", [tuple(row) for row in known]
            )
        engine.dispose()  # a connection reads them when it opens
    yield engine
    engine.dispose()
