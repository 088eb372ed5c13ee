"""
The durable store: SQLite or PostgreSQL through SQLAlchemy Core. Needs the extra `sql` or `postgresql`.
"""

from proxy_orchestration._extras import needs_extra

with needs_extra("sql", "sqlalchemy", "alembic", needed_by="proxy_orchestration.storage.sql"):
    from proxy_orchestration.storage.sql.database.migrate import create_schema
    from proxy_orchestration.storage.sql.database.names import metadata_for
    from proxy_orchestration.storage.sql.hidden_mentors import hidden_mentors_policy, hidden_mentors_view
    from proxy_orchestration.storage.sql.notification.registry import SqlVisibilityRegistry
    from proxy_orchestration.storage.sql.notification.repository import SqlNotificationRepository
    from proxy_orchestration.storage.sql.registration.duplicate_keys import (
        KeyCollision,
        RecomputedKeys,
        recompute_duplicate_keys,
    )
    from proxy_orchestration.storage.sql.registration.repository import SqlActivityRepository
    from proxy_orchestration.storage.sql.registration.run_hooks import OnRunOpened
    from proxy_orchestration.storage.sql.schema import metadata
    from proxy_orchestration.storage.sql.security import row_level_security
    from proxy_orchestration.storage.sql.supabase import supabase_functions

__all__ = [
    "KeyCollision",
    "OnRunOpened",
    "RecomputedKeys",
    "SqlActivityRepository",
    "SqlNotificationRepository",
    "SqlVisibilityRegistry",
    "create_schema",
    "hidden_mentors_policy",
    "hidden_mentors_view",
    "metadata",
    "metadata_for",
    "recompute_duplicate_keys",
    "row_level_security",
    "supabase_functions",
]
