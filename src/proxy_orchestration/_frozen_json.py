"""
JSON values that cannot be changed, and their one canonical text.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Final, NoReturn, TypeAlias

from proxy_orchestration.errors import InvalidTypeError, InvalidValueError

Json: TypeAlias = "bool | int | float | str | tuple[Json, ...] | FrozenMapping | None"
"""A JSON value after `freeze`."""

MOST_LEVELS: Final = 50
"""Objects and lists within each other, the outermost counted, at the most."""

_ANY_LEVELS: Final = sys.maxsize
_MOST_BITS: Final = 1024  # what a float spans; beyond some thousand digits Python writes no number
_NAME: Final = "details"

_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False,
    allow_nan=False,
    sort_keys=True,
    separators=(",", ":"),
)


class FrozenMapping(dict[str, Json]):
    """
    A JSON object that cannot be changed; hashable, comparable, picklable, and a `dict` to every encoder.
    """

    # A dict and no other mapping: `json.dumps` takes nothing else for an object.
    __slots__ = ()

    def __init__(self, items: Mapping[str, object], *, levels: int = MOST_LEVELS) -> None:
        below = levels - 1
        # Texts are what most of them are, and need no look.
        super().__init__(
            {
                key if type(key) is str else _text_key(key): (
                    value if type(value) is str else freeze(value, levels=below)
                )
                for key, value in items.items()
            }
        )

    @classmethod
    def stored(cls, items: Mapping[str, object]) -> FrozenMapping:
        """
        Return what a store has kept, however deep an earlier version let it be.
        """
        return cls(items, levels=_ANY_LEVELS)

    def __hash__(self) -> int:  # type: ignore[override]  # a dict has none since it can be changed
        return hash(frozenset(self.items()))

    def __repr__(self) -> str:
        return f"FrozenMapping(keys={len(self)})"  # a host may keep an answer under a name

    def __reduce__(self) -> tuple[object, ...]:
        return type(self).stored, (dict(self),)

    def __copy__(self) -> FrozenMapping:
        return self

    def __deepcopy__(self, _memo: object) -> FrozenMapping:
        return self

    def __setitem__(self, *_arguments: Any, **_named: Any) -> NoReturn:  # noqa: ANN401 - whatever a dict takes
        msg = (
            "these details cannot be changed: copy them into a dict, change the dict, and make a new "
            "activity with it"
        )
        raise TypeError(msg)

    __delitem__ = __ior__ = __setitem__
    clear = pop = popitem = __setitem__

    def setdefault(self, *_arguments: Any, **_named: Any) -> NoReturn:  # noqa: ANN401 - whatever a dict takes
        self.__setitem__()

    def update(self, *_arguments: Any, **_named: Any) -> NoReturn:  # noqa: ANN401 - whatever a dict takes
        self.__setitem__()


def _text_key(key: object) -> str:
    if not isinstance(key, str):
        raise InvalidTypeError(
            _NAME, f"must be a JSON object, whose keys are strings, not {type(key).__name__}"
        )
    return key


def freeze(value: object, *, levels: int = MOST_LEVELS) -> Json:
    """
    Return the JSON value with its lists as tuples and its objects frozen.

    Raises:
        InvalidTypeError: a part of it is no JSON value; say so before it is stored.
        InvalidValueError: a number that JSON cannot say (NaN or an infinity) or that
            nobody can write, or more levels of objects and lists than these.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if not isinstance(value, Mapping | list | tuple):
        raise InvalidTypeError(
            _NAME,
            f"must not contain a {type(value).__name__}, which is not a JSON value: use strings, numbers, "
            "booleans, None, lists and dicts",
        )
    # Counted, so that what is nested in itself ends in a sentence and not in a RecursionError.
    if levels < 1:
        raise InvalidValueError(
            _NAME, f"must not nest objects and lists more than {MOST_LEVELS} levels deep: flatten them"
        )
    if isinstance(value, Mapping):
        return FrozenMapping(value, levels=levels)
    return tuple(freeze(part, levels=levels - 1) for part in value)


def _number(value: float) -> int | float:
    if isinstance(value, int):
        if value.bit_length() > _MOST_BITS:
            raise InvalidValueError(
                _NAME, f"must not contain whole numbers of more than {_MOST_BITS} bits: use a string"
            )
    elif value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - NaN is not itself
        raise InvalidValueError(_NAME, "must not contain NaN or infinity, which JSON does not have")
    return value


def canonical_json(value: object) -> str:
    """
    Return the value's one text: sorted keys, no blanks, no escapes beyond the needed.
    """
    return _ENCODER.encode(value)
