"""
How the documentation is built. Warnings are errors; see the `docs` session of the noxfile.
"""

import tomllib
from pathlib import Path

_METADATA = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]

project = "proxy-orchestration"
author = _METADATA["authors"][0]["name"]
copyright = f"2026, {author}"
release = version = _METADATA["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
nitpicky = True
# Names that have no page of their own here: those of other libraries, and private ones.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!proxy_orchestration\.).*"),
    (r"py:.*", r"proxy_orchestration\.(.*\.)?_.*"),
]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "show-inheritance": True, "exclude-members": "__init__, __new__"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
