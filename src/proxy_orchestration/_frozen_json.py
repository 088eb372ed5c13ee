"""
JSON values that cannot be changed, and their one canonical text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

Json: TypeAlias = "bool | int | float | str | tuple[Json, ...] | FrozenMapping | None"
"""A JSON value after `freeze`."""

_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False,
    allow_nan=False,
    sort_keys=True,
    separators=(",", ":"),
    default=lambda value: value.thawed(),
)


class FrozenMapping(Mapping[str, Json]):
    """
    A JSON object that cannot be changed; hashable, comparable, picklable.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, object]) -> None:
        self._items: dict[str, Json] = {_text_key(key): freeze(value) for key, value in items.items()}

    def __getitem__(self, key: str) -> Json:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"FrozenMapping(keys={len(self)})"  # a host may keep an answer under a name

    def thawed(self) -> dict[str, Json]:
        """
        Return a plain dictionary of this level, for an encoder.
        """
        return dict(self._items)


def _text_key(key: object) -> str:
    if not isinstance(key, str):
        msg = f"a JSON object's keys must be strings, not {type(key).__name__}"
        raise TypeError(msg)
    return key


def freeze(value: object) -> Json:
    """
    Return the JSON value with its lists as tuples and its objects frozen.

    Raises:
        TypeError: a part of it is no JSON value; say so before it is stored.
        ValueError: a number that JSON cannot say (NaN or an infinity).
    """
    if value is None or isinstance(value, bool | int | str | FrozenMapping):
        return value
    if isinstance(value, float):
        if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - NaN is not itself
            msg = "JSON has no NaN and no infinity"
            raise ValueError(msg)
        return value
    if isinstance(value, Mapping):
        return FrozenMapping(value)
    if isinstance(value, list | tuple):
        return tuple(freeze(part) for part in value)
    msg = f"{type(value).__name__} is no JSON value; use strings, numbers, booleans, None, lists and dicts"
    raise TypeError(msg)


def canonical_json(value: object) -> str:
    """
    Return the value's one text: sorted keys, no blanks, no escapes beyond the needed.
    """
    return _ENCODER.encode(value)
