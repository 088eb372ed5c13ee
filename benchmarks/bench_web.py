"""
What REST costs above the library, and what 200 people who watch one batch cost.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
from _harness import Story, Table, Target, tell
from _scene import COORDINATOR, orchestrator_over, request_for, warm_store
from _web_host import BATCHES, host

COORDINATORS: Final = 50
MENTORS: Final = 50
ROUNDS: Final = 8
STREAMS: Final = 200
UPDATES: Final = 40
PAUSE: Final = 0.25
LARGE: Final = 10_000
PAGES: Final = 40

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _request(method: str, path: str, body: object = None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: host\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def _submission(size: int) -> object:
    activity = {"activity_type": "group_meeting", "activity_date": "2026-11-03", "duration_minutes": 90}
    return {"items": [{"mentor_id": f"mentor-{number}", **activity} for number in range(size)]}


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """
    Read one answer with a length, as little as a client can do.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert head.split()[1].startswith(b"20"), head
    return await reader.readexactly(length)


async def _ask(port: int, request: bytes) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await _answer(reader)
    writer.close()
    return json.loads(answer)


async def _posted(port: int) -> list[float]:
    """
    Return the seconds until each of 50 coordinators, who post at once, has an answer.
    """
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(COORDINATORS)]
    request = _request("POST", BATCHES, _submission(MENTORS))

    async def post(streams: Streams) -> float:
        reader, writer = streams
        begin = time.perf_counter()
        writer.write(request)
        await _answer(reader)
        return time.perf_counter() - begin

    taken = await asyncio.gather(*map(post, connections))
    for _, writer in connections:
        writer.close()
    return taken


async def _called(orchestrator: Any) -> list[float]:
    async def submit() -> float:
        begin = time.perf_counter()
        await orchestrator.submit_bulk_registration(request_for(MENTORS), actor=COORDINATOR, drive=False)
        return time.perf_counter() - begin

    return await asyncio.gather(*(submit() for _ in range(COORDINATORS)))


async def _acceptance(folder: Path) -> dict[str, list[float]]:
    called, posted = folder / "called.db", folder / "posted.db"
    taken: dict[str, list[float]] = {"the library": [], "REST": []}
    with host(posted) as port:
        async with warm_store(called) as repository:
            orchestrator = orchestrator_over(repository)
            await _called(orchestrator), await _posted(port)
            for _ in range(ROUNDS):
                taken["the library"] += await _called(orchestrator)
                taken["REST"] += await _posted(port)
    return taken


class Watchers:
    """
    What those who watch one batch see, from when all of them look on until shortly before its end.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.delays: list[float] = []
        self.looking = 0
        self.looking_since = datetime.now(UTC)
        self.all_look = asyncio.Event()
        self.nearly_over = asyncio.Event()

    def saw(self, item: dict[str, Any], sequence: int) -> None:
        """
        Note one update.
        """
        if sequence == UPDATES - 2:
            self.nearly_over.set()
        settled = datetime.fromisoformat(item["settled_at"])
        # What settled before they looked is what they catch up on, and not late.
        if self.all_look.is_set() and not self.nearly_over.is_set() and settled > self.looking_since:
            self.delays.append((datetime.now(UTC) - settled).total_seconds())

    async def follow(self, port: int, batch_id: str) -> None:
        """
        Read a stream to its end.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_request("GET", f"{BATCHES}/{batch_id}/events"))
        await reader.readuntil(b": open")
        self.looking += 1
        if self.looking == self.count:
            self.looking_since = datetime.now(UTC)
            self.all_look.set()
        async for line in reader:
            if line.startswith(b'data: {"batch_id"') and b'"item"' in line:
                told = json.loads(line[6:])
                self.saw(told["item"], told["sequence"])
            if line.startswith(b"event: result"):
                break
        writer.close()


async def _used(port: int) -> float:
    return float(await _ask(port, _request("GET", "/cost")))


async def _watched(port: int, count: int, *, driver: int) -> tuple[float, list[float]]:
    """
    Return the share of a core that a host uses for so many watchers, and how late their updates came.
    """
    watchers = Watchers(count)
    accepted = await _ask(driver, _request("POST", BATCHES, _submission(UPDATES)))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(watchers.follow(port, accepted["batch_id"]))
        await watchers.all_look.wait()
        used, begin = await _used(port), time.perf_counter()
        await watchers.nearly_over.wait()
        share = (await _used(port) - used) / (time.perf_counter() - begin)
    return share, watchers.delays


async def _paged(file: Path) -> list[float]:
    async with warm_store(file) as repository:
        orchestrator = orchestrator_over(repository)
        result = await orchestrator.submit_bulk_registration(request_for(LARGE), actor=COORDINATOR)
    taken = []
    with host(file) as port:
        for number in range(PAGES):
            path = f"{BATCHES}/{result.batch_id}?after={number * 100}"
            begin = time.perf_counter()
            page = await _ask(port, _request("GET", path))
            taken.append(time.perf_counter() - begin)
            assert len(page["items"]) == 100
    return taken


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


async def _measured(folder: Path) -> Story:
    taken = await _acceptance(folder)
    with host(folder / "watched.db", pause=PAUSE, serves=True) as port:
        alone, first = await _watched(port, 1, driver=port)
        together, here = await _watched(port, STREAMS, driver=port)
        with host(folder / "watched.db") as onlooker:
            others, elsewhere = await _watched(onlooker, STREAMS, driver=port)
    pages = await _paged(folder / "pages.db")
    direct, rest = (_percentile(taken[name], 99) for name in ("the library", "REST"))
    page, late, later = statistics.median(pages), _percentile(here, 95), _percentile(elsewhere, 95)
    rows = [
        ("acceptance, the library, p99", f"{1000 * direct:.0f} ms", "1.00"),
        ("acceptance, REST, p99", f"{1000 * rest:.0f} ms", f"{rest / direct:.2f}"),
        (f"a batch with 1 stream, {1 / PAUSE:.0f} updates/s", f"{100 * alone:.1f} % of a core", "1.00"),
        (f"the same, with {STREAMS} streams", f"{100 * together:.1f} % of a core", f"{together / alone:.2f}"),
        (f"{STREAMS} streams in a process that does not drive it", f"{100 * others:.1f} % of a core", "-"),
        (
            "delay of an update after its outcome, p95, 1 stream",
            f"{1000 * _percentile(first, 95):.0f} ms",
            "-",
        ),
        (f"the same, each of {STREAMS} streams in the driving process", f"{1000 * late:.0f} ms", "-"),
        ("the same, in a process that does not drive it", f"{1000 * later:.0f} ms", "-"),
        (f"reading a page of a batch of {LARGE:,}, median", f"{1000 * page:.1f} ms", "-"),
    ]
    return Story(
        title=f"REST: {COORDINATORS} coordinators post {MENTORS} mentors each; {STREAMS} streams on one batch",
        tables=[Table(heading=("", "", "ratio"), rows=rows)],
        targets=[
            Target(what="acceptance p99, REST, ratio to the library", figure=rest / direct, at_most=1.5),
            Target(
                what=f"additional % of a core for {STREAMS} streams",
                figure=100 * (together - alone),
                at_most=10,
                digits=1,
            ),
            Target(what="update p95, same process, ms", figure=1000 * late, at_most=100, digits=0),
            Target(what="update p95, another process, ms", figure=1000 * later, at_most=600, digits=0),
            Target(what="reading a page, ms", figure=1000 * page, at_most=50, digits=1),
        ],
    )


def measure() -> Story:
    """
    Ask a host in a process of its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        return anyio.run(partial(_measured, Path(folder)))


if __name__ == "__main__":
    tell(measure)
