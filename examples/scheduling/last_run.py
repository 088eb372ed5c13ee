"""
Say when the last run ended, and fail if a night was missed: for a monitor, or a cron line of its own.

Run it with `python examples/scheduling/last_run.py sqlite:///notices.db`. It reads the table of runs,
which is public. A run that was killed is not in it: it did not end. The table is one for each database,
schema and prefix; an organization with a schema of its own has its own last run.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Connection, create_engine, select

from proxy_orchestration.storage.sql import metadata

RUNS = metadata.tables["notification_runs"]
AT = time(0, 5, tzinfo=UTC)
GRACE = timedelta(hours=1)


def last_end(connection: Connection) -> datetime | None:
    """
    Return when the last run ended; `None` before the first.
    """
    query = select(RUNS.c.started_at, RUNS.c.duration).order_by(RUNS.c.started_at.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else row.started_at + timedelta(seconds=row.duration)


def last_due(now: datetime) -> datetime:
    """
    Return the last moment at which a run was to begin, and has had an hour to end since.
    """
    today = datetime.combine(now.astimezone(UTC), AT)
    return today if now >= today + GRACE else today - timedelta(days=1)


def was_missed(ended: datetime | None, now: datetime) -> bool:
    """
    Tell whether no run has ended since the last one was due.
    """
    return ended is None or ended < last_due(now)


def main(url: str) -> int:
    """
    Print one sentence; 0 if all is well, 1 if a night was missed.
    """
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            ended = last_end(connection)
    finally:
        engine.dispose()
    told = "never" if ended is None else f"{ended:%Y-%m-%d %H:%M} UTC"
    missed = was_missed(ended, datetime.now(UTC))
    print(f"{'MISSED' if missed else 'OK'}: the last run ended {told}")
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
