"""
What was found about many small batches, as tables, and what was aimed at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from _harness import Table, Target

Figures: TypeAlias = Mapping[str, Mapping[str, float]]
"""By who, size and callers, or whatever else was varied; then by the figure's name."""

Found: TypeAlias = Mapping[str, Mapping[str, Figures]]
"""By database, then by part."""

PEOPLE: Final = {
    "ours": "ours",
    "released": "ours, as released",
    "three": "three commits, hand-written",
    "grouping": "grouped commits, hand-written",
}
_IN_FLIGHT: Final = 50
_PER_BATCH: Final = 5
_AIMED_AT: Final = {
    "SQLite": {
        "to three": 0.45,
        "to released": 4.0,
        "ideal": 0.70,
        "drained": 4.0,
        "two servers": 1.1,
        "processor": 0.26,
        "open": 1.5,
    },
    "PostgreSQL": {
        "to three": 0.40,
        "to released": 3.7,
        "ideal": 0.60,
        "drained": 3.0,
        "two servers": 1.5,
        "processor": 0.31,
        "open": 4.0,
    },
}
_FSYNCS: Final = 0.3
_PAUSE: Final = 20.0


def ideal(size: int, callers: int, pause: float) -> float:
    """
    Return the batches a second that the service alone would allow, with standard settings.
    """
    return min(_IN_FLIGHT, callers * min(size, _PER_BATCH)) / (size * pause)


def tables_of(found: Found, *, pause: float) -> list[Table]:
    """
    Return a table for each part that was measured.
    """
    tables: dict[str, Callable[[Found], Table]] = {
        "no-op": _no_op,
        "paused": lambda of: _paused(of, pause),
        "watched": _watched,
        "drained": _drained,
        "looked": _looked,
    }
    measured = {part for parts in found.values() for part in parts}
    return [make(found) for part, make in tables.items() if part in measured]


def _cases(found: Found, part: str) -> Iterator[tuple[str, str, Figures]]:
    """
    Yield each database and each size with its callers, in the order of measuring.
    """
    for database, parts in found.items():
        figures = parts.get(part, {})
        for case in dict.fromkeys(name.partition(", ")[2] for name in figures):
            yield database, case, figures


def _figure(figures: Figures, who: str, case: str, name: str) -> float | None:
    return figures.get(f"{who}, {case}", {}).get(name)


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _no_op(found: Found) -> Table:
    rows = []
    for database, case, figures in _cases(found, "no-op"):
        speeds = {who: _figure(figures, who, case, "speed") for who in PEOPLE}
        ratios = [_ratio(speeds["ours"], speeds[who]) for who in list(PEOPLE)[1:]]
        rows.append(
            (
                database,
                *case.split(", "),
                *(_cell(speed, ",.0f") for speed in speeds.values()),
                *(_cell(ratio, ".2f") for ratio in ratios),
            )
        )
    heading = (
        "no-op service: batches a second",
        "size",
        "callers",
        *PEOPLE.values(),
        *(f"ours, ratio to {who}" for who in ("released", "three commits", "grouped commits")),
    )
    return Table(heading=heading, rows=rows)


def _paused(found: Found, pause: float) -> Table:
    rows = []
    for database, case, figures in _cases(found, "paused"):
        size, callers = map(int, case.split(", "))
        most = ideal(size, callers, pause)
        mine, theirs = (_figure(figures, who, case, "speed") for who in ("ours", "released"))
        shares = [_cell(_ratio(speed, most), ".0%") for speed in (mine, theirs)]
        rows.append((database, *case.split(", "), f"{most:,.0f}", _cell(mine, ",.0f"), *shares))
    heading = (
        f"a service of {pause * 1000:.0f} ms",
        "size",
        "callers",
        "ideal, batches a second",
        "ours",
        "share of the ideal",
        "as released",
    )
    return Table(heading=heading, rows=rows)


_WATCHED: Final = {
    "statements": "statements",
    "commits": "writing commits",
    "fsyncs": "fsyncs of the log",
    "hops": "wake-ups by threads",
    "tasks": "tasks",
    "here": "processor, ms",
    "there": "processor of the database, ms",
    "pause": "pause of the event loop, p99, ms",
    "wait p50": "a caller's wait, p50, ms",
    "wait p99": "a caller's wait, p99, ms",
}
_DISTURBED: Final = {"fsyncs", "here", "there", "wait p50", "wait p99"}
_FORMS: Final = {
    "commits": (1, ".2f"),
    "fsyncs": (1, ".2f"),
    "here": (1000, ".2f"),
    "there": (1000, ".2f"),
    "pause": (1000, ".1f"),
    "wait p50": (1000, ",.0f"),
    "wait p99": (1000, ",.0f"),
}


def _watched(found: Found) -> Table:
    rows = []
    for database, case, watched in _cases(found, "watched"):
        timed = found[database].get("no-op", {})
        for who in PEOPLE:
            if f"{who}, {case}" in watched:
                cells = [_watched_cell(watched, timed, f"{who}, {case}", figure) for figure in _WATCHED]
                rows.append((database, *case.split(", "), PEOPLE[who], *cells))
    heading = ("per batch, no-op service", "size", "callers", "", *_WATCHED.values())
    return Table(heading=heading, rows=rows)


def _watched_cell(watched: Figures, timed: Figures, case: str, name: str) -> str:
    scale, form = _FORMS.get(name, (1, ".1f"))
    # What counting disturbs is taken from the rounds in which nothing was counted.
    value = (timed if name in _DISTURBED else watched).get(case, {}).get(name)
    return _cell(value * scale if value else None, form)


def _drained(found: Found) -> Table:
    rows = []
    for database, parts in found.items():
        for who in ("ours", "released"):
            one, two = (_figure(parts.get("drained", {}), who, servers, "speed") for servers in ("1", "2"))
            if one is not None:
                rows.append(
                    (database, PEOPLE[who], f"{one:,.0f}", _cell(two, ",.0f"), _cell(_ratio(two, one), ".2f"))
                )
    heading = (
        "draining accepted batches of 10: batches a second",
        "",
        "one server",
        "two servers",
        "two, ratio to one",
    )
    return Table(heading=heading, rows=rows)


def _looked(found: Found) -> Table:
    rows = []
    for database, parts in found.items():
        for who in ("ours", "released"):
            few, many = (_figure(parts.get("looked", {}), who, name, "seconds") for name in ("few", "many"))
            if few is not None and many is not None:
                rows.append(
                    (database, PEOPLE[who], f"{few * 1000:.1f}", f"{many * 1000:.1f}", f"{many / few:.1f}")
                )
    heading = (
        "a server's first poll for work, ms",
        "",
        "few open runs",
        "many open runs",
        "many, ratio to few",
    )
    return Table(heading=heading, rows=rows)


def targets_of(found: Found, *, pause: float) -> list[Target]:
    """
    Return what was aimed at, about what was measured; most of it about batches of 10 from 50 callers.
    """
    return [
        Target(what=f"{database}: {what}", figure=figure, **{limit: asked})
        for database, parts in found.items()
        for what, figure, limit, asked in _aims(database, parts, pause)
        if figure is not None
    ]


def _aims(
    database: str, parts: Mapping[str, Figures], pause: float
) -> Iterator[tuple[str, float | None, str, float]]:
    asked, case = _AIMED_AT[database], "10, 50"
    no_op, paused, watched, drained, looked = (
        parts.get(part, {}) for part in ("no-op", "paused", "watched", "drained", "looked")
    )

    def to(figures: Figures, other: str, name: str) -> float | None:
        return _ratio(_figure(figures, "ours", case, name), _figure(figures, other, case, name))

    yield "ratio to three commits, hand-written", to(no_op, "three", "speed"), "at_least", asked["to three"]
    yield "ratio to the release", to(no_op, "released", "speed"), "at_least", asked["to released"]
    share = _ratio(_figure(paused, "ours", case, "speed"), ideal(10, 50, pause))
    yield "20 ms, share of the ideal", share, "at_least", asked["ideal"]
    syncs = _figure(no_op, "ours", case, "fsyncs") or _figure(watched, "ours", case, "commits")
    yield "fsyncs per batch", syncs, "at_most", _FSYNCS
    yield "processor per batch, ratio to the release", _processor(no_op, case), "at_most", asked["processor"]
    pauses = _figure(watched, "ours", case, "pause")
    yield "pause of the event loop, p99, ms", pauses and 1000 * pauses, "at_most", _PAUSE
    one, two, old = (
        _figure(drained, who, servers, "speed")
        for who, servers in (("ours", "1"), ("ours", "2"), ("released", "1"))
    )
    yield "one server drains, ratio to the release", _ratio(one, old), "at_least", asked["drained"]
    yield "two servers, ratio to one", _ratio(two, one), "at_least", asked["two servers"]
    few, many = (_figure(looked, "ours", name, "seconds") for name in ("few", "many"))
    yield "finding work among many open runs, ratio to few", _ratio(many, few), "at_most", asked["open"]


def _processor(no_op: Figures, case: str) -> float | None:
    spent = [[_figure(no_op, who, case, name) for name in ("here", "there")] for who in ("ours", "released")]
    if any(value is None for both in spent for value in both):
        return None
    mine, theirs = (sum(value for value in both if value is not None) for both in spent)
    return _ratio(mine, theirs)
