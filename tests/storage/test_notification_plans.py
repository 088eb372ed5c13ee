"""
By which way the SQL store's statements about notices and pushes reach their rows.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from sqlalchemy import Connection, Engine, event

from proxy_orchestration.notification.notices import PushState
from proxy_orchestration.notification.records import CertificateEnd, PushCompletion, WholeFeed
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.storage.sql import SqlNotificationRepository, SqlVisibilityRegistry
from proxy_orchestration.testing.contracts.notification.samples import chunk_of, coordinator, draft_of

# What a database plans does not depend on the event loop.
pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])

_BY_THE_KEY = (
    "SEARCH notifications USING INDEX sqlite_autoindex_notifications_2 (mentor_id=? AND "
    "certificate_type=? AND threshold_tier=? AND notification_window_start=? AND audience=? AND "
    "recipient_id=?)"
)
_BEFORE_OURS = ("BEGIN", "SELECT foreign_keys")
# The call's own list, what a part of the statement returned, and a table of one row.
_GATHERED = ("_each", "(subquery-", "proxy_orchestration_version", "CONSTANT ROW")
_CHOSEN = {"SCAN due", "SCAN left_over", "SCAN either", "SCAN chosen"}
_NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


async def _plans(engine: Engine) -> dict[str, str]:
    """
    Run every kind of statement and return the plan of each that is no plain insert.
    """
    seen: dict[str, Any] = {}

    @event.listens_for(engine, "before_cursor_execute")
    def note(_connection: Connection, _cursor: object, statement: str, values: Any, *rest: object) -> None:
        if not statement.startswith(_BEFORE_OURS):
            seen[" ".join(statement.split())] = values[0] if rest[-1] else values

    await _use_everything(engine)
    event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        return {statement: _plan_of(connection, statement, values) for statement, values in seen.items()}


def _plan_of(connection: Connection, statement: str, parameters: Any) -> str:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    return "; ".join(row[3] for row in rows)


async def _use_everything(engine: Engine) -> None:
    repository, registry = SqlNotificationRepository(engine), SqlVisibilityRegistry(engine)
    draft = draft_of("mentor-1", NotificationThresholdTier.WARNING_30, coordinator())
    ends = [CertificateEnd(mentor_id=draft.notice.mentor_id, certificate_type="other", ends_at=_NOON)]
    for chunk in (chunk_of(draft), chunk_of(draft)):
        await repository.record(chunk)
    later = draft.ends_at + timedelta(days=365)
    about = (draft.notice.mentor_id, draft.notice.certificate_type)
    renewed = [CertificateEnd(mentor_id=about[0], certificate_type=about[1], ends_at=later)]
    for unacknowledged_only in (False, True):
        await repository.notifications_for("someone", unacknowledged_only=unacknowledged_only)
    await repository.notification("no-such-notice")
    await repository.acknowledgements("org-1", limit=9)
    await repository.push_wait(now=_NOON)
    leased = await repository.claim_pushes(now=draft.ends_at, limit=9, hold=600)
    await repository.complete_pushes(
        [
            PushCompletion(message_id=push.message.message_id, token=push.token, state=PushState.DEAD)
            for push in leased
        ]
    )
    await repository.replay_dead(["no-such-message"], now=_NOON)
    await repository.renew(renewed, at=_NOON)
    feed = WholeFeed(scope=frozenset({("org-1", about[1])}), since=_NOON)
    await repository.count_unseen(feed)
    await repository.withdraw(feed, limit=9)
    await repository.counted_in(feed.scope, after=None, limit=9)
    await repository.forget_ends(before=_NOON)
    await registry.track([*ends, *renewed], at=_NOON)
    await registry.hidden(["mentor-1"], at=_NOON)


def _of(plans: dict[str, str], fragment: str) -> list[str]:
    return [plan for statement, plan in plans.items() if fragment in statement]


_STEPS = [
    (
        "AS keys_each JOIN notifications",
        _BY_THE_KEY,
    ),
    ("AS pairs_each LEFT OUTER JOIN expiry_guards", "SEARCH expiry_guards USING PRIMARY KEY"),
    (
        "AS pairs_each LEFT OUTER JOIN expiry_guards",
        "SEARCH certificate_ends USING PRIMARY KEY (mentor_id=?",
    ),
    ("certificate_ends.ends_at <", "INDEX ix_certificate_ends_by_end (ends_at<?)"),
    ("certificate_ends.ends_at IS NULL", "INDEX ix_certificate_ends_by_end (ends_at=?)"),
    ("ORDER BY push_outbox.due_at", "SEARCH push_outbox USING INDEX ix_push_outbox_due (due_at<?)"),
    (
        "ORDER BY push_outbox.lease_until",
        "SEARCH push_outbox USING INDEX ix_push_outbox_leased (lease_until<?)",
    ),
    ("AS ended_each", "SEARCH push_outbox USING INDEX sqlite_autoindex_push_outbox_1 (message_id=?)"),
    ("min(push_outbox.due_at)", "SEARCH push_outbox USING INDEX ix_push_outbox_due"),
    (
        "UPDATE push_outbox SET state=?, code=? WHERE state IN",
        "USING INDEX ix_push_outbox_of_certificate (mentor_id=? AND certificate_type=?)",
    ),
    (
        "WHERE notifications.recipient_id = ?",
        "SEARCH notifications USING INDEX ix_notifications_inbox (recipient_id=?)",
    ),
    ("FROM acknowledgements", "USING INDEX ix_acknowledgements_of_organization (organization_id=?)"),
]


async def test_the_hot_statements_use_their_indexes(engine: Engine) -> None:
    """
    The look-up of duplicates, claims and inboxes read as many rows as they return, in order.
    """
    plans = await _plans(engine)

    for fragment, step in _STEPS:
        found = _of(plans, fragment)
        assert found, fragment
        assert all(step in plan for plan in found), (fragment, found)
        # What is cancelled or leased is sorted, few rows; nothing else is.
        assert ["LIST SUBQUERY" in plan for plan in found] == ["TEMP B-TREE" in plan for plan in found]


async def test_no_statement_walks_through_a_table_that_grows(engine: Engine) -> None:
    """
    Only the list that a call brings is read from end to end.
    """
    walks = [
        (statement, step)
        for statement, plan in (await _plans(engine)).items()
        for step in plan.split("; ")
        if step.startswith("SCAN") and step not in _CHOSEN and not any(name in step for name in _GATHERED)
    ]

    assert [] == walks


async def test_a_whole_feed_is_compared_with_what_is_known_of_its_types(engine: Engine) -> None:
    """
    Other organizations' certificates are not read, nor are other types.
    """
    plans = _of(await _plans(engine), "AS scope_each JOIN certificate_ends")

    assert 3 == len(plans)
    index = "ix_certificate_ends_of_feed (organization_id=? AND certificate_type=?"
    assert [True] * 3 == [index in plan for plan in plans], plans


async def test_a_digest_is_counted_by_its_own_index(engine: Engine) -> None:
    """
    A coordinator's notices that were covered are not read, nor are other recipients' digests.
    """
    plans = await _plans(engine)

    (stamped,), (found,) = _of(plans, "SET digest_token="), _of(plans, "max(push_outbox.claimed_at)")
    index = "ix_notifications_uncovered (recipient_id=?)"
    assert (1, 2) == (stamped.count(index), found.count(index))
    assert "ix_push_outbox_digests (recipient_id=?)" in found


async def test_a_chunk_takes_as_many_statements_as_a_record(engine: Engine) -> None:
    """
    And no more than five and the digests', with those that end and begin the transaction left out.
    """
    repository = SqlNotificationRepository(engine)
    drafts = [
        draft_of(f"mentor-{number}", NotificationThresholdTier.WARNING_30, coordinator())
        for number in range(200)
    ]
    await repository.record(chunk_of(draft_of("mentor-of-the-first-transaction")))
    counts: list[int] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        counts[-1] += not statement.startswith(_BEFORE_OURS)

    for chunk in (chunk_of(*drafts[:1]), chunk_of(*drafts[1:]), chunk_of(*drafts)):
        counts.append(0)
        await repository.record(chunk)
    first, many, again = counts

    assert first == many == 6
    assert again == 2
