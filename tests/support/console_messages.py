"""
Every message of the console, as it stands in the code and the templates.
"""

from __future__ import annotations

from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir

from proxy_orchestration.registration import batches
from proxy_orchestration.registration import reasons as reasons_module

CONSOLE = Path(__file__).parents[2] / "src" / "proxy_orchestration" / "console"
REGISTRATION = CONSOLE.parent / "registration"


def messages_in_code() -> Catalog:
    """
    Return the messages of the code, the templates, and the library's own reasons, which pages show.
    """
    catalog = Catalog(locale="nb")
    methods = [("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")]
    options = {"templates/**.html": {"trimmed": "false", "newstyle_gettext": "true", "silent": "false"}}
    found = extract_from_dir(
        str(CONSOLE),
        method_map=methods,
        options_map=options,
        keywords={"marked": None, "_": None, "gettext": None, "ngettext": (1, 2)},
    )
    for file, _line, message, _comments, context in found:
        catalog.add(message, locations=[(file, 1)], context=context)
    for reason in reasons():
        catalog.add(reason, locations=[("reasons", 1)])
    return catalog


def reasons() -> list[str]:
    """
    Return the sentences with which the library itself explains a failure.
    """
    found = [
        value.message
        for place in (reasons_module, batches)
        for value in vars(place).values()
        if isinstance(value, batches.Failure)
    ]
    return sorted(set(found))
