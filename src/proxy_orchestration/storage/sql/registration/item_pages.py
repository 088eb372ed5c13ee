"""
Items of a batch as people read them: with their activities, and how each run settled them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, and_, bindparam, func, select

from proxy_orchestration.registration.activities import ProxyActivity, decode_activity
from proxy_orchestration.registration.batches import BatchItem, ItemAttempt, ItemPage, MentorOutcome
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.registration.outcomes import LOG_COLUMNS, SETTLED_IN_RUN
from proxy_orchestration.storage.sql.registration.rows import mentor_outcome
from proxy_orchestration.storage.sql.schema import LARGEST, batches, edits, items, outcomes, runs, work

_AT_ONCE: Final = 500
"""Items looked at by one question at the least, where most of them may be in another state."""

_LAST_WORK = (
    select(func.max(work.c.position))
    .where(work.c.batch == runs.c.batch, work.c.run == runs.c.run)
    .scalar_subquery()
)
_CURRENT_RUN = (
    select(
        runs.c.batch,
        runs.c.run,
        runs.c.claimed,
        runs.c.settled_at,
        batches.c.total,
        _LAST_WORK.label("last_work"),
    )
    .join(batches, and_(batches.c.id == runs.c.batch, batches.c.run == runs.c.run))
    .where(batches.c.batch_id == bindparam("wanted"))
)
_ITEMS = (
    select(items.c.position, items.c.mentor_id, items.c.item_key, items.c.activity)
    .where(items.c.batch == bindparam("b"), items.c.position.between(bindparam("low"), bindparam("high")))
    .order_by(items.c.position)
)
_EDITS = (
    select(edits.c.item, edits.c.run, edits.c.activity)
    .where(edits.c.batch == bindparam("b"), edits.c.item.between(bindparam("low"), bindparam("high")))
    .order_by(edits.c.run)
)
_OUTCOMES = (
    select(*LOG_COLUMNS, outcomes.c.item, outcomes.c.run)
    .where(outcomes.c.batch == bindparam("b"), outcomes.c.item.between(bindparam("low"), bindparam("high")))
    .order_by(outcomes.c.item, outcomes.c.run)
)
# Work is dense and in request order, so an item stands at most as many places before its own as are left out.
_OPEN = select(work.c.item, work.c.position).where(
    work.c.batch == bindparam("b"),
    work.c.run == bindparam("r"),
    work.c.position.between(bindparam("first_place"), bindparam("high") + 1),
    work.c.item.between(bindparam("low"), bindparam("high")),
    ~SETTLED_IN_RUN,
)


def read_item_page(
    connection: Connection,
    batch_id: str,
    /,
    *,
    states: Collection[ItemState] | None,
    after: int,
    limit: int,
) -> ItemPage:
    """
    Return at most `limit` items that follow the place `after`, in request order.
    """
    run = connection.execute(_CURRENT_RUN, {"wanted": findable(batch_id)}).one_or_none()
    at_once = limit + 1 if states is None else max(_AT_ONCE, limit + 1)
    found: list[_Found] = []
    for item in () if run is None else _items_after(connection, run, after, at_once):
        if states is None or item.outcome.state in states:
            found.append(item)
            if len(found) > limit:
                break
    more = len(found) > limit
    page = tuple(item.shown() for item in found[:limit])
    return ItemPage(items=page, next_after=page[-1].place if more else None)


class _Found(NamedTuple):
    """
    An item whose activities are still texts, since most that are looked at may not be shown.
    """

    place: int
    outcome: MentorOutcome
    texts: list[tuple[int, str]]
    """The activity as accepted, and from which run on it was which other one."""
    told: Sequence[tuple[int, MentorOutcome]]

    def shown(self) -> BatchItem:
        history = tuple(
            ItemAttempt(run=run, outcome=outcome, activity=self._activity_of(run))
            for run, outcome in self.told
        )
        return BatchItem(
            place=self.place, activity=self._activity_of(LARGEST), outcome=self.outcome, history=history
        )

    def _activity_of(self, run: int) -> ProxyActivity:
        return decode_activity([text for since, text in self.texts if since <= run][-1])


def _items_after(
    connection: Connection, run: Row[*tuple[Any, ...]], after: int, at_once: int
) -> Iterator[_Found]:
    for low in range(after, run.total, at_once):
        yield from _part(connection, run, low, min(low + at_once, run.total) - 1)


def _part(connection: Connection, run: Row[*tuple[Any, ...]], low: int, high: int) -> Iterator[_Found]:
    asked = {"b": run.batch, "low": low, "high": high}
    entries = {row.position: row for row in connection.execute(_ITEMS, asked)}
    texts = {position: [(0, row.activity)] for position, row in entries.items()}
    for item, number, text in connection.execute(_EDITS, asked):
        texts[item].append((number, text))
    history: dict[int, list[tuple[int, MentorOutcome]]] = {}
    for row in connection.execute(_OUTCOMES, asked):
        of = entries[row.item]
        outcome = mentor_outcome(of.mentor_id, of.item_key, row[: len(LOG_COLUMNS)])
        history.setdefault(row.item, []).append((row.run, outcome))
    places = _open_places(connection, run, low, high)
    for position, (_, mentor_id, own_key, _) in entries.items():
        told: Sequence[tuple[int, MentorOutcome]] = history.get(position, [])
        if position in places:
            state = ItemState.RUNNING if places[position] <= run.claimed else ItemState.PENDING
            now = MentorOutcome(mentor_id=mentor_id, state=state, item_key=own_key or mentor_id)
        else:
            _, now = told[-1]
        yield _Found(position + 1, now, texts[position], told)


def _open_places(connection: Connection, run: Row[*tuple[Any, ...]], low: int, high: int) -> dict[int, int]:
    """
    Return the places in the current run's work of those items that it has yet to settle.
    """
    if run.settled_at is not None or run.last_work is None:
        return {}
    first_place = max(1, low + 1 - (run.total - run.last_work))
    asked = {"b": run.batch, "r": run.run, "low": low, "high": high, "first_place": first_place}
    return {row.item: row.position for row in connection.execute(_OPEN, asked)}
