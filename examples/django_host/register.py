"""
The registration service and the access policy, through the project's models.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import ParamSpec, TypeVar

import anyio
from django.db import DatabaseError, IntegrityError, connection, transaction

from proxy_orchestration import (
    Actor,
    CoordinatorAccess,
    DuplicateActivityError,
    OutcomeUnknownError,
    ProxyRegistration,
    RegistrationReceipt,
    RegistrationRejected,
)

from .models import Mentor, Visit

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_AGO = timedelta(days=90)
TOO_LONG_AGO = ("too_long_ago", "A visit is registered within 90 days.")


async def in_a_thread(query: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T:
    """
    Run a query in a worker thread, and close that thread's connection behind it.
    """

    def work() -> T:
        try:
            return query(*arguments)
        finally:
            connection.close()

    return await anyio.to_thread.run_sync(work)


class OwnMentors(CoordinatorAccess):
    """
    Coordinators register for the mentors that are assigned to them, and for nobody else.
    """

    async def out_of_scope(self, actor: Actor, mentor_ids: Collection[str], /) -> Collection[str]:
        """
        Return those who are not assigned to the actor; asked once for each request.
        """
        return set(mentor_ids) - await in_a_thread(_assigned, actor.user_id)


def _assigned(user_id: str) -> set[str]:
    return set(Mentor.objects.filter(coordinator__username=user_id).values_list("mentor_id", flat=True))


class VisitRegister:
    """
    Writes a visit for each registration, once: the two constraints decide.
    """

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Write the visit, or return the one that this registration has already.
        """
        return _receipt(registration.registration_id, await in_a_thread(_write, registration))

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Return the visit of a registration whose answer was lost, or nothing.
        """
        number = await in_a_thread(_own, registration_id)
        return None if number is None else _receipt(registration_id, number)


def _write(registration: ProxyRegistration) -> int:
    own = _own(registration.registration_id)
    if own is not None:
        return own  # before any other check: a repeated call finds itself
    activity = registration.activity
    if activity.activity_date < datetime.now(UTC).date() - LONGEST_AGO:
        raise RegistrationRejected(*TOO_LONG_AGO)
    try:
        with transaction.atomic():
            visit = Visit.objects.create(
                registration_id=registration.registration_id,
                mentor_id=registration.mentor_id,
                kind=activity.activity_type,
                day=activity.activity_date,
                minutes=activity.duration_minutes,
                registered_by=registration.registered_by.user_id,
                in_spite_of=registration.override_of or "",
            )
    except IntegrityError:
        return _existing(registration)
    except DatabaseError as error:
        raise OutcomeUnknownError from error  # the commit may have come through
    return int(visit.pk)


def _existing(registration: ProxyRegistration) -> int:
    own = _own(registration.registration_id)
    if own is not None:
        return own
    activity = registration.activity
    same = Visit.objects.filter(
        mentor_id=registration.mentor_id, kind=activity.activity_type, day=activity.activity_date
    )
    number = same.order_by("pk").values_list("pk", flat=True).first()
    if number is None:
        raise OutcomeUnknownError  # it was deleted in this moment; the driver asks again
    raise DuplicateActivityError(str(number))


def _own(registration_id: str) -> int | None:
    return Visit.objects.filter(registration_id=registration_id).values_list("pk", flat=True).first()


def _receipt(registration_id: str, number: int) -> RegistrationReceipt:
    return RegistrationReceipt(registration_id=registration_id, activity_id=str(number))
