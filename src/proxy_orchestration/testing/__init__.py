"""
What a test of this library's users needs: a clock, doubles, faults and contract kits.
"""

from proxy_orchestration.testing.audit import AuditScript, RecordingAuditLogger
from proxy_orchestration.testing.clock import FakeClock
from proxy_orchestration.testing.faults import FaultHook, FaultyActivityRepository, WritePoint, fail_at
from proxy_orchestration.testing.replies import (
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
from proxy_orchestration.testing.services import (
    LookupRegistrationService,
    LookupScript,
    RegistrationScript,
    ScriptedRegistrationService,
)

__all__ = [
    "AuditScript",
    "FakeClock",
    "FaultHook",
    "FaultyActivityRepository",
    "LookupRegistrationService",
    "LookupScript",
    "RecordingAuditLogger",
    "RegistrationScript",
    "Reply",
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
