"""
Commits of several runs at once that only bring outcomes: one set of statements for all.

What each of them stores is what `runs.commit` stores. Whose lease is lost finds
no row to change, and nothing of it is written; the others do not notice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import attrs
from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Row,
    Select,
    and_,
    func,
    select,
)
from sqlalchemy.sql.dml import ReturningInsert

from proxy_orchestration.errors import LeaseLostError
from proxy_orchestration.registration.runs import Commit, Committed, Lease
from proxy_orchestration.storage.sql.database.waiting_writes import Joint, Refused
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.dialect.inserts import insert_rows
from proxy_orchestration.storage.sql.dialect.json_tables import (
    json_integer,
    json_number,
    json_rows,
    json_text,
)
from proxy_orchestration.storage.sql.dialect.lookups import looked_up
from proxy_orchestration.storage.sql.dialect.texts import findable
from proxy_orchestration.storage.sql.registration.changed_runs import KEY, change, changing
from proxy_orchestration.storage.sql.registration.outcomes import log_rows
from proxy_orchestration.storage.sql.registration.runs import (
    COUNTED,
    called_after,
    commit,
    without_a_claim,
)
from proxy_orchestration.storage.sql.schema import batches, outcomes, runs

MOST_OUTCOMES: Final = 100
"""A larger commit gains nothing, and would hold the others up."""

_TOLD, (_OF, _RUN, _HELD, _SETTLED, _DRIVEN, _SINCE, _CALLED, _ALONE, _TTL) = json_rows(
    "told",
    *[json_integer] * 4,
    *[json_number] * 2,
    *[json_integer] * 2,
    json_number,
)
_SAID: Final[Mapping[str, ColumnElement[Any]]] = {
    "batch": _OF,
    "run": _RUN,
    "fence": _HELD,
    "tail": _SETTLED,
    "driven_for": _DRIVEN,
    "first_call_at": _SINCE,
    "called": _CALLED,
    "alone": _ALONE,
    "lease_ttl": _TTL,
}


@attrs.frozen(eq=False)
class Told:
    """
    What a driver tells of its run.
    """

    lease: Lease
    commit: Commit


def only_tells(commit: Commit) -> bool:
    """
    Return whether a commit brings a few outcomes and asks for nothing, and leaves nothing behind to be kept.
    """
    return (
        not commit.claim
        and not commit.unfinished
        and commit.called is not None
        and len(commit.outcomes) <= MOST_OUTCOMES
    )


def joint_commit(lease: Lease, commit: Commit, /) -> Joint[Told, Committed] | None:
    """
    Return how the commit is done with others, or `None` where it is done alone.
    """
    if not only_tells(commit):
        return None
    return Joint(commit_all, Told(lease, commit), size=len(commit.outcomes))


def commit_all(connection: Connection, given: Sequence[Told], /) -> Sequence[Committed | Refused]:
    """
    Append the outcomes and renew the leases; whose lease is lost is refused.

    Who lost it, and a second commit of one run, are left to statements of their own.
    """
    id_of = _ids(connection, (each.lease.batch_id for each in given))
    first = {each.lease.batch_id: each for each in reversed(given) if each.lease.batch_id in id_of}
    written = write_all(connection, list(first.values()), id_of) if first else {}
    return [
        without_a_claim(written[each]) if each in written else _commit_alone(connection, each)
        for each in given
    ]


def _commit_alone(connection: Connection, told: Told) -> Committed | Refused:
    try:
        return commit(connection, told.lease, told.commit)
    except LeaseLostError as error:  # nothing was written of it
        return Refused(error)


def _ids(connection: Connection, batch_ids: Iterable[str]) -> Mapping[str, int]:
    wanted = json.dumps([[findable(each)] for each in batch_ids])
    rows = connection.execute(_identify(connection.dialect), {"wanted_ids": wanted})
    return {row.batch_id: row.id for row in rows}


@lru_cache(maxsize=8)
def _identify(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    wanted, (batch_id,) = json_rows("wanted_ids", json_text)
    joined, batch = looked_up(wanted, batches, batches.c.batch_id == batch_id, dialect)
    return select(batch.c.id, batch.c.batch_id).select_from(joined)


def write_all(
    connection: Connection, given: Sequence[Told], id_of: Mapping[str, int]
) -> Mapping[Told, Row[Any]]:
    """
    Do what each commit says of its run's row and its log, one for each batch; return the rows.

    Whose lease is lost has none.
    """
    told = [_told(each, id_of[each.lease.batch_id]) for each in given]
    run_of = change(connection, _write(connection.dialect), "told", told)
    written = {each: run_of[batch] for each in given if (batch := id_of[each.lease.batch_id]) in run_of}
    insert_rows(
        connection, outcomes, [row for each, run in written.items() for row in _log(each, run, connection)]
    )
    return written


def _told(each: Told, batch: int) -> tuple[Any, ...]:
    lease, says = each.lease, each.commit
    return (
        batch,
        lease.run,
        lease.fence,
        len(says.outcomes),
        float(says.driven_for),
        says.since_first_call,
        says.called,
        says.alone,
        float(says.ttl),
    )


def _log(told: Told, run: Row[Any], connection: Connection) -> list[tuple[Any, ...]]:
    settled = told.commit.outcomes
    after = run.tail - len(settled)
    return log_rows(settled, batch=run.batch, run=run.run, after=after, dialect=connection.dialect)


@lru_cache(maxsize=8)
def _write(dialect: Dialect) -> ReturningInsert[*tuple[Any, ...]]:
    upsert = changing(_TOLD, _SAID, dialect)
    says = upsert.excluded
    return upsert.on_conflict_do_update(
        index_elements=KEY,
        set_={
            "tail": runs.c.tail + says.tail,
            "called": called_after(says.called),
            "called_fence": runs.c.fence,
            "alone": says.alone,
            "first_call_at": func.coalesce(runs.c.first_call_at, store_now() - says.first_call_at),
            "driven_for": runs.c.driven_for + says.driven_for,
            "lease_until": store_now() + says.lease_ttl,
            "lease_ttl": says.lease_ttl,
        },
        where=and_(runs.c.settled_at.is_(None), runs.c.fence == says.fence),
    ).returning(*COUNTED, runs.c.actor, runs.c.claimed, runs.c.cancel_wished_at, runs.c.paused_at)
