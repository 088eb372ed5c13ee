"""
Who is compared: how each is started, what it promises, and where its own documentation says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs

HERE: Final = Path(__file__).parent


@attrs.frozen(kw_only=True)
class Peer:
    """
    One row of the tables.

    Attributes:
        key: its name on the command line and in the file of results.
        title: its name in the tables.
        script: the file beside this one.
        keeps: where a result is once its caller has it.
        comes_back: what takes up a killed worker's jobs.
        guarantee: of an item, in a line.
        ours: whether it is this library.
        durable: whether a result survives the end of all processes.
        has_worker: whether a process of its own does the work.
        database: whether it needs PostgreSQL.
        redis: when Redis syncs its file: `always`, `everysec`; empty where none is needed.
        temporal: whether it needs Temporal's test server.
        pool: what Celery's calls run in.
        patience: seconds until a dead worker's jobs go to another, where that is a setting.
    """

    key: str
    title: str
    script: str
    keeps: str
    comes_back: str
    guarantee: str
    ours: bool = False
    durable: bool = True
    has_worker: bool = True
    database: bool = False
    redis: str = ""
    temporal: bool = False
    pool: str = ""
    patience: int = 30

    @property
    def path(self) -> Path:
        """
        Return the file to run.
        """
        return HERE / self.script


PEERS: Final = (
    Peer(
        key="aiometer",
        title="aiometer",
        script="peer_aiometer.py",
        keeps="not stored: a list in memory",
        comes_back="nothing: everything is lost",
        guarantee="none",
        durable=False,
        has_worker=False,
    ),
    Peer(
        key="temporal",
        title="Temporal, test server",
        script="peer_temporal.py",
        keeps="in the test server's memory; nothing is on disk",
        comes_back="automatically, when the activity's start-to-close timeout (10 s) has expired",
        guarantee="a call is repeated until its result is in the history; this server's is in memory",
        durable=False,
        temporal=True,
    ),
    Peer(
        key="celery-redis-everysec",
        title="Celery, results in Redis, synced every second",
        script="peer_celery.py",
        keeps="on disk within a second; a power cut may lose that second's tasks and results",
        comes_back="automatically, after the visibility timeout (set to 30 s here, an hour by default)",
        guarantee="a task is repeated until it ends, but a kill may lose it; a power cut may lose a second's results",
        redis="everysec",
        pool="threads",
    ),
    Peer(
        key="celery-redis",
        title="Celery, results in Redis, synced always",
        script="peer_celery.py",
        keeps="on disk",
        comes_back="automatically, after the visibility timeout (set to 30 s here, an hour by default)",
        guarantee="a task is repeated until it ends, but a kill may lose it; results are on disk",
        redis="always",
        pool="threads",
    ),
    Peer(
        key="celery-database",
        title="Celery, results in PostgreSQL",
        script="peer_celery.py",
        keeps="on disk",
        comes_back="automatically, after the visibility timeout (set to 30 s here, an hour by default)",
        guarantee="a task is repeated until it ends, but a kill may lose it; results are on disk",
        database=True,
        redis="always",
        pool="prefork",
    ),
    Peer(
        key="procrastinate",
        title="Procrastinate",
        script="peer_procrastinate.py",
        keeps="on disk, by the task's own transaction",
        comes_back="a loop of ours retries jobs whose worker's last heartbeat is 30 s old",
        guarantee="a job is repeated until it ends; its results are on disk, by its own transaction",
        database=True,
    ),
    Peer(
        key="dbos",
        title="DBOS",
        script="peer_dbos.py",
        keeps="on disk",
        comes_back="at once, when a process with the same executor id starts",
        guarantee="a workflow goes on after its last step; each step's result is on disk",
        database=True,
    ),
    Peer(
        key="ours-sqlite",
        title="**ours**, SQLite",
        script="peer_ours.py",
        keeps="on disk",
        comes_back="`resume_interrupted()`, when the lease (30 s) has expired",
        guarantee="the start and the outcome of each call are on disk; one key per item, items in doubt are looked up, one audit event",
        ours=True,
        has_worker=False,
    ),
    Peer(
        key="ours-postgresql",
        title="**ours**, PostgreSQL",
        script="peer_ours.py",
        keeps="on disk",
        comes_back="`resume_interrupted()`, when the lease (30 s) has expired",
        guarantee="the same",
        ours=True,
        has_worker=False,
        database=True,
    ),
)
