"""
What pg_cron is to run, and what a monitor reads, on a real server without pg_cron.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("psycopg")

from datetime import UTC, datetime

from sqlalchemy import create_engine, text

from proxy_orchestration import NotificationOrchestrator
from proxy_orchestration.storage.sql import SqlNotificationRepository
from proxy_orchestration.testing import FakeClock

if TYPE_CHECKING:
    from postgres_server.databases import Databases

pytestmark = pytest.mark.postgresql(asyncio_only=True)

FOLDER = Path(__file__).parents[2] / "examples" / "scheduling"
SCRIPT = (FOLDER / "pg_cron.sql").read_text(encoding="utf-8")
NIGHT = datetime(2026, 3, 29, 0, 5, tzinfo=UTC)


def _statement(start: str) -> str:
    """
    Return a statement that the script's comments show.
    """
    (line,) = re.findall(rf"^--   ({start}.*);$", SCRIPT, re.MULTILINE)
    return str(line)


def test_pg_cron_asks_for_one_run_a_day_of_utc_and_one_run_answers_all(postgresql: Databases) -> None:
    """
    Twice on a day is once; what was asked for while nothing ran is answered by the next run.
    """
    table = SCRIPT[SCRIPT.index("CREATE TABLE") : SCRIPT.index("SELECT cron")]
    (name, when), (job,) = (
        re.findall(r"'([^']+)',\n", SCRIPT),
        re.findall(r"\$job\$(.*)\$job\$", SCRIPT, re.DOTALL),
    )
    engine = create_engine(postgresql.empty())
    with engine.begin() as connection:
        connection.exec_driver_sql("SET TIME ZONE 'Pacific/Kiritimati'")  # fourteen hours ahead of UTC
        for statement in (table, table, job, job):
            connection.exec_driver_sql(statement)
        days = connection.execute(text("SELECT day, (now() AT TIME ZONE 'UTC')::date FROM wanted_runs")).all()
        connection.execute(text("INSERT INTO wanted_runs (day) VALUES ('2020-03-29')"))
        wanted = connection.execute(text(_statement("SELECT"))).scalar()
        answered = connection.execute(text(_statement("UPDATE")), {"day": wanted}).rowcount
        left = connection.execute(text(_statement("SELECT"))).scalar()
    engine.dispose()

    assert ("certificate-notices", "5 0 * * *") == (name, when)
    assert [True] == [day == today for day, today in days]
    assert (2, None) == (answered, left)


async def test_a_monitor_reads_when_the_last_run_ended(postgresql: Databases) -> None:
    """
    The same query as on SQLite.
    """
    spec = importlib.util.spec_from_file_location("scheduling_last_run_postgresql", FOLDER / "last_run.py")
    assert spec is not None
    assert spec.loader is not None
    monitor = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(monitor)
    url = postgresql.empty()
    async with SqlNotificationRepository.open(url) as store:
        await NotificationOrchestrator(repository=store, clock=FakeClock(NIGHT)).run([])
    engine = create_engine(url)
    with engine.connect() as connection:
        ended = monitor.last_end(connection)
    engine.dispose()

    assert ended == NIGHT
