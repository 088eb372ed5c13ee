"""
Personal data in a database that fails: neither the driver's words nor a statement's values come out.
"""

import logging
import sqlite3

import pytest

pytest.importorskip("sqlalchemy")

from sqlalchemy import create_engine, event

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    ProxyActivity,
    Role,
)
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.registration.standard.checks import RegistrationRules
from proxy_orchestration.registration.standard.service import StandardRegistrationService
from proxy_orchestration.storage.sql import SqlActivityRepository, SqlNotificationRepository, create_schema
from proxy_orchestration.testing import FakeClock

pytestmark = pytest.mark.dateless

COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")


class World:
    """
    Both orchestrators and the standard service over one file and a host's own engine.
    """

    def __init__(self, file, canaries):
        clock = FakeClock()
        self.day, self.canaries = clock.now().date(), canaries
        self.engine = create_engine(f"sqlite:///{file}")
        create_schema(self.engine)
        store = SqlActivityRepository(self.engine)
        self.service = StandardRegistrationService(
            repository=store, clock=clock, rules=RegistrationRules(days_back=9)
        )
        self.bulk = BulkRegistrationOrchestrator(
            registration_service=self.service, repository=store, clock=clock
        )
        self.notices = NotificationOrchestrator(
            repository=SqlNotificationRepository(self.engine), clock=clock
        )

    def activity(self, text):
        """
        Return an activity with such notes.
        """
        return ProxyActivity(
            activity_type="visit",
            activity_date=self.day,
            duration_minutes=5,
            notes=text,
            details={text: text},
        )

    async def submit(self, text):
        """
        Register for two mentors at once.
        """
        request = BulkRegistrationRequest.for_mentors(["m1", "m2"], self.activity(text), label=text[:200])
        return await self.bulk.submit_bulk_registration(request, actor=COORDINATOR)

    async def register(self, text):
        """
        Register for one mentor.
        """
        return await self.service.register_proxy_activity(
            "m3", self.activity(text), actor=COORDINATOR, idempotency_key="form-1"
        )

    async def tell(self, text):
        """
        Run for one certificate of a mentor with that name.
        """
        certificate = PeerMentorCertificate(
            certificate_id=self.canaries.NUMBER,
            mentor_id="m1",
            certificate_type="first_aid",
            expires=self.day,
            holder_name=text,
        )
        return await self.notices.run([certificate])


@pytest.fixture
def world(tmp_path, canaries):
    """
    Return a world over a fresh file.
    """
    world = World(tmp_path / "store.db", canaries)
    yield world
    world.engine.dispose()


LOCKED = sqlite3.OperationalError("database is locked")
VERBS = {"submit": World.submit, "register": World.register, "run": World.tell}

FAULTS = {
    "a constraint is broken": sqlite3.IntegrityError("Failing row contains ({})"),
    "a value does not fit": sqlite3.DataError('invalid input syntax: "{}"'),
}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("fault", [*FAULTS, "the database is locked", "a text cannot be kept", "all is well"])
@pytest.mark.parametrize("verb", VERBS)
async def test_a_failing_database_tells_no_values(world, witness, canaries, verb, fault):
    """
    PostgreSQL says which row it refuses, so its words are played here; SQLAlchemy would show the values.
    """

    def fail(_cursor, statement, _parameters, _context):
        if statement.lstrip().upper().startswith("INSERT"):
            told = FAULTS.get(fault)
            if told is None:
                raise LOCKED
            raise type(told)(str(told).format(canaries.PERSONAL))

    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)
    text = f"{canaries.PERSONAL} \ud800" if fault == "a text cannot be kept" else canaries.PERSONAL
    if fault in {*FAULTS, "the database is locked"}:
        event.listen(world.engine, "do_execute", fail)
        event.listen(world.engine, "do_executemany", fail)
    await witness.watch(lambda: VERBS[verb](world, text))
    logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)

    assert witness.said
    assert [] == witness.leaks()
