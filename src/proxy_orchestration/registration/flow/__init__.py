"""
The two flows of a user interface, single and bulk, as separate state machines.

Each is a pure function from a state and an event to a step: the next state, and
effects that the host carries out. States, events, effects, forms, drafts and tokens are
types of their own per flow, so that nothing chosen in one can be used in the other;
templates, activities and reports, which a host hands to both, are shared.

What becomes of an event that does not fit the state:

- an *answer* (it carries a token) to an earlier question is late and ignored; to a
  question that was never put, or about something else, it is refused;
- a *press* (submit, confirm, back) is ignored: buttons are pressed twice;
- an *input* (a selection, an edit, a decision) is refused: nothing that somebody chose
  is lost unnoticed.

Both say so in the step and change nothing. `...Entered` and `...Left` fit everywhere and
keep nothing but the token. After a call that failed, trying again repeats it under the
same idempotency key; going back and submitting anew is a submission of its own.
"""

from __future__ import annotations

from proxy_orchestration.registration.activities import ActivityDraft, ActivityTemplate
from proxy_orchestration.registration.flow.bulk import (
    bulk_flow_after,
)
from proxy_orchestration.registration.flow.bulk_words import (
    BulkAllConflictsDecided,
    BulkAllVisibleSelected,
    BulkAnswer,
    BulkAnswered,
    BulkCallFailed,
    BulkChecking,
    BulkConflictCase,
    BulkConflictDecided,
    BulkConflictsFound,
    BulkDraft,
    BulkDraftEdited,
    BulkEffect,
    BulkEntered,
    BulkEvent,
    BulkFailed,
    BulkForm,
    BulkIdle,
    BulkInput,
    BulkLeft,
    BulkMentorsDeselected,
    BulkMentorsSelected,
    BulkOptionsChosen,
    BulkOrigin,
    BulkPress,
    BulkProgressed,
    BulkRefusal,
    BulkRetried,
    BulkReviewConfirmed,
    BulkReviewing,
    BulkReviewingBatch,
    BulkReviewOpened,
    BulkSelecting,
    BulkSettled,
    BulkState,
    BulkStep,
    BulkSubmitted,
    BulkSubmitting,
    BulkTemplateChosen,
    BulkTemplateConfirmed,
    BulkTemplateDeclined,
    BulkToken,
    BulkTriedAgain,
    BulkWentBack,
    BulkWork,
    CheckBulkConflicts,
    ResolveBulk,
    RetryBulk,
    SubmitBulk,
)
from proxy_orchestration.registration.flow.forms import ActivityForm, RefusalReason
from proxy_orchestration.registration.flow.single import (
    RegisterSingle,
    SingleAnswer,
    SingleCallFailed,
    SingleDraft,
    SingleDraftEdited,
    SingleDuplicateConfirmed,
    SingleDuplicateFound,
    SingleEntered,
    SingleEvent,
    SingleFailed,
    SingleForm,
    SingleIdle,
    SingleInput,
    SingleLeft,
    SingleMentorDeselected,
    SingleMentorSelected,
    SinglePress,
    SingleRefusal,
    SingleRefused,
    SingleRegistered,
    SingleRejected,
    SingleReviewing,
    SingleSelecting,
    SingleSettled,
    SingleState,
    SingleStep,
    SingleSubmitted,
    SingleSubmitting,
    SingleTemplateChosen,
    SingleTemplateConfirmed,
    SingleTemplateDeclined,
    SingleToken,
    SingleTriedAgain,
    SingleWentBack,
    single_flow_after,
)

# One line a name would only repeat the imports.
# fmt: off
__all__ = [
    "ActivityDraft", "ActivityForm", "ActivityTemplate", "BulkAllConflictsDecided",
    "BulkAllVisibleSelected", "BulkAnswer", "BulkAnswered", "BulkCallFailed", "BulkChecking",
    "BulkConflictCase", "BulkConflictDecided", "BulkConflictsFound", "BulkDraft", "BulkDraftEdited",
    "BulkEffect", "BulkEntered", "BulkEvent", "BulkFailed", "BulkForm", "BulkIdle", "BulkInput",
    "BulkLeft", "BulkMentorsDeselected", "BulkMentorsSelected", "BulkOptionsChosen", "BulkOrigin",
    "BulkPress", "BulkProgressed", "BulkRefusal", "BulkRetried", "BulkReviewConfirmed",
    "BulkReviewOpened", "BulkReviewing", "BulkReviewingBatch", "BulkSelecting", "BulkSettled",
    "BulkState", "BulkStep", "BulkSubmitted", "BulkSubmitting", "BulkTemplateChosen",
    "BulkTemplateConfirmed", "BulkTemplateDeclined", "BulkToken", "BulkTriedAgain", "BulkWentBack",
    "BulkWork", "CheckBulkConflicts", "RefusalReason", "RegisterSingle", "ResolveBulk", "RetryBulk",
    "SingleAnswer", "SingleCallFailed", "SingleDraft", "SingleDraftEdited", "SingleDuplicateConfirmed",
    "SingleDuplicateFound", "SingleEntered", "SingleEvent", "SingleFailed", "SingleForm", "SingleIdle",
    "SingleInput", "SingleLeft", "SingleMentorDeselected", "SingleMentorSelected", "SinglePress",
    "SingleRefusal", "SingleRefused", "SingleRegistered", "SingleRejected", "SingleReviewing",
    "SingleSelecting", "SingleSettled", "SingleState", "SingleStep", "SingleSubmitted",
    "SingleSubmitting", "SingleTemplateChosen", "SingleTemplateConfirmed", "SingleTemplateDeclined",
    "SingleToken", "SingleTriedAgain", "SingleWentBack", "SubmitBulk", "bulk_flow_after",
    "single_flow_after",
]
# fmt: on
