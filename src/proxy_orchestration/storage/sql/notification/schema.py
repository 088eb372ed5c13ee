"""
The tables of notices, pushes and visibility, for both databases.

The partial indexes hold what is still to be done only: messages that were
sent stay for ever, and no poll walks through them.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    Double,
    Index,
    Integer,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    text,
)

from proxy_orchestration.storage.sql.schema import KEY, Instant, metadata

# SQLite takes a partial index only for a condition in the index's own words, without parameters.
QUEUED: Final[TextClause] = text("state = 'queued'")
LEASED: Final[TextClause] = text("state = 'leased'")
DEAD: Final[TextClause] = text("state = 'dead'")
UNSENT: Final[TextClause] = text("state IN ('queued', 'leased', 'dead')")
OF_A_DIGEST: Final[TextClause] = text("digest_date IS NOT NULL")
OPEN_DIGEST: Final[TextClause] = text("digest_date IS NOT NULL AND state IN ('queued', 'leased', 'dead')")
OF_A_RUN: Final[TextClause] = text("run_id IS NOT NULL")
UNCOVERED: Final[TextClause] = text("digest_id IS NULL AND audience <> 'mentor'")

notifications: Table = Table(
    "notifications",
    metadata,
    Column("notification_id", KEY, primary_key=True),
    Column("mentor_id", KEY, nullable=False),
    Column("certificate_type", KEY, nullable=False),
    Column("threshold_tier", KEY, nullable=False),
    Column("notification_window_start", Date, nullable=False),
    Column("audience", KEY, nullable=False),
    Column("recipient_id", KEY, nullable=False),
    Column("status", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("deep_link", Text),
    Column("ends_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("acknowledged_at", Instant),
    Column("acknowledged_by", Text),
    Column("note", Text, nullable=False),
    Column("organization_id", Text),
    Column("digest_date", Date),  # written by revisions before 0016 only
    Column("digest_id", KEY),
    Column("digest_token", Integer),
    Column("read_at", Instant),
    Column("remind_at", Instant),
    Column("purged_at", Instant),
    Column("last_valid_day", Date),
    Column("holder_name", Text),
    Column("locale", Text),
    # A NULL in one of the six would never conflict, and the notice would be sent again.
    UniqueConstraint(
        "mentor_id",
        "certificate_type",
        "threshold_tier",
        "notification_window_start",
        "audience",
        "recipient_id",
        name="uq_notifications_key",
    ),
    CheckConstraint("mentor_id <> '' AND certificate_type <> '' AND recipient_id <> ''", name="named"),
    Index("ix_notifications_inbox", "recipient_id", "created_at", "notification_id"),
)
Index(
    "ix_notifications_uncovered",
    notifications.c.recipient_id,
    sqlite_where=UNCOVERED,
    postgresql_where=UNCOVERED,
)

push_outbox: Table = Table(
    "push_outbox",
    metadata,
    Column("message_id", KEY, primary_key=True),
    Column("mentor_id", KEY),
    Column("certificate_type", KEY),
    Column("ends_at", Instant),
    Column("recipient_id", KEY, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("lease_until", Double),
    Column("token", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("payload", Text, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("code", Text, nullable=False),
    Column("digest_date", Date),
    Column("lease_ttl", Double),
    Column("opened_at", Instant),
    Column("claimed_at", Instant),
    Column("run_id", KEY),
    Column("lost", Integer, nullable=False, server_default=text("0")),
    Column("owed", Text),
    CheckConstraint("recipient_id <> ''", name="addressed"),
)
Index(
    "uq_push_outbox_open_digest",
    push_outbox.c.recipient_id,
    unique=True,
    sqlite_where=OPEN_DIGEST,
    postgresql_where=OPEN_DIGEST,
)
Index(
    "ix_push_outbox_digests",
    push_outbox.c.recipient_id,
    push_outbox.c.claimed_at,
    sqlite_where=OF_A_DIGEST,
    postgresql_where=OF_A_DIGEST,
)
Index("ix_push_outbox_of_run", push_outbox.c.run_id, sqlite_where=OF_A_RUN, postgresql_where=OF_A_RUN)
Index("ix_push_outbox_due", push_outbox.c.due_at, sqlite_where=QUEUED, postgresql_where=QUEUED)
Index(
    "ix_push_outbox_dead",
    push_outbox.c.claimed_at,
    push_outbox.c.message_id,
    sqlite_where=DEAD,
    postgresql_where=DEAD,
)
Index("ix_push_outbox_leased", push_outbox.c.lease_until, sqlite_where=LEASED, postgresql_where=LEASED)
Index(
    "ix_push_outbox_of_certificate",
    push_outbox.c.mentor_id,
    push_outbox.c.certificate_type,
    sqlite_where=UNSENT,
    postgresql_where=UNSENT,
)

device_answers: Table = Table(
    "device_answers",
    metadata,
    Column("channel", KEY, primary_key=True),
    Column("answered", Integer, nullable=False),
    Column("gone", Integer, nullable=False),
    sqlite_with_rowid=False,
)

expiry_guards: Table = Table(
    "expiry_guards",
    metadata,
    Column("mentor_id", KEY, primary_key=True),
    Column("certificate_type", KEY, primary_key=True),
    Column("notified_at", Instant),
    Column("ends_at", Instant),  # written by revisions before 0021 only
    sqlite_with_rowid=False,
)

certificate_ends: Table = Table(
    "certificate_ends",
    metadata,
    Column("mentor_id", KEY, primary_key=True),
    Column("certificate_type", KEY, primary_key=True),
    # Of organization and id, which do not fit into an index entry beside the other two.
    Column("certificate_key", KEY, primary_key=True),
    Column("organization_id", KEY, nullable=False),
    Column("certificate_id", KEY, nullable=False),
    Column("ends_at", Instant),
    Column("seen_at", Instant, nullable=False),
    CheckConstraint("mentor_id <> '' AND certificate_type <> ''", name="named"),
    Index("ix_certificate_ends_of_feed", "organization_id", "certificate_type"),
    Index("ix_certificate_ends_by_end", "ends_at"),
    sqlite_with_rowid=False,
)

acknowledgements: Table = Table(
    "acknowledgements",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("notification_id", KEY, nullable=False, unique=True),
    Column("mentor_id", Text, nullable=False),
    Column("certificate_type", Text, nullable=False),
    Column("threshold_tier", Text, nullable=False),
    Column("acknowledged_by", Text, nullable=False),
    Column("acknowledged_at", Instant, nullable=False),
    Column("note", Text, nullable=False),
    Column("organization_id", KEY),
    Index("ix_acknowledgements_of_organization", "organization_id", "acknowledged_at", "id"),
)

notification_runs: Table = Table(
    "notification_runs",
    metadata,
    Column("run_id", KEY, primary_key=True),
    Column("as_of", Instant, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("duration", Double, nullable=False),
    Column("by_tier", Text, nullable=False),
    Column("processed", Integer, nullable=False),
    Column("created", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("error_codes", Text, nullable=False),
    Column("ending", Text),
    Column("error", Text),
    Column("skipped_by_reason", Text),
    Index("ix_notification_runs_started", "started_at", "run_id"),
)

notification_run_shares: Table = Table(
    "notification_run_shares",
    metadata,
    Column("organization_id", KEY, primary_key=True),
    Column("started_at", Instant, primary_key=True),
    Column("run_id", KEY, primary_key=True),
    Column("counts", Text, nullable=False),
    sqlite_with_rowid=False,
)

mentor_visibility: Table = Table(
    "mentor_visibility",
    metadata,
    Column("mentor_id", KEY, primary_key=True),
    Column("certificate_type", KEY, primary_key=True),
    Column("ends_at", Instant, nullable=False),
    Column("suppressed_at", Instant),
    Column("previous_status", Text),
    Column("certificate_id", Text),
    Column("organization_id", Text),
    Column("restored_at", Instant),
    CheckConstraint("mentor_id <> '' AND certificate_type <> ''", name="named"),
    sqlite_with_rowid=False,
)

visibility_changes: Table = Table(
    "visibility_changes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mentor_id", KEY, nullable=False),
    Column("certificate_type", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("previous_status", Text),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", Text),
    Column("reason", Text, nullable=False),
    Column("organization_id", KEY),
    Index("ix_visibility_changes_newest", "changed_at", "id"),
    Index("ix_visibility_changes_of_organization", "organization_id", "changed_at", "id"),
    Index("ix_visibility_changes_of_mentor", "mentor_id", "changed_at", "id"),
)
