"""
Example mentors, batches and certificates for the console.

Everything that a newcomer should meet is in them: three of thirty are refused, four of fifteen are
registered already, certificates end, and some messages were given up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Final

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration.access import Actor
from proxy_orchestration.cli.session import EXAMPLE, Session, settings_for, silenced
from proxy_orchestration.clock import Clock
from proxy_orchestration.console import Mentor
from proxy_orchestration.errors import (
    IdempotencyKeyReusedError,
    RegistrationRejected,
    RegistrationUnavailable,
)
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.notices import PushMessage, PushOutcome
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.records import MentorRecipients
from proxy_orchestration.registration.activities import (
    ProxyActivity,
    ProxyRegistration,
    RegistrationReceipt,
)
from proxy_orchestration.registration.conflicts import Conflict
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.registration.requests import BulkRegistrationRequest
from proxy_orchestration.registration.standard.service import StandardRegistrationService
from proxy_orchestration.storage.sql import SqlActivityRepository

ACTIVITY_TYPES: Final[Mapping[str, str]] = {
    "home_visit": "Home visit",
    "phone_call": "Phone call",
    "walk_and_talk": "Walk and talk",
    "group_meeting": "Group meeting",
}

_FIRST_NAMES: Final = [
    "Astrid",
    "Bjarne",
    "Cecilie",
    "Dag",
    "Eli",
    "Finn",
    "Gerd",
    "Håkon",
    "Ingrid",
    "Johan",
    "Kari",
    "Lars",
    "Marit",
    "Nils",
    "Oda",
    "Petter",
    "Randi",
    "Sivert",
    "Tone",
    "Ulrik",
    "Vigdis",
    "Åse",
    "Øystein",
    "Amira",
    "Bilal",
    "Carmen",
    "Daniel",
    "Elena",
    "Fatima",
    "Goran",
    "Hana",
    "Ivan",
    "Jasmin",
    "Kofi",
    "Leila",
    "Mateo",
    "Nadia",
    "Omar",
    "Priya",
    "Samira",
]
_CHAPTERS: Final = ("Oslo east", "Oslo west", "Asker")
_PAUSED: Final = "mentor-107"
_NO_VISITS: Final = "mentor-114"
_UNLUCKY: Final = "mentor-121"
_NIGHTS: Final = 5
_VALID_DAYS: Final = 120
_LATE_DAYS: Final = 40


def _mentors() -> Sequence[Mentor]:
    return [
        Mentor(mentor_id=f"mentor-{101 + place}", name=f"{first} Eksempel", hint=_CHAPTERS[place % 3])
        for place, first in enumerate(_FIRST_NAMES)
    ]


@attrs.define(eq=False)
class ExampleDirectory:
    """
    Forty mentors with invented names.
    """

    _known: Sequence[Mentor] = attrs.field(factory=_mentors, init=False)

    async def names(self, mentor_ids: Collection[str], /) -> Mapping[str, str]:
        """
        Return the names of those who are known.
        """
        return {each.mentor_id: each.name for each in self._known if each.mentor_id in mentor_ids}

    async def search(self, text: str, /, *, actor: Actor, limit: int) -> Sequence[Mentor]:  # noqa: ARG002 - the port's signature
        """
        Return those whose name or chapter holds the text.
        """
        wanted = text.casefold()
        found = [each for each in self._known if wanted in f"{each.name} {each.hint}".casefold()]
        return found[:limit]


@attrs.define(eq=False, kw_only=True)
class ExampleService:
    """
    The standard service, which refuses a few mentors as a real one would.

    One is paused, one takes no home visits until the activity is edited, and one is unlucky: the
    calls of the first run meet a service that is away.
    """

    service: StandardRegistrationService
    clock: Clock
    seconds: float
    _met: set[str] = attrs.field(factory=set, init=False)

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Take a moment, then register or refuse.
        """
        await self.clock.sleep(self.seconds)
        mentor_id = registration.mentor_id
        if mentor_id == _PAUSED:
            raise RegistrationRejected("mentor_paused", "This mentor is on a break until further notice.")  # noqa: EM101 - a code
        if mentor_id == _NO_VISITS and registration.activity.activity_type == "home_visit":
            raise RegistrationRejected("type_not_allowed", "This mentor does no home visits.")  # noqa: EM101 - a code
        if mentor_id == _UNLUCKY and self._is_first_run(registration):
            raise RegistrationUnavailable
        return await self.service.register(registration)

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Look the registration up.
        """
        return await self.service.find_registration(registration_id)

    async def find_conflicts(self, registrations: Sequence[ProxyRegistration], /) -> Sequence[Conflict]:
        """
        Find what is registered already.
        """
        return await self.service.find_conflicts(registrations)

    def _is_first_run(self, registration: ProxyRegistration) -> bool:
        self._met.add(registration.registration_id)
        # A retry after a refusal has a new key, whose epoch stands at its end.
        return registration.idempotency_key.endswith(":0")


@attrs.frozen(kw_only=True)
class ExampleCertificates:
    """
    Certificates of which some end soon on any day.

    Each is valid for 120 days, and is renewed forty days after its end. So its end is the same from
    one day to the next, and what was told of it stays told.
    """

    clock: Clock
    organization_id: str

    def certificates(self, *, actor: Actor) -> Sequence[PeerMentorCertificate]:  # noqa: ARG002 - the port's signature
        """
        Return them all.
        """
        today = self.clock.now().date()
        mentors = _mentors()
        return [
            PeerMentorCertificate(
                certificate_id=f"certificate-{mentor.mentor_id}",
                mentor_id=mentor.mentor_id,
                certificate_type="first_aid" if place % 2 else "conversation_course",
                expires=_end_around(today, _VALID_DAYS * place // len(mentors)),
                holder_name=mentor.name,
                organization_id=self.organization_id,
            )
            for place, mentor in enumerate(mentors)
        ]


def _end_around(today: date, offset: int) -> date:
    """
    Return the end of a certificate whose ends are `offset` days after every 120th day.
    """
    earliest = today - timedelta(days=_LATE_DAYS)
    return earliest + timedelta(days=(offset - earliest.toordinal()) % _VALID_DAYS)


@attrs.frozen
class _Recipients:
    coordinator_id: str

    async def resolve(self, mentor_ids: Collection[str], /) -> Mapping[str, MentorRecipients]:
        """
        Return the coordinator, and nobody for every ninth mentor.
        """
        return {
            each: MentorRecipients(coordinator_id=self.coordinator_id)
            for each in mentor_ids
            if int(each.rpartition("-")[2]) % 9
        }


class _ExampleSender:
    """
    Delivers nothing; takes every message but a few, which it gives up.
    """

    async def send(self, messages: Sequence[PushMessage], /) -> Sequence[PushOutcome]:
        return [
            PushOutcome.dead(each, "sender_id_mismatch")
            if each.recipient_id.endswith("4")
            else PushOutcome.delivered(each)
            for each in messages
        ]


@attrs.frozen
class _EarlierClock:
    """
    A clock that is some days behind, so that earlier nights stand in the log.
    """

    clock: Clock
    days: int

    def now(self) -> datetime:
        return self.clock.now() - timedelta(days=self.days)

    def monotonic(self) -> float:
        return self.clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep(seconds)


@attrs.frozen(kw_only=True)
class Example:
    """
    The verbs over a store with example data, and who the mentors are.
    """

    orchestrator: BulkRegistrationOrchestrator
    notifications: NotificationOrchestrator
    dispatcher: PushDispatcher
    directory: ExampleDirectory
    certificates: ExampleCertificates


def example_over(session: Session, actor: Actor, *, pace: float) -> Example:
    """
    Return the verbs; nothing is stored yet.
    """
    store = session.repository
    if isinstance(store, SqlActivityRepository):
        store = store.only_accepted_by(EXAMPLE)
    standard = StandardRegistrationService(repository=session.repository, clock=session.clock)
    return Example(
        orchestrator=BulkRegistrationOrchestrator(
            registration_service=ExampleService(service=standard, clock=session.clock, seconds=pace),
            repository=store,
            clock=session.clock,
            settings=settings_for(session.common),
            service_name=EXAMPLE,
        ),
        notifications=NotificationOrchestrator(
            repository=session.notices,
            recipients=_Recipients(actor.user_id),
            visibility=session.visibility,
            clock=session.clock,
        ),
        dispatcher=PushDispatcher(repository=session.notices, sender=_ExampleSender(), clock=session.clock),
        directory=ExampleDirectory(),
        certificates=ExampleCertificates(clock=session.clock, organization_id=actor.organization_id),
    )


async def store_example(session: Session, actor: Actor) -> None:
    """
    Store the example's batches, notices and runs; what is there already is not stored again.

    That holds on any later day, and for a batch that was deleted since.
    """
    example = example_over(session, actor, pace=0.0)
    await _store_batches(example.orchestrator, actor, today=session.clock.now().date())
    for nights_ago in reversed(range(_NIGHTS)):
        then = _EarlierClock(session.clock, nights_ago)
        known = attrs.evolve(example.certificates, clock=then)
        await attrs.evolve(example.notifications, clock=then).run(known.certificates(actor=actor))
    with silenced(_loggers.DISPATCH):  # that the example's messages are given up is no news
        await example.dispatcher.drain()


async def _store_batches(orchestrator: BulkRegistrationOrchestrator, actor: Actor, *, today: date) -> None:
    """
    Submit three batches, each under a key of its own, which is used once.
    """
    ids = [mentor.mentor_id for mentor in _mentors()]
    walk = _activity("walk_and_talk", today - timedelta(days=2), 60)
    batches: tuple[tuple[str, Sequence[str], ProxyActivity], ...] = (
        ("Walk by the river", ids[:4], walk),
        ("Home visits before Christmas", ids[:30], _activity("home_visit", today - timedelta(days=1), 45)),
        ("All walks of the week", ids[:15], walk),
    )
    for label, mentor_ids, activity in batches:
        request = BulkRegistrationRequest.for_mentors(
            mentor_ids, activity, label=label, idempotency_key=f"example: {label}"
        )
        # Activities are of the day on which they were stored first, so a later day's are others.
        with suppress(IdempotencyKeyReusedError):
            await orchestrator.submit_bulk_registration(request, actor=actor)


def _activity(kind: str, day: date, minutes: int) -> ProxyActivity:
    return ProxyActivity(activity_type=kind, activity_date=day, duration_minutes=minutes)
