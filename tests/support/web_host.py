"""
A FastAPI host as a test needs it: its own way to sign in, and a registration service that does as names say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import anyio
import attrs
from fastapi import APIRouter, FastAPI, Header, HTTPException

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkSettings,
    NotificationOrchestrator,
    PeerMentorCertificate,
    ProxyRegistration,
    PushDispatcher,
    RepositoryUnavailableError,
    Role,
)
from proxy_orchestration.ports import BatchRecord, DrivableRun, MentorRecipients, PushOutcome
from proxy_orchestration.registration.batches import BatchSummary
from proxy_orchestration.storage.memory import (
    MemoryActivityRepository,
    MemoryNotificationRepository,
    MemoryVisibilityRegistry,
)
from proxy_orchestration.testing import (
    FakeClock,
    ScriptedPushSender,
    ScriptedRecipientDirectory,
    ScriptedRegistrationService,
    duplicate,
    reject,
    slow,
    succeed,
)
from proxy_orchestration.testing.scripted_replies import Reply
from proxy_orchestration.web import WebSettings, create_health_router, create_router, lifespan

BATCHES = "/api/v1/bulk-registrations"

AWAY = RepositoryUnavailableError("The store is away.", advice="Wait.")


class LeavingRepository(MemoryActivityRepository):
    """
    A store that can be away for whoever reads a batch.
    """

    is_away = False

    async def get(self, batch_id: str, /) -> BatchRecord | None:
        """
        Return the batch's header, or be away.
        """
        if self.is_away:
            raise AWAY
        return await super().get(batch_id)

    async def find_drivable(self, **wanted: Any) -> Sequence[DrivableRun]:
        """
        Return the runs that wait, or be away.
        """
        if self.is_away:
            raise AWAY
        return await super().find_drivable(**wanted)

    async def read_summary(self, batch_id: str, /) -> BatchSummary | None:
        """
        Return the batch, or be away.
        """
        if self.is_away:
            raise AWAY
        return await super().read_summary(batch_id)


def signed_in(
    x_user: Annotated[str, Header()] = "",
    x_org: Annotated[str, Header()] = "oslo",
    x_roles: Annotated[str, Header()] = "coordinator",
) -> Actor:
    """
    Return who a test says it is.
    """
    if not x_user:
        raise HTTPException(401, "Sign in first.", {"WWW-Authenticate": "Bearer"})
    return Actor(user_id=x_user, roles={Role(role) for role in x_roles.split(",")}, organization_id=x_org)


@attrs.define(eq=False)
class Host:
    """
    One host with everything around its router.

    The name of a mentor says what the service does: `refused-…` refuses, `taken-…` finds a
    duplicate, `held-…` waits until `POST /release/{mentor_id}`.
    """

    settings: WebSettings = attrs.field(factory=WebSettings)
    bulk_settings: BulkSettings = attrs.field(factory=BulkSettings)
    notifications: NotificationOrchestrator | None = None
    dispatcher: PushDispatcher | None = None
    options: dict[str, Any] = attrs.field(factory=dict)
    actor: Callable[..., Any] = signed_in
    repository: LeavingRepository = attrs.field(factory=LeavingRepository)
    service: ScriptedRegistrationService = attrs.field(init=False)
    orchestrator: BulkRegistrationOrchestrator = attrs.field(init=False)
    app: FastAPI = attrs.field(init=False)
    _gates: defaultdict[str, anyio.Event] = attrs.field(init=False)
    mended: set[str] = attrs.field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        self._gates = defaultdict(anyio.Event)
        self.service = ScriptedRegistrationService(self._reply)
        self.orchestrator = self.make_orchestrator()
        self.app = FastAPI(lifespan=self.make_lifespan())
        self.app.include_router(self.router())
        self.app.include_router(create_health_router(self.orchestrator))
        self.app.post("/release/{mentor_id}", include_in_schema=False)(self._release)
        self.app.post("/away/{is_away}", include_in_schema=False)(self._leave)

    def make_orchestrator(self) -> BulkRegistrationOrchestrator:
        """
        Return what registers.
        """
        return BulkRegistrationOrchestrator(
            registration_service=self.service, repository=self.repository, settings=self.bulk_settings
        )

    def make_lifespan(self) -> Any:
        """
        Return what runs beside the requests.
        """
        return lifespan(self.orchestrator)

    def router(self) -> APIRouter:
        """
        Return a router over this host's parts.
        """
        return create_router(
            self.orchestrator,
            actor=self.actor,
            notifications=self.notifications,
            dispatcher=self.dispatcher,
            settings=self.settings,
            **self.options,
        )

    def _reply(self, registration: ProxyRegistration, _attempt: int) -> Reply:
        mentor_id = registration.mentor_id
        if mentor_id.startswith("refused-") and mentor_id not in self.mended:
            return reject("mentor_unknown", "This mentor is not known.")
        if mentor_id.startswith("taken-") and registration.override_of is None:
            return duplicate("activity-0")
        return slow(self._gates[mentor_id]) if mentor_id.startswith("held-") else succeed()

    async def _release(self, mentor_id: str) -> None:
        self._gates[mentor_id].set()

    async def _leave(self, is_away: bool) -> None:
        self.repository.is_away = is_away


def item(mentor_id: str, /, **changes: object) -> dict[str, object]:
    """
    Return an item of a submission.
    """
    activity = {"activity_type": "home_visit", "activity_date": "2026-01-31", "duration_minutes": 45}
    return {"mentor_id": mentor_id, **activity, **changes}


class Coordinator:
    """
    Somebody who is signed in, with the few things that most tests do.
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    def submit(self, *mentor_ids: str, headers: dict[str, str] | None = None, **fields: object) -> Any:
        """
        Submit a batch, and return its answer.
        """
        body = {"items": [item(each) for each in mentor_ids], **fields}
        return self.client.post(BATCHES, json=body, headers=headers or {})

    def settled(self, batch_id: str) -> Any:
        """
        Wait for the end of the current run, and return the batch.
        """
        after = 0
        while True:
            answer = self.client.get(f"{BATCHES}/{batch_id}/events", params={"wait": 30, "after": after})
            told = answer.raise_for_status().json()
            after = told["next_after"]
            if told["settled"]:
                return self.client.get(f"{BATCHES}/{batch_id}").json()

    def registered(self, *mentor_ids: str, **fields: object) -> Any:
        """
        Submit a batch, wait for its end, and return it.
        """
        return self.settled(self.submit(*mentor_ids, **fields).raise_for_status().json()["batch_id"])


ORGANIZATION = "oslo"


def certificates_of(actor: Actor) -> list[PeerMentorCertificate]:
    """
    Return three certificates of the organization on the host's day: lapsed, nearly, and with nobody assigned.
    """
    return [
        PeerMentorCertificate(
            certificate_id=f"certificate-{number}",
            mentor_id=f"mentor-{number}",
            certificate_type="first_aid",
            expires=_TODAY + timedelta(days=days),
            organization_id=actor.organization_id,
        )
        for number, days in ((1, -3), (2, 5), (3, 20))
    ]


_TODAY = date(2026, 2, 1)
_ADMIN = Actor(user_id="admin-1", roles={Role.CHAPTER_ADMIN}, organization_id=ORGANIZATION)


def whole_host(**options: Any) -> Host:
    """
    Return a host of both halves, whose `POST /night` runs a night: no push of it is taken.
    """
    clock = FakeClock(datetime(2026, 2, 1, 8, tzinfo=UTC))
    repository = MemoryNotificationRepository()
    answering = MentorRecipients(coordinator_id="coord-1")
    notifications = NotificationOrchestrator(
        repository=repository,
        recipients=ScriptedRecipientDirectory({"mentor-1": answering, "mentor-2": answering}),
        visibility=MemoryVisibilityRegistry(),
        clock=clock,
    )
    sender = ScriptedPushSender(lambda message, _: PushOutcome.dead(message, "payload_invalid"))
    dispatcher = PushDispatcher(repository=repository, sender=sender, clock=clock)
    host = Host(
        notifications=notifications,
        dispatcher=dispatcher,
        options={"certificates": certificates_of},
        **options,
    )

    async def night() -> None:
        await notifications.run(certificates_of(_ADMIN))
        await dispatcher.drain()

    host.app.post("/night", include_in_schema=False)(night)
    return host
