"""
The port of a host's registration service, with its optional abilities.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from proxy_orchestration.registration.activities import (
    ProxyRegistration,
    RegistrationFailure,
    RegistrationReceipt,
)
from proxy_orchestration.registration.batches import BatchSummary
from proxy_orchestration.registration.conflicts import Conflict


class ErrorKind(enum.Enum):
    """
    What an exception of a registration service means for its call.
    """

    TRANSIENT = "transient"  # definitely not executed; another attempt may succeed
    DEFINITE = "definite"  # definitely not executed, and permanently refused
    IN_DOUBT = "in_doubt"  # it is not known whether it was executed


ClassifyError: TypeAlias = Callable[[Exception], ErrorKind | None]
"""
A function that returns what an exception of the host's service means; `None`: this library's rules apply.

It is not called for the errors that `register` lists. For an exception group with one exception, it
gets that exception. If it raises an error, that is logged and counts as `None`.
"""

OnServiceError: TypeAlias = Callable[[Exception, Sequence[ProxyRegistration]], object]
"""
A function that takes an exception of the host's service, and the registrations of the call that raised it.

It is meant for a host's error tracker. It is called for each exception, in the task of the call, so
it must not block. Its result is ignored, and an error that it raises is logged.
"""

OnRunSettled: TypeAlias = Callable[[BatchSummary], Awaitable[None]]
"""
An async function that is called for each settled run, with the batch as it settled, at least once.

An exception, or no answer within `BulkSettings.audit_timeout`, is logged and leads to another call.
Several tasks may call it at the same time.
"""


class ProxyRegistrationService(Protocol):
    """
    Registers one activity for one mentor.
    """

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Write the record, or find that it exists, and return its receipt.

        Two calls with the same `idempotency_key` must create only one record, and there must never
        be a second record for one `registration_id`. So look for the registration's own record
        first, before any other check.

        Raises:
            RegistrationRejected: definitely refused; nothing was written.
            DuplicateActivityError: definitely refused, because another registration's record
                conflicts; nothing was written.
            RegistrationUnavailable: definitely not executed; try again.
            TimeoutError, OSError, OutcomeUnknownError: the result is in doubt; the record is looked
                up, or the call is repeated with the same key. A call that exceeds
                `BulkSettings.call_timeout` is cancelled, and its result is in doubt, too.

        Any other exception settles the item as FAILED with code `unexpected`. Because it may hide a
        lost reply, the key is kept, and a retry looks the record up first. The log has the
        exception's type and place. The orchestrator's `classify_error` can give an exception
        another meaning. An exception group with one exception counts as that exception. An answer
        that is not a receipt of this registration leaves the key in doubt, as a lost answer does;
        the item ends UNKNOWN with code `bad_answer`.
        """
        ...


@runtime_checkable
class SupportsLookup(Protocol):
    """
    A registration service that can tell whether a record exists.
    """

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Return the receipt of the registration's record, or `None` if it is not found.

        `None` does not prove that there will be no record, because a call that is still in progress
        may write it later. So the driver then repeats the call with the same key. After an
        exception, or an answer of another type, it logs that and repeats the call, too.
        """
        ...


@runtime_checkable
class SupportsBulkLookup(SupportsLookup, Protocol):
    """
    A registration service that can tell in one call which of many records exist.

    Asked after an all-or-nothing call with an unknown answer, for at most as many registrations as
    one call takes.
    """

    async def find_registrations(
        self, registration_ids: Sequence[str], /
    ) -> Mapping[str, RegistrationReceipt]:
        """
        Return the receipts of the existing records, by registration id.

        An absent id means the same as `None` from `find_registration`.
        """
        ...


@runtime_checkable
class SupportsCallLimit(Protocol):
    """
    A registration service with a limit for the number of registrations in one call.

    Attributes:
        max_registrations_per_call: the limit, at least 1. If it is less than
            `BulkSettings.max_per_call`, it is used instead. An all-or-nothing batch with more
            registrations is refused when it is submitted.
    """

    max_registrations_per_call: int


def call_limit_of(service: object) -> int | None:
    """
    Return how many registrations a service takes in one call; `None` if it does not say.
    """
    return service.max_registrations_per_call if isinstance(service, SupportsCallLimit) else None


@runtime_checkable
class SupportsBulk(Protocol):
    """
    A registration service that writes many records in one round trip.

    The driver gives it at most `BulkSettings.max_per_call` registrations per call, or the whole
    batch in atomic mode. It never gives more than the service's own `SupportsCallLimit` allows.
    """

    async def register_many(
        self, registrations: Sequence[ProxyRegistration], /, *, atomic: bool
    ) -> Sequence[RegistrationReceipt | RegistrationFailure]:
        """
        Register all of them, and return one answer for each, in the given order.

        The rules of `register` hold for each: never a second record for one registration, and its
        own record is looked for first. If the answer has too few or too many entries, or names
        other registrations, it is invalid, and all of them are in doubt.

        With `atomic=False`, an exception means that nothing was written. An exception that is not
        about time or connection counts as the refusal of some row: the driver calls again with each
        half, down to a single registration, which it registers on its own. It pauses between calls
        that are refused without a stated reason. If three single registrations have failed in the
        same way, and no call was answered in between, the rest fails in that way, too.

        With `atomic=True`, either all records exist afterwards or none. The answers are all
        receipts, or all failures; a row that would have been written fails with code `rolled_back`.

        Raises:
            RegistrationUnavailable: definitely not executed; the call is repeated for all of them.
            TimeoutError, OSError, OutcomeUnknownError: the result is in doubt for all of them.
        """
        ...


@runtime_checkable
class SupportsConflictCheck(Protocol):
    """
    A registration service that can find conflicting records before it registers.
    """

    async def find_conflicts(self, registrations: Sequence[ProxyRegistration], /) -> Sequence[Conflict]:
        """
        Return the conflicts of these registrations, in one round trip.

        Return at most one conflict for each registration, and none for others. A conflict without
        an `item_key` applies to all registrations of that mentor in this call. A registration's own
        earlier record is not a conflict, and neither is the record that it overrides. An exception
        counts as a conflict of kind CHECK_FAILED for each registration. Must not write anything.
        """
        ...
