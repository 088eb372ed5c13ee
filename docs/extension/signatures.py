"""
The constructor of an attrs class, with its types and its defaults.
"""

from __future__ import annotations

import enum
import inspect
import sys
import typing
from collections.abc import Iterator
from types import ModuleType

import attrs
from sphinx.util.inspect import object_description, stringify_signature

LONGEST_DEFAULT = 120


class Shown:
    """
    A default whose repr is what a reader should see.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def signature_of(_app: object, what: str, _name: str, obj: object, *_: object) -> tuple[str, str] | None:
    """
    Answer autodoc: nothing for what nobody constructs, the fields for attrs, its own idea for the rest.
    """
    if what not in {"class", "exception"} or not isinstance(obj, type):
        return None
    if issubclass(obj, enum.Enum) or getattr(obj, "_is_protocol", False):
        return "", ""
    if not attrs.has(obj):
        return None
    return stringify_signature(constructor_of(obj), unqualified_typehints=True), ""


def constructor_of(cls: type) -> inspect.Signature:
    """
    Return the signature of an attrs class, types resolved, factories shown by what they make.
    """
    fields = {field.alias: field for field in attrs.fields(cls)}
    written = inspect.signature(cls)
    parameters = [
        parameter.replace(
            annotation=_resolved(parameter.annotation, cls, fields[name]),
            default=inspect.Parameter.empty
            if parameter.default is inspect.Parameter.empty
            else Shown(default_of(fields[name])),
        )
        for name, parameter in written.parameters.items()
    ]
    return written.replace(parameters=parameters, return_annotation=inspect.Signature.empty)


def default_of(field: attrs.Attribute[typing.Any]) -> str:
    """
    Return a field's default as a reader would write it; `...` where that would be no help.
    """
    default = field.default
    if not isinstance(default, attrs.Factory):
        return _described(default)
    if default.takes_self:
        return "..."
    if isinstance(default.factory, type) and default.factory.__module__ != "builtins":
        return f"{default.factory.__name__}()"
    return _described(default.factory())


def _described(value: object) -> str:
    text = object_description(value)
    return "..." if len(text) > LONGEST_DEFAULT or "<" in text else text


def _resolved(annotation: object, cls: type, field: attrs.Attribute[typing.Any]) -> object:
    """
    Evaluate an annotation where it was written: beside the class, a base of it, or the converter.

    A converter that takes any object, or does not say what, says less than the field.
    """
    if annotation in ("object", object, inspect.Parameter.empty) and field.converter is not None:
        annotation = field.type
    if not isinstance(annotation, str):
        return annotation
    for module in _modules(cls, field):
        try:
            return typing.get_type_hints(_carrier(annotation), vars(module))["value"]
        except NameError:
            continue
    return annotation


def _modules(cls: type, field: attrs.Attribute[typing.Any]) -> Iterator[ModuleType]:
    places = [field.converter, *cls.__mro__] if field.converter else [*cls.__mro__]
    for place in places:
        module = sys.modules.get(getattr(place, "__module__", ""))
        if module is not None:
            yield module


def _carrier(annotation: str) -> object:
    def carrier() -> None: ...

    carrier.__annotations__ = {"value": annotation}
    return carrier
