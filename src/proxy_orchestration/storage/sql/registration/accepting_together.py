"""
Small batches that are accepted at once and driven from their first moment: one set of statements for all.

What each of them stores is what `opening.accept` stores; nothing here is
another way to read, and a batch that is more than plain is accepted alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import attrs
from sqlalchemy import Connection, Dialect, insert, literal, select
from sqlalchemy.sql.dml import ReturningInsert

from proxy_orchestration.errors import IdempotencyKeyReusedError, RecordRefusedError
from proxy_orchestration.registration.ledger import Acceptance, NewBatch
from proxy_orchestration.storage.sql.database.waiting_writes import Joint, Refused
from proxy_orchestration.storage.sql.dialect.differences import store_now
from proxy_orchestration.storage.sql.dialect.inserts import insert_rows, upserting_rows
from proxy_orchestration.storage.sql.dialect.json_tables import (
    json_instant,
    json_integer,
    json_number,
    json_rows,
    json_text,
)
from proxy_orchestration.storage.sql.dialect.texts import check_texts
from proxy_orchestration.storage.sql.dialect.types import instant_text
from proxy_orchestration.storage.sql.registration.first_leases import FIRST_FENCE, Beginning
from proxy_orchestration.storage.sql.registration.opening import accept, item_rows
from proxy_orchestration.storage.sql.registration.rows import FIRST_RUN, actor_text
from proxy_orchestration.storage.sql.schema import batch_keys, batches, items, runs, work

_MOST_ITEMS: Final = 100
"""A larger batch gains nothing, and would hold the others up."""

_NEW_KEYS, _KEY = json_rows("new_keys", *[json_text] * 5, json_instant)
_KEY_COLUMNS: Final = (
    "organization_id",
    "coordinator_id",
    "idempotency_key",
    "fingerprint",
    "batch_id",
    "accepted_at",
)
_NEW_BATCHES, _BATCH = json_rows(
    "new_batches", *[json_text] * 4, json_integer, json_instant, *[json_text] * 4
)
_INSERT_BATCHES = (
    insert(batches)
    .from_select(
        (
            "batch_id",
            "organization_id",
            "coordinator_id",
            "label",
            "total",
            "submitted_at",
            "mode",
            "on_conflict",
            "service_name",
            "trace_context",
            "run",
        ),
        select(*_BATCH, literal(FIRST_RUN)).select_from(_NEW_BATCHES),
    )
    .returning(batches.c.batch_id, batches.c.id)
)
_NEW_RUNS, (_OF_BATCH, _ACTOR, _OPENED_AT, _RUN_ITEMS, _TTL, _CLAIMED, _CALLED) = json_rows(
    "new_runs", json_integer, json_text, json_instant, json_integer, json_number, json_integer, json_integer
)
_INSERT_RUNS = insert(runs).from_select(
    (
        "batch",
        "actor",
        "opened_at",
        "run_items",
        "lease_ttl",
        "claimed",
        "called",
        "lease_until",
        "run",
        "base",
        "tail",
        "fence",
        "called_fence",
    ),
    select(
        _OF_BATCH,
        _ACTOR,
        _OPENED_AT,
        _RUN_ITEMS,
        _TTL,
        _CLAIMED,
        _CALLED,
        store_now() + _TTL,
        literal(FIRST_RUN),
        literal(0),
        literal(0),
        literal(FIRST_FENCE),
        literal(FIRST_FENCE),
    ).select_from(_NEW_RUNS),
)


@attrs.frozen
class NewDrivenBatch:
    """
    A batch, with its id, and how it is driven at once.
    """

    batch: NewBatch
    batch_id: str
    begin: Beginning


def joint_acceptance(batch: NewBatch, begin: Beginning | None) -> Joint[NewDrivenBatch, Acceptance] | None:
    """
    Return how the batch is accepted with others, or `None` where it is accepted alone.
    """
    is_plain = not batch.verdicts and not batch.overrides and len(batch.entries) <= _MOST_ITEMS
    if begin is None or batch.batch_id is None or not is_plain:
        return None
    return Joint(accept_all, NewDrivenBatch(batch, batch.batch_id, begin), size=len(batch.entries))


def accept_all(connection: Connection, given: Sequence[NewDrivenBatch], /) -> Sequence[Acceptance | Refused]:
    """
    Store the batches with their first runs and leases; one whose key is there already is looked for.
    """
    refused = {each.batch_id: error for each in given if (error := _refusal(each.batch))}
    new = _with_new_keys(connection, [each for each in given if each.batch_id not in refused])
    if new:
        _store(connection, new)
    stored = {each.batch_id for each in new}
    answers: list[Acceptance | Refused] = []
    for each in given:
        if each.batch_id in refused:
            answers.append(Refused(refused[each.batch_id]))
        elif each.batch_id in stored:
            answers.append(Acceptance(batch_id=each.batch_id, created=True))
        else:
            answers.append(_joined(connection, each))
    return answers


def _refusal(batch: NewBatch) -> RecordRefusedError | None:
    actor = batch.actor
    texts = batch.label, batch.idempotency_key, batch.service_name, batch.trace_context
    try:
        check_texts((*texts, actor.organization_id, actor.user_id))
    except RecordRefusedError as error:
        return error
    return None


def _with_new_keys(connection: Connection, given: Sequence[NewDrivenBatch]) -> Sequence[NewDrivenBatch]:
    """
    Return those that have no key, or are the first to have theirs.
    """
    rows = [
        (
            each.batch.actor.organization_id,
            each.batch.actor.user_id,
            each.batch.idempotency_key,
            each.batch.fingerprint,
            each.batch_id,
            instant_text(each.batch.submitted_at),
        )
        for each in given
        if each.batch.idempotency_key is not None
    ]
    if not rows:
        return given
    # In one order, so that two of these never wait for each other.
    told = {"new_keys": json.dumps(sorted(rows, key=lambda row: row[:3]))}
    first = set(connection.execute(_insert_keys(connection.dialect), told).scalars())
    return [each for each in given if each.batch.idempotency_key is None or each.batch_id in first]


@lru_cache(maxsize=8)
def _insert_keys(dialect: Dialect) -> ReturningInsert[*tuple[Any, ...]]:
    insert_keys = upserting_rows(batch_keys, dict(zip(_KEY_COLUMNS, _KEY, strict=True)), _NEW_KEYS, dialect)
    return insert_keys.on_conflict_do_nothing().returning(batch_keys.c.batch_id)


def _store(connection: Connection, new: Sequence[NewDrivenBatch]) -> None:
    headers = json.dumps([_header(each) for each in new])
    ids = {row.batch_id: row.id for row in connection.execute(_INSERT_BATCHES, {"new_batches": headers})}
    insert_rows(connection, items, [row for each in new for row in item_rows(each.batch, ids[each.batch_id])])
    connection.execute(
        _INSERT_RUNS, {"new_runs": json.dumps([_run(each, ids[each.batch_id]) for each in new])}
    )
    insert_rows(connection, work, [row for each in new for row in _work_rows(each, ids[each.batch_id])])


def _header(new: NewDrivenBatch) -> tuple[Any, ...]:
    batch = new.batch
    return (
        new.batch_id,
        batch.actor.organization_id,
        batch.actor.user_id,
        batch.label,
        len(batch.entries),
        instant_text(batch.submitted_at),
        batch.mode.value,
        batch.on_conflict.value,
        batch.service_name,
        batch.trace_context,
    )


def _run(new: NewDrivenBatch, batch: int) -> tuple[Any, ...]:
    begun = new.begin.columns(new.batch)
    return (
        batch,
        actor_text(new.batch.actor),
        instant_text(new.batch.submitted_at),
        len(new.batch.entries),
        begun["ttl"],
        begun["claimed_first"],
        begun["called_first"],
    )


def _work_rows(new: NewDrivenBatch, batch: int) -> Sequence[tuple[Any, ...]]:
    return [
        (batch, FIRST_RUN, position + 1, position, 0, False, None, None, None)
        for position in range(len(new.batch.entries))
    ]


def _joined(connection: Connection, new: NewDrivenBatch) -> Acceptance | Refused:
    """
    Find the batch that has the key already; should it have been purged meanwhile, this one is stored.
    """
    try:
        return accept(connection, new.batch, new.begin)
    except IdempotencyKeyReusedError as error:
        return Refused(error)
