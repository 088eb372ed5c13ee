"""
On PostgreSQL ids are compared by code point, in every database and after every upgrade of its system.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEYS = {
    "batch_keys": ("organization_id", "coordinator_id", "idempotency_key", "batch_id"),
    "batches": ("batch_id", "organization_id", "coordinator_id"),
    "items": ("mentor_id",),
    "audit_events": ("event_id",),
    "activities": (
        "activity_id",
        "registration_id",
        "batch_id",
        "organization_id",
        "attributed_to",
        "duplicate_key",
    ),
    "notifications": (
        "notification_id",
        "mentor_id",
        "certificate_type",
        "threshold_tier",
        "audience",
        "recipient_id",
    ),
    "push_outbox": ("message_id", "mentor_id", "certificate_type", "recipient_id"),
    "expiry_guards": ("mentor_id", "certificate_type"),
    "acknowledgements": ("notification_id", "organization_id"),
    "notification_runs": ("run_id",),
    "mentor_visibility": ("mentor_id", "certificate_type"),
}


def upgrade() -> None:
    """
    Set the collation of the keys; their indexes are built anew. SQLite compares so anyway.
    """
    _collate('"C"')


def downgrade() -> None:
    """
    Leave it to the database again.
    """
    _collate('"default"')


def _collate(collation: str) -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, columns in _KEYS.items():
        changes = (f"ALTER COLUMN {column} TYPE text COLLATE {collation}" for column in columns)
        op.execute(f"ALTER TABLE {table} {', '.join(changes)}")
