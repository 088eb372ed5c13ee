"""
Triggers that prevent changes to the content of stored audit events, on both databases.

Only what says so changes one: an erasure counts itself in `erasures`. A
mistake in a host's own SQL does not. The trigger is named like a constraint of
the table, so that a prefix is put before its name too.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import DDL, Table, event

_REFUSED: Final = "an audit event is kept as it was stored"
_CONTENT: Final = ("event_id", "payload", "further")
_NAMED: Final = ", ".join(_CONTENT)
_CHANGES: Final = " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in _CONTENT)


def _on(dialect: str, text: str) -> DDL:
    return DDL(text).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap


GUARDS: Final = (
    _on(
        "sqlite",
        f"CREATE TRIGGER ck_audit_events_kept_content BEFORE UPDATE OF {_NAMED} ON %(fullname)s"
        f" WHEN ({_CHANGES.replace('IS DISTINCT FROM', 'IS NOT')}) AND NEW.erasures <> OLD.erasures + 1"
        f" BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END",
    ),
    _on(
        "postgresql",
        "CREATE OR REPLACE FUNCTION ck_audit_events_kept_content() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{_REFUSED}' USING ERRCODE = 'integrity_constraint_violation'; END $$",
    ),
    _on(
        "postgresql",
        f"CREATE TRIGGER ck_audit_events_kept_content BEFORE UPDATE OF {_NAMED} ON %(fullname)s"
        f" FOR EACH ROW WHEN (({_CHANGES}) AND NEW.erasures <> OLD.erasures + 1)"
        " EXECUTE FUNCTION ck_audit_events_kept_content()",
    ),
)
"""What is run once the table is there."""

UNGUARDED: Final = (
    _on("sqlite", "DROP TRIGGER ck_audit_events_kept_content"),
    _on("postgresql", "DROP TRIGGER ck_audit_events_kept_content ON %(fullname)s"),
    _on("postgresql", "DROP FUNCTION ck_audit_events_kept_content()"),
)
"""What takes it back."""


def guard(table: Table) -> None:
    """
    Have the metadata make the trigger with the table.
    """
    for statement in GUARDS:
        event.listen(table, "after_create", statement)
