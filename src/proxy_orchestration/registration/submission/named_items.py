"""
Whom the names that a verb is given stand for: a mentor for all their items, an item key for one. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence

from proxy_orchestration.errors import DuplicateSelectionError, UnknownMentorError
from proxy_orchestration.registration.ledger import StoredItem


def names_of_items(
    items: Sequence[StoredItem], names: Collection[str], *, is_meant: Callable[[StoredItem, str], bool]
) -> dict[str, str]:
    """
    Return the name that each named item was given, by item key.

    Args:
        items: all of the batch.
        names: mentor ids and item keys.
        is_meant: whether an item of the mentor with that name can be dealt with; a mentor
            stands for those that can, or for all where none can, so that the verb says why.

    Raises:
        UnknownMentorError: a name is neither.
        DuplicateSelectionError: a name, or an item by two names, is given twice.
    """
    if len(set(names)) < len(names):
        raise DuplicateSelectionError(sorted(name for name, times in Counter(names).items() if times > 1))
    of_mentor: defaultdict[str, list[StoredItem]] = defaultdict(list)
    for item in items:
        of_mentor[item.mentor_id].append(item)
    by_key = {item.item_key: item for item in items}
    if strangers := sorted(name for name in names if name not in of_mentor and name not in by_key):
        raise UnknownMentorError(strangers)
    named: dict[str, str] = {}
    for name in names:
        group = of_mentor[name] if name in of_mentor else [by_key[name]]
        for item in [item for item in group if is_meant(item, name)] or group:
            if item.item_key in named:
                raise DuplicateSelectionError([item.item_key])
            named[item.item_key] = name
    return named
