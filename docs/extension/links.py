"""
A public name in code type leads to its entry, in pages and in docstrings alike.
"""

from __future__ import annotations

import enum
import importlib
from functools import cache

from docutils import nodes
from sphinx.addnodes import desc_signature, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

MODULES = (
    "proxy_orchestration",
    "proxy_orchestration.ports",
    "proxy_orchestration.registration.flow",
    "proxy_orchestration.storage.memory",
    "proxy_orchestration.storage.sql",
    "proxy_orchestration.push.fcm",
    "proxy_orchestration.telemetry",
    "proxy_orchestration.testing",
)
"""Where names are public; a name that is in two of them has its entry in the first."""


def link_names(_app: Sphinx, doctree: nodes.document) -> None:
    """
    Answer Sphinx: wrap each name into a reference, save where one stands already, or in a title.
    """
    for literal in list(doctree.findall(nodes.literal)):
        target = entry_of(literal.astext().removesuffix("()"))
        if target is None or _is_placed(literal):
            continue
        reference = pending_xref(
            "", refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refwarn=True
        )
        reference.source, reference.line = literal.source, literal.line
        literal.replace_self(reference)
        reference += literal


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """
    Answer Sphinx: a name that was followed to the module that makes it has its entry where it is public.
    """
    target = node["reftarget"]
    entry = entry_of(target.rpartition(".")[2]) if target.startswith("proxy_orchestration.") else None
    if entry is None or entry == target or node.get("refdomain") != "py":
        return None
    return env.domains.python_domain.resolve_xref(
        env, node["refdoc"], app.builder, "obj", entry, node, content
    )


def _is_placed(node: nodes.Node) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, pending_xref | nodes.reference | nodes.title | desc_signature):
            return True
    return False


def entry_of(text: str) -> str | None:
    """
    Return the full name of the entry that a reader looks for; a member's row is in its enum's table.
    """
    name, _, member = text.partition(".")
    module = _entries().get(name)
    if module is None:
        return None
    owner = getattr(importlib.import_module(module), name)
    is_enum = isinstance(owner, type) and issubclass(owner, enum.Enum)
    return f"{module}.{name}" if is_enum or not member else f"{module}.{name}.{member}"


@cache
def _entries() -> dict[str, str]:
    """
    Return the module of every name that is no ordinary word: those are not meant by prose.
    """
    found: dict[str, str] = {}
    for module in MODULES:
        for name in importlib.import_module(module).__all__:
            if "_" in name or not name.islower():
                found.setdefault(name, module)
    return found
