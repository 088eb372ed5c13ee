"""
Removes row-level security policies while the schema changes.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

_POLICIES: Final = (
    "SELECT 'DROP POLICY ' || quote_ident(polname) || ' ON ' || polrelid::regclass FROM pg_policy"
    " WHERE polname IN ('proxy_orchestration_own', 'proxy_orchestration_own_organization')"
    " AND pg_table_is_visible(polrelid)"
)


def lay_policies_aside(connection: Connection) -> None:
    """
    Drop what lets clients read, where row-level security is on.

    A column that a policy names cannot be altered. Until the script is run
    again, as its guide says, clients read nothing; the service goes on.
    """
    if connection.dialect.name != "postgresql":
        return
    policies = connection.exec_driver_sql(_POLICIES).all()
    for (statement,) in policies:
        connection.exec_driver_sql(statement)
    if policies:
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS proxy_orchestration_attribution ON activities")
