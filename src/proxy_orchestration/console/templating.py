"""
Sets up Jinja2 templates, once for each language.
"""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from proxy_orchestration.console.guard import TOKEN_FIELD
from proxy_orchestration.console.languages import LANGUAGES, translations


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("proxy_orchestration.console"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined] # the extension's
    environment.globals["LANGUAGES"] = LANGUAGES
    environment.globals["TOKEN_FIELD"] = TOKEN_FIELD
    return environment


def rendered(language: str, template: str, **values: object) -> str:
    """
    Return a template's HTML in a language.
    """
    return _environment(language).get_template(template).render(**values)
