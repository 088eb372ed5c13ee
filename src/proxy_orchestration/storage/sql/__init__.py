"""
A durable store in a SQL database, through SQLAlchemy Core in worker threads.

SQLite is served; a file may be shared by any number of processes of one
machine. Needs the extra `sql`.
"""

from proxy_orchestration._extras import needs_extra

with needs_extra("sql", "sqlalchemy", needed_by="proxy_orchestration.storage.sql"):
    from proxy_orchestration.storage.sql.repository import SqlActivityRepository
    from proxy_orchestration.storage.sql.schema import metadata
    from proxy_orchestration.storage.sql.versions import create_schema

__all__ = ["SqlActivityRepository", "create_schema", "metadata"]
