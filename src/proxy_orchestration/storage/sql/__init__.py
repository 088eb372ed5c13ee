"""
The durable store: SQLite through SQLAlchemy Core, shaped for PostgreSQL too. Needs the extra `sql`.
"""

from proxy_orchestration._extras import needs_extra

with needs_extra("sql", "sqlalchemy", "alembic", needed_by="proxy_orchestration.storage.sql"):
    from proxy_orchestration.storage.sql.migrating import create_schema
    from proxy_orchestration.storage.sql.notification_repository import SqlNotificationRepository
    from proxy_orchestration.storage.sql.repository import SqlActivityRepository
    from proxy_orchestration.storage.sql.schema import metadata
    from proxy_orchestration.storage.sql.visibility import SqlVisibilityRegistry

__all__ = [
    "SqlActivityRepository",
    "SqlNotificationRepository",
    "SqlVisibilityRegistry",
    "create_schema",
    "metadata",
]
