"""
Makes the table of many small batches, and says what was aimed at.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from _peers import PEERS, Peer
from _results import Results

sys.path.append(str(Path(__file__).parents[1]))

from _harness import Table, Target

OURS: Final = {"ours-sqlite": "SQLite", "ours-postgresql": "PostgreSQL"}
SIZES: Final = (10, 50)
HOW: Final = {"item": "a job per item", "batch": "a job per batch"}
_LEAST: Final = {
    ("ours-sqlite", 10, "item"): 6,
    ("ours-postgresql", 10, "item"): 4,
    ("ours-sqlite", 50, "item"): 16,
    ("ours-postgresql", 50, "item"): 12,
    ("ours-sqlite", 10, "batch"): 0.9,
    ("ours-postgresql", 10, "batch"): 0.6,
}


def many_batches(results: Results) -> Sequence[Table]:
    """
    Return a table for each size: batches a second, and ours to each.
    """
    return [_of_size(results, size) for size in SIZES]


def _of_size(results: Results, size: int) -> Table:
    rows = []
    for peer in PEERS:
        for how in ("item",) if peer.ours else HOW:
            speed = _speed(results, size, how, peer.key)
            if speed is not None:
                ratios = ["" if peer.ours else _ratio(results, size, key, speed) for key in OURS]
                rows.append((peer.title, *_words(peer, how), f"{speed:,.0f}", *ratios))
    return Table(
        heading=(
            f"batches of {size} from 50 callers",
            "submitted as",
            "what is stored, and what a kill costs",
            "batches/s",
            "ratio of ours on SQLite",
            "ratio of ours on PostgreSQL",
        ),
        rows=rows or [("-",) * 6],
    )


def _words(peer: Peer, how: str) -> tuple[str, str]:
    if peer.ours:
        return "a batch", peer.guarantee
    kept = peer.guarantee if how == "item" else f"{peer.guarantee}; the whole batch is one job"
    return HOW[how], kept


def _speed(results: Results, size: int, how: str, key: str) -> float | None:
    found: float | None = results.get("batches", size, how, key)
    return found


def _ratio(results: Results, size: int, key: str, speed: float) -> str:
    mine = _speed(results, size, "item", key)
    return "-" if mine is None else f"{mine / speed:.2f}x"


def batch_targets(results: Results) -> Iterator[Target]:
    """
    Yield what was aimed at, against Procrastinate.
    """
    for (key, size, how), least in _LEAST.items():
        mine = _speed(results, size, "item", key)
        theirs = _speed(results, size, how, "procrastinate")
        if mine and theirs:
            what = f"batches of {size}, {HOW[how]}: {OURS[key]}, ratio to Procrastinate"
            yield Target(what=what, figure=mine / theirs, at_least=least)
