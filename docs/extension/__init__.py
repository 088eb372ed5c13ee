"""
What autodoc does not do by itself: attrs constructors, enum members, contract kits, links.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

from . import docstrings, links, signatures

BEFORE_NAPOLEON, AFTER_NAPOLEON = 400, 600


def setup(app: Sphinx) -> dict[str, Any]:
    """
    Connect each part with the event that it answers.
    """
    app.connect("autodoc-process-signature", signatures.signature_of)
    app.connect("autodoc-process-docstring", docstrings.complete, priority=BEFORE_NAPOLEON)
    app.connect("autodoc-process-docstring", docstrings.replace, priority=AFTER_NAPOLEON)
    app.connect("missing-reference", links.resolve)
    app.connect("doctree-read", links.link_names)
    return {"parallel_read_safe": True}
