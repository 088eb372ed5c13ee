#!/usr/bin/env bash
# anyio 4.16.0 on asyncio, CPython 3.11 or newer: `Task.cancel()` of a task that waits at the end of an
# anyio task group can be lost. The group was cancelled by its own scope a moment before, and one of its
# children leaves a scope of its own that was cancelled too. That scope hands its count of cancellation
# requests on to the group's, and the group then takes as many back from the parent task, the host's
# request among them: the parent returns normally, `cancelling()` is 0, and nobody raises CancelledError.
# Without the child's own scope the same request comes out at every moment.
#
# Exits with 0 while that is so, and with 1 once it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet anyio==4.16.0
cat >"$folder/show.py" <<'PYTHON'
import asyncio
from importlib.metadata import version

import anyio


async def parent(own_scope):
    async def child():
        with anyio.CancelScope() as scope:
            if own_scope:
                scope.cancel()
            try:
                await anyio.sleep(5)
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.01)

    async with anyio.create_task_group() as group:
        group.start_soon(child)
        await anyio.sleep(0)
        await anyio.sleep(0)
        group.cancel_scope.cancel()


async def cancelled_at(step, own_scope):
    task = asyncio.ensure_future(parent(own_scope))
    for _ in range(step):
        await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return "came out"
    return f"lost, {task.cancelling()} requests left"


print("anyio", version("anyio"))
seen = {}
for own_scope in (False, True):
    seen[own_scope] = [asyncio.run(cancelled_at(step, own_scope)) for step in range(1, 7)]
    print("the child has a cancelled scope of its own:", own_scope, seen[own_scope])
as_seen_before = set(seen[False]) == {"came out"} and "lost, 0 requests left" in seen[True]
print("as described" if as_seen_before else "changed")
raise SystemExit(0 if as_seen_before else 1)
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
