"""
A database as a Supabase project has it: its roles, our tables and scripts, and a PostgREST in front.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import attrs
import httpx
from postgres_server.databases import PASSWORD, Databases
from postgrest import Gateway, running_gateway, token
from sqlalchemy import URL, create_engine
from waits import LONGEST_WAIT

from proxy_orchestration.storage.postgrest import PostgrestActivityRecords, PostgrestSettings
from proxy_orchestration.storage.sql import (
    create_schema,
    metadata,
    row_level_security,
    supabase_functions,
)

GATEWAY: Final = "supabase_gateway"
ADDRESS: Final = "http://project"
_ROLES: Final = {
    "anon": "NOLOGIN",
    "authenticated": "NOLOGIN",
    "service_role": "NOLOGIN BYPASSRLS",
    GATEWAY: f"LOGIN NOINHERIT PASSWORD '{PASSWORD}'",
}
_DEFAULTS: Final = (
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role",
)


@attrs.frozen(kw_only=True)
class Project:
    """
    A database behind a PostgREST.

    Attributes:
        databases: the server.
        url: the database's address, for SQL.
        gateway: the PostgREST.
    """

    databases: Databases
    url: URL
    gateway: Gateway

    def client(self) -> httpx.AsyncClient:
        """
        Return a client of the PostgREST.
        """
        transport = httpx.AsyncHTTPTransport(uds=self.gateway.socket)
        return httpx.AsyncClient(transport=transport, base_url=ADDRESS, timeout=LONGEST_WAIT)

    @asynccontextmanager
    async def records(self, key: Any = None, **settings: Any) -> AsyncIterator[PostgrestActivityRecords]:
        """
        Open the records with that key, or else with the service's.
        """
        async with PostgrestActivityRecords.open(
            ADDRESS,
            key=service_key() if key is None else key,
            settings=PostgrestSettings(**settings),
            transport=httpx.AsyncHTTPTransport(uds=self.gateway.socket),
        ) as records:
            yield records

    def empty(self) -> None:
        """
        Remove every row.
        """
        self.execute(";".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)))  # noqa: S608 - our own names

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """
        Execute statements as the owner; return the last one's rows.
        """
        return list(self.databases.execute(self.url.database, *statements))  # type: ignore[arg-type]  # names of our own


def service_key(*, seconds: float = 3600.0) -> str:
    """
    Return a token of the service that is good for that long.
    """
    return token(role="service_role", exp=int(time.time() + seconds))


def person_key(user_id: str, *roles: str, organization_id: str = "org-1") -> str:
    """
    Return a client's token.
    """
    held = {"organization_id": organization_id, "roles": list(roles)}
    return token(role="authenticated", sub=user_id, app_metadata=held, exp=int(time.time() + 3600))


def prepare(databases: Databases, url: URL, *, schema: str | None = None, prefix: str = "") -> None:
    """
    Make a database what a project's is, with our tables and scripts.
    """
    known = {name for (name,) in databases.execute("postgres", "SELECT rolname FROM pg_roles")}
    for role in _ROLES.keys() - known:
        databases.execute("postgres", f"CREATE ROLE {role} {_ROLES[role]}")  # type: ignore[arg-type]  # names of our own
    databases.execute("postgres", f"GRANT anon, authenticated, service_role TO {GATEWAY}")
    databases.execute(url.database, *_DEFAULTS)
    engine = create_engine(url)
    create_schema(engine, schema=schema, prefix=prefix)
    for script in (row_level_security, supabase_functions):
        with engine.begin() as connection:
            connection.exec_driver_sql(script(schema=schema, prefix=prefix))
    engine.dispose()


def gateway_address(databases: Databases, url: URL) -> str:
    """
    Return where the PostgREST finds the database.
    """
    return f"postgres://{GATEWAY}:{PASSWORD}@/{url.database}?host={databases.socket_folder}"


@contextmanager
def running_project(databases: Databases, **settings: str | int) -> Iterator[Project]:
    """
    Make a database, and start a PostgREST before it.
    """
    url = databases.empty()
    prepare(databases, url)
    usual: dict[str, str | int] = {
        "db_uri": gateway_address(databases, url),
        "db_schemas": "public",
        "db_anon_role": "anon",
        "db_max_rows": 1000,
        "log_level": "crit",
    }
    with running_gateway(**(usual | settings)) as gateway:
        yield Project(databases=databases, url=url, gateway=gateway)
