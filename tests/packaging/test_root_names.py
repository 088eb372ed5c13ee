"""
Applications import from the package's root, authors of adapters from `ports`; what moved warns until 1.0.
"""

from __future__ import annotations

import importlib
import inspect
import re
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import proxy_orchestration
from proxy_orchestration import ports

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
ROOT_OF_0_1 = [
    "AccessPolicy",
    "Acknowledged",
    "AcknowledgementEvent",
    "Action",
    "ActivityRecord",
    "ActivityRecords",
    "ActivityRegistered",
    "ActivityRepository",
    "Actor",
    "AtomicModeError",
    "Audience",
    "AuditEvent",
    "AuditOutbox",
    "AuditedOverride",
    "BatchCatalogue",
    "BatchLeasedError",
    "BatchLedger",
    "BatchNotFoundError",
    "BatchPage",
    "BatchRun",
    "BatchStateError",
    "BatchSummary",
    "BatchTooLargeError",
    "BulkProgressUpdate",
    "BulkRegistrationOrchestrator",
    "BulkRegistrationRequest",
    "BulkSettings",
    "BulkStatus",
    "BulkSubmissionResult",
    "CancelReport",
    "CertificateEnd",
    "CertificateExpiryNotification",
    "Clock",
    "Conflict",
    "ConflictDecision",
    "ConflictKind",
    "ConflictPolicy",
    "ConflictReport",
    "CoordinatorAccess",
    "DigestTexts",
    "DispatchResult",
    "DispatchSettings",
    "DraftFate",
    "DraftState",
    "DuplicateActivityError",
    "DuplicateSelectionError",
    "DuplicateWarning",
    "Eligibility",
    "EmptySelectionError",
    "EnrollmentLinks",
    "Expiry",
    "ExpiryPolicy",
    "Failure",
    "IdempotencyKeyReusedError",
    "ItemState",
    "Language",
    "LeaseLostError",
    "LeasedPush",
    "LoggingAuditLogger",
    "MentorOutcome",
    "MentorRecipients",
    "MessageCatalogue",
    "Messages",
    "MissingExtraError",
    "MissingMessageFieldError",
    "NotAuthorizedError",
    "NoticeBook",
    "NoticeChunk",
    "NoticeContext",
    "NoticeDraft",
    "NoticeKey",
    "NoticeStatus",
    "NoticeText",
    "NotificationNotFoundError",
    "NotificationOrchestrator",
    "NotificationPlan",
    "NotificationRepository",
    "NotificationSettings",
    "NotificationThresholdTier",
    "OrchestrationError",
    "OrchestrationResult",
    "OutcomeUnknownError",
    "Override",
    "PeerMentorCertificate",
    "ProxyActivity",
    "ProxyActivityResult",
    "ProxyAuditLogger",
    "ProxyRegistration",
    "ProxyRegistrationService",
    "PushCompletion",
    "PushDispatcher",
    "PushEligibility",
    "PushMessage",
    "PushOutbox",
    "PushOutcome",
    "PushSender",
    "PushState",
    "PushTarget",
    "PushTargetDirectory",
    "PushVerdict",
    "QuietHours",
    "RecipientDirectory",
    "RecordOutcome",
    "RecordProblem",
    "RecordRefusedError",
    "RecordState",
    "RegistrationAuditEvent",
    "RegistrationAuditLogger",
    "RegistrationEntry",
    "RegistrationError",
    "RegistrationFailure",
    "RegistrationReceipt",
    "RegistrationRefused",
    "RegistrationRejected",
    "RegistrationRules",
    "RegistrationUnavailable",
    "RepositoryUnavailableError",
    "RetryPolicy",
    "Role",
    "RunLedger",
    "RunRecord",
    "SchemaVersionError",
    "SkipReason",
    "StaleRunError",
    "StandardRegistrationService",
    "SubmissionMode",
    "SupportsBulk",
    "SupportsConflictCheck",
    "SupportsLookup",
    "SystemClock",
    "TextTemplate",
    "UnknownMentorError",
    "UnreadableRecordError",
    "Visibility",
    "VisibilityRegistry",
    "WindowPolicy",
    "classify",
    "window_start",
]


def _types_in(hint: object) -> Iterator[type]:
    """
    Yield this library's classes in an annotation.
    """
    if inspect.isclass(hint) and hint.__module__.startswith("proxy_orchestration."):
        yield hint
    for argument in typing.get_args(hint):
        yield from _types_in(argument)


def _hints_of(name: str) -> Iterator[object]:
    """
    Yield the annotations of what `ports` offers under this name, and of its public methods.
    """
    value = getattr(ports, name)
    parts = [value]
    if inspect.isclass(value):
        parts += [member for key, member in inspect.getmembers(value) if not key.startswith("_")]
    for part in parts:
        function = part.fget if isinstance(part, property) else getattr(part, "__func__", part)
        if inspect.isclass(function) or inspect.isfunction(function):
            yield from typing.get_type_hints(function).values()


def test_the_root_of_the_first_version_had_138_names() -> None:
    """
    The list is what later versions are held to.
    """
    assert 138 == len(set(ROOT_OF_0_1)) == len(ROOT_OF_0_1)


@pytest.mark.parametrize("name", ROOT_OF_0_1)
def test_a_name_of_the_first_root_is_there_or_says_where_it_is_now(name: str) -> None:
    """
    Nobody's import breaks before 1.0, and nobody is warned of a name that stays.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        value = getattr(proxy_orchestration, name)

    if name in proxy_orchestration.__all__:
        assert [] == told
        return
    advice = f"proxy_orchestration.{name} has moved: import it from proxy_orchestration.ports."
    assert [DeprecationWarning] == [each.category for each in told]
    assert str(told[0].message).startswith(advice)
    assert __file__ == told[0].filename
    assert getattr(ports, name) is value


def test_a_moved_name_can_be_imported_from_the_root() -> None:
    """
    The statement that hosts have in their code goes on working.
    """
    with pytest.warns(DeprecationWarning, match=r"import it from proxy_orchestration\.ports"):
        exec("from proxy_orchestration import NoticeBook", {})  # noqa: S102 - a statement as a host has it


def test_nothing_new_is_reached_through_the_root() -> None:
    """
    Only what was there once is forwarded: a name that only `ports` has, or nobody, is not found.
    """
    for name in ("NewBatch", "no_such_name"):
        with pytest.raises(AttributeError, match=f"'proxy_orchestration' has no attribute '{name}'"):
            getattr(proxy_orchestration, name)


def test_moved_names_are_not_offered() -> None:
    """
    `dir`, completion and star imports show where new code belongs.
    """
    moved = set(ROOT_OF_0_1) - set(proxy_orchestration.__all__)

    assert set() == moved & set(dir(proxy_orchestration))


@pytest.mark.parametrize("name", ports.__all__)
def test_every_value_that_a_port_speaks_is_in_ports_too(name: str) -> None:
    """
    The author of an adapter imports from one module.
    """
    spoken = {each.__name__ for hint in _hints_of(name) for each in _types_in(hint)}

    assert set() == spoken - set(ports.__all__)


@pytest.mark.parametrize("part", ["registration", "notification"])
def test_every_port_of_either_half_is_in_ports(part: str) -> None:
    """
    None is left behind in the half that it belongs to.
    """
    half = importlib.import_module(f"proxy_orchestration.{part}.ports")
    found = {
        name
        for name, value in vars(half).items()
        if inspect.isclass(value) and getattr(value, "_is_protocol", False) and value is not typing.Protocol
    }

    assert found
    assert set() == found - set(ports.__all__)


def test_the_table_of_the_reference_says_where_each_name_is() -> None:
    """
    Three columns: the root alone, both, `ports` alone; every name stands in one of them, once.
    """
    section = (
        REFERENCE.read_text(encoding="utf-8")
        .partition("## Where to import a name from")[2]
        .partition("\n## ")[0]
    )
    rows = [line.strip("| ").split("|") for line in section.splitlines() if line.startswith("|")][2:]
    told = [
        sorted(name for row in rows for name in re.findall(r"`(\w+)`", row[column])) for column in (1, 2, 3)
    ]
    root, both = set(proxy_orchestration.__all__), set(proxy_orchestration.__all__) & set(ports.__all__)

    assert [sorted(root - both), sorted(both), sorted(set(ports.__all__) - both)] == told
