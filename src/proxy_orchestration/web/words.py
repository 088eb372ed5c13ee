"""
Maps enum values to the words of the wire format and back, one table for each kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from proxy_orchestration.notification.notices import NoticeStatus
from proxy_orchestration.notification.run_log import RunEnding
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.notification.visibility_records import VisibilityCause
from proxy_orchestration.registration.states import BulkStatus, ItemState

BatchWord: TypeAlias = Literal[
    "processing", "cancelling", "paused", "completed", "partial", "failed", "cancelled", "needs_review"
]
ItemWord: TypeAlias = Literal[
    "pending", "processing", "success", "failed", "unknown", "needs_review", "skipped", "cancelled"
]
TierWord: TypeAlias = Literal["60_day", "30_day", "7_day", "expired"]
NoticeWord: TypeAlias = Literal["active", "acknowledged", "renewal_cleared"]
RunWord: TypeAlias = Literal["completed", "source_failed", "cancelled", "stopped"]
CauseWord: TypeAlias = Literal[
    "certificate_expired",
    "certificate_renewed",
    "certificate_corrected",
    "certificate_revoked",
    "certificate_withdrawn",
    "restored_by_person",
    "mentor_erased",
]

BATCH_WORDS: Final[Mapping[BulkStatus, BatchWord]] = MappingProxyType(
    {
        # One word for both, as the contract's submission answers: `started` tells them apart; decision 277.
        BulkStatus.PENDING: "processing",
        BulkStatus.RUNNING: "processing",
        BulkStatus.CANCELLING: "cancelling",
        BulkStatus.PAUSED: "paused",
        BulkStatus.SUCCESS: "completed",
        BulkStatus.PARTIAL_SUCCESS: "partial",
        BulkStatus.TOTAL_FAILURE: "failed",
        BulkStatus.CANCELLED: "cancelled",
        BulkStatus.NEEDS_REVIEW: "needs_review",
    }
)

ITEM_WORDS: Final[Mapping[ItemState, ItemWord]] = MappingProxyType(
    {
        ItemState.PENDING: "pending",
        ItemState.RUNNING: "processing",
        ItemState.SUCCEEDED: "success",
        ItemState.FAILED: "failed",
        ItemState.UNKNOWN: "unknown",
        ItemState.NEEDS_REVIEW: "needs_review",
        ItemState.SKIPPED: "skipped",
        ItemState.CANCELLED: "cancelled",
    }
)

TIER_WORDS: Final[Mapping[NotificationThresholdTier, TierWord]] = MappingProxyType(
    {
        NotificationThresholdTier.ADVANCE_60: "60_day",
        NotificationThresholdTier.WARNING_30: "30_day",
        NotificationThresholdTier.URGENT_7: "7_day",
        NotificationThresholdTier.LAPSED: "expired",
    }
)

NOTICE_WORDS: Final[Mapping[NoticeStatus, NoticeWord]] = MappingProxyType(
    {
        NoticeStatus.PENDING: "active",
        NoticeStatus.ACKNOWLEDGED: "acknowledged",
        NoticeStatus.CLEARED: "renewal_cleared",
    }
)

RUN_WORDS: Final[Mapping[RunEnding, RunWord]] = MappingProxyType(
    {
        RunEnding.COMPLETED: "completed",
        RunEnding.SOURCE_FAILED: "source_failed",
        RunEnding.CANCELLED: "cancelled",
        RunEnding.STOPPED: "stopped",
    }
)

CAUSE_WORDS: Final[Mapping[VisibilityCause, CauseWord]] = MappingProxyType(
    {
        VisibilityCause.LAPSED: "certificate_expired",
        VisibilityCause.RENEWED: "certificate_renewed",
        VisibilityCause.CORRECTED: "certificate_corrected",
        VisibilityCause.REVOKED: "certificate_revoked",
        VisibilityCause.WITHDRAWN: "certificate_withdrawn",
        VisibilityCause.RESTORED: "restored_by_person",
        VisibilityCause.ERASED: "mentor_erased",
    }
)


def statuses_of(words: Iterable[BatchWord]) -> frozenset[BulkStatus] | None:
    """
    Return the statuses that a list is filtered by; `None` for all, where no word is given.
    """
    wanted = frozenset(words)
    return frozenset(status for status, word in BATCH_WORDS.items() if word in wanted) if wanted else None


def states_of(words: Iterable[ItemWord]) -> frozenset[ItemState] | None:
    """
    Return the states that items are filtered by; `None` for all, where no word is given.
    """
    wanted = frozenset(words)
    return frozenset(state for state, word in ITEM_WORDS.items() if word in wanted) if wanted else None
