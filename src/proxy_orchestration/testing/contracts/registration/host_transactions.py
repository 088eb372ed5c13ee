"""
What a ledger promises that accepts batches within a transaction of the host's.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final, Protocol, TypeAlias, cast

import attrs

from proxy_orchestration.errors import (
    HostTransactionError,
    IdempotencyKeyReusedError,
    MisconfiguredError,
    RecordRefusedError,
)
from proxy_orchestration.registration.ports import BatchLedger, SupportsHostTransactions
from proxy_orchestration.testing.contracts.checks import UNKEEPABLE, Check, broken, error_of, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import (
    COORDINATOR,
    LONG,
    NOON,
    accepted,
    batch_of,
    lease_of,
)

HostTransaction: TypeAlias = Callable[[], AbstractAsyncContextManager[object]]
"""
A function that begins a writing transaction of the host; the block gets its connection, as `within`
expects it.

It is committed at the end of the block, and rolled back if the block raises an error.
"""


class _HostLedger(BatchLedger, SupportsHostTransactions, Protocol):
    """
    A ledger that takes part in transactions of the host's.
    """


@attrs.frozen
class HostDatabase:
    """
    A database that a ledger and its host share.

    Attributes:
        ledger: a complete, empty ledger that is also a `SupportsHostTransactions`.
        transaction: a function that begins a transaction of the host.
    """

    ledger: BatchLedger
    transaction: HostTransaction


host_transactions: list[Check[HostDatabase]] = []

_KEY: Final = "form-7"


def _able(database: HostDatabase) -> _HostLedger:
    if not isinstance(database.ledger, SupportsHostTransactions):
        broken(f"a {type(database.ledger).__name__} is not a SupportsHostTransactions")
    return cast("_HostLedger", database.ledger)


class _RolledBackError(Exception):
    """
    What a host raises to have its transaction rolled back.
    """


@rule_of(host_transactions)
async def a_batch_is_there_once_the_host_has_committed(database: HostDatabase) -> None:
    async with database.transaction() as connection:
        batch_id = await accepted(_able(database).within(connection), batch_of(2))
        expect("nobody sees it before", expected=None, actual=await database.ledger.get(batch_id))

    await lease_of(database.ledger, batch_id)
    items = await database.ledger.read_items(batch_id)
    expect("it is whole", expected=2, actual=len(items))


@rule_of(host_transactions)
async def what_the_host_rolls_back_never_was(database: HostDatabase) -> None:
    batch = batch_of(2, idempotency_key=_KEY, batch_id=await database.ledger.new_batch_id())
    with suppress(_RolledBackError):
        async with database.transaction() as connection:
            await _able(database).within(connection).accept(batch)
            raise _RolledBackError

    found = await database.ledger.get(batch.batch_id or "")
    expect("the batch is not there", expected=None, actual=found)
    again = await database.ledger.accept(batch)
    expect("its key is free", expected=True, actual=again.created)


@rule_of(host_transactions)
async def one_key_is_one_batch_within_a_transaction(database: HostDatabase) -> None:
    batch = batch_of(2, idempotency_key=_KEY)
    async with database.transaction() as connection:
        ledger = _able(database).within(connection)
        first, second = await ledger.accept(batch), await ledger.accept(batch)
        found = await ledger.find_by_key(COORDINATOR, _KEY, batch.fingerprint)

    expect("the first creates it", expected=True, actual=first.created)
    expect("the second does not", expected=False, actual=second.created)
    expect("all are one", expected={first.batch_id}, actual={second.batch_id, found})


@rule_of(host_transactions)
async def the_batch_of_a_committed_key_is_joined(database: HostDatabase) -> None:
    batch = batch_of(2, idempotency_key=_KEY)
    there = await accepted(database.ledger, batch)
    async with database.transaction() as connection:
        joined = await _able(database).within(connection).accept(batch)

    expect("it is the one that was there", expected=(there, False), actual=(joined.batch_id, joined.created))


@rule_of(host_transactions)
async def batches_of_one_transaction_are_stored_together(database: HostDatabase) -> None:
    async with database.transaction() as connection:
        ledger = _able(database).within(connection)
        stored = [await accepted(ledger, batch_of(count)) for count in (1, 2)]

    found = [await database.ledger.read_items(batch_id) for batch_id in stored]
    expect("both are there", expected=[1, 2], actual=[len(items) for items in found])


@rule_of(host_transactions)
async def a_refused_batch_leaves_the_transaction_as_it_was(database: HostDatabase) -> None:
    batch = batch_of(2, idempotency_key=_KEY)
    async with database.transaction() as connection:
        ledger = _able(database).within(connection)
        batch_id = await accepted(ledger, batch)
        other = attrs.evolve(batch, fingerprint="of another request")
        await error_of(IdempotencyKeyReusedError, "the key stands for the first", ledger.accept(other))
        unkeepable = batch_of(1, label=UNKEEPABLE[0])
        await error_of(RecordRefusedError, "a text with NUL is refused", ledger.accept(unkeepable))

    await lease_of(database.ledger, batch_id)


@rule_of(host_transactions)
async def within_a_transaction_its_own_batch_is_read(database: HostDatabase) -> None:
    async with database.transaction() as connection:
        ledger = _able(database).within(connection)
        batch_id = await accepted(ledger, batch_of(3, label="Walks"))
        record, result = await ledger.get(batch_id), await ledger.read_result(batch_id)

    expect("its header", expected=3, actual=record and record.total)
    expect("its outcomes", expected=3, actual=result and len(result.outcomes))
    expect("its moments", expected=NOON, actual=result and result.submitted_at)
    expect("its label", expected="Walks", actual=result and result.label)


@rule_of(host_transactions)
async def nothing_else_is_written_in_a_transaction(database: HostDatabase) -> None:
    settled = await accepted(database.ledger, batch_of(1))
    async with database.transaction() as connection:
        ledger = _able(database).within(connection)
        for write in (
            ledger.acquire(settled, 1, ttl=LONG),
            ledger.relabel(settled, "Other"),
            ledger.cancel_run(settled, reason=None, wished_at=NOON),
            ledger.claim_audit_events(limit=1, hold=LONG),
        ):
            await error_of(HostTransactionError, "it is refused", write)
        batch_id = await accepted(ledger, batch_of(1))

    await lease_of(database.ledger, batch_id)
    await lease_of(database.ledger, settled)


@rule_of(host_transactions)
async def only_the_ledger_itself_may_drive(database: HostDatabase) -> None:
    _able(database).check_may_drive()
    async with database.transaction() as connection:
        try:
            _able(database).within(connection).check_may_drive()  # type: ignore[attr-defined]  # as every such ledger
        except HostTransactionError:
            return
    broken("nobody drives what is not committed")


@rule_of(host_transactions)
async def what_is_no_connection_is_refused(database: HostDatabase) -> None:
    for nothing in (object(), None, "sqlite:///store.db"):
        try:
            _able(database).within(nothing)
        except MisconfiguredError:
            continue
        broken(f"{nothing!r} is no connection")
