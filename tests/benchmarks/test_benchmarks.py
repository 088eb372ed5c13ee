"""
The benchmarks run, at a size that measures nothing, and have their places on the page.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from waits import LONGEST_WAIT

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DOCS = Path(__file__).parents[2] / "docs"
TINY = [
    *("--rounds", "1", "--batches", "2", "--open", "3", "6", "--sizes", "10", "--callers", "50"),
    *("--databases", "SQLite", "--released", "none"),
]


def test_every_benchmark_is_a_story_with_a_place_on_the_page() -> None:
    """
    `run.py` runs each script, and finds where its tables belong.
    """
    listed = re.search(r"STORIES: Final = \((.*?)\)", (BENCHMARKS / "run.py").read_text("utf-8"), re.DOTALL)
    page = (DOCS / "benchmarks.md").read_text("utf-8")

    assert listed is not None
    stories = re.findall(r'"(\w+)"', listed[1])
    assert sorted(stories) == sorted(path.stem[6:] for path in BENCHMARKS.glob("bench_*.py"))
    assert [] == [name for name in stories if f"<!-- {name} ends -->" not in page]


@pytest.mark.full
@pytest.mark.dateless
def test_many_small_batches_are_measured_whoever_submits_or_serves_them() -> None:
    """
    Submitted, driven beside a slow service, counted, drained by two servers, and looked for.
    """
    pytest.importorskip("sqlalchemy")

    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "bench_batches.py"), *TINY],
        capture_output=True,
        text=True,
        check=False,
        timeout=5 * LONGEST_WAIT,
    )

    assert done.returncode == 0, done.stderr
    headings = [line for line in done.stdout.splitlines() if line.startswith("| --")]
    assert len(headings) == 6
    assert "SQLite: two servers, ratio to one" in done.stdout


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], ModuleType]]:
    """
    Import a part of the benchmarks as its scripts do, and forget it afterwards.
    """

    def part(folder: str, name: str) -> ModuleType:
        for path in (BENCHMARKS, BENCHMARKS / folder):
            monkeypatch.syspath_prepend(str(path))
        return import_module(name)

    yield part
    for name, module in [*sys.modules.items()]:
        if str(getattr(module, "__file__", None)).startswith(str(BENCHMARKS)):
            del sys.modules[name]


def test_an_earlier_build_is_a_wheel_or_a_checkout_and_nothing_is_made_up(
    imported: Callable[[str, str], ModuleType], tmp_path: Path
) -> None:
    """
    What is measured as an earlier build is imported from where it was asked for, or not at all.
    """
    builds = imported("batches", "_builds")
    wheel, checkout = tmp_path / "some.whl", tmp_path / "checkout"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("proxy_orchestration/__init__.py", "")
    (checkout / "src" / "proxy_orchestration").mkdir(parents=True)

    assert (builds.build_of(str(wheel), tmp_path / "a") / "proxy_orchestration" / "__init__.py").exists()
    assert checkout / "src" == builds.build_of(str(checkout), tmp_path)
    assert checkout / "src" / "proxy_orchestration" == builds.build_of(
        str(checkout / "src" / "proxy_orchestration"), tmp_path
    )
    with pytest.raises(builds.NoBuildError, match="a commit of this repository"):
        builds.build_of("no-such-commit", tmp_path)


def test_what_fell_short_is_said_beside_what_did_not(imported: Callable[[str, str], ModuleType]) -> None:
    """
    Of figures that are planted, each promise is compared with its own.
    """
    tables = imported("batches", "_tables")
    no_op = {
        "ours, 10, 50": {"speed": 200.0, "here": 0.002, "there": 0.0},
        "released, 10, 50": {"speed": 50.0, "here": 0.008, "there": 0.0},
        "three, 10, 50": {"speed": 500.0, "here": 0.001, "there": 0.0},
    }
    found = {
        "SQLite": {
            "no-op": no_op,
            "paused": {"ours, 10, 50": {"speed": 200.0}},
            "watched": {"ours, 10, 50": {"commits": 0.2, "pause": 0.025}},
            "drained": {"ours, 1": {"speed": 300.0}, "ours, 2": {"speed": 360.0}},
        }
    }

    kept = {target.what: target.met for target in tables.targets_of(found, pause=0.02)}
    assert kept == {
        "SQLite: ratio to three commits, hand-written": False,  # 0.40
        "SQLite: ratio to the release": True,  # 4
        "SQLite: 20 ms, share of the ideal": True,  # 200 of 250
        "SQLite: fsyncs per batch": True,
        "SQLite: processor per batch, ratio to the release": True,  # a quarter
        "SQLite: pause of the event loop, p99, ms": False,  # 25
        "SQLite: two servers, ratio to one": True,  # 1.2
    }
    assert "| 0.40" in str(tables.tables_of(found, pause=0.02)[0])


def test_ours_is_compared_with_each_way_of_a_peer(imported: Callable[[str, str], ModuleType]) -> None:
    """
    A job per item and a job per batch have rows of their own, and ours is the same beside both.
    """
    report, results = imported("peers", "_report_batches"), imported("peers", "_results")
    figures = {
        "10": {
            "item": {"procrastinate": 30.0, "ours-sqlite": 240.0, "ours-postgresql": 90.0},
            "batch": {"procrastinate": 240.0},
        }
    }
    of_ten, of_fifty = report.many_batches(results.Results({"batches": figures}))

    rows = [[row[0], row[1], *row[3:]] for row in of_ten.rows]
    assert ["Procrastinate", "a job per item", "30", "8.00x", "3.00x"] in rows
    assert ["Procrastinate", "a job per batch", "240", "1.00x", "0.38x"] in rows
    assert ["**ours**, SQLite", "a batch", "240", "", ""] in rows
    assert of_fifty.rows == [("-",) * 6]
    kept = {target.what: target.met for target in report.batch_targets(results.Results({"batches": figures}))}
    assert kept == {
        "batches of 10, a job per item: SQLite, ratio to Procrastinate": True,
        "batches of 10, a job per item: PostgreSQL, ratio to Procrastinate": False,
        "batches of 10, a job per batch: SQLite, ratio to Procrastinate": True,
        "batches of 10, a job per batch: PostgreSQL, ratio to Procrastinate": False,
    }
