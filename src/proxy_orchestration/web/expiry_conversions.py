"""
Converts models of notices, runs and pushes to the wire format. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy_orchestration.notification.dead_pushes import DeadPushPage
from proxy_orchestration.notification.inbox_pages import InboxNotice, InboxPage
from proxy_orchestration.notification.notices import Audience
from proxy_orchestration.notification.records import Acknowledged, DeadPush
from proxy_orchestration.notification.results import OrchestrationResult, RecordProblem
from proxy_orchestration.notification.run_log import RunPage, RunRecord
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.notification.visibility_records import VisibilityChange, VisibilityPage
from proxy_orchestration.web.wire import expiry as wire
from proxy_orchestration.web.wire.fields import Pagination
from proxy_orchestration.web.words import CAUSE_WORDS, NOTICE_WORDS, RUN_WORDS, TIER_WORDS


def inbox(page: InboxPage, *, limit: int) -> wire.Inbox:
    """
    Return a page of notices.
    """
    return wire.Inbox(
        data=[_notice(each) for each in page.notices],
        unread=page.unread,
        pagination=Pagination(limit=limit, next_after=page.next_after),
    )


def acknowledgement(notification_id: str, done: Acknowledged) -> wire.Acknowledgement:
    """
    Return that a notice is taken note of.
    """
    return wire.Acknowledgement(
        notification_id=notification_id,
        result="acknowledged" if done is Acknowledged.NOW else "already_acknowledged",
    )


def runs(page: RunPage, *, limit: int) -> wire.ExpiryRuns:
    """
    Return a page of runs.
    """
    place = Pagination(limit=limit, next_after=page.next_after)
    return wire.ExpiryRuns(data=[_run(each) for each in page.runs], pagination=place)


def data_quality(result: OrchestrationResult) -> wire.DataQuality:
    """
    Return what somebody should correct.
    """
    return wire.DataQuality(
        processed=result.processed,
        failures=[_problem(each) for each in result.failures],
        data_quality=[_problem(each) for each in result.data_quality],
    )


def dead_messages(page: DeadPushPage, *, limit: int) -> wire.DeadMessages:
    """
    Return a page of messages that were given up.
    """
    place = Pagination(limit=limit, next_after=page.next_cursor)
    return wire.DeadMessages(data=[_dead(each) for each in page.pushes], pagination=place)


def suppressions(page: VisibilityPage, *, limit: int) -> wire.Suppressions:
    """
    Return a page of how mentors were hidden and shown.
    """
    place = Pagination(limit=limit, next_after=page.next_after)
    return wire.Suppressions(data=[suppression(each) for each in page.changes], pagination=place)


def suppression(change: VisibilityChange) -> wire.Suppression:
    """
    Return one change.
    """
    return wire.Suppression(
        suppression_id=str(change.change_id),
        mentor_id=change.mentor_id,
        certificate_type=change.certificate_type,
        is_active=change.hidden,
        reason=CAUSE_WORDS[change.cause],
        changed_at=change.at,
        expires_at=change.ends_at,
        previous_status=change.previous_status,
        restored_by=change.by,
        restore_reason=change.reason,
    )


def _notice(read: InboxNotice) -> wire.Notice:
    notice = read.notification
    return wire.Notice(
        notification_id=notice.notification_id,
        mentor_id=notice.mentor_id,
        coordinator_id=notice.recipient_id if notice.audience is Audience.COORDINATOR else None,
        recipient_id=notice.recipient_id,
        audience=notice.audience.value,
        certificate_type=notice.certificate_type,
        threshold=TIER_WORDS[notice.tier],
        status=NOTICE_WORDS[notice.status],
        title=notice.title,
        body=notice.body,
        action_url=notice.deep_link,
        expiry_date=read.last_day,
        days_until_expiry=read.days_left,
        has_expired=read.has_ended,
        in_banner=read.in_banner,
        created_at=notice.created_at,
        read_at=read.read_at,
        remind_at=read.remind_at,
        acknowledged_at=notice.acknowledged_at,
        acknowledged_by=notice.acknowledged_by,
    )


def _run(run: RunRecord) -> wire.ExpiryRun:
    return wire.ExpiryRun(
        run_id=run.run_id,
        status=RUN_WORDS[run.ending],
        as_of=run.as_of,
        started_at=run.started_at,
        completed_at=run.ended_at,
        duration_ms=round(run.duration * 1000),
        expirations_evaluated=run.processed,
        notifications_dispatched=run.created,
        skipped=run.skipped,
        failed=run.failed,
        thresholds_hit=_by_threshold(run.by_tier),
        skipped_by_reason=dict(run.skipped_by_reason),
        error_codes=dict(run.error_codes),
    )


def _by_threshold(by_tier: Mapping[str, int]) -> dict[str, int]:
    return {TIER_WORDS[NotificationThresholdTier(tier)]: count for tier, count in by_tier.items()}


def _dead(push: DeadPush) -> wire.DeadMessage:
    return wire.DeadMessage(
        message_id=push.message_id,
        recipient_id=push.recipient_id,
        mentor_id=push.mentor_id,
        certificate_type=push.certificate_type,
        threshold=TIER_WORDS[push.tier],
        error_code=push.code,
        attempts=push.attempts,
        attempted_at=push.claimed_at,
        expires_at=push.expires_at,
    )


def _problem(problem: RecordProblem) -> wire.QualityProblem:
    return wire.QualityProblem(mentor_id=problem.mentor_id, code=problem.code)
