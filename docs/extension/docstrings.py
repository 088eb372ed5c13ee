"""
Docstrings completed before they are parsed: fields, members, checks, and errors one by one.
"""

from __future__ import annotations

import enum
import inspect
import io
import re
import textwrap
import tokenize
import typing
from collections.abc import Iterable, Iterator, Sequence

import attrs

from proxy_orchestration import errors

from . import aliases
from .links import entry_of
from .signatures import default_of

ENTRY = re.compile(r"(?P<names>\w+(?:, \w+)*):(?: (?P<text>.*))?$")
INDENT = "    "


def complete(_app: object, what: str, _name: str, obj: object, _options: object, lines: list[str]) -> None:
    """
    Answer autodoc: rewrite the lines of one docstring in place.
    """
    if what in {"class", "exception"} and isinstance(obj, type):
        lines[:] = [*_bases_of(obj), *_with_fields(lines, obj)]
    if isinstance(obj, type) and issubclass(obj, errors.OrchestrationError):
        lines += ["", f"Its `error_code` is `{obj.error_code}`."]
    if isinstance(obj, type) and issubclass(obj, enum.Enum):
        lines += _table(["Member", "Value", "Meaning"], _members_of(obj))
    lines[:] = _with_single_errors(lines)


def replace(_app: object, what: str, name: str, obj: object, _options: object, lines: list[str]) -> None:
    """
    Answer autodoc after napoleon, which takes a colon in the first line of a value for a type.
    """
    if what == "property":
        lines[:] = _with_single_errors((inspect.getdoc(obj) or "").splitlines())
    if what == "data":
        lines[:] = aliases.told(name, obj)
        if isinstance(obj, tuple) and all(hasattr(check, "body") for check in obj):
            lines += _table(["Check", "What holds"], _checks_of(obj))


def _bases_of(cls: type) -> list[str]:
    """
    Name the bases that have an entry; what Python or a private module gives says nothing to a reader.
    """
    entries = [entry for base in cls.__bases__ if (entry := entry_of(base.__name__))]
    named = " and ".join(f":py:obj:`~{entry}`" for entry in entries)
    return [f"Extends {named}.", ""] if named else []


def _section(lines: Sequence[str], title: str) -> tuple[int, int] | None:
    """
    Return where the section's body begins and ends.
    """
    if f"{title}:" not in lines:
        return None
    start = end = lines.index(f"{title}:") + 1
    while end < len(lines) and (not lines[end] or lines[end].startswith(" ")):
        end += 1
    return start, end


def _entries(body: Iterable[str]) -> Iterator[str]:
    """
    Yield each entry of a section in one line; a deeper indent, or a comma before, continues it.
    """
    entry = ""
    for line in textwrap.dedent("\n".join(body)).splitlines():
        if entry and not line.startswith(" ") and not entry.endswith(","):
            yield entry
            entry = ""
        entry = f"{entry} {line.strip()}".strip()
    if entry:
        yield entry


def _with_fields(lines: list[str], cls: type) -> list[str]:
    """
    Turn the section `Attributes` into entries of their own, with type and default.
    """
    place = _section(lines, "Attributes")
    if place is None:
        return lines
    fields = {field.name: field for field in attrs.fields(cls)} if attrs.has(cls) else {}
    hints = typing.get_type_hints(cls)
    written = []
    for entry in _entries(lines[slice(*place)]):
        found = ENTRY.match(entry)
        if found is None:
            message = f"{cls.__qualname__}: no attribute and its meaning: {entry!r}"
            raise ValueError(message)
        for name in found["names"].split(", "):
            written += _attribute(name, found["text"] or "", hints.get(name), fields.get(name))
    return [*lines[: place[0] - 1], "", *written, *lines[place[1] :]]


def _attribute(name: str, text: str, hint: object, field: attrs.Attribute[typing.Any] | None) -> list[str]:
    options = [":no-contents-entry:"]
    if hint is not None:
        options.append(f":type: {aliases.shown(hint)}")
    if field is not None and field.default is not attrs.NOTHING:
        options.append(f":value: {default_of(field)}")
    body = [*options, "", text, ""]
    return [f".. py:attribute:: {name}", *(f"{INDENT}{line}" if line else "" for line in body)]


def _with_single_errors(lines: list[str]) -> list[str]:
    """
    Let every error of a section `Raises` stand by itself; one without a reason has its class's first line.
    """
    place = _section(lines, "Raises")
    if place is None:
        return lines
    fields = []
    for entry in _entries(lines[slice(*place)]):
        names, _, reason = entry.partition(":")
        fields += [
            f":raises {name}: {reason.strip() or _first_line_of(name)}"
            for name in names.rstrip(".").split(", ")
        ]
    return [*lines[: place[0] - 1], *fields, "", *lines[place[1] :]]


def _first_line_of(error: str) -> str:
    return (inspect.getdoc(getattr(errors, error)) or "").partition("\n")[0]


def _members_of(cls: type[enum.Enum]) -> Iterator[tuple[str, str, str]]:
    """
    Yield name, value and meaning; the meaning is the comment beside the member in the source.
    """
    source = textwrap.dedent(inspect.getsource(cls))
    comments = {
        token.line.split("=")[0].strip(): token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    for member in cls:
        yield f"``{member.name}``", f"``{member.value!r}``", comments.get(member.name, "")


def _checks_of(kit: Iterable[typing.Any]) -> Iterator[tuple[str, str]]:
    """
    Yield name and sentence; a check that says no more than its name is its name in words.
    """
    for check in kit:
        written = inspect.getdoc(check.body) or f"{check.name.replace('_', ' ').capitalize()}."
        yield f"``{check.name}``", " ".join(written.partition("\n\n")[0].split())


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """
    Write a table whose first row is its header.
    """
    lines = ["", ".. list-table::", f"{INDENT}:header-rows: 1", ""]
    for row in (titles, *rows):
        lines += [f"{INDENT}{'* -' if column == 0 else '  -'} {cell}" for column, cell in enumerate(row)]
    return [*lines, ""]
