"""
The router that a host mounts.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from fastapi.routing import APIRoute

from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.web.actors import ActorDependency, acting
from proxy_orchestration.web.batches import add_batch_routes
from proxy_orchestration.web.certificates import CertificatesOf, CertificateSource, checked_certificates
from proxy_orchestration.web.events import add_event_routes
from proxy_orchestration.web.expiry import add_notice_routes, add_quality_route, add_visibility_routes
from proxy_orchestration.web.parts import check_dependency, check_part
from proxy_orchestration.web.pushes import add_push_routes
from proxy_orchestration.web.routes import route_class
from proxy_orchestration.web.settings import WebSettings

_OWNER: Final = "create_router"
_PREFIX: Final = "/api/v1"


def create_router(  # noqa: PLR0913 - the parts of a host
    orchestrator: BulkRegistrationOrchestrator,
    *,
    actor: ActorDependency,
    notifications: NotificationOrchestrator | None = None,
    dispatcher: PushDispatcher | None = None,
    certificates: CertificatesOf | CertificateSource | None = None,
    settings: WebSettings | None = None,
) -> APIRouter:
    """
    Return a FastAPI router under `/api/v1`, for `app.include_router`.

    Every endpoint calls `actor` first, and the orchestrator then checks that actor. The endpoints
    drive nothing: `serve` must run in this process, for example by `lifespan`, or in another one.

    Args:
        orchestrator: carries out bulk registration.
        actor: the host's FastAPI dependency that returns the signed-in `Actor`.
        notifications: carries out notification; `None`: there are no endpoints for inboxes, runs
            and hidden mentors.
        dispatcher: gives access to dead messages; `None`: there are no endpoints for them.
        certificates: gives the certificates for the data-quality report: a function that takes an
            actor and returns certificates, or a `CertificateSource`. The report needs
            `notifications`, too; `None`: there is no such report.
        settings: limits and times.

    Raises:
        MisconfiguredError: a part is unsuitable; the message says what to do.
    """
    check_part(_OWNER, "orchestrator", orchestrator, BulkRegistrationOrchestrator)
    check_dependency(_OWNER, actor)
    check_part(_OWNER, "notifications", notifications, NotificationOrchestrator, optional=True)
    check_part(_OWNER, "dispatcher", dispatcher, PushDispatcher, optional=True)
    check_part(_OWNER, "settings", settings, WebSettings, optional=True)
    reader = checked_certificates(certificates, _OWNER)
    chosen = settings or WebSettings()
    router = APIRouter(
        prefix=_PREFIX,
        dependencies=[acting(actor)],
        route_class=route_class(chosen),
        generate_unique_id_function=_operation_id,
        responses={401: {"description": "Nobody is signed in. The answer is the host's own"}},
    )
    add_batch_routes(router, orchestrator)
    add_event_routes(router, orchestrator, chosen)
    if notifications is not None:
        _add_expiry(router, notifications, reader)
    if dispatcher is not None:
        add_push_routes(router, dispatcher)
    return router


def _add_expiry(
    router: APIRouter, notifications: NotificationOrchestrator, certificates: CertificatesOf | None
) -> None:
    add_notice_routes(router, notifications)
    if notifications.visibility is not None:
        add_visibility_routes(router, notifications)
    if certificates is not None:
        add_quality_route(router, notifications, certificates)


def _operation_id(route: APIRoute) -> str:
    return route.name
