"""
The library's own reasons why items end without success.
"""

from __future__ import annotations

from typing import Final

from proxy_orchestration.registration.batches import Failure

SELF_ATTRIBUTION: Final = Failure(
    code="self_attribution",
    message="Coordinators cannot register an activity for themselves.",
    retryable=False,
)
OUT_OF_SCOPE: Final = Failure(
    code="out_of_scope", message="You may not register for this mentor.", retryable=False
)
DUPLICATE: Final = Failure(
    code="duplicate", message="An activity of this kind is already registered for that day.", retryable=False
)
MAYBE_OWN: Final = Failure(
    code="maybe_own",
    message="A record exists that an earlier call for this mentor may have written, whose answer was lost. "
    "Look at the record before you decide.",
    retryable=False,
)
IN_BATCH: Final = Failure(
    code="in_batch", message="An earlier entry of this batch registers the same activity.", retryable=False
)
CHECK_FAILED: Final = Failure(
    code="check_failed",
    message="It could not be checked whether this activity is already registered.",
    retryable=True,
)
SKIPPED: Final = Failure(code="skipped", message="Left out by the coordinator's decision.", retryable=False)
AWAITING_DECISIONS: Final = Failure(
    code="awaiting_decisions",
    message="All or nothing: this mentor waits until every conflict of the batch has a decision.",
    retryable=False,
)
ROLLED_BACK: Final = Failure(
    code="rolled_back",
    message="All or nothing: this mentor was not registered, because another mentor was refused.",
    retryable=True,
)
UNKNOWN: Final = Failure(
    code="outcome_unknown",
    message="The service did not answer. "
    "A retry finds out whether it registered the activity; nothing is registered twice.",
    retryable=True,
)
BAD_ANSWER: Final = Failure(
    code="bad_answer",
    message="The service gave an invalid answer. "
    "A retry finds out whether it registered the activity; nothing is registered twice.",
    retryable=True,
)
UNEXPECTED: Final = Failure(
    code="unexpected",
    message="The service failed for an unknown reason. "
    "A retry finds out whether it registered the activity; nothing is registered twice.",
    retryable=True,
)
REFUSED: Final = Failure(
    code="refused", message="The service refused this registration; nothing was written.", retryable=False
)
DRIVER_LOST: Final = Failure(
    code="driver_lost",
    message="The process ended each time this mentor was called. "
    "Find out why, then retry the mentor by name.",
    retryable=True,
)
UNAVAILABLE: Final = Failure(
    code="unavailable", message="The service was not available; nothing was written.", retryable=True
)
OUT_OF_TIME: Final = Failure(
    code="time_budget_exceeded",
    message="The batch ran out of time before this mentor was called.",
    retryable=True,
)
