"""
A batch's items by state, at the price of the current run's outcomes, however many runs there were.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, or_, select

from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql.dialect.lookups import one_by_one
from proxy_orchestration.storage.sql.registration.outcomes import SETTLED_IN_RUN
from proxy_orchestration.storage.sql.registration.rows import STATES
from proxy_orchestration.storage.sql.schema import DID_NOT_SUCCEED, outcomes, work

_newer = outcomes.alias("newer")
_OF_RUN = and_(work.c.batch == bindparam("b"), work.c.run == bindparam("r"))
# A run of older code says nothing of the others: each item's newest entry is looked for.
_COUNT_ALL = (
    select(outcomes.c.state, func.count())
    .where(
        outcomes.c.batch == bindparam("b"),
        ~one_by_one(
            _newer.c.batch == outcomes.c.batch,
            _newer.c.item == outcomes.c.item,
            _newer.c.run > outcomes.c.run,
        ),
        or_(outcomes.c.run == bindparam("r"), outcomes.c.item.not_in(select(work.c.item).where(_OF_RUN))),
    )
    .group_by(outcomes.c.state)
)
# By an index of these alone: a log of 100 000 outcomes takes 39 ms to read, and most items succeed.
_COUNT_OTHERS = (
    select(outcomes.c.state, func.count())
    .where(outcomes.c.batch == bindparam("b"), outcomes.c.sequence > bindparam("base"), DID_NOT_SUCCEED)
    .group_by(outcomes.c.state)
)
_LAST_PLACE = select(func.max(work.c.position)).where(_OF_RUN)
_LEFT_IN_DOUBT = select(func.count()).where(
    _OF_RUN, work.c.position > bindparam("claimed"), work.c.in_doubt, ~SETTLED_IN_RUN
)


def count_settled_states(connection: Connection, run: Any) -> dict[ItemState, int]:  # noqa: ANN401 - a row of runs
    """
    Return the items of the whole batch by state, but for those that are open in its current run.
    """
    key = {"b": run.batch, "r": run.run, "base": run.base}
    is_first = run.run == 1
    if run.counts_outside is None and not is_first:
        rows = connection.execute(_COUNT_ALL, key)
        return {STATES[state]: count for state, count in rows}
    counts = Counter({STATES[state]: count for state, count in connection.execute(_COUNT_OTHERS, key)})
    if succeeded := run.tail - run.base - counts.total():
        counts[ItemState.SUCCEEDED] = succeeded
    counts.update(_read(run.counts_outside or "{}"))
    return dict(counts)


def count_states(connection: Connection, run: Any) -> dict[ItemState, int]:  # noqa: ANN401 - a row of runs
    """
    Return the items of the whole batch by state.
    """
    unsettled = run.run_items - (run.tail - run.base)
    if _has_no_outcomes(run):
        counts, pending = _read(run.counts_outside or "{}"), run.run_items - run.claimed
    else:
        pending = min(unsettled, _count_pending(connection, run)) if unsettled else 0
        counts = count_settled_states(connection, run)
    counts |= {ItemState.PENDING: pending, ItemState.RUNNING: unsettled - pending}
    return {state: count for state, count in counts.items() if count}


def _has_no_outcomes(run: Any) -> bool:  # noqa: ANN401 - a row of runs
    """
    Return whether the run's own row tells all: whole pages of a list are of such batches.
    """
    is_whole = run.run == 1 or run.counts_outside is not None
    return is_whole and run.tail == run.base and run.cancel_wished_at is None


def _count_pending(connection: Connection, run: Any) -> int:  # noqa: ANN401 - a row of runs
    """
    Return what lies above the watermark: all of it, or after a cancel what is in doubt.
    """
    key = {"b": run.batch, "r": run.run, "claimed": run.claimed}
    if run.cancel_wished_at is not None:
        left: int = connection.execute(_LEFT_IN_DOUBT, key).scalar_one()
        return left
    last: int | None = connection.execute(_LAST_PLACE, key).scalar_one()
    claimed: int = run.claimed
    return max(0, (last or 0) - claimed)


def outside_text(settled: str, named: Mapping[ItemState, int]) -> str:
    """
    Return the counts of a batch whose run settled, without so many items that are in its next run.
    """
    left = Counter(_read(settled))
    left.subtract(named)
    return json.dumps({state.value: count for state, count in left.items() if count})


def _read(text: str) -> dict[ItemState, int]:
    return {STATES[state]: count for state, count in json.loads(text).items()}
