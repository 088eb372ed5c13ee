"""
Contract kits: every rule of a port as a check for any adapter.

A kit is a tuple of checks. A check is called with a function that opens a
fresh subject as an asynchronous context manager::

    @pytest.mark.parametrize("check", run_ledger, ids=str)
    async def test_my_store_keeps_the_contract(check):
        await check(open_my_empty_store)

A part of a host's that knows its own people is asked about those:
``await check(open_my_service, samples=Samples(mentor_ids=…, coordinator=…))``.

A broken promise is an `AssertionError` that names it. Nothing here needs
pytest, and nothing waits for time to pass: leases and holds of 0 seconds are
over at once, those that must last are given ten minutes.
"""

from typing import Final

from proxy_orchestration.access import AccessPolicy
from proxy_orchestration.audit import ProxyAuditLogger
from proxy_orchestration.clock import Clock
from proxy_orchestration.notification.ports import (
    DeviceAnswerCounts,
    NotificationRepository,
    PushEligibility,
    PushSender,
    PushTargetDirectory,
    RecipientDirectory,
)
from proxy_orchestration.notification.visibility_port import VisibilityRegistry
from proxy_orchestration.registration.ports import (
    ActivityRecords,
    ActivityRepository,
    BatchLedger,
    ProxyRegistrationService,
)
from proxy_orchestration.testing.contracts.access import allowing
from proxy_orchestration.testing.contracts.audit import logging
from proxy_orchestration.testing.contracts.checks import Check, Opener
from proxy_orchestration.testing.contracts.clocks import timing
from proxy_orchestration.testing.contracts.host_samples import Samples
from proxy_orchestration.testing.contracts.notification.notice_book.counting_ends import counting_ends
from proxy_orchestration.testing.contracts.notification.notice_book.digesting import digesting
from proxy_orchestration.testing.contracts.notification.notice_book.keeping import keeping
from proxy_orchestration.testing.contracts.notification.notice_book.letting_go import (
    letting_go_of_notices,
)
from proxy_orchestration.testing.contracts.notification.notice_book.logging_runs import logging_runs
from proxy_orchestration.testing.contracts.notification.notice_book.reading_inboxes import reading_inboxes
from proxy_orchestration.testing.contracts.notification.notice_book.recording import recording
from proxy_orchestration.testing.contracts.notification.notice_book.spelling import spelling
from proxy_orchestration.testing.contracts.notification.push_fusing import fusing as push_fusing
from proxy_orchestration.testing.contracts.notification.push_outages import counting, outlasting
from proxy_orchestration.testing.contracts.notification.push_outbox import sending
from proxy_orchestration.testing.contracts.notification.push_ports import (
    asking,
    delivering,
    reaching,
    resolving,
)
from proxy_orchestration.testing.contracts.notification.visibility_audit import auditing
from proxy_orchestration.testing.contracts.notification.visibility_registry import hiding
from proxy_orchestration.testing.contracts.registration.activity_records import storing
from proxy_orchestration.testing.contracts.registration.audit_outbox import outbox
from proxy_orchestration.testing.contracts.registration.batch_catalogue.accepting import accepting
from proxy_orchestration.testing.contracts.registration.batch_catalogue.listing import listing
from proxy_orchestration.testing.contracts.registration.batch_catalogue.reading import reading
from proxy_orchestration.testing.contracts.registration.bulk_registration import writing_many
from proxy_orchestration.testing.contracts.registration.conflict_check import finding_conflicts
from proxy_orchestration.testing.contracts.registration.endings_outbox import endings
from proxy_orchestration.testing.contracts.registration.erasing import erasing
from proxy_orchestration.testing.contracts.registration.host_transactions import (
    HostDatabase,
    HostTransaction,
)
from proxy_orchestration.testing.contracts.registration.host_transactions import (
    host_transactions as taking_part,
)
from proxy_orchestration.testing.contracts.registration.record_lists import looking_through
from proxy_orchestration.testing.contracts.registration.registration_lookup import looking_up
from proxy_orchestration.testing.contracts.registration.registration_service import registering
from proxy_orchestration.testing.contracts.registration.retention import letting_go
from proxy_orchestration.testing.contracts.registration.run_ledger.acquiring import acquiring
from proxy_orchestration.testing.contracts.registration.run_ledger.cancelling import cancelling
from proxy_orchestration.testing.contracts.registration.run_ledger.committing import committing
from proxy_orchestration.testing.contracts.registration.run_ledger.deciding import deciding
from proxy_orchestration.testing.contracts.registration.run_ledger.driven_acceptance import (
    driven_acceptance,
)
from proxy_orchestration.testing.contracts.registration.run_ledger.editing import editing
from proxy_orchestration.testing.contracts.registration.run_ledger.fusing import fusing
from proxy_orchestration.testing.contracts.registration.run_ledger.item_keys import item_keys
from proxy_orchestration.testing.contracts.registration.run_ledger.items import items
from proxy_orchestration.testing.contracts.registration.run_ledger.opening import opening
from proxy_orchestration.testing.contracts.registration.run_ledger.pausing import pausing
from proxy_orchestration.testing.contracts.registration.run_ledger.taking import taking
from proxy_orchestration.testing.contracts.registration.run_ledger.waiting import waiting

batch_catalogue: Final[tuple[Check[BatchLedger], ...]] = (*accepting, *reading, *listing)
"""
Checks accepting, reading, listing, relabelling and deleting batches.

The subject is a complete `BatchLedger`.
"""

run_ledger: Final[tuple[Check[BatchLedger], ...]] = (
    *acquiring,
    *committing,
    *cancelling,
    *pausing,
    *opening,
    *deciding,
    *items,
    *item_keys,
    *editing,
    *waiting,
    *fusing,
    *driven_acceptance,
    *taking,
)
"""
Checks leases, claims, outcomes, cancels, pauses, waits and further runs.

The subject is a complete `BatchLedger`.
"""

audit_outbox: Final[tuple[Check[BatchLedger], ...]] = tuple(outbox)
"""Checks holding, claiming and marking audit events. The subject is a complete `BatchLedger`."""

endings_outbox: Final[tuple[Check[BatchLedger], ...]] = tuple(endings)
"""
Checks holding, claiming and marking settled runs for `on_run_settled`.

The subject is a complete `BatchLedger`.
"""

retention: Final[tuple[Check[ActivityRepository], ...]] = (*letting_go, *erasing)
"""
Checks deleting old audit events and keys, and erasing one mentor.

The subject is a complete `ActivityRepository`.
"""

host_transactions: Final[tuple[Check[HostDatabase], ...]] = tuple(taking_part)
"""Checks accepting within a host's transaction, for ledgers that are also `SupportsHostTransactions`."""

activity_records: Final[tuple[Check[ActivityRecords], ...]] = (*storing, *looking_through)
"""Checks the store of the standard service's records."""

notice_book: Final[tuple[Check[NotificationRepository], ...]] = (
    *recording,
    *keeping,
    *counting_ends,
    *digesting,
    *reading_inboxes,
    *spelling,
    *logging_runs,
    *letting_go_of_notices,
)
"""
Checks recording, renewing and acknowledging notices, the guard, ends, digests, inboxes, runs and retention.

The subject is a complete `NotificationRepository`.
"""

push_outbox: Final[tuple[Check[NotificationRepository], ...]] = (
    *sending,
    *outlasting,
    *push_fusing,
)
"""
Checks leasing, completing, cancelling, listing and replaying messages.

The subject is a complete repository.
"""

device_answer_counts: Final[tuple[Check[DeviceAnswerCounts], ...]] = tuple(counting)
"""Checks counting a provider's answers about devices, over all processes."""

visibility_registry: Final[tuple[Check[VisibilityRegistry], ...]] = (*hiding, *auditing)
"""Checks hiding mentors with lapsed certificates, and showing them again."""

registration_service: Final[tuple[Check[ProxyRegistrationService], ...]] = tuple(registering)
"""
Checks that there is one record per registration.

The subject accepts the samples' activity from their coordinator.
"""

registration_lookup: Final[tuple[Check[ProxyRegistrationService], ...]] = tuple(looking_up)
"""Checks services that are also `SupportsLookup`, with the same samples."""

bulk_registration: Final[tuple[Check[ProxyRegistrationService], ...]] = tuple(writing_many)
"""
Checks services that are also `SupportsBulk`: order, one record per registration, all or nothing.

The subject accepts the samples' activity from their coordinator for three mentors. It refuses the
samples' unacceptable registration, unless that has a record.
"""

conflict_check: Final[tuple[Check[ProxyRegistrationService], ...]] = tuple(finding_conflicts)
"""
Checks services that are also `SupportsConflictCheck`: existing records are found beforehand.

The subject accepts the samples' activities from their coordinator. For it, two registrations with
the same mentor, type and day are the same activity.
"""

push_sender: Final[tuple[Check[PushSender], ...]] = tuple(delivering)
"""
Checks that each message gets an answer, also with simultaneous calls.

The messages are for the samples' mentors.
"""

recipient_directory: Final[tuple[Check[RecipientDirectory], ...]] = tuple(resolving)
"""Checks the recipients for the samples' mentors, and that there are none for other people."""

push_target_directory: Final[tuple[Check[PushTargetDirectory], ...]] = tuple(reaching)
"""Checks returning and removing devices. The samples' first mentor has at least one."""

push_eligibility: Final[tuple[Check[PushEligibility], ...]] = tuple(asking)
"""Checks the push wishes of the samples' mentors."""

audit_logger: Final[tuple[Check[ProxyAuditLogger], ...]] = tuple(logging)
"""Checks taking events, repeatedly and simultaneously."""

access_policy: Final[tuple[Check[AccessPolicy], ...]] = tuple(allowing)
"""Checks roles, organizations and scope."""

clock: Final[tuple[Check[Clock], ...]] = tuple(timing)
"""Checks times, seconds and sleeping. The subject must be a clock that moves by itself."""

__all__ = [
    "Check",
    "HostDatabase",
    "HostTransaction",
    "Opener",
    "Samples",
    "access_policy",
    "activity_records",
    "audit_logger",
    "audit_outbox",
    "batch_catalogue",
    "bulk_registration",
    "clock",
    "conflict_check",
    "device_answer_counts",
    "endings_outbox",
    "host_transactions",
    "notice_book",
    "push_eligibility",
    "push_outbox",
    "push_sender",
    "push_target_directory",
    "recipient_directory",
    "registration_lookup",
    "registration_service",
    "retention",
    "run_ledger",
    "visibility_registry",
]
