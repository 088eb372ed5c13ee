"""
Tools for tests of hosts: a clock, doubles, faults and contract kits.
"""

from proxy_orchestration.testing.audit import AuditScript, RecordingAuditLogger, RegistrationAuditScript
from proxy_orchestration.testing.clock import FakeClock
from proxy_orchestration.testing.faults import FaultHook, FaultyActivityRepository, WritePoint, fail_at
from proxy_orchestration.testing.notification import (
    PushScript,
    ScriptedPushEligibility,
    ScriptedPushSender,
    ScriptedPushTargetDirectory,
    ScriptedRecipientDirectory,
)
from proxy_orchestration.testing.registration_services import (
    BulkLookupRegistrationService,
    BulkRegistrationService,
    CheckingBulkRegistrationService,
    CheckingRegistrationService,
    ChunkScript,
    ConflictScript,
    Garble,
    LookupRegistrationService,
    LookupScript,
    ManyLookupsRegistrationService,
    RegistrationScript,
    ScriptedRegistrationService,
)
from proxy_orchestration.testing.scripted_replies import (
    Reply,
    duplicate,
    fail,
    hang,
    lose_reply,
    not_seen,
    reject,
    slow,
    stubborn,
    succeed,
    unavailable,
)

__all__ = [
    "AuditScript",
    "BulkLookupRegistrationService",
    "BulkRegistrationService",
    "CheckingBulkRegistrationService",
    "CheckingRegistrationService",
    "ChunkScript",
    "ConflictScript",
    "FakeClock",
    "FaultHook",
    "FaultyActivityRepository",
    "Garble",
    "LookupRegistrationService",
    "LookupScript",
    "ManyLookupsRegistrationService",
    "PushScript",
    "RecordingAuditLogger",
    "RegistrationAuditScript",
    "RegistrationScript",
    "Reply",
    "ScriptedPushEligibility",
    "ScriptedPushSender",
    "ScriptedPushTargetDirectory",
    "ScriptedRecipientDirectory",
    "ScriptedRegistrationService",
    "WritePoint",
    "duplicate",
    "fail",
    "fail_at",
    "hang",
    "lose_reply",
    "not_seen",
    "reject",
    "slow",
    "stubborn",
    "succeed",
    "unavailable",
]
