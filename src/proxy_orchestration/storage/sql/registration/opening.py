"""
Batches and runs come into being, and are cancelled.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeVar

import attrs
from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Row,
    and_,
    bindparam,
    func,
    insert,
    literal,
    select,
    update,
)

from proxy_orchestration.access import Actor
from proxy_orchestration.errors import (
    BatchStateError,
    IdempotencyKeyReusedError,
    StaleRunError,
)
from proxy_orchestration.registration.activities import ProxyActivity, encode_activities, encode_activity
from proxy_orchestration.registration.conflicts import Override
from proxy_orchestration.registration.ledger import Acceptance, NewBatch, NewRun, RunPurpose, Verdict
from proxy_orchestration.registration.runs import CancelMark
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql.dialect.inserts import insert_or_ignore, insert_rows
from proxy_orchestration.storage.sql.dialect.lookups import one_by_one
from proxy_orchestration.storage.sql.dialect.texts import check_texts, findable
from proxy_orchestration.storage.sql.registration.counts import outside_text
from proxy_orchestration.storage.sql.registration.first_leases import INSERT_DRIVEN_RUN, Beginning
from proxy_orchestration.storage.sql.registration.items import next_keys
from proxy_orchestration.storage.sql.registration.locks import lock_batch
from proxy_orchestration.storage.sql.registration.outcomes import cancel_unclaimed
from proxy_orchestration.storage.sql.registration.rows import FIRST_RUN, actor_text
from proxy_orchestration.storage.sql.schema import batch_keys, batches, edits, items, outcomes, runs, work

T = TypeVar("T")

_SLICE: Final = 2000

_KEY_HOLDER = (
    select(batch_keys.c.fingerprint, batch_keys.c.batch_id, batches.c.id)
    .select_from(batch_keys.outerjoin(batches, batches.c.batch_id == batch_keys.c.batch_id))
    .where(
        batch_keys.c.organization_id == bindparam("organization_id"),
        batch_keys.c.coordinator_id == bindparam("coordinator_id"),
        batch_keys.c.idempotency_key == bindparam("idempotency_key"),
    )
)
_INSERT_BATCH = insert(batches).returning(batches.c.id)


def _first_work(place: ColumnElement[int], *conditions: ColumnElement[bool]) -> Insert:
    columns = ("batch", "run", "position", "item", "epoch", "in_doubt")
    values = (items.c.batch, literal(FIRST_RUN), place, items.c.position, literal(0), literal(value=False))
    return insert(work).from_select(
        columns, select(*values).where(items.c.batch == bindparam("b"), *conditions)
    )


_FIRST_WORK = _first_work(items.c.position + 1)
_FIRST_WORK_BUT_JUDGED = _first_work(
    func.row_number().over(order_by=items.c.position),
    ~one_by_one(outcomes.c.batch == items.c.batch, outcomes.c.item == items.c.position),
)
_FIRST_OVERRIDES = (
    update(work)
    .where(work.c.batch == bindparam("b"), work.c.run == FIRST_RUN, work.c.position == bindparam("place"))
    .values(
        override_of=bindparam("activity_id"),
        override_by=bindparam("decided_by"),
        override_at=bindparam("decided_at"),
    )
)
_EDIT = (
    update(items)
    .where(items.c.batch == bindparam("b"), items.c.position == bindparam("place"))
    .values(edited=bindparam("text"))
)
_CURRENT_RUN = (
    select(runs, batches.c.total)
    .join(batches, and_(batches.c.id == runs.c.batch, batches.c.run == runs.c.run))
    .where(batches.c.batch_id == bindparam("wanted"))
    .with_for_update(of=runs)
)
_WISH = (
    update(runs)
    .where(runs.c.batch == bindparam("b"), runs.c.run == bindparam("r"))
    .values(
        cancel_wished_at=bindparam("at"),
        cancel_reason=bindparam("reason"),
        cancelled_by=bindparam("by"),
        cancel_tail=runs.c.tail,
        due_at=0.0,
        tail=runs.c.tail + bindparam("cancelled"),
    )
)


def accept(connection: Connection, new: NewBatch, begin: Beginning | None = None) -> Acceptance:
    """
    Store the batch and its first run, or find the batch that its key already is.

    With `begin` the first run has its driver from the start.
    """
    check_texts((new.label, new.idempotency_key, new.service_name, new.trace_context))
    batch_id = new.batch_id or uuid.uuid4().hex
    if new.idempotency_key is not None:
        key = _key(new.actor, new.idempotency_key)
        held = {"fingerprint": new.fingerprint, "batch_id": batch_id, "accepted_at": new.submitted_at}
        row = {**key, **held}
        if not insert_or_ignore(connection, batch_keys, row):
            known = connection.execute(_KEY_HOLDER, key).one()
            return Acceptance(batch_id=_joined(known, new.fingerprint), created=False)
    _store(connection, new, batch_id, begin)
    return Acceptance(batch_id=batch_id, created=True)


def find_by_key(
    connection: Connection, actor: Actor, idempotency_key: str, fingerprint: str, /
) -> str | None:
    """
    Return the batch that the actor's key and this fingerprint became, or `None`.
    """
    known = connection.execute(_KEY_HOLDER, _key(actor, findable(idempotency_key))).one_or_none()
    return None if known is None else _joined(known, fingerprint)


def _key(actor: Actor, idempotency_key: str) -> dict[str, str]:
    return {
        "organization_id": actor.organization_id,
        "coordinator_id": actor.user_id,
        "idempotency_key": idempotency_key,
    }


def _joined(known: Row[*tuple[Any, ...]], fingerprint: str) -> str:
    batch_id: str = known.batch_id
    if known.id is None:
        raise IdempotencyKeyReusedError(batch_id, deleted=True)
    if known.fingerprint != fingerprint:
        raise IdempotencyKeyReusedError(batch_id)
    return batch_id


def _store(connection: Connection, new: NewBatch, batch_id: str, begin: Beginning | None) -> None:
    batch = connection.execute(
        _INSERT_BATCH,
        {
            "batch_id": batch_id,
            "organization_id": new.actor.organization_id,
            "coordinator_id": new.actor.user_id,
            "label": new.label,
            "total": len(new.entries),
            "submitted_at": new.submitted_at,
            "run": FIRST_RUN,
            "mode": new.mode.value,
            "on_conflict": new.on_conflict.value,
            "service_name": new.service_name,
            "trace_context": new.trace_context,
        },
    ).scalar_one()
    for rows in _sliced(item_rows(new, batch)):
        insert_rows(connection, items, rows)
    judged = [
        _verdict_row(batch, FIRST_RUN, position, new.verdicts[entry.item_key], new.submitted_at)
        for position, entry in enumerate(new.entries)
        if entry.item_key in new.verdicts
    ]
    driven = None if begin is None else begin.columns(new)
    _insert_run(
        connection, batch, FIRST_RUN, new, items=len(new.entries), base=0, judged=judged, driven=driven
    )
    connection.execute(_FIRST_WORK_BUT_JUDGED if judged else _FIRST_WORK, {"b": batch})
    if overridden := _first_overrides(new, batch):
        connection.execute(_FIRST_OVERRIDES, overridden)


def _first_overrides(new: NewBatch, batch: int) -> list[dict[str, Any]]:
    """
    Return the overrides by their place in run 1, which is the key of its work.
    """
    sent = (entry.item_key for entry in new.entries if entry.item_key not in new.verdicts)
    return [
        {"b": batch, "place": place, **attrs.asdict(new.overrides[item_key])}
        for place, item_key in enumerate(sent, start=1)
        if item_key in new.overrides
    ]


def item_rows(new: NewBatch, batch: int) -> Iterator[tuple[Any, ...]]:
    """
    Return what is stored of a batch's items, each in the order of the table's columns.
    """
    texts = encode_activities(entry.activity for entry in new.entries)
    for position, (entry, text) in enumerate(zip(new.entries, texts, strict=True)):
        own_key = entry.item_key if entry.item_key != entry.mentor_id else None
        yield batch, position, entry.mentor_id, text, own_key, None


def _sliced(rows: Iterator[T]) -> Iterator[list[T]]:
    while part := list(islice(rows, _SLICE)):
        yield part


def _verdict_row(  # noqa: PLR0913 - one row's columns
    batch: int, run: int, item: int, verdict: Verdict, at: datetime, *, epoch: int = 0, in_doubt: bool = False
) -> dict[str, Any]:
    failure = verdict.failure
    return {
        "batch": batch,
        "run": run,
        "item": item,
        "state": verdict.stored_state(in_doubt=in_doubt).value,
        "activity_id": None,
        "code": failure.code,
        "message": failure.message,
        "retryable": failure.retryable,
        "conflicting_activity_id": verdict.conflicting_activity_id,
        "attempts": 0,
        "settled_at": at,
        "epoch": epoch,
        "in_doubt": in_doubt,
    }


def _insert_run(  # noqa: PLR0913 - one row's columns
    connection: Connection,
    batch: int,
    run: int,
    new: NewBatch | NewRun,
    *,
    items: int,
    base: int,
    judged: Sequence[dict[str, Any]],
    said: dict[str, str | None] | None = None,
    driven: dict[str, Any] | None = None,
) -> None:
    connection.execute(
        insert(runs) if driven is None else INSERT_DRIVEN_RUN,
        {
            "batch": batch,
            "run": run,
            "actor": actor_text(new.actor),
            "opened_at": new.submitted_at if isinstance(new, NewBatch) else new.opened_at,
            "run_items": items,
            "base": base,
            "tail": base + len(judged),
            **(said or {}),
            **(driven or {}),
        },
    )
    if judged:
        connection.execute(
            insert(outcomes),
            [{**row, "sequence": base + number} for number, row in enumerate(judged, start=1)],
        )


def open_run(connection: Connection, run: NewRun, /) -> int:
    """
    Open the next run over these items and return its number.
    """
    current = _current_run(connection, run)
    batch: int = current.batch
    number: int = current.run + 1
    judged: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    edited: dict[int, ProxyActivity] = {}
    named: Counter[ItemState] = Counter()
    for item_key, item, state, epoch, in_doubt in next_keys(connection, batch, run):
        named[state] += 1
        if item_key in run.activities:
            edited[item] = run.activities[item_key]
        if item_key in run.verdicts:
            verdict = run.verdicts[item_key]
            judged.append(
                _verdict_row(batch, number, item, verdict, run.opened_at, epoch=epoch, in_doubt=in_doubt)
            )
        else:
            row = {"batch": batch, "run": number, "item": item, "epoch": epoch, "in_doubt": in_doubt}
            rows.append(row | _override_columns(run.overrides.get(item_key)))
    _edit(connection, batch, number, edited)
    _insert_run(
        connection,
        batch,
        number,
        run,
        items=len(run.mentor_ids),
        base=current.tail,
        judged=judged,
        said=_people_after(current, run) | {"counts_outside": outside_text(current.counts, named)},
    )
    if rows:
        connection.execute(
            insert(work), [{**row, "position": position} for position, row in enumerate(rows, start=1)]
        )
    connection.execute(update(batches).where(batches.c.id == batch).values(run=number))
    return number


def _people_after(current: Row[Any], run: NewRun) -> dict[str, str | None]:
    """
    Return who acted last, the opener of this run included.
    """
    opener = run.actor.user_id
    return {
        "purpose": run.purpose.value,
        "retried_by": opener if run.purpose is RunPurpose.RETRY else current.retried_by,
        "decided_by": opener if run.purpose is RunPurpose.REVIEW else current.decided_by,
        "cancelled_by": current.cancelled_by,
        "cancel_reason": current.cancel_reason,
    }


def _edit(connection: Connection, batch: int, run: int, activities: Mapping[int, ProxyActivity]) -> None:
    """
    Keep what these items are registered with from this run on, beside what they were.
    """
    if activities:
        texts = {item: encode_activity(activity) for item, activity in activities.items()}
        insert_rows(connection, edits, [(batch, item, run, text) for item, text in texts.items()])
        connection.execute(_EDIT, [{"b": batch, "place": item, "text": text} for item, text in texts.items()])


def _override_columns(override: Override | None) -> dict[str, Any]:
    return {
        "override_of": override and override.activity_id,
        "override_by": override and override.decided_by,
        "override_at": override and override.decided_at,
    }


def _current_run(connection: Connection, new: NewRun) -> Row[Any]:
    lock_batch(connection, new.batch_id)
    current = connection.execute(_CURRENT_RUN, {"wanted": findable(new.batch_id)}).one_or_none()
    if current is None:
        raise BatchStateError(
            new.batch_id, "it was deleted or purged, or was never accepted. List your batches."
        )
    if current.run != new.expected_run:
        raise StaleRunError(new.batch_id, expected_run=new.expected_run, current_run=current.run)
    if current.settled_at is None:
        raise BatchStateError(new.batch_id, "its current run is not settled. Wait until it is, or cancel it.")
    return current


def cancel_run(
    connection: Connection,
    batch_id: str,
    /,
    *,
    reason: str | None,
    wished_at: datetime,
    cancelled_by: str | None = None,
) -> CancelMark:
    """
    Store the cancel request, once, and cancel what nobody claimed.
    """
    check_texts((reason, cancelled_by))
    lock_batch(connection, batch_id)
    run = connection.execute(_CURRENT_RUN, {"wanted": findable(batch_id)}).one_or_none()
    if run is None:
        raise BatchStateError(batch_id, "it was deleted or purged, or was never accepted. List your batches.")
    if run.cancel_wished_at is None:
        if run.settled_at is not None:
            raise BatchStateError(batch_id, "its current run is settled, so there is nothing to cancel.")
        key = {"b": run.batch, "r": run.run, "at": wished_at}
        cancelled = cancel_unclaimed(connection, {**key, "claimed": run.claimed, "tail": run.tail})
        connection.execute(_WISH, {**key, "reason": reason, "by": cancelled_by, "cancelled": cancelled})
    before = run.tail if run.cancel_tail is None else run.cancel_tail
    return CancelMark(
        run=run.run, tail_before=before, settled_before=run.total - run.run_items + before - run.base
    )
