"""
Bulk registration and certificate-expiry notices on behalf of others: durable, resumable, never twice.
"""

import importlib as _importlib
import typing as _typing
import warnings as _warnings

from proxy_orchestration._backoff import RetryPolicy
from proxy_orchestration.access import Actor, CoordinatorAccess, Role
from proxy_orchestration.audit import LoggingAuditLogger
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.errors import (
    ActivityNotFoundError,
    AtomicModeError,
    BatchLeasedError,
    BatchNotFoundError,
    BatchStateError,
    BatchTooLargeError,
    CallsAbandonedError,
    DuplicateActivityError,
    DuplicateSelectionError,
    EmptySelectionError,
    HostTransactionError,
    IdempotencyKeyReusedError,
    InvalidInputError,
    InvalidTypeError,
    InvalidValueError,
    LeaseLostError,
    MisconfiguredError,
    MissingExtraError,
    NotAuthorizedError,
    NotificationNotFoundError,
    OrchestrationError,
    OrchestratorClosedError,
    OutcomeUnknownError,
    RegistrationError,
    RegistrationRejected,
    RegistrationUnavailable,
    RepositoryUnavailableError,
    RunHookError,
    SchemaVersionError,
    StaleRunError,
    UnknownMentorError,
    WrongServiceError,
    WrongTaskError,
    WrongThreadError,
)
from proxy_orchestration.ids import IdFlaw, IdRule, usual_id_rule
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.dead_pushes import DeadPushPage
from proxy_orchestration.notification.digests import DigestTexts
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.enrollment import EnrollmentLinks
from proxy_orchestration.notification.erasure import NoticeErasure, NoticeExport
from proxy_orchestration.notification.inbox_pages import InboxNotice, InboxPage
from proxy_orchestration.notification.languages import Language, TextTemplate
from proxy_orchestration.notification.messages import MessageCatalogue, MissingMessageFieldError
from proxy_orchestration.notification.notice_building import UnreadableRecordError
from proxy_orchestration.notification.notices import Audience, CertificateExpiryNotification, NoticeStatus
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.records import DeadPush
from proxy_orchestration.notification.results import (
    DispatchResult,
    NotificationPlan,
    OrchestrationResult,
    RecordOutcome,
    RecordProblem,
    RecordState,
    SkipReason,
)
from proxy_orchestration.notification.run_log import RunEnding, RunPage, RunRecord
from proxy_orchestration.notification.settings import DispatchSettings, NotificationSettings, QuietHours
from proxy_orchestration.notification.tiers import (
    ExpiryPolicy,
    NotificationThresholdTier,
    WindowPolicy,
    classify,
    window_start,
)
from proxy_orchestration.notification.visibility_records import (
    VisibilityCause,
    VisibilityChange,
    VisibilityPage,
)
from proxy_orchestration.notification.words import NoticeWords
from proxy_orchestration.registration.activities import ProxyActivity, ProxyRegistration, RegistrationReceipt
from proxy_orchestration.registration.batches import (
    BatchItem,
    BatchPage,
    BatchSummary,
    BulkProgressUpdate,
    BulkSubmissionResult,
    CancelReport,
    Failure,
    ItemAttempt,
    ItemPage,
    MentorOutcome,
    PurgedBatches,
)
from proxy_orchestration.registration.conflicts import (
    Conflict,
    ConflictDecision,
    ConflictKind,
    ConflictPolicy,
    ConflictReport,
)
from proxy_orchestration.registration.drive_reports import DriveEnding, DriveReport, WaitingRun
from proxy_orchestration.registration.erasure import ExportedItem, MentorErasure, MentorExport
from proxy_orchestration.registration.execution.health import Health
from proxy_orchestration.registration.orchestrator import BulkRegistrationOrchestrator
from proxy_orchestration.registration.ports import ErrorKind
from proxy_orchestration.registration.progress import BatchRun
from proxy_orchestration.registration.records import CorrectionNote, RecordPage, RegisteredActivity
from proxy_orchestration.registration.requests import (
    BulkRegistrationRequest,
    RegistrationEntry,
    SubmissionMode,
)
from proxy_orchestration.registration.settings import BulkSettings
from proxy_orchestration.registration.standard.service import RegistrationRules, StandardRegistrationService
from proxy_orchestration.registration.standard.single import (
    ActivityRegistered,
    DuplicateWarning,
    ProxyActivityResult,
    RegistrationRefused,
)
from proxy_orchestration.registration.states import BulkStatus, ItemState

__all__ = [
    "ActivityNotFoundError",
    "ActivityRegistered",
    "Actor",
    "AtomicModeError",
    "Audience",
    "BatchItem",
    "BatchLeasedError",
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
    "CallsAbandonedError",
    "CancelReport",
    "CertificateExpiryNotification",
    "Conflict",
    "ConflictDecision",
    "ConflictKind",
    "ConflictPolicy",
    "ConflictReport",
    "CoordinatorAccess",
    "CorrectionNote",
    "DeadPush",
    "DeadPushPage",
    "DigestTexts",
    "DispatchResult",
    "DispatchSettings",
    "DriveEnding",
    "DriveReport",
    "DuplicateActivityError",
    "DuplicateSelectionError",
    "DuplicateWarning",
    "EmptySelectionError",
    "EnrollmentLinks",
    "ErrorKind",
    "ExpiryPolicy",
    "ExportedItem",
    "Failure",
    "Health",
    "HostTransactionError",
    "IdFlaw",
    "IdRule",
    "IdempotencyKeyReusedError",
    "InboxNotice",
    "InboxPage",
    "InvalidInputError",
    "InvalidTypeError",
    "InvalidValueError",
    "ItemAttempt",
    "ItemPage",
    "ItemState",
    "Language",
    "LeaseLostError",
    "LoggingAuditLogger",
    "MentorErasure",
    "MentorExport",
    "MentorOutcome",
    "MessageCatalogue",
    "MisconfiguredError",
    "MissingExtraError",
    "MissingMessageFieldError",
    "NotAuthorizedError",
    "NoticeErasure",
    "NoticeExport",
    "NoticeStatus",
    "NoticeWords",
    "NotificationNotFoundError",
    "NotificationOrchestrator",
    "NotificationPlan",
    "NotificationSettings",
    "NotificationThresholdTier",
    "OrchestrationError",
    "OrchestrationResult",
    "OrchestratorClosedError",
    "OutcomeUnknownError",
    "PeerMentorCertificate",
    "ProxyActivity",
    "ProxyActivityResult",
    "ProxyRegistration",
    "PurgedBatches",
    "PushDispatcher",
    "QuietHours",
    "RecordOutcome",
    "RecordPage",
    "RecordProblem",
    "RecordState",
    "RegisteredActivity",
    "RegistrationEntry",
    "RegistrationError",
    "RegistrationReceipt",
    "RegistrationRefused",
    "RegistrationRejected",
    "RegistrationRules",
    "RegistrationUnavailable",
    "RepositoryUnavailableError",
    "RetryPolicy",
    "Role",
    "RunEnding",
    "RunHookError",
    "RunPage",
    "RunRecord",
    "SchemaVersionError",
    "SkipReason",
    "StaleRunError",
    "StandardRegistrationService",
    "SubmissionMode",
    "SystemClock",
    "TextTemplate",
    "UnknownMentorError",
    "UnreadableRecordError",
    "VisibilityCause",
    "VisibilityChange",
    "VisibilityPage",
    "WaitingRun",
    "WindowPolicy",
    "WrongServiceError",
    "WrongTaskError",
    "WrongThreadError",
    "classify",
    "usual_id_rule",
    "window_start",
]

_MOVED_TO_PORTS = frozenset(
    {
        "AccessPolicy",
        "Acknowledged",
        "AcknowledgementEvent",
        "Action",
        "ActivityRecord",
        "ActivityRecords",
        "ActivityRepository",
        "AuditEvent",
        "AuditOutbox",
        "AuditedOverride",
        "BatchCatalogue",
        "BatchLedger",
        "CertificateEnd",
        "Clock",
        "DraftFate",
        "DraftState",
        "Eligibility",
        "Expiry",
        "LeasedPush",
        "MentorRecipients",
        "Messages",
        "NoticeBook",
        "NoticeChunk",
        "NoticeContext",
        "NoticeDraft",
        "NoticeKey",
        "NoticeText",
        "NotificationRepository",
        "Override",
        "ProxyAuditLogger",
        "ProxyRegistrationService",
        "PushCompletion",
        "PushEligibility",
        "PushMessage",
        "PushOutbox",
        "PushOutcome",
        "PushSender",
        "PushState",
        "PushTarget",
        "PushTargetDirectory",
        "PushVerdict",
        "RecipientDirectory",
        "RecordRefusedError",
        "RegistrationAuditEvent",
        "RegistrationAuditLogger",
        "RegistrationFailure",
        "RunLedger",
        "RunRecord",
        "SupportsBulk",
        "SupportsConflictCheck",
        "SupportsLookup",
        "Visibility",
        "VisibilityRegistry",
    }
)

if not _typing.TYPE_CHECKING:  # Why a checker does not see what has moved: decision 85.

    def __getattr__(name: str) -> object:
        """
        Offer what has moved until 1.0, and say where it is now.
        """
        if name not in _MOVED_TO_PORTS:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        message = (
            f"{__name__}.{name} has moved: import it from {__name__}.ports. The old name will be removed in "
            "1.0."
        )
        _warnings.warn(message, DeprecationWarning, stacklevel=2)
        return getattr(_importlib.import_module("proxy_orchestration.ports"), name)
