"""
The English words on the pages for states, results and messages; `locale/` has the translations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy_orchestration.console.languages import marked
from proxy_orchestration.notification.notices import Audience, NoticeStatus
from proxy_orchestration.notification.run_log import RunEnding
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.registration.conflicts import ConflictDecision, ConflictKind
from proxy_orchestration.registration.states import BulkStatus, ItemState


class Wording(NamedTuple):
    """
    What something is called, and in which tone it is shown.

    Attributes:
        text: in English.
        tone: `good`, `bad`, `hold`, `busy`, `idle` or `mixed`; never the only sign of a state.
    """

    text: str
    tone: str = "idle"


STATUSES: Final[Mapping[BulkStatus, Wording]] = {
    BulkStatus.PENDING: Wording(marked("Waiting to start"), "idle"),
    BulkStatus.RUNNING: Wording(marked("Running"), "busy"),
    BulkStatus.CANCELLING: Wording(marked("Being cancelled"), "busy"),
    BulkStatus.PAUSED: Wording(marked("Paused"), "hold"),
    BulkStatus.SUCCESS: Wording(marked("All registered"), "good"),
    BulkStatus.PARTIAL_SUCCESS: Wording(marked("Partly registered"), "mixed"),
    BulkStatus.TOTAL_FAILURE: Wording(marked("None registered"), "bad"),
    BulkStatus.CANCELLED: Wording(marked("Cancelled"), "idle"),
    BulkStatus.NEEDS_REVIEW: Wording(marked("Needs review"), "hold"),
}

ITEMS: Final[Mapping[ItemState, Wording]] = {
    ItemState.PENDING: Wording(marked("Waiting"), "idle"),
    ItemState.RUNNING: Wording(marked("In progress"), "busy"),
    ItemState.SUCCEEDED: Wording(marked("Registered"), "good"),
    ItemState.FAILED: Wording(marked("Failed"), "bad"),
    ItemState.UNKNOWN: Wording(marked("In doubt"), "bad"),
    ItemState.NEEDS_REVIEW: Wording(marked("Needs review"), "hold"),
    ItemState.SKIPPED: Wording(marked("Left out"), "idle"),
    ItemState.CANCELLED: Wording(marked("Cancelled"), "idle"),
}

CONFLICTS: Final[Mapping[ConflictKind, str]] = {
    ConflictKind.DUPLICATE: marked("An activity of this kind is already registered for that day."),
    ConflictKind.IN_BATCH: marked("An earlier entry of this batch registers the same activity."),
    ConflictKind.CHECK_FAILED: marked("It could not be checked whether this activity is already registered."),
    ConflictKind.MAYBE_OWN: marked(
        "A record exists that an earlier call for this mentor may have written, whose answer was lost. "
        "Look at the record before you decide."
    ),
}

DECISIONS: Final[Mapping[ConflictDecision, str]] = {
    ConflictDecision.SKIP: marked("Leave out"),
    ConflictDecision.OVERRIDE: marked("Register anyway"),
    ConflictDecision.OVERRIDE_MAYBE_OWN: marked("Register, although the record may belong to this item"),
}

TIERS: Final[Mapping[NotificationThresholdTier, Wording]] = {
    NotificationThresholdTier.LAPSED: Wording(marked("Lapsed"), "bad"),
    NotificationThresholdTier.URGENT_7: Wording(marked("7 days or less"), "mixed"),
    NotificationThresholdTier.WARNING_30: Wording(marked("30 days or less"), "hold"),
    NotificationThresholdTier.ADVANCE_60: Wording(marked("60 days or less"), "busy"),
}

NOTICES: Final[Mapping[NoticeStatus, Wording]] = {
    NoticeStatus.PENDING: Wording(marked("Waits for you"), "hold"),
    NoticeStatus.ACKNOWLEDGED: Wording(marked("Acknowledged"), "good"),
    NoticeStatus.CLEARED: Wording(marked("Renewed since"), "idle"),
}

AUDIENCES: Final[Mapping[Audience, str]] = {
    Audience.MENTOR: marked("as the mentor"),
    Audience.COORDINATOR: marked("as the coordinator"),
    Audience.CHAPTER_ADMIN: marked("as chapter admin, because no coordinator is assigned"),
}

ENDINGS: Final[Mapping[RunEnding, Wording]] = {
    RunEnding.COMPLETED: Wording(marked("Completed"), "good"),
    RunEnding.SOURCE_FAILED: Wording(marked("The source of certificates failed"), "bad"),
    RunEnding.CANCELLED: Wording(marked("Cancelled"), "hold"),
    RunEnding.STOPPED: Wording(marked("Stopped early"), "hold"),
}

PROBLEMS: Final[Mapping[str, str]] = {
    "missing_coordinator_assignment": marked(
        "No coordinator is assigned; chapter admins are notified instead"
    ),
    "recipients_unknown": marked("It could not be found out who is responsible for the mentor"),
    "empty_recipient_id": marked("The coordinator or a chapter admin has an empty id"),
    "invalid_recipient_id": marked("The id of the coordinator or of a chapter admin is not valid"),
    "stale_certificate": marked(
        "Another certificate of this kind ends later. If that date is wrong, correct it"
    ),
    "repeated_certificate": marked(
        "One certificate is given twice with different end dates; the last one counts"
    ),
    "feed_not_whole": marked("The certificates were not read completely, so none was withdrawn"),
    "too_many_withdrawn": marked(
        "More than a fifth of the known certificates are missing; none was withdrawn"
    ),
    "erased_mentor": marked("The mentor was erased, and this is a pseudonym"),
    "empty_id": marked("The id of the certificate, of its mentor or of its kind is empty"),
    "invalid_id": marked("The id of the certificate, of its mentor or of its kind is not valid"),
    "unstorable_text": marked("A text has characters that cannot be stored"),
    "empty_text": marked("A text is empty"),
    "link_failed": marked("No link to a course could be made; the notice is sent without one"),
    "unreadable_record": marked("The certificate cannot be read"),
    "invalid_expiry": marked("The day on which the certificate ends cannot be read"),
    "visibility_unknown": marked("It could not be found out which mentors are hidden"),
}
"""By code of a data-quality problem: what the page says; any other code is shown unchanged."""

REASONS: Final[Mapping[str, str]] = {
    "not_a_coordinator": marked("Only coordinators register for others."),
    "date_in_future": marked("The day is too far ahead."),
    "date_too_old": marked("The day is too long ago."),
}
"""By code: the standard service's reasons whose sentences contain days, so that no catalogue has them."""

NOTES: Final[Mapping[str, Wording]] = {
    "submitted": Wording(
        marked("The batch is accepted. It continues by itself, even if you leave this page."), "good"
    ),
    "retried": Wording(marked("The retry is accepted. Only the chosen mentors are called again."), "good"),
    "decided": Wording(marked("Your decisions are stored and being carried out."), "good"),
    "paused": Wording(
        marked("The batch is paused. Calls in progress finish as usual; no new call begins."), "good"
    ),
    "resumed": Wording(marked("The batch continues."), "good"),
    "relabelled": Wording(marked("The label is changed."), "good"),
    "deleted": Wording(marked("The batch is deleted. The registered activities are kept."), "good"),
    "acknowledged": Wording(marked("The notice is acknowledged."), "good"),
    "acknowledged_before": Wording(
        marked("This notice was already acknowledged. Nothing was changed."), "hold"
    ),
    "replayed": Wording(marked("The messages are queued again."), "good"),
    "read": Wording(marked("All notices are marked as read."), "good"),
    "nothing_chosen": Wording(
        marked("No mentor was chosen, so nothing was done. Choose at least one."), "hold"
    ),
    "stale": Wording(
        marked(
            "Someone changed this batch after your page was loaded, so nothing was done. This is its current "
            "state."
        ),
        "hold",
    ),
    "not_now": Wording(
        marked(
            "That is not possible in the batch's current state, so nothing was done. This is its current "
            "state."
        ),
        "hold",
    ),
}
"""By the code in a page's address: what the page says after a form. The address has no text."""
