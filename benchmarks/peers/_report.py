"""
Makes the page's tables and its plot out of the figures.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import _plot
import _redis
from _peers import PEERS, Peer
from _report_batches import OURS, batch_targets, many_batches
from _results import Results

sys.path.append(str(Path(__file__).parents[1]))

from _harness import Table, Target

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "benchmarks-peers.md"
PLOT: Final = DOCS / "benchmarks-peers.svg"
ITEMS: Final = 2_000
IDEAL: Final = 5.0
"""Seconds: 2 000 items of 50 ms, 20 at a time."""

NO_REDIS: Final = "not measured: no Redis on that machine"
CELERY: Final = ("celery-redis-everysec", "celery-redis", "celery-database")


def write(results: Results) -> bool:
    """
    Write the page and the plot; return whether an aim is missed.
    """
    targets = (*_targets(results), *batch_targets(results))
    parts = {
        "machine": "\n\n".join(_machine(results)),
        "no-op": str(_speeds(results)),
        "50 ms": str(_with_latency(results)),
        "kills": str(_kills(results)),
        "limits": str(_limits(results)),
        "grown": str(_grown(results)),
        "load": str(_load(results)),
        "batches": "\n\n".join(map(str, many_batches(results))),
        "targets": str(_aims(targets)),
    }
    page = PAGE.read_text(encoding="utf-8")
    for name, text in parts.items():
        page = _between(page, name, text)
    PAGE.write_text(page, encoding="utf-8")
    PLOT.write_text(_drawing(results), encoding="utf-8")
    print("\n\n".join(parts.values()))
    return not all(target.met for target in targets)


def _machine(results: Results) -> Iterator[str]:
    yield str(results.get("machine"))
    for names, surroundings in (results.get("again") or {}).items():
        yield f"Measured again separately: {names}. {surroundings}"


def _between(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- {name} begins -->", f"<!-- {name} ends -->"
    between = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    assert between.search(page), f"{PAGE.name} has no markers for {name}"
    return between.sub(lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", page)


def _speed(results: Results, service: str, per_job: int, key: str) -> float | None:
    seconds = results.get("seconds", service, per_job, key)
    return None if seconds is None else ITEMS / seconds


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _ratio(mine: float | None, theirs: float | None) -> float | None:
    return mine / theirs if mine and theirs else None


def _speeds(results: Results) -> Table:
    mine = {key: _speed(results, "no-op", 1, key) for key in OURS}

    def cells(peer: Peer) -> tuple[str, ...]:
        speed = _speed(results, "no-op", 1, peer.key)
        if speed is None:
            no_redis = peer.redis and str(results.get("redis")) == _redis.NONE
            return peer.title, NO_REDIS if no_redis else "failed in this run", *["-"] * 4
        ratios = ["" if peer.ours else f"{_number(_ratio(mine[key], speed), ',.1f')}x" for key in OURS]
        many = _number(_speed(results, "no-op", 50, peer.key), ",.0f")
        return peer.title, peer.keeps, f"{speed:,.0f}", *ratios, many

    return Table(
        heading=(
            "",
            "where the result is stored",
            "a job per item: items/s",
            "ratio of ours on SQLite",
            "ratio of ours on PostgreSQL",
            "50 items per job: items/s",
        ),
        rows=[cells(peer) for peer in PEERS],
    )


def _with_latency(results: Results) -> Table:
    def cell(peer: Peer, per_job: int) -> str:
        seconds = results.get("seconds", "50 ms", per_job, peer.key)
        return "-" if seconds is None else f"{seconds:.2f} s ({IDEAL / seconds:.1%})"

    return Table(
        heading=("", "a job per item (share of the ideal)", "50 items per job (share of the ideal)"),
        rows=[(peer.title, cell(peer, 1), cell(peer, 50)) for peer in PEERS],
    )


def _kills(results: Results) -> Table:
    def twice(peer: Peer, per_job: int) -> str:
        fate = results.get("killed", "50 ms", per_job, peer.key)
        if fate is None:
            return "-"
        return "all calls are repeated" if _is_alone(peer) else f"{fate['twice']:,}"

    def whole(peer: Peer) -> str:
        if _is_alone(peer):
            return "never"
        return ", ".join(_whole(results.get("killed", "50 ms", per_job, peer.key)) for per_job in (1, 50))

    return Table(
        heading=(
            "",
            "called twice, a job per item",
            "called twice, 50 items per job",
            "seconds until all had a result",
            "how the rest is continued",
        ),
        rows=[(peer.title, twice(peer, 1), twice(peer, 50), whole(peer), peer.comes_back) for peer in PEERS],
    )


def _is_alone(peer: Peer) -> bool:
    return not peer.durable and not peer.has_worker


def _whole(fate: dict[str, Any] | None) -> str:
    if fate is None:
        return "-"
    if fate["finished"]:
        return f"{fate['seconds']:.0f}"
    uncalled = fate["never_called"]
    return f"never (items not called: {uncalled:,})" if uncalled else "never"


def _limits(results: Results) -> Table:
    found: dict[str, Any] = results.get("limits") or {}
    raw = found.get("raw")
    names = {
        "raw": "raw limit: bulk UPDATE from unnest, 500 rows per commit",
        "ours": "ours, PostgreSQL, until the last update was read",
        "ours, result read": "ours, PostgreSQL, and reading the result",
    }
    return Table(
        heading=("20,000 items, no-op service", "items/s", "ratio to the raw limit"),
        rows=[
            (name, _number(found.get(key), ",.0f"), _number(_ratio(found.get(key), raw), ".2f"))
            for key, name in names.items()
        ],
    )


def _grown(results: Results) -> Table:
    found: dict[str, tuple[float, float]] = results.get("limits", "grown") or {}
    return Table(
        heading=("items", "time to drive", "time to read the result"),
        rows=[
            (f"{int(size):,}", f"{driven:.2f} s", f"{read:.2f} s") for size, (driven, read) in found.items()
        ]
        or [("-",) * 3],
    )


def _load(results: Results) -> Table:
    found: dict[str, dict[str, float]] = results.get("load") or {}

    def cells(name: str, figures: dict[str, float]) -> Sequence[str]:
        store, in_flight = name.split(", ")
        ideal = 50 * 50 * 0.02 / int(in_flight)
        waits = [
            f"{1_000 * figures[f'{what} p50']:,.0f} / {1_000 * figures[f'{what} p99']:,.0f}"
            for what in ("acceptance", "first progress")
        ]
        return store, in_flight, f"{figures['seconds']:.2f} s", f"{ideal:.2f} s", *waits

    return Table(
        heading=(
            "",
            "calls in flight",
            "all done",
            "ideal",
            "acceptance, ms, p50 / p99",
            "first progress, ms, p50 / p99",
        ),
        rows=[cells(name, figures) for name, figures in found.items()] or [("-",) * 6],
    )


def _targets(results: Results) -> Iterator[Target]:
    for key, store in OURS.items():
        mine = _speed(results, "no-op", 1, key)
        for name, rivals, least in (
            ("DBOS", ("dbos",), 40),
            ("Procrastinate", ("procrastinate",), 15),
            ("Celery's fastest row", CELERY, 15),
        ):
            theirs = _fastest(results, "no-op", rivals)
            ratio = _ratio(mine, theirs)
            if ratio is not None:
                yield Target(
                    what=f"no-op, a job per item: {store}, ratio to {name}",
                    figure=ratio,
                    at_least=least,
                    digits=1,
                )
        yield from _latency_targets(results, key, store)
    yield from _limit_targets(results.get("limits") or {})


def _latency_targets(results: Results, key: str, store: str) -> Iterator[Target]:
    seconds = results.get("seconds", "50 ms", 1, key)
    if seconds is None:
        return
    rivals = tuple(peer.key for peer in PEERS if not peer.ours and peer.key != "aiometer")
    best = _fastest(results, "50 ms", rivals)
    yield Target(what=f"50 ms, {store}: % of the ideal", figure=100 * IDEAL / seconds, at_least=97, digits=2)
    ratio = _ratio(ITEMS / seconds, best)
    if ratio is not None:
        yield Target(
            what=f"50 ms, {store}: ratio to the fastest peer with its own processes",
            figure=ratio,
            at_least=1,
            digits=3,
        )


def _limit_targets(found: dict[str, Any]) -> Iterator[Target]:
    share = _ratio(found.get("ours"), found.get("raw"))
    if share is not None:
        yield Target(what="PostgreSQL: ratio to the raw limit", figure=share, at_least=0.3)
    growth = _ratio(found.get("commit at 100000"), found.get("commit at 2000"))
    if growth is not None:
        yield Target(
            what="PostgreSQL, old statistics: time of a commit of 20 at 100,000 items, ratio to 2,000 items",
            figure=growth,
            at_most=1.5,
        )


def _fastest(results: Results, service: str, keys: Sequence[str]) -> float | None:
    speeds = [_speed(results, service, 1, key) for key in keys]
    return max((speed for speed in speeds if speed is not None), default=None)


def _aims(targets: Sequence[Target]) -> Table:
    rows = [target.cells() for target in targets] or [("-",) * 4]
    return Table(heading=("Aim", "Measured", "Limit", "Reached"), rows=rows)


def _drawing(results: Results) -> str:
    def speed(peer: Peer, per_job: int) -> Any:
        return _speed(results, "no-op", per_job, peer.key)

    return _plot.svg(
        "2,000 items, a service that answers at once, from submission until all results are read",
        [
            _plot.Row(
                title=peer.title.replace("*", ""),
                ours=peer.ours,
                per_item=speed(peer, 1),
                per_fifty=speed(peer, 50),
            )
            for peer in PEERS
        ],
    )
