#!/usr/bin/env bash
# SQLAlchemy 2.0.44: an engine over a connection that somebody else has opened (`creator=`), with a pool that
# is told to reset nothing (`reset_on_return=None`), ends the transaction of its lender at its first connect.
# It looks at the server then and rolls back afterwards. Nothing is raised, what the lender had written is
# gone, and the lender's next statement begins another transaction. A second engine over the same connection
# does it again; an `Engine` that is put together from pool and dialect, without `create_engine`, does not.
#
# Exits with 0 while that is so, and with 1 once it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet sqlalchemy==2.0.44
cat >"$folder/show.py" <<'PYTHON'
import sqlite3
from importlib.metadata import version

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.pool import StaticPool


def usual(lender):
    return create_engine("sqlite://", creator=lambda: lender, poolclass=StaticPool, pool_reset_on_return=None)


def by_hand(lender):
    dialect = create_engine("sqlite://").dialect
    pool = StaticPool(lambda: lender, reset_on_return=None)
    return Engine(pool, dialect, make_url("sqlite://"))


def rows_left(make):
    lender = sqlite3.connect(":memory:", isolation_level=None)
    lender.execute("CREATE TABLE orders (name TEXT)")
    lender.execute("BEGIN IMMEDIATE")
    lender.execute("INSERT INTO orders VALUES ('first')")
    connection = make(lender).connect()
    seen = connection.exec_driver_sql("SELECT count(*) FROM orders").scalar(), lender.in_transaction
    lender.execute("ROLLBACK") if lender.in_transaction else None
    return seen


print("sqlalchemy", version("sqlalchemy"))
seen = {make.__name__: rows_left(make) for make in (usual, by_hand)}
for name, (rows, is_open) in seen.items():
    print(f"{name}: the lender's rows: {rows}, its transaction is open: {is_open}")
as_seen_before = seen == {"usual": (0, False), "by_hand": (1, True)}
print("as described" if as_seen_before else "changed")
raise SystemExit(0 if as_seen_before else 1)
PYTHON
"$folder/venv/bin/python" -W ignore "$folder/show.py"
