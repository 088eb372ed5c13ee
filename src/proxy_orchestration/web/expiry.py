"""
The endpoints of inboxes, runs, data quality and hidden mentors.
"""

from __future__ import annotations

from typing import Annotated, Final

import attrs
from fastapi import APIRouter, Query

from proxy_orchestration import errors as e
from proxy_orchestration.access import Role
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.web import expiry_conversions as conversions
from proxy_orchestration.web.actors import CurrentActor
from proxy_orchestration.web.certificates import CertificatesOf, certificates_for
from proxy_orchestration.web.problems import responses_for
from proxy_orchestration.web.responses import ALWAYS, WITH_BODY
from proxy_orchestration.web.wire import expiry as wire

_NOTICES: Final = "/expiry-notifications"
_ACKNOWLEDGEMENTS: Final = "/lapse-acknowledgements"
_RUNS: Final = "/expiry-orchestration"
_QUALITY: Final = "/expiry-data-quality"
_SUPPRESSIONS: Final = "/mentor-suppressions"

After = Annotated[str | None, Query(description="The `next_after` of the previous page.")]
Limit = Annotated[int, Query(ge=1, le=100)]


@attrs.define(eq=False)
class NoticeEndpoints:
    """
    The endpoints of whoever reads notices, and of whoever oversees runs.
    """

    notifications: NotificationOrchestrator

    async def list_notices(
        self,
        actor: CurrentActor,
        recipient_id: Annotated[
            str | None, Query(description="The recipient of the inbox; by default the actor.")
        ] = None,
        after: After = None,
        limit: Limit = 50,
    ) -> wire.Inbox:
        """
        Read an inbox, newest first, in the words of today.
        """
        whose = actor.user_id if recipient_id is None else recipient_id
        page = await self.notifications.inbox(whose, actor=actor, after=after, limit=limit)
        return conversions.inbox(page, limit=limit)

    async def mark_all_notices_read(self, actor: CurrentActor) -> wire.Marked:
        """
        Note that the actor read all their notices.
        """
        return wire.Marked(marked=await self.notifications.mark_all_read(actor=actor))

    async def mark_notice_read(self, notification_id: str, actor: CurrentActor) -> wire.Marked:
        """
        Note that the actor read a notice of theirs.
        """
        return wire.Marked(marked=int(await self.notifications.mark_read(notification_id, actor=actor)))

    async def remind_later(self, notification_id: str, actor: CurrentActor) -> wire.Reminder:
        """
        Put a notice of the actor's off for 24 hours.
        """
        until = await self.notifications.remind_later(notification_id, actor=actor)
        return wire.Reminder(remind_at=until)

    async def acknowledge_lapse(
        self, body: wire.NewAcknowledgement, actor: CurrentActor
    ) -> wire.Acknowledgement:
        """
        Take note of a notice, for all who were told; a repetition changes nothing.
        """
        done = await self.notifications.acknowledge(body.notification_id, actor=actor, note=body.notes)
        return conversions.acknowledgement(body.notification_id, done)

    async def list_runs(self, actor: CurrentActor, after: After = None, limit: Limit = 50) -> wire.ExpiryRuns:
        """
        List the runs that dealt with mentors of the actor's organization, newest first.
        """
        page = await self.notifications.list_runs(actor=actor, after=after, limit=limit)
        return conversions.runs(page, limit=limit)


@attrs.define(eq=False)
class VisibilityEndpoints:
    """
    The endpoints of who is hidden.
    """

    notifications: NotificationOrchestrator

    async def list_suppressions(
        self, actor: CurrentActor, after: After = None, limit: Limit = 50
    ) -> wire.Suppressions:
        """
        List how mentors of the actor's organization were hidden and shown, newest first.
        """
        page = await self.notifications.list_visibility_changes(actor=actor, after=after, limit=limit)
        return conversions.suppressions(page, limit=limit)

    async def restore_mentor(
        self, mentor_id: str, body: wire.VisibilityRestoration, actor: CurrentActor
    ) -> wire.Restored:
        """
        Show a mentor again who is hidden for a lapsed certificate.
        """
        changes = await self.notifications.restore_visibility(
            mentor_id, body.certificate_type, actor=actor, reason=body.restore_reason
        )
        return wire.Restored(data=[conversions.suppression(each) for each in changes])


@attrs.define(eq=False)
class QualityEndpoint:
    """
    The endpoint of what somebody should correct.
    """

    notifications: NotificationOrchestrator
    certificates: CertificatesOf

    async def report_data_quality(self, actor: CurrentActor) -> wire.DataQuality:
        """
        Tell what a run would find wrong with the organization's certificates now; nothing is written.
        """
        if Role.CHAPTER_ADMIN not in actor.roles:
            action = "read the data-quality report"
            raise e.NotAuthorizedError(action, ask="a chapter admin")
        plan = await self.notifications.plan(await certificates_for(actor, self.certificates))
        return conversions.data_quality(plan.result)


def add_notice_routes(router: APIRouter, notifications: NotificationOrchestrator) -> None:
    """
    Add the endpoints of inboxes and runs to a router.
    """
    does = NoticeEndpoints(notifications)
    listed = responses_for(*ALWAYS, e.NotAuthorizedError, e.InvalidValueError)
    own = responses_for(*ALWAYS, e.NotificationNotFoundError)
    written = responses_for(
        *WITH_BODY, e.NotAuthorizedError, e.NotificationNotFoundError, e.InvalidValueError
    )
    one = f"{_NOTICES}/{{notification_id}}"
    router.get(_NOTICES, responses=listed)(does.list_notices)
    router.post(f"{_NOTICES}/read", responses=responses_for(*ALWAYS))(does.mark_all_notices_read)
    router.post(f"{one}/read", responses=own)(does.mark_notice_read)
    router.post(f"{one}/remind-later", responses=own)(does.remind_later)
    router.post(_ACKNOWLEDGEMENTS, responses=written)(does.acknowledge_lapse)
    router.get(_RUNS, responses=listed)(does.list_runs)


def add_visibility_routes(router: APIRouter, notifications: NotificationOrchestrator) -> None:
    """
    Add the endpoints of hidden mentors to a router.
    """
    does = VisibilityEndpoints(notifications)
    listed = responses_for(*ALWAYS, e.NotAuthorizedError, e.InvalidValueError)
    written = responses_for(*WITH_BODY, e.NotAuthorizedError, e.InvalidValueError)
    router.get(_SUPPRESSIONS, responses=listed)(does.list_suppressions)
    one = f"{_SUPPRESSIONS}/{{mentor_id}}"
    router.put(one, responses=written)(does.restore_mentor)


def add_quality_route(
    router: APIRouter, notifications: NotificationOrchestrator, certificates: CertificatesOf
) -> None:
    """
    Add the endpoint of the data-quality report to a router.
    """
    does = QualityEndpoint(notifications, certificates)
    answers = responses_for(*ALWAYS, e.NotAuthorizedError)
    router.get(_QUALITY, responses=answers)(does.report_data_quality)
