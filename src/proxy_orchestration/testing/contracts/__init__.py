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
"""Accepting, reading, listing, naming and removing batches. The subject is a whole `BatchLedger`."""

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
"""Leases, claims, outcomes, cancels, pauses, waits and further runs. The subject is a whole `BatchLedger`."""

audit_outbox: Final[tuple[Check[BatchLedger], ...]] = tuple(outbox)
"""Holding, claiming and marking audit events. The subject is a whole `BatchLedger`."""

endings_outbox: Final[tuple[Check[BatchLedger], ...]] = tuple(endings)
"""Holding, claiming and marking settled runs to tell of. The subject is a whole `BatchLedger`."""

retention: Final[tuple[Check[ActivityRepository], ...]] = (*letting_go, *erasing)
"""Old audit events and old keys, and one mentor's data. The subject is a whole `ActivityRepository`."""

host_transactions: Final[tuple[Check[HostDatabase], ...]] = tuple(taking_part)
"""Accepting within a transaction of the host's, for ledgers that are `SupportsHostTransactions` too."""

activity_records: Final[tuple[Check[ActivityRecords], ...]] = (*storing, *looking_through)
"""The standard service's records."""

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
Recording, guarding, renewing and acknowledging notices, ends, digests, inboxes, the log of runs, retention.

The subject is a whole repository.
"""

push_outbox: Final[tuple[Check[NotificationRepository], ...]] = (
    *sending,
    *outlasting,
    *push_fusing,
)
"""Leasing, completing, cancelling, listing and replaying messages. The subject is a whole repository."""

device_answer_counts: Final[tuple[Check[DeviceAnswerCounts], ...]] = tuple(counting)
"""Counting what a provider says about devices, over all who count."""

visibility_registry: Final[tuple[Check[VisibilityRegistry], ...]] = (*hiding, *auditing)
"""Hiding mentors whose certificates are lapsed, and showing them again."""

registration_service: Final[tuple[Check[ProxyRegistrationService], ...]] = tuple(registering)
"""One record per registration. The subject accepts the activity of the samples by their coordinator."""

registration_lookup: Final[tuple[Check[ProxyRegistrationService], ...]] = tuple(looking_up)
"""The same for services that are `SupportsLookup` too."""

bulk_registration: Final[tuple[Check[ProxyRegistrationService], ...]] = tuple(writing_many)
"""
Many at once, for services that are `SupportsBulk` too: order, one record per registration, all or nothing.

The subject accepts the activity of the samples by their coordinator for three mentors,
and refuses what they call unacceptable, unless its registration has a record.
"""

conflict_check: Final[tuple[Check[ProxyRegistrationService], ...]] = tuple(finding_conflicts)
"""
Existing records told beforehand, for services that are `SupportsConflictCheck` too.

The subject accepts the activities of the samples by their coordinator, and takes
the same mentor, type and day of two registrations for one activity.
"""

push_sender: Final[tuple[Check[PushSender], ...]] = tuple(delivering)
"""An answer for each message, whoever sends at once. The messages are for the mentors of the samples."""

recipient_directory: Final[tuple[Check[RecipientDirectory], ...]] = tuple(resolving)
"""Who answers for the mentors of the samples, and for nobody else."""

push_target_directory: Final[tuple[Check[PushTargetDirectory], ...]] = tuple(reaching)
"""Devices, and forgetting one. The first mentor of the samples has one at least."""

push_eligibility: Final[tuple[Check[PushEligibility], ...]] = tuple(asking)
"""Who wants no pushes, of the mentors of the samples."""

audit_logger: Final[tuple[Check[ProxyAuditLogger], ...]] = tuple(logging)
"""Taking events, again and at once."""

access_policy: Final[tuple[Check[AccessPolicy], ...]] = tuple(allowing)
"""Roles, organizations and scope."""

clock: Final[tuple[Check[Clock], ...]] = tuple(timing)
"""Moments, seconds and sleeping. A clock that stands still is refused: let it move by itself."""

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
