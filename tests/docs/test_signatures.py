"""
The signatures that guides show have the arguments that the code has, in its order.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import attrs
import pytest

from proxy_orchestration.testing.contracts import Samples

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = {
    "guide-web.md": ("fastapi", "proxy_orchestration.web", "create_router"),
    "guide-console.md": ("fastapi", "proxy_orchestration.console", "create_console"),
    "guide-telemetry.md": ("opentelemetry", "proxy_orchestration.telemetry", "Telemetry"),
    "guide-expiry-production.md": ("google.auth", "proxy_orchestration.push.fcm", "FcmPushSender"),
}


@pytest.mark.parametrize("page", SHOWN)
def test_a_signature_that_a_guide_shows_has_the_arguments_of_the_code(page: str) -> None:
    """
    None is missing, and none is left of an earlier version.
    """
    needed, module, name = SHOWN[page]
    pytest.importorskip(needed)
    text = (DOCS / page).read_text("utf-8")
    found = re.search(rf"^```text\n({name}\(.*?\))\n(?! )", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    (shown,) = ast.parse(f"def {found[1]}: ...").body
    assert isinstance(shown, ast.FunctionDef)
    arguments = [each.arg for each in (*shown.args.args, *shown.args.kwonlyargs)]

    assert list(inspect.signature(getattr(importlib.import_module(module), name)).parameters) == arguments


def test_the_table_of_samples_has_every_one() -> None:
    """
    In the order of the class.
    """
    table = (DOCS / "guide-testing.md").read_text("utf-8").partition("`Samples` takes these")[2]
    rows = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)

    assert [field.name for field in attrs.fields(Samples)] == rows
