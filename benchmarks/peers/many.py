"""
Many small batches from many callers, by a job per item and by a job per batch.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

import _postgresql
from _batches import Load
from _peers import Peer
from _results import Results
from _rounds import Failed, run_batches

BATCHES: Final = {10: 300, 50: 150}
"""How many are submitted, by their size."""

CALLERS: Final = 50
WITHOUT: Final = ("aiometer",)  # it stores nothing, whatever the size of a batch


def measure(peers: Sequence[Peer], server: _postgresql.Server, results: Results, *, rounds: int) -> None:
    """
    Let the peers take turns, round by round, and keep the median of each one's batches a second.

    Ours has no jobs, and is measured once for both.
    """
    for size, batches in BATCHES.items():
        found: dict[tuple[str, int], list[float]] = {}
        for _ in range(rounds):
            for peer in peers:
                for per_job in (1,) if peer.ours else (1, size):
                    seconds = run_batches(peer, server, Load(batches, size, per_job, CALLERS))
                    print(peer.key, "batches of", size, "by", per_job, seconds, flush=True)
                    if not isinstance(seconds, Failed):
                        found.setdefault((peer.key, per_job), []).append(batches / seconds)
        for (key, per_job), speeds in found.items():
            how = "item" if per_job == 1 else "batch"
            results.put("batches", size, how, key, value=statistics.median(speeds))
            results.put("all", "batches", size, how, key, value=[round(speed, 1) for speed in speeds])
