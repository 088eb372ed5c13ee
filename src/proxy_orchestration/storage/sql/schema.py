"""
The tables, for both databases.

Child tables refer to a batch by its integer key: narrower rows and indexes
than the public id would give. Instants are UTC; on SQLite they are ISO 8601
texts that people can read and that sort by time. Leases and holds live on
the store's own clock, as seconds since 1970.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Date,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    and_,
    false,
    func,
    literal_column,
    or_,
    text,
)
from sqlalchemy.types import TypeEngine

from proxy_orchestration.storage.sql.dialect.differences import by_code_point
from proxy_orchestration.storage.sql.dialect.guards import guard
from proxy_orchestration.storage.sql.dialect.types import (
    BY_CODE_POINT,
    instant_reader,
    instant_type,
    read_instant,
    stored_instant,
)

LARGEST: Final = 2**31 - 1
"""What an integer column holds at the most."""

metadata: MetaData = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

KEY: Final[TypeEngine[str]] = BY_CODE_POINT
"""Ids and what is looked up by: compared by code point, whatever language the database speaks."""


class Instant(TypeDecorator[datetime]):
    """
    An aware moment: `timestamptz` where the database has it, ISO 8601 text in UTC on SQLite.
    """

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = Text
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """
        Return the database's own type.
        """
        return instant_type(dialect)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ANN401 - text or moment
        """
        Return what the database takes.
        """
        return None if value is None else stored_instant(value, dialect)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ANN401 - text or moment
        """
        Return the moment in UTC.
        """
        return None if value is None else read_instant(value, dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ANN401 - the hook's signature
        """
        Return what reads the moments of a column, with as few calls for each as there can be.
        """
        return instant_reader(dialect) or super().result_processor(dialect, coltype)


batch_keys: Table = Table(
    "batch_keys",
    metadata,
    Column("organization_id", KEY, primary_key=True),
    Column("coordinator_id", KEY, primary_key=True),
    Column("idempotency_key", KEY, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("batch_id", KEY, nullable=False),
    Column("accepted_at", Instant),
    sqlite_with_rowid=False,
)

batches: Table = Table(
    "batches",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("batch_id", KEY, nullable=False, unique=True),
    Column("organization_id", KEY, nullable=False),
    Column("coordinator_id", KEY, nullable=False),
    Column("label", Text),
    Column("total", Integer, nullable=False),
    Column("submitted_at", Instant, nullable=False),
    Column("run", Integer, nullable=False),
    Column("mode", Text, nullable=False, server_default="independent"),
    Column("on_conflict", Text, nullable=False, server_default="review"),
    Column("service_name", Text),
    Column("trace_context", Text),
    Column("settled_run", Integer, nullable=False, server_default="0"),
    Column("settled_status", KEY),
    Column("needs_review", Boolean),
    Index("ix_batches_of_organization", "organization_id", "submitted_at", "id"),
    Index("ix_batches_of_coordinator", "organization_id", "coordinator_id", "submitted_at", "id"),
)
IS_SETTLED: ColumnElement[bool] = batches.c.settled_run == batches.c.run
"""Whether a batch's own columns tell how its current run ended."""

IS_UNSETTLED: ColumnElement[bool] = batches.c.settled_run != batches.c.run
"""Whether only its current run tells; it is open, or code of revision 0016 settled it."""

_IN_ORDER: Final = (batches.c.submitted_at, batches.c.id)
Index(
    "ix_batches_settled",
    batches.c.organization_id,
    batches.c.settled_status,
    batches.c.needs_review,
    *_IN_ORDER,
    sqlite_where=IS_SETTLED,
    postgresql_where=IS_SETTLED,
)
Index(
    "ix_batches_settled_of_coordinator",
    batches.c.organization_id,
    batches.c.coordinator_id,
    batches.c.settled_status,
    batches.c.needs_review,
    *_IN_ORDER,
    sqlite_where=IS_SETTLED,
    postgresql_where=IS_SETTLED,
)
Index(
    "ix_batches_unsettled",
    batches.c.organization_id,
    *_IN_ORDER,
    sqlite_where=IS_UNSETTLED,
    postgresql_where=IS_UNSETTLED,
)
Index(
    "ix_batches_unsettled_of_coordinator",
    batches.c.organization_id,
    batches.c.coordinator_id,
    *_IN_ORDER,
    sqlite_where=IS_UNSETTLED,
    postgresql_where=IS_UNSETTLED,
)
Index(
    "ix_batches_labelled",
    batches.c.organization_id,
    batches.c.label,
    *_IN_ORDER,
    postgresql_ops={"label": 'COLLATE "C"'},
    sqlite_where=batches.c.label.is_not(None),
    postgresql_where=batches.c.label.is_not(None),
)

items: Table = Table(
    "items",
    metadata,
    Column("batch", Integer, ForeignKey("batches.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("mentor_id", KEY, nullable=False),
    Column("activity", Text, nullable=False),
    Column("item_key", KEY),
    Column("edited", Text),
    sqlite_with_rowid=False,
)
ITEM_KEY: ColumnElement[str] = func.coalesce(items.c.item_key, items.c.mentor_id)
"""An item's name in its batch; the column is empty where it is the mentor's id."""

ACTIVITY: ColumnElement[str] = func.coalesce(items.c.edited, items.c.activity)
"""What is registered for an item: as accepted, or as it was edited since."""

Index("uq_items_item_key", items.c.batch, ITEM_KEY, unique=True)

edits: Table = Table(
    "edits",
    metadata,
    Column("batch", Integer, ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True),
    Column("item", Integer, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("activity", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""What was registered for an item instead, from that run on; the newest stands in `items.edited` too."""

runs: Table = Table(
    "runs",
    metadata,
    Column("batch", Integer, ForeignKey("batches.id"), primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("run_items", Integer, nullable=False),
    Column("base", Integer, nullable=False),
    Column("tail", Integer, nullable=False),
    Column("claimed", Integer, nullable=False, server_default="0"),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("lease_until", Double, nullable=False, server_default="0"),
    Column("driven_for", Double, nullable=False, server_default="0"),
    Column("cancel_wished_at", Instant),
    Column("cancel_reason", Text),
    Column("cancel_tail", Integer),
    Column("settled_at", Instant),
    Column("status", Text),
    Column("counts", Text),
    Column("called", Integer, nullable=False, server_default="0"),
    Column("called_fence", Integer, nullable=False, server_default="0"),
    Column("alone", Integer),
    Column("due_at", Double, nullable=False, server_default="0"),
    Column("first_call_at", Double),
    Column("lease_ttl", Double),
    Column("waits", Double),
    Column("purpose", Text),
    Column("retried_by", Text),
    Column("decided_by", Text),
    Column("cancelled_by", Text),
    Column("untold_until", Double),
    Column("untold_hold", Double),
    Column("counts_outside", Text),
    Column("paused_at", Instant),
    Column("paused_since", Double),
    Column("paused_by", Text),
    Column("pause_code", Text),
    sqlite_with_rowid=False,
)
Index(
    "ix_runs_untold",
    runs.c.untold_until,
    sqlite_where=runs.c.untold_until.is_not(None),
    postgresql_where=runs.c.untold_until.is_not(None),
)
Index(
    "ix_runs_open",
    runs.c.lease_until,
    sqlite_where=runs.c.settled_at.is_(None),
    postgresql_where=runs.c.settled_at.is_(None),
)
# No bound value: SQLite would not see that the index has the rows.
_NOTHING: Final[ColumnElement[int]] = literal_column("0", Integer)
IS_UNHELD: ColumnElement[bool] = and_(
    runs.c.settled_at.is_(None),
    runs.c.lease_until == _NOTHING,
    or_(runs.c.paused_at.is_(None), runs.c.cancel_wished_at.is_not(None)),
)
"""Runs that wait for a driver, or for their time; not those whose driver may be dead."""

IS_DUE_AT_ANY_TIME: ColumnElement[bool] = runs.c.due_at == _NOTHING
"""What need not wait for its time."""

# The first column has one value alone, and keeps SQLite from `ix_runs_open`, which has all of these rows.
Index(
    "ix_runs_unheld",
    runs.c.lease_until,
    runs.c.due_at,
    runs.c.batch,
    runs.c.run,
    sqlite_where=IS_UNHELD,
    postgresql_where=IS_UNHELD,
)

work: Table = Table(
    "work",
    metadata,
    Column("batch", Integer, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("item", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("in_doubt", Boolean, nullable=False, server_default=false()),
    Column("override_of", Text),
    Column("override_by", Text),
    Column("override_at", Instant),
    sqlite_with_rowid=False,
)

unfinished: Table = Table(
    "unfinished",
    metadata,
    # Code of revision 0005 removes batches, and knows nothing of these rows.
    Column("batch", Integer, ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("due_at", Double, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("rounds", Integer, nullable=False),
    Column("in_doubt", Boolean, nullable=False),
    Column("not_seen", Boolean, nullable=False),
    Column("is_called", Boolean, nullable=False),
    Column("deaths", Integer, nullable=False, server_default="0"),
    Column("waits", Double),
    Column("reason", Text),
    sqlite_with_rowid=False,
)
"""What drivers told of pieces of work without an outcome; a row says nothing once there is one."""

outcomes: Table = Table(
    "outcomes",
    metadata,
    Column("batch", Integer, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("run", Integer, nullable=False),
    Column("item", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("activity_id", Text),
    Column("code", Text),
    Column("message", Text),
    Column("retryable", Boolean),
    Column("conflicting_activity_id", Text),
    Column("attempts", Integer, nullable=False),
    Column("settled_at", Instant, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("in_doubt", Boolean, nullable=False),
    UniqueConstraint("batch", "item", "run"),
    sqlite_with_rowid=False,
)
DID_NOT_SUCCEED: Final = text("state <> 'succeeded'")
"""In the partial index's own words; the others of a run's log are known by its length."""

Index(
    "ix_outcomes_not_succeeded",
    outcomes.c.batch,
    outcomes.c.sequence,
    outcomes.c.state,
    postgresql_ops={"state": 'COLLATE "C"'},
    sqlite_where=DID_NOT_SUCCEED,
    postgresql_where=DID_NOT_SUCCEED,
)

audit_events: Table = Table(
    "audit_events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("event_id", KEY, nullable=False, unique=True),
    Column("payload", Text, nullable=False),
    Column("held_until", Double, nullable=False),
    Column("delivered", Boolean, nullable=False),
    Column("hold", Double),
    Column("further", Text),
    Column("erasures", Integer, nullable=False, server_default="0"),
    Column("service_name", Text),
)
guard(audit_events)
Index(
    "ix_audit_events_pending",
    audit_events.c.held_until,
    sqlite_where=text("delivered = 0"),
    postgresql_where=text("delivered = false"),
)

activities: Table = Table(
    "activities",
    metadata,
    Column("activity_id", KEY, primary_key=True),
    Column("registration_id", KEY, nullable=False, unique=True),
    Column("idempotency_key", Text, nullable=False),
    Column("batch_id", KEY, nullable=False),
    Column("organization_id", KEY, nullable=False),
    Column("registered_by", Text, nullable=False),
    Column("registered_by_roles", Text, nullable=False),
    Column("attributed_to", KEY, nullable=False),
    Column("activity_type", Text, nullable=False),
    Column("activity_date", Date, nullable=False),
    Column("duration_minutes", Integer, nullable=False),
    Column("notes", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("override_of", Text),
    Column("recorded_at", Instant, nullable=False),
    Column("duplicate_key", KEY),
    Column("voided_at", Instant),
    CheckConstraint("registered_by <> attributed_to", name="two_people"),
    CheckConstraint("duration_minutes > 0", name="some_time"),
    Index("ix_activities_of_batch", "batch_id", "attributed_to"),
    Index("ix_activities_by_day", "organization_id", "activity_date", "recorded_at"),
    Index("ix_activities_by_mentor", "organization_id", "attributed_to", "activity_date", "recorded_at"),
)
registered_by: ColumnElement[str] = by_code_point(activities.c.registered_by)
"""Who registered, as the index has it."""

Index(
    "ix_activities_by_person",
    activities.c.organization_id,
    activities.c.registered_by,
    activities.c.activity_date,
    activities.c.recorded_at,
    postgresql_ops={"registered_by": 'COLLATE "C"'},
)

correction_notes: Table = Table(
    "correction_notes",
    metadata,
    Column("activity_id", KEY, ForeignKey("activities.activity_id", ondelete="CASCADE"), primary_key=True),
    Column("note_id", KEY, primary_key=True),
    Column("text", Text, nullable=False),
    Column("written_by", Text, nullable=False),
    Column("written_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)
"""What somebody wants corrected in a record, which stays as it is."""

ORIGINAL: ColumnElement[bool] = and_(activities.c.voided_at.is_(None), activities.c.override_of.is_(None))
"""Records that have the last word on duplicates: neither void nor an override."""

STANDING_OVERRIDE: ColumnElement[bool] = and_(
    activities.c.voided_at.is_(None), activities.c.override_of.is_not(None)
)
"""Overrides that are not void: in the way too, but found by looking only."""

Index(
    "uq_activities_original",
    activities.c.organization_id,
    activities.c.duplicate_key,
    unique=True,
    sqlite_where=ORIGINAL,
    postgresql_where=ORIGINAL,
)
Index(
    "ix_activities_override",
    activities.c.organization_id,
    activities.c.duplicate_key,
    sqlite_where=STANDING_OVERRIDE,
    postgresql_where=STANDING_OVERRIDE,
)
