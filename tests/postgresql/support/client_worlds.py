"""
Databases with people in front of them: roles as PostgREST and Supabase have them, and two organizations.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import anyio
import attrs
import psycopg
from postgres_server.databases import PASSWORD, Databases
from sqlalchemy import URL, create_engine
from waits import LONGEST_WAIT

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    NotificationOrchestrator,
    PeerMentorCertificate,
    ProxyActivity,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.ports import Commit, Lease, MentorRecipients, UnfinishedItem
from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    SqlVisibilityRegistry,
    create_schema,
    metadata,
    row_level_security,
)
from proxy_orchestration.testing.notification import ScriptedRecipientDirectory

OSLO: Final = "chapter-oslo"
BERGEN: Final = "chapter-bergen"
COORDINATORS: Final = {"coord-119": OSLO, "coord-120": OSLO, "coord-204": BERGEN}
MENTORS: Final = {
    "coord-119": ["mentor-1", "mentor-2"],
    "coord-120": ["mentor-1"],
    "coord-204": ["mentor-3", "mentor-4"],
}

_SUPABASE: Final = """
CREATE SCHEMA auth;
CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE
  AS $$ SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT (auth.jwt() ->> 'sub')::uuid $$;
GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_owner IN SCHEMA public
  GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_owner IN SCHEMA public
  GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
"""


@attrs.frozen(kw_only=True)
class World:
    """
    A database in use: the library wrote in it, and clients are at its door.

    Attributes:
        name: `plain` or `supabase`.
        databases: the server.
        database: its name there.
        owner: who owns the tables and ran the script; no superuser.
        service: as whom the library logs in; a member of the service role, without rights of its own.
        gateway: as whom the clients' requests log in, to become another role then.
    """

    name: str
    databases: Databases
    database: str
    owner: str
    service: str
    gateway: str
    _copies: list[str] = attrs.field(init=False, factory=list)

    def url(self, user: str) -> URL:
        """
        Return the address of the database for that user.
        """
        return self.databases.url(self.database, user=user)

    def emptied_copy(self) -> URL:
        """
        Return the address, for the service, of a copy without rows; the one before is this one.
        """
        if not self._copies:
            self._copies.append(self.databases.empty(self.database).database or "")
        deletions = (f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))  # noqa: S608 - our own names
        self.databases.execute(self._copies[0], ";".join(deletions))
        return self.databases.url(self._copies[0], user=self.service)

    @contextmanager
    def login(self, user: str) -> Iterator[psycopg.Connection[Any]]:
        """
        Log in as that user; nothing that is done is kept.
        """
        with psycopg.connect(
            host=str(self.databases.socket_folder), user=user, password=PASSWORD, dbname=self.database
        ) as connection:
            try:
                yield connection
            finally:
                connection.rollback()

    @contextmanager
    def request(self, role: str, told: str = "") -> Iterator[psycopg.Connection[Any]]:
        """
        Do as PostgREST does: log in, become the role of the token, and say what the token claims.
        """
        with self.login(self.gateway) as connection:
            become(connection, role, told)
            yield connection


def become(connection: psycopg.Connection[Any], role: str, told: str = "") -> None:
    """
    Become that role with these claims until the transaction ends.
    """
    connection.execute(
        "SELECT set_config('role', %s, true), set_config('request.jwt.claims', %s, true)", (role, told)
    )


def claims(user_id: str, *roles: str, organization_id: str = OSLO, role: str = "authenticated") -> str:
    """
    Return what a token says of that person.
    """
    held = {"organization_id": organization_id, "roles": list(roles)}
    return json.dumps({"sub": user_id, "role": role, "app_metadata": held})


def fate(connection: psycopg.Connection[Any], statement: str) -> str | int:
    """
    Return the SQLSTATE with which a statement is refused, or else the number of its rows; undo it.
    """
    try:
        with connection.transaction(force_rollback=True):
            return connection.execute(statement).rowcount
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise  # the driver's own
        return error.sqlstate


def rows(connection: psycopg.Connection[Any], statement: str) -> list[Any]:
    """
    Return the first column of what a statement finds, sorted.
    """
    return sorted(row[0] for row in connection.execute(statement))


def open_world(databases: Databases, name: str) -> World:
    """
    Make a database whose owner is no superuser, run the script in it as the owner, and let the library write.
    """
    world = World(
        name=name,
        databases=databases,
        database=databases.empty().database or "",
        owner=f"{name}_owner",
        service=f"{name}_service",
        gateway=f"{name}_gateway",
    )
    _make_roles(world)
    engine = create_engine(world.url(world.owner))
    create_schema(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(row_level_security())
    engine.dispose()
    _let_roles_in(world)
    anyio.run(_write, world)
    return world


def _make_roles(world: World) -> None:
    known = {name for (name,) in world.databases.execute("postgres", "SELECT rolname FROM pg_roles")}
    wanted = {world.owner: "LOGIN CREATEROLE", world.service: "LOGIN", world.gateway: "LOGIN NOINHERIT"}
    if world.name == "supabase":
        wanted[world.owner] += " BYPASSRLS"
        wanted |= {"anon": "NOLOGIN", "authenticated": "NOLOGIN", "service_role": "NOLOGIN BYPASSRLS"}
    for role in wanted.keys() - known:
        world.databases.execute("postgres", f"CREATE ROLE {role} {wanted[role]} PASSWORD '{PASSWORD}'")
    world.databases.execute(
        world.database,
        f"ALTER DATABASE {world.database} OWNER TO {world.owner}",
        f"ALTER SCHEMA public OWNER TO {world.owner}",
        *([_SUPABASE] if world.name == "supabase" else []),
    )


def _let_roles_in(world: World) -> None:
    service = "service_role" if world.name == "supabase" else "proxy_orchestration_service"
    # Supabase's gateway may become the service role too: its token decides, and the gateway checks tokens.
    clients = "anon, authenticated" + (", service_role" if world.name == "supabase" else "")
    world.databases.execute(
        "postgres", f"GRANT {service} TO {world.service}", f"GRANT {clients} TO {world.gateway}"
    )


async def _write(world: World) -> None:
    url = world.url(world.service)
    async with (
        SqlActivityRepository.open(url) as activities,
        SqlNotificationRepository.open(url) as notices,
        SqlVisibilityRegistry.open(url) as registry,
    ):
        for number, (user_id, organization_id) in enumerate(COORDINATORS.items()):
            await _register(activities, user_id, organization_id, minutes=10 * (number + 1))
            await _notify(notices, registry, user_id, organization_id)


async def _register(
    repository: SqlActivityRepository, user_id: str, organization_id: str, *, minutes: int
) -> None:
    service = StandardRegistrationService(repository=repository)
    orchestrator = BulkRegistrationOrchestrator(registration_service=service, repository=repository)
    activity = ProxyActivity(
        activity_type=f"call by {user_id}",
        activity_date=datetime.now(UTC).date(),
        duration_minutes=minutes,
        notes="canary",
    )
    # Nobody registers for herself: that item fails, and its message is part of the log.
    request = BulkRegistrationRequest.for_mentors(
        [*MENTORS[user_id], user_id], activity, idempotency_key="Tuesday"
    )
    actor = Actor(user_id=user_id, roles={Role.COORDINATOR}, organization_id=organization_id)
    accepted = await orchestrator.submit_bulk_registration(request, actor=actor, drive=False)
    await _let_one_item_wait(repository, accepted.batch_id)
    async with orchestrator.drive_batch(accepted.batch_id) as run:
        async for _ in run:
            pass
    page = await service.list_activities(actor=actor, coordinator_id=user_id)
    for registered in page.records:
        await service.request_correction(
            registered.record.activity_id, "canary", actor=actor, idempotency_key="Wednesday"
        )
    # Nobody registers for oneself, after an edit neither.
    edit = {user_id: attrs.evolve(activity, duration_minutes=30)}
    await orchestrator.retry_failed_items(accepted.batch_id, actor=actor, activities=edit)


async def _let_one_item_wait(repository: SqlActivityRepository, batch_id: str) -> None:
    # As a driver does whose first call brought no outcome, and that is told to stop then.
    lease = await repository.acquire(batch_id, 1, ttl=LONGEST_WAIT)
    assert isinstance(lease, Lease)
    committed = await repository.commit(lease, Commit(claim=1, ttl=LONGEST_WAIT))
    waits = UnfinishedItem(work=committed.claimed[0], calls=1, rounds=1)
    await repository.commit(lease, Commit(unfinished=(waits,), ttl=LONGEST_WAIT))
    await repository.release(lease)


async def _notify(
    repository: SqlNotificationRepository, registry: SqlVisibilityRegistry, user_id: str, organization_id: str
) -> None:
    orchestrator = NotificationOrchestrator(
        repository=repository,
        visibility=registry,
        recipients=ScriptedRecipientDirectory(
            {mentor_id: MentorRecipients(coordinator_id=user_id) for mentor_id in MENTORS[user_id]}
        ),
    )
    lapsed = PeerMentorCertificate(
        certificate_id=f"certificate of {user_id}",
        mentor_id=MENTORS[user_id][0],
        certificate_type=f"type of {user_id}",
        expires=datetime.now(UTC).date() - timedelta(days=3),
        organization_id=organization_id,
    )
    await orchestrator.run([lapsed])
    actor = Actor(user_id=user_id, roles={Role.COORDINATOR}, organization_id=organization_id)
    for notice in await repository.notifications_for(user_id):
        await orchestrator.acknowledge(notice.notification_id, actor=actor, note="canary")
    await repository.count_device_answers("fcm", answered=1, gone=0, window=1000)
