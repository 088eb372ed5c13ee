"""
A host in a process of its own, for what is measured from outside.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from _scene import COORDINATOR, orchestrator_over, url_of
from fastapi import FastAPI
from sqlalchemy import create_engine

from proxy_orchestration import Actor
from proxy_orchestration.storage.sql import SqlActivityRepository, create_schema
from proxy_orchestration.web import WebSettings, create_router, lifespan

BATCHES: Final = "/api/v1/bulk-registrations"


async def signed_in() -> Actor:
    """
    Return the one who acts.
    """
    return COORDINATOR


def processor_time() -> float:
    """
    Return the seconds of processor time that this process has used.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def application(file: Path, *, pause: float | None, serves: bool) -> FastAPI:
    """
    Return a host over that database; it tells what it cost, and once it is up prints where it answers.
    """
    create_schema(engine := create_engine(url_of(file)))
    orchestrator = orchestrator_over(SqlActivityRepository(engine), pause=pause, concurrency=1)
    driving = lifespan(orchestrator)

    @asynccontextmanager
    async def around(app: FastAPI) -> AsyncIterator[None]:
        if not serves:
            yield
            return
        async with driving(app):
            yield

    app = FastAPI(lifespan=around)
    app.include_router(create_router(orchestrator, actor=signed_in, settings=WebSettings(max_streams=10_000)))
    app.get("/cost")(processor_time)
    return app


@contextmanager
def host(file: Path, *, pause: float | None = None, serves: bool = False) -> Iterator[int]:
    """
    Start a host; yield its port.
    """
    command = [sys.executable, __file__, str(file), str(pause or 0), str(int(serves))]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = next(line for line in process.stderr if "running on" in line)
        yield int(line.rpartition(":")[2].split()[0])
    finally:
        process.terminate()
        process.communicate()


def main() -> None:
    """
    Serve until terminated.
    """
    file, pause, serves = sys.argv[1:]
    app = application(Path(file), pause=float(pause) or None, serves=bool(int(serves)))
    uvicorn.run(app, port=0, access_log=False)


if __name__ == "__main__":
    main()
