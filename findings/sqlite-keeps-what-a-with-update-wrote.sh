#!/usr/bin/env bash
# SQLAlchemy 2.1.9 over CPython's own sqlite3 (3.11 or newer, its default transaction control): an UPDATE
# that begins with WITH is kept although the connection is rolled back. sqlite3 begins a transaction by
# itself before a statement that begins with INSERT, UPDATE, DELETE or REPLACE, and for no other; so this
# one commits by itself, inside of what SQLAlchemy shows as a transaction. The same change written without
# WITH is undone. Whoever leases rows by `WITH chosen AS (...) UPDATE ... RETURNING` has to send BEGIN.
#
# Exits with 0 while that is so, and with 1 once it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet sqlalchemy==2.1.9
cat >"$folder/show.py" <<'PYTHON'
import sqlite3
import sys
from importlib.metadata import version

from sqlalchemy import create_engine, text

engine = create_engine(f"sqlite:///{sys.argv[1]}/pushes.db")
with engine.begin() as connection:
    connection.execute(text("CREATE TABLE pushes (id INTEGER PRIMARY KEY, attempts INTEGER)"))
    connection.execute(text("INSERT INTO pushes VALUES (1, 0)"))


def attempts_after_a_rollback(statement):
    with engine.connect() as connection:
        connection.execute(text(statement))
        connection.rollback()
    with engine.connect() as connection:
        return connection.execute(text("SELECT attempts FROM pushes")).scalar_one()


plain = attempts_after_a_rollback("UPDATE pushes SET attempts = attempts + 1 WHERE id = 1")
chosen = "WITH due AS (SELECT id FROM pushes) "
with_first = attempts_after_a_rollback(
    chosen + "UPDATE pushes SET attempts = attempts + 1 WHERE id IN (SELECT id FROM due)"
)
print("SQLAlchemy", version("sqlalchemy"), "SQLite", sqlite3.sqlite_version, "CPython", sys.version.split()[0])
print("attempts after UPDATE and ROLLBACK:", plain)
print("attempts after WITH ... UPDATE and ROLLBACK:", with_first)
sys.exit((plain, with_first) != (0, 1))
PYTHON
"$folder/venv/bin/python" "$folder/show.py" "$folder"
