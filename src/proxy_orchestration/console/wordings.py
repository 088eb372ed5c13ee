"""
What states, results and messages are called on the pages, in English; the catalogues have the rest.
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
    ItemState.RUNNING: Wording(marked("Under way"), "busy"),
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
    ConflictKind.CHECK_FAILED: marked("Whether this activity is registered already could not be found out."),
    ConflictKind.MAYBE_OWN: marked(
        "A record exists that may be this one's own, written by a call whose answer was lost. "
        "Look at it before you decide."
    ),
}

DECISIONS: Final[Mapping[ConflictDecision, str]] = {
    ConflictDecision.SKIP: marked("Leave out"),
    ConflictDecision.OVERRIDE: marked("Register all the same"),
    ConflictDecision.OVERRIDE_MAYBE_OWN: marked("Register although the record may be its own"),
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
    Audience.CHAPTER_ADMIN: marked("as chapter admin, since no coordinator is assigned"),
}

ENDINGS: Final[Mapping[RunEnding, Wording]] = {
    RunEnding.COMPLETED: Wording(marked("Completed"), "good"),
    RunEnding.SOURCE_FAILED: Wording(marked("The source of certificates failed"), "bad"),
    RunEnding.CANCELLED: Wording(marked("Cancelled"), "hold"),
    RunEnding.STOPPED: Wording(marked("Stopped early"), "hold"),
}

PROBLEMS: Final[Mapping[str, str]] = {
    "missing_coordinator_assignment": marked("No coordinator is assigned; chapter admins are told instead"),
    "recipients_unknown": marked("Who answers for the mentor could not be found out"),
    "empty_recipient_id": marked("The coordinator or a chapter admin has an empty id"),
    "invalid_recipient_id": marked("The coordinator's id, or a chapter admin's, cannot be one"),
    "stale_certificate": marked(
        "Another certificate of the kind ends later; correct that end if it is wrong"
    ),
    "repeated_certificate": marked("One certificate is given twice with different ends; the last one counts"),
    "feed_not_whole": marked("The certificates were not read whole, so none was withdrawn"),
    "too_many_withdrawn": marked(
        "More than a fifth of the known certificates is missing; none was withdrawn"
    ),
    "erased_mentor": marked("The mentor was erased, and this is a pseudonym"),
    "empty_id": marked("The id of the certificate, of its mentor or its kind is empty"),
    "invalid_id": marked("The id of the certificate, of its mentor or its kind cannot be one"),
    "unstorable_text": marked("A text has characters that cannot be stored"),
    "empty_text": marked("A text is empty"),
    "link_failed": marked("No link to a course could be made; the notice goes out without"),
    "unreadable_record": marked("The certificate cannot be read"),
    "invalid_expiry": marked("The day on which the certificate ends cannot be read"),
    "visibility_unknown": marked("Who is hidden could not be found out"),
}
"""Codes of records that somebody should mend; any other code is shown as it is."""

REASONS: Final[Mapping[str, str]] = {
    "not_a_coordinator": marked("Only coordinators register for others."),
    "date_in_future": marked("The day is too far ahead."),
    "date_too_old": marked("The day is too long ago."),
}
"""Codes of the standard service whose sentences have days in them, which no catalogue can hold."""

NOTES: Final[Mapping[str, Wording]] = {
    "submitted": Wording(
        marked("The batch is accepted. It goes on by itself, even if you leave this page."), "good"
    ),
    "retried": Wording(marked("The retry is accepted. Only the chosen mentors are called again."), "good"),
    "decided": Wording(marked("Your decisions are stored and being carried out."), "good"),
    "paused": Wording(
        marked("The batch is paused. Calls under way end as usual; no further one begins."), "good"
    ),
    "resumed": Wording(marked("The batch goes on."), "good"),
    "relabelled": Wording(marked("The label is changed."), "good"),
    "deleted": Wording(marked("The batch is deleted. What it registered stays."), "good"),
    "acknowledged": Wording(marked("The notice is acknowledged."), "good"),
    "acknowledged_before": Wording(marked("This notice was acknowledged before. Nothing changed."), "hold"),
    "replayed": Wording(marked("The messages are queued again."), "good"),
    "read": Wording(marked("All notices are marked as read."), "good"),
    "nothing_chosen": Wording(marked("Nobody was chosen, so nothing was done. Choose at least one."), "hold"),
    "stale": Wording(
        marked(
            "Somebody acted on this batch after your page was loaded, so nothing was done. "
            "Here is how it stands now."
        ),
        "hold",
    ),
    "not_now": Wording(
        marked(
            "That is not possible in the batch's present state, so nothing was done. Here is how it stands."
        ),
        "hold",
    ),
}
"""What a page says after a form, by the code in its address; nobody else's words can be put there."""
