"""
How the documentation is built. Warnings are errors; see the `docs` session of the noxfile.
"""

import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from extension import aliases

_METADATA = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]

project = "proxy-orchestration"
author = _METADATA["authors"][0]["name"]
copyright = f"2026, {author}"
release = version = _METADATA["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "extension"]
exclude_patterns = ["_build"]
default_role = "literal"  # docstrings put names in single backticks; the extension links them
nitpicky = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
# Names that have no page of their own here: those of other libraries, and private ones.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!proxy_orchestration\.).*"),
    (r"py:.*", r"proxy_orchestration\.(.*\.)?_.*"),
    (r"py:.*", r"proxy_orchestration\..*\.(\w+T|[A-Z])"),  # type variables
    (r"py:.*", r"proxy_orchestration\.push\..*\.ServiceAccount"),  # what credentials hold
    (r"py:.*", r"proxy_orchestration\.registration\.shared_looks\..*"),  # what a stream reads by
    (r"py:.*", r"proxy_orchestration\.blocking\.calls\..*"),  # the thread that a blocking stream asks
]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_type_aliases = {name.rpartition(".")[2]: name for name in aliases.unions()}
autodoc_default_options = {"members": True, "exclude-members": "__init__, __new__"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
