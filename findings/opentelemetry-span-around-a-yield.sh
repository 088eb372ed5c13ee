#!/usr/bin/env bash
# opentelemetry-api and opentelemetry-sdk 1.45.2 on asyncio, CPython 3.11 or newer: an async generator that
# opens a span around its `yield`, as the documentation's `with` suggests, and a reader that stops after the
# first value. Nothing in it is wrong, and two things happen. The generator's span is the current span of its
# reader, so that what the reader traces by itself becomes a child of it, also after the loop was left. And
# when the event loop closes the generator, it does so in another context: the span ends, and an ERROR with a
# stack, "Failed to detach context", is logged. The same generator without the span logs nothing.
#
# Exits with 0 while that is so, and with 1 once it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet opentelemetry-api==1.45.2 opentelemetry-sdk==1.45.2
cat >"$folder/show.py" <<'PYTHON'
import asyncio
import gc
import logging
from contextlib import nullcontext
from importlib.metadata import version

from opentelemetry.sdk.trace import TracerProvider

tracer = TracerProvider().get_tracer("show")


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(f"{record.levelname} {record.getMessage()}")


async def numbers(with_span):
    with tracer.start_as_current_span("numbers") if with_span else nullcontext():
        for number in range(3):
            yield number


async def read(with_span):
    async for _ in numbers(with_span):
        break
    with tracer.start_as_current_span("own work of the reader") as span:
        return span.parent is not None


def seen(with_span):
    kept = Kept()
    logging.getLogger("opentelemetry").addHandler(kept)

    async def main():
        is_child = await asyncio.create_task(read(with_span))
        gc.collect()
        await asyncio.sleep(0)
        return is_child

    is_child = asyncio.run(main())
    logging.getLogger("opentelemetry").removeHandler(kept)
    return is_child, kept.lines


print("opentelemetry-sdk", version("opentelemetry-sdk"))
found = {with_span: seen(with_span) for with_span in (False, True)}
for with_span, (is_child, lines) in found.items():
    print("a span around the yield:", with_span)
    print("  the reader's own span is beneath another one:", is_child)
    print("  logged:", lines)
as_seen_before = found == {False: (False, []), True: (True, ["ERROR Failed to detach context"])}
print("as described" if as_seen_before else "changed")
raise SystemExit(0 if as_seen_before else 1)
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
