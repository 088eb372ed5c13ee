"""
Finds the items for given names: a mentor id means all items of the mentor, an item key one. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from proxy_orchestration._normal_forms import id_form
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
    exact = _by_name(items, str)
    alike = _by_name(items, id_form)
    if strangers := sorted(name for name in names if id_form(name) not in alike):
        raise UnknownMentorError(strangers)
    named: dict[str, str] = {}
    for name in names:
        # Batches of before the two were one may hold both; who is named exactly is meant.
        group = exact.get(name) or alike[id_form(name)]
        for item in [item for item in group if is_meant(item, name)] or group:
            if item.item_key in named:
                raise DuplicateSelectionError([item.item_key])
            named[item.item_key] = name
    return named


def _by_name(items: Sequence[StoredItem], form: Callable[[str], str]) -> Mapping[str, list[StoredItem]]:
    """
    Return whom each name stands for; a mentor's id comes before an item key.
    """
    of_mentor: defaultdict[str, list[StoredItem]] = defaultdict(list)
    for item in items:
        of_mentor[form(item.mentor_id)].append(item)
    return {form(item.item_key): [item] for item in items} | of_mentor
