"""
A thousand workers and ten million items a day, played in a second: what waits, for how long, and what is full.

Discrete events over costs that `fleet_costs.py` measured. It shows where a
design ends and no machine's speed: everything that it takes for granted is printed.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs
from _harness import Table

_PLAYED: Final = 1_200.0
_DAY: Final = 86_400.0
COST_OF_SERVE: Final = 6.0
COST_OF_SWEEP: Final = 0.6
"""Milliseconds of one of the database's processors: an idle server's second, and one sweep."""


@attrs.frozen(kw_only=True)
class Fleet:
    """
    What is taken for granted; times in seconds, costs in milliseconds of one of the database's processors.

    Attributes:
        name: in words.
        looks: times a second that the whole fleet looks for work when it has none.
        cost_of_look: of one such look.
        wakes: seconds from a batch's acceptance until somebody tries to drive it, where a worker is free.
    """

    name: str
    looks: float
    cost_of_look: float
    wakes: float
    workers: int = 1_000
    runs_at_once: int = 50
    items_a_day: int = 10_000_000
    peak: float = 3.0
    size: int = 50
    calls_at_once: int = 5
    service: float = 5.0
    processors: int = 8
    cost_of_transaction: float = 1.2
    cost_of_item: float = 0.02
    lease: float = 30.0
    seed: int = 2026

    @property
    def batches_a_second(self) -> float:
        """
        Return how many arrive at the peak.
        """
        return self.items_a_day * self.peak / self.size / _DAY

    @property
    def dying(self) -> int:
        """
        Return how many workers die at once: a tenth.
        """
        return self.workers // 10

    @property
    def looking(self) -> float:
        """
        Return how many processors of the database are busy with looks that find nothing.
        """
        return self.looks * self.cost_of_look / 1_000


@attrs.define(eq=False)
class Database:
    """
    Processors that serve one transaction each, first come, first served.
    """

    fleet: Fleet
    free_at: list[float] = attrs.field(init=False)
    busy: float = attrs.field(default=0.0, init=False)
    transactions: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.free_at = [0.0] * self.fleet.processors

    def commit(self, now: float, *, items: int) -> float:
        """
        Return when a transaction is done that begins now.
        """
        fleet = self.fleet
        slower = 1 / (1 - fleet.looking / fleet.processors)
        cost = (fleet.cost_of_transaction + items * fleet.cost_of_item) / 1_000
        done = max(now, heapq.heappop(self.free_at)) + cost * slower
        heapq.heappush(self.free_at, done)
        self.busy += cost
        self.transactions += 1
        return done


@attrs.define(eq=False)
class Run:
    """
    One batch on its way.

    Attributes:
        accepted_at: when its acceptance was stored.
        items_left: those whose outcomes are not stored.
        worker: who drives it.
    """

    accepted_at: float
    items_left: int
    first_call: float | None = None
    worker: int | None = None


@attrs.define(eq=False)
class Peak:
    """
    Twenty minutes of arrivals; in their middle some workers die at once.
    """

    fleet: Fleet
    chance: random.Random = attrs.field(init=False)
    database: Database = attrs.field(init=False)
    waits: list[float] = attrs.field(factory=list, init=False)
    delays: list[float] = attrs.field(factory=list, init=False)
    settled: int = attrs.field(default=0, init=False)
    most_driven: int = attrs.field(default=0, init=False)
    _events: list[tuple[float, int, Callable[[float], None]]] = attrs.field(factory=list, init=False)
    _count: int = attrs.field(default=0, init=False)
    _waiting: deque[Run] = attrs.field(factory=deque, init=False)
    _places: list[int] = attrs.field(init=False)
    _all_places: int = attrs.field(init=False)
    _driven: dict[int, dict[Run, None]] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        fleet = self.fleet
        self.chance = random.Random(fleet.seed)
        self.database = Database(fleet)
        self._places = [worker for worker in range(fleet.workers) for _ in range(fleet.runs_at_once)]
        self._all_places = len(self._places)

    def play(self) -> Peak:
        """
        Let them pass, and whatever they left.
        """
        for moment in self._arrivals():
            self._at(moment, self._accept)
        self._at(_PLAYED / 2, self._kill)
        while self._events:
            moment, _, what = heapq.heappop(self._events)
            what(moment)
        assert len(self.waits) == self.settled, "a batch was lost"
        return self

    def _at(self, moment: float, what: Callable[[float], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (moment, self._count, what))

    def _arrivals(self) -> Iterator[float]:
        moment = 0.0
        while (moment := moment + self.chance.expovariate(self.fleet.batches_a_second)) < _PLAYED:
            yield moment

    def _accept(self, now: float) -> None:
        run = Run(accepted_at=self.database.commit(now, items=self.fleet.size), items_left=self.fleet.size)
        wakes = self.chance.uniform(0, 2 * self.fleet.wakes)
        self._at(run.accepted_at + wakes, lambda moment: self._take(run, moment))

    def _take(self, run: Run, now: float) -> None:
        if not self._places:
            self._waiting.append(run)
            return
        run.worker = self._some_place()
        self._driven.setdefault(run.worker, {})[run] = None
        self.most_driven = max(self.most_driven, self._all_places - len(self._places))
        began = self.database.commit(now, items=0)
        if run.first_call is None:
            run.first_call = began
            self.waits.append(began - run.accepted_at)
        else:
            self.delays.append(began - run.accepted_at)
        self._call(run, began)

    def _some_place(self) -> int:
        some = self.chance.randrange(len(self._places))
        self._places[some], self._places[-1] = self._places[-1], self._places[some]
        return self._places.pop()

    def _call(self, run: Run, now: float) -> None:
        worker = run.worker
        back = now + self.chance.expovariate(self.fleet.calls_at_once / self.fleet.service)
        self._at(back, lambda moment: self._store(run, worker, moment))

    def _store(self, run: Run, worker: int | None, now: float) -> None:
        if run.worker is not worker or worker is None:
            return  # who was called for it is dead
        stored = self.database.commit(now, items=1)
        run.items_left -= 1
        if run.items_left:
            self._call(run, stored)
            return
        self.database.commit(stored, items=0)  # that the audit logger took its event
        del self._driven[worker][run]
        self.settled += 1
        self._give_place(worker, stored)

    def _give_place(self, worker: int, now: float) -> None:
        self._places.append(worker)
        if self._waiting:
            self._take(self._waiting.popleft(), now)

    def _kill(self, now: float) -> None:
        dead = set(self.chance.sample(range(self.fleet.workers), self.fleet.dying))
        self._places = [worker for worker in self._places if worker not in dead]
        self._all_places -= len(dead) * self.fleet.runs_at_once
        for worker in sorted(dead):
            for run in self._driven.pop(worker, {}):
                run.worker = None
                run.accepted_at = now  # counted from its driver's death on
                left = self.chance.uniform(self.fleet.lease * 2 / 3, self.fleet.lease)
                self._at(now + left + self.fleet.wakes, lambda moment, run=run: self._take(run, moment))


def _quantile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def _fleets(changes: dict[str, int]) -> Sequence[Fleet]:
    workers = changes["workers"]
    serve = {"looks": 2.0 * workers, "cost_of_look": COST_OF_SERVE / 2, "wakes": 0.25}
    engine = {"looks": 0.2, "cost_of_look": COST_OF_SWEEP, "wakes": 0.05}
    return (
        Fleet(name="`serve` in each worker", **serve, **changes),
        Fleet(name="an engine wakes the workers", **engine, **changes),
    )


def _assumptions(fleet: Fleet) -> str:
    lines = (
        f"{fleet.workers:,} workers drive {fleet.runs_at_once} runs at once, {fleet.calls_at_once} calls in each",
        f"{fleet.items_a_day:,} items a day in batches of {fleet.size}; {fleet.peak:g} times the mean rate at the peak",
        f"a call takes {fleet.service:g} s on average, and each outcome is a separate transaction (the worst case)",
        f"the database has {fleet.processors} processors; a transaction takes {fleet.cost_of_transaction:g} ms of processor time",
        f"each item in a transaction takes {fleet.cost_of_item:g} ms more",
        f"an idle `serve` costs {COST_OF_SERVE:g} ms of processor time per second, and a sweep {COST_OF_SWEEP:g} ms",
        f"after ten minutes {fleet.dying} workers are killed at once; a lease lasts {fleet.lease:g} s",
    )
    return "\n".join(f"- {line}" for line in lines)


def _row(hour: Peak) -> tuple[str, ...]:
    fleet, database = hour.fleet, hour.database
    driving = database.busy / _PLAYED
    return (
        fleet.name,
        f"{len(hour.waits):,}",
        f"{database.transactions / _PLAYED:.0f}",
        f"{driving:.2f} + {fleet.looking:.2f}",
        f"{hour.most_driven:,}",
        f"{1_000 * _quantile(hour.waits, 0.5):.0f} / {1_000 * _quantile(hour.waits, 0.99):.0f} ms",
        f"{len(hour.delays)}, {max(hour.delays, default=0):.0f} s",
    )


_HEADING: Final = (
    "driver",
    "batches in twenty minutes",
    "transactions a second",
    "processors busy: driving + polling",
    "runs at once, at most",
    "time to the first call, median / p99",
    "runs of killed workers, longest wait",
)


def main() -> None:
    """
    Play the peak for both ways, and print what was taken for granted and what came out.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--runs-at-once", type=int, default=50)
    parser.add_argument("--items-a-day", type=int, default=10_000_000)
    parser.add_argument("--processors", type=int, default=8)
    parser.add_argument("--size", type=int, default=50)
    fleets = _fleets(vars(parser.parse_args()))
    print(_assumptions(fleets[0]), end="\n\n")
    print(Table(heading=_HEADING, rows=[_row(Peak(fleet).play()) for fleet in fleets]))


if __name__ == "__main__":
    main()
