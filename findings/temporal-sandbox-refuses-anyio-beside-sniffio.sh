#!/usr/bin/env bash
# temporalio 1.35.0 with anyio 4.16.0: a workflow in a module that imports anyio passes the sandbox's
# validation, and no longer does once sniffio is installed, which anyio uses where it finds it. Nothing in
# the workflow changes: installing any package that depends on sniffio, as trio does, keeps a worker from
# starting. sniffio derives a class from threading.local, which the sandbox
# hands out as a proxy.
#
# Exits with 0 while that is so, and with 1 once it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet temporalio==1.35.0 anyio==4.16.0
cat >"$folder/flow.py" <<'PYTHON'
import anyio.lowlevel  # noqa: F401 - as a package does whose module holds the workflow
from temporalio import workflow


@workflow.defn
class Flow:
    @workflow.run
    async def run(self) -> str:
        return "done"
PYTHON
cat >"$folder/show.py" <<'PYTHON'
import asyncio
from importlib.metadata import version
from importlib.util import find_spec

from flow import Flow
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import _Definition

has_sniffio = find_spec("sniffio") is not None


async def validate():
    SandboxedWorkflowRunner().prepare_workflow(_Definition.must_from_class(Flow))  # as a worker does


try:
    asyncio.run(validate())
except RuntimeError as error:
    said = f"refused: {error}"
else:
    said = "accepted"
print("temporalio", version("temporalio"), "anyio", version("anyio"), "sniffio" if has_sniffio else "no sniffio")
print(said)
as_seen_before = said.startswith("refused: Restriction state not present") if has_sniffio else said == "accepted"
print("as described" if as_seen_before else "changed")
raise SystemExit(0 if as_seen_before else 1)
PYTHON
cd "$folder"
"$folder/venv/bin/python" show.py
"$folder/venv/bin/python" -m pip install --quiet sniffio==1.3.1
"$folder/venv/bin/python" show.py
