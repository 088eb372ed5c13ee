"""
The commands about notices that stand in somebody's inbox: inbox, acknowledge.
"""

from __future__ import annotations

from proxy_orchestration.access import Actor
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.json_output import inbox_document
from proxy_orchestration.cli.notice_rendering import inbox_sentence, show_inbox
from proxy_orchestration.cli.notice_session import NoticeSession
from proxy_orchestration.notification.notices import CertificateExpiryNotification, NoticeStatus
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.records import Acknowledged


async def inbox(session: NoticeSession, recipient_id: str, *, whole: bool) -> ExitCode:
    """
    Show a recipient's notices, those that wait or all of them.
    """
    notices = await session.repository.notifications_for(recipient_id, unacknowledged_only=not whole)
    if session.output.as_json:
        session.output.document(inbox_document(recipient_id, notices))
    elif notices:
        show_inbox(session.output, notices)
    session.output.conclude(inbox_sentence(recipient_id, notices))
    return ExitCode.SUCCESS


async def acknowledge(session: NoticeSession, notification_id: str, *, actor: Actor, note: str) -> ExitCode:
    """
    Take note of a notice; a repetition is told and changes nothing.
    """
    output = session.output
    orchestrator = NotificationOrchestrator(repository=session.repository, clock=session.clock)
    try:
        found = await orchestrator.acknowledge(notification_id, actor=actor, note=note)
    except ValueError as error:
        output.end(ExitCode.BAD_INPUT, f"--note: {error}.")
        return ExitCode.BAD_INPUT
    if output.as_json:
        output.document({"notification_id": notification_id, "acknowledged": found.value})
    notice = await session.repository.notification(notification_id)
    output.conclude("Acknowledged." if found is Acknowledged.NOW else _before(notice))
    return ExitCode.SUCCESS


def _before(notice: CertificateExpiryNotification | None) -> str:
    if notice is None or notice.status is NoticeStatus.CLEARED:
        return "A renewal cleared this notice; there is nothing to acknowledge."
    return f"It was acknowledged before, by {notice.acknowledged_by}; nothing was changed."
