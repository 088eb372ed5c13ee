"""
Play a night on this machine: `python -m examples.nightly`, from the root of the repository.
"""

from __future__ import annotations

import os
import sys

import anyio
from sqlalchemy import create_engine

from proxy_orchestration.storage.sql import create_schema

from .night import PREFIX, tonight
from .tables import fill, tables


def main() -> int:
    """
    Print what was told and sent; the code is 1 where somebody has to look.
    """
    engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///nightly.db"))
    tables.create_all(engine)
    create_schema(engine, prefix=PREFIX)  # in a fleet, a step of the deploy
    fill(engine)
    told, sent = anyio.run(tonight, engine)
    engine.dispose()
    print(f"{told.processed} certificates: {told.created} told, {told.skipped} skipped, {told.failed} failed")
    print(f"{sent.sent} pushes sent, {sent.retried} later, {sent.cancelled} not wanted, {sent.dead} given up")
    for problem in told.data_quality:
        print(f"to be corrected: {problem.mentor_id}: {problem.code}")
    return 1 if told.failed or sent.dead else 0


if __name__ == "__main__":
    sys.exit(main())
