"""
The log of runs, with the share of each organization.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Connection, Row, Select, bindparam, or_, select

from proxy_orchestration.notification.run_log import RunCounts, RunEnding, RunPlace, RunRecord
from proxy_orchestration.storage.sql.dialect.inserts import insert_or_ignore, insert_rows_or_ignore
from proxy_orchestration.storage.sql.dialect.texts import check_texts, findable
from proxy_orchestration.storage.sql.dialect.types import stored_instant
from proxy_orchestration.storage.sql.notification import digests
from proxy_orchestration.storage.sql.notification.schema import notification_run_shares, notification_runs
from proxy_orchestration.storage.sql.schema import Instant

_moment = bindparam("moment", type_=Instant)


def _behind(query: Select[Any], table: Any) -> Select[Any]:  # noqa: ANN401 - either table
    return query.where(
        table.c.started_at <= _moment,
        or_(table.c.started_at < _moment, table.c.run_id < bindparam("last")),
    )


def _newest(query: Select[Any], table: Any) -> Select[Any]:  # noqa: ANN401 - either table
    return query.order_by(table.c.started_at.desc(), table.c.run_id.desc()).limit(bindparam("most"))


_ALL = _newest(select(notification_runs), notification_runs)
_ALL_BEHIND = _behind(_ALL, notification_runs)
_SHARES = _newest(
    select(notification_runs, notification_run_shares.c.counts)
    .join(notification_run_shares, notification_run_shares.c.run_id == notification_runs.c.run_id)
    .where(notification_run_shares.c.organization_id == bindparam("organization")),
    notification_run_shares,
)
_SHARES_BEHIND = _behind(_SHARES, notification_run_shares)


def log_run(connection: Connection, run: RunRecord, /) -> None:
    """
    Add a run to the log, once, and make its messages due.
    """
    row = {
        "run_id": run.run_id,
        "as_of": run.as_of,
        "started_at": run.started_at,
        "duration": float(run.duration),
        "by_tier": _text(run.by_tier),
        "processed": run.processed,
        "created": run.created,
        "skipped": run.skipped,
        "failed": run.failed,
        "error_codes": _text(run.error_codes),
        "ending": run.ending.value,
        "error": run.error,
        "skipped_by_reason": _text(run.skipped_by_reason),
    }
    check_texts((*map(str, row.values()), *run.shares))
    insert_or_ignore(connection, notification_runs, row)
    started_at = stored_instant(run.started_at, connection.dialect)
    shares = [
        (organization, started_at, run.run_id, json.dumps(attrs.asdict(counts)))
        for organization, counts in sorted(run.shares.items())
    ]
    insert_rows_or_ignore(connection, notification_run_shares, shares)
    digests.end_run(connection, run.run_id, at=run.ended_at)


def list_runs(
    connection: Connection, organization_id: str | None, /, *, after: RunPlace | None, limit: int
) -> Sequence[RunRecord]:
    """
    Return up to so many runs behind the place, newest first, with an organization's share or all counts.
    """
    asked: dict[str, Any] = {"most": limit}
    if after is not None:
        asked |= {"moment": after.started_at, "last": findable(after.run_id)}
    if organization_id is None:
        query = _ALL if after is None else _ALL_BEHIND
        return [_record_of(row, _counts_of(row)) for row in connection.execute(query, asked)]
    query = _SHARES if after is None else _SHARES_BEHIND
    asked["organization"] = findable(organization_id)
    return [_record_of(row, json.loads(row.counts)) for row in connection.execute(query, asked)]


def _text(counts: Mapping[str, int]) -> str:
    return json.dumps(dict(counts))


def _counts_of(row: Row[Any]) -> dict[str, Any]:
    numbers = {name: getattr(row, name) for name in ("processed", "created", "skipped", "failed")}
    texts = ("by_tier", "skipped_by_reason", "error_codes")
    # A run of an earlier revision has no reasons.
    return numbers | {name: json.loads(getattr(row, name) or "{}") for name in texts}


def _record_of(row: Row[Any], counts: Mapping[str, Any]) -> RunRecord:
    return RunRecord(
        run_id=row.run_id,
        as_of=row.as_of,
        started_at=row.started_at,
        duration=row.duration,
        ending=RunEnding(row.ending or RunEnding.COMPLETED.value),
        error=row.error or "",
        **{field.name: counts[field.name] for field in attrs.fields(RunCounts)},
    )
