"""
The chapter's own table of visits, and the registration service that writes it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio
from sqlalchemy import (
    Column,
    Date,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    insert,
    select,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from proxy_orchestration import (
    DuplicateActivityError,
    OutcomeUnknownError,
    ProxyRegistration,
    RegistrationReceipt,
    RegistrationRejected,
)

LONGEST_AGO = timedelta(days=90)
TOO_LONG_AGO = ("too_long_ago", "A visit is registered within 90 days.")

tables = MetaData()
visits = Table(
    "visits",
    tables,
    Column("number", Integer, primary_key=True),
    Column("registration_id", String(410), nullable=False, unique=True),
    Column("mentor_id", String(200), nullable=False),
    Column("kind", String(200), nullable=False),
    Column("day", Date, nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("registered_by", String(200), nullable=False),
    Column("in_spite_of", String(20), nullable=False),
    UniqueConstraint("mentor_id", "kind", "day", "in_spite_of"),
)


class VisitRegister:
    """
    Writes a visit for each registration, once: the two unique constraints decide.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Write the visit, or return the one that this registration has already.
        """
        # Queries block, so they run in a worker thread; the pool of the engine is what limits them.
        number = await anyio.to_thread.run_sync(self._write, registration)
        return _receipt(registration.registration_id, number)

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Return the visit of a registration whose answer was lost, or nothing.
        """
        number = await anyio.to_thread.run_sync(self._own, registration_id)
        return None if number is None else _receipt(registration_id, number)

    def _write(self, registration: ProxyRegistration) -> int:
        own = self._own(registration.registration_id)
        if own is not None:
            return own  # before any other check: a repeated call finds itself
        activity = registration.activity
        if activity.activity_date < datetime.now(UTC).date() - LONGEST_AGO:
            raise RegistrationRejected(*TOO_LONG_AGO)
        visit = insert(visits).values(
            registration_id=registration.registration_id,
            mentor_id=registration.mentor_id,
            kind=activity.activity_type,
            day=activity.activity_date,
            minutes=activity.duration_minutes,
            registered_by=registration.registered_by.user_id,
            in_spite_of=registration.override_of or "",
        )
        try:
            with self._engine.begin() as connection:
                return int(connection.execute(visit).inserted_primary_key[0])
        except IntegrityError:
            return self._existing(registration)
        except DBAPIError as error:
            raise OutcomeUnknownError from error  # the commit may have come through

    def _existing(self, registration: ProxyRegistration) -> int:
        own = self._own(registration.registration_id)
        if own is not None:
            return own
        activity = registration.activity
        same = select(visits.c.number).where(
            visits.c.mentor_id == registration.mentor_id,
            visits.c.kind == activity.activity_type,
            visits.c.day == activity.activity_date,
        )
        with self._engine.connect() as connection:
            number = connection.execute(same.order_by(visits.c.number)).scalars().first()
        if number is None:
            raise OutcomeUnknownError  # it was deleted in this moment; the driver asks again
        raise DuplicateActivityError(str(number))

    def _own(self, registration_id: str) -> int | None:
        own = select(visits.c.number).where(visits.c.registration_id == registration_id)
        with self._engine.connect() as connection:
            return connection.execute(own).scalar()


def _receipt(registration_id: str, number: int) -> RegistrationReceipt:
    return RegistrationReceipt(registration_id=registration_id, activity_id=str(number))
