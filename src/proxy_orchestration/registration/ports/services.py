"""
What a host's registration service implements.
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
    What an exception of a registration service says about its call.
    """

    TRANSIENT = "transient"  # definitely not executed; worth another attempt
    DEFINITE = "definite"  # definitely not executed, and refused for good
    IN_DOUBT = "in_doubt"  # executed or not: not known


ClassifyError: TypeAlias = Callable[[Exception], ErrorKind | None]
"""
Says what an exception of the host's service means; `None` leaves it to this library's own rules.

Asked about no error of `register`'s own list; a group of one is asked about
as the one. What it raises is logged, and counts as `None`.
"""

OnServiceError: TypeAlias = Callable[[Exception, Sequence[ProxyRegistration]], object]
"""
Takes an exception of the host's service, and the registrations of the call that raised it.

For a host's error tracker. Called for each one, in the task of the call, so it
must not wait. What it returns is ignored, and what it raises is logged.
"""

OnRunSettled: TypeAlias = Callable[[BatchSummary], Awaitable[None]]
"""
Is told of each run that settled, with its batch as it stood then, at least once.

An exception, or no answer within `BulkSettings.audit_timeout`, is logged and
leads to another call. Several tasks may call it at once.
"""


class ProxyRegistrationService(Protocol):
    """
    Registers one activity for one mentor.
    """

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Write the record, or find that it is written, and return its receipt.

        Called twice with one `idempotency_key` it creates one record, and it
        never creates a second record for one `registration_id`: look for the
        registration's own record first, before any other check.

        Raises:
            RegistrationRejected: refused, definitely; nothing written.
            DuplicateActivityError: another registration's record conflicts,
                definitely; nothing written.
            RegistrationUnavailable: definitely not executed; try again.
            TimeoutError, OSError, OutcomeUnknownError: not known; the call is
                looked up, or repeated under the same key. A call that exceeds
                `BulkSettings.call_timeout` is cancelled and not known either.

        Any other exception settles the item as FAILED with code `unexpected`;
        since it may hide a lost reply, the key is kept and looked up first on
        a retry. It is logged by type and place. A host may say more with the
        orchestrator's `classify_error`; a group of one exception is that
        exception. An answer that is no receipt of this registration leaves
        the key in doubt as a lost one does, and ends UNKNOWN as `bad_answer`.
        """
        ...


@runtime_checkable
class SupportsLookup(Protocol):
    """
    A registration service that can say whether a record exists.
    """

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Return the receipt of the registration's record, or `None` if not seen.

        `None` is no proof: a call still under way may yet write. The driver
        repeats the call under the same key. An exception, or an answer of
        another kind, is no answer either: it is logged, and the call repeated.
        """
        ...


@runtime_checkable
class SupportsBulkLookup(SupportsLookup, Protocol):
    """
    A registration service that can say of many records at once which exist.

    Asked after an all-or-nothing call whose answer is not known, and at most
    for as many as fit into one call.
    """

    async def find_registrations(
        self, registration_ids: Sequence[str], /
    ) -> Mapping[str, RegistrationReceipt]:
        """
        Return the receipts of the records that are seen, by registration id.

        An id that is absent means what `None` means to `find_registration`.
        """
        ...


@runtime_checkable
class SupportsCallLimit(Protocol):
    """
    A registration service that takes no more than so many registrations in one call.

    Attributes:
        max_registrations_per_call: at least 1. Where it is less than
            `BulkSettings.max_per_call` it counts instead, and an all-or-nothing
            batch of more is refused when it is submitted.
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

    The driver hands it at most `BulkSettings.max_per_call` registrations at
    once, or the whole batch in atomic mode; never more than the service says
    with `SupportsCallLimit`.
    """

    async def register_many(
        self, registrations: Sequence[ProxyRegistration], /, *, atomic: bool
    ) -> Sequence[RegistrationReceipt | RegistrationFailure]:
        """
        Register every one, and answer each in the order asked.

        The law of `register` holds for each: one record per registration for
        ever, its own record is looked for first. An answer that has too few
        or too many entries, or names other registrations, is no answer: all
        of them are in doubt.

        With `atomic=False` an exception means that nothing was written. One
        that says nothing about time or connection is taken as the refusal of
        some row: the driver asks again with the halves, down to the single
        one, which it registers alone. Between calls that are refused for no
        stated reason it pauses. When three rows that stand alone have failed
        alike and no call was answered in between, the rest of what is refused
        ends as they did.

        With `atomic=True` either all records exist afterwards or none of
        them: the answers are all receipts, or all failures, those of the rows
        that would have been written with code `rolled_back`.

        Raises:
            RegistrationUnavailable: definitely not executed; all are tried again.
            TimeoutError, OSError, OutcomeUnknownError: not known for any of them.
        """
        ...


@runtime_checkable
class SupportsConflictCheck(Protocol):
    """
    A registration service that finds existing records beforehand.
    """

    async def find_conflicts(self, registrations: Sequence[ProxyRegistration], /) -> Sequence[Conflict]:
        """
        Return the conflicts of these registrations, in one round trip.

        At most one for each of them, and of no others. A conflict that names a
        mentor and no `item_key` is one of all that mentor's registrations here. A
        registration's own earlier record is no conflict, nor is a record that
        it is an override of. An exception counts as a conflict of kind
        CHECK_FAILED for every one of them. Writes nothing.
        """
        ...
