"""
The tables. One schema for every database that is served.

Moments that the ports speak of are text: ISO 8601 in UTC with six decimals,
`2026-03-04T12:00:00.250000+00:00`, so that they read and sort well. What runs
on the store's own clock, leases and holds, is a number: seconds since 1970.
Flags are 0 and 1. Rows of large tables refer to a batch by its number.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of the store, for a host that runs migrations of its own."""

batches: Final = Table(
    "batches",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("batch_id", Text, nullable=False, unique=True),
    Column("organization_id", Text, nullable=False),
    Column("coordinator_id", Text, nullable=False),
    Column("label", Text),
    Column("total", Integer, nullable=False),
    Column("submitted_at", Text, nullable=False),
    Column("run", Integer, nullable=False, comment="the current run"),
    Index(None, "organization_id", "submitted_at", "id"),
    Index(None, "organization_id", "coordinator_id", "submitted_at", "id"),
)

batch_keys: Final = Table(
    "batch_keys",
    metadata,
    Column("organization_id", Text, nullable=False),
    Column("coordinator_id", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("batch_id", Text, nullable=False, comment="outlives the batch: a tombstone"),
    PrimaryKeyConstraint("organization_id", "coordinator_id", "idempotency_key"),
    sqlite_with_rowid=False,
)

items: Final = Table(
    "items",
    metadata,
    Column("batch", Integer, ForeignKey("batches.id"), nullable=False),
    Column("position", Integer, nullable=False, comment="in the request, from 0"),
    Column("mentor_id", Text, nullable=False),
    Column("activity", Text, nullable=False, comment="canonical JSON"),
    PrimaryKeyConstraint("batch", "position"),
    UniqueConstraint("batch", "mentor_id"),
    sqlite_with_rowid=False,
)

runs: Final = Table(
    "runs",
    metadata,
    Column("batch", Integer, ForeignKey("batches.id"), nullable=False),
    Column("run", Integer, nullable=False, comment="from 1"),
    Column("actor", Text, nullable=False, comment="JSON"),
    Column("opened_at", Text, nullable=False),
    Column("items", Integer, nullable=False, comment="items to settle, the refused ones included"),
    Column("work", Integer, nullable=False, comment="items with a work row"),
    Column("base", Integer, nullable=False, comment="the log's length at opening"),
    Column("tail", Integer, nullable=False, comment="the log's length"),
    Column("claimed", Integer, nullable=False, comment="work rows up to here are begun"),
    Column("fence", Integer, nullable=False, comment="grows with every take-over"),
    Column("lease_until", Double, nullable=False),
    Column("driven_for", Double, nullable=False, comment="seconds"),
    Column("cancel_wished_at", Text),
    Column("cancel_reason", Text),
    Column("cancel_tail", Integer, comment="the log's length at the wish"),
    Column("settled_at", Text),
    Column("status", Text, comment="stored when the run settles"),
    Column("counts", Text, comment="JSON, stored when the run settles"),
    PrimaryKeyConstraint("batch", "run"),
    Index(
        "ix_runs_open",
        "batch",
        sqlite_where=text("settled_at IS NULL"),
        postgresql_where=text("settled_at IS NULL"),
    ),
    Index(None, "settled_at"),
    sqlite_with_rowid=False,
)

work: Final = Table(
    "work",
    metadata,
    Column("batch", Integer, nullable=False),
    Column("run", Integer, nullable=False),
    Column("position", Integer, nullable=False, comment="dense, from 1, in request order"),
    Column("item", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("in_doubt", Integer, nullable=False),
    PrimaryKeyConstraint("batch", "run", "position"),
    ForeignKeyConstraint(["batch", "run"], ["runs.batch", "runs.run"]),
    sqlite_with_rowid=False,
)

outcomes: Final = Table(
    "outcomes",
    metadata,
    Column("batch", Integer, nullable=False),
    Column("sequence", Integer, nullable=False, comment="gapless, from 1"),
    Column("run", Integer, nullable=False),
    Column("item", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("settled_at", Text, nullable=False),
    Column("activity_id", Text),
    Column("failure_code", Text),
    Column("failure_message", Text),
    Column("failure_retryable", Integer),
    Column("conflicting_activity_id", Text),
    Column("epoch", Integer, nullable=False),
    Column("in_doubt", Integer, nullable=False),
    PrimaryKeyConstraint("batch", "sequence"),
    UniqueConstraint("batch", "item", "run"),
    ForeignKeyConstraint(["batch", "run"], ["runs.batch", "runs.run"]),
    sqlite_with_rowid=False,
)

audit_events: Final = Table(
    "audit_events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("event_id", Text, nullable=False, unique=True),
    Column("payload", Text, nullable=False, comment="JSON"),
    Column("held_until", Double, nullable=False),
    Column("delivered_at", Double),
    Index(
        "ix_audit_events_open",
        "held_until",
        sqlite_where=text("delivered_at IS NULL"),
        postgresql_where=text("delivered_at IS NULL"),
    ),
)

activities: Final = Table(
    "activities",
    metadata,
    Column("activity_id", Text, primary_key=True),
    Column("registration_id", Text, nullable=False, unique=True),
    Column("idempotency_key", Text, nullable=False),
    Column("batch_id", Text, nullable=False),
    Column("organization_id", Text, nullable=False),
    Column("registered_by", Text, nullable=False),
    Column("registered_as", Text, nullable=False, comment="JSON: the roles held then"),
    Column("attributed_to", Text, nullable=False),
    Column("activity_type", Text, nullable=False),
    Column("activity_date", Text, nullable=False),
    Column("duration_minutes", Integer, nullable=False),
    Column("notes", Text, nullable=False),
    Column("details", Text, nullable=False, comment="canonical JSON"),
    Column("recorded_at", Text, nullable=False),
    Column("override_of", Text),
    CheckConstraint("registered_by <> attributed_to", name="never_oneself"),
    Index(None, "batch_id", "attributed_to"),
)
