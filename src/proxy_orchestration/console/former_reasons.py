"""
Reasons as earlier versions stored them, and what the same reason says today.

An outcome keeps the sentence that was written with it, and the catalogues
have today's sentences only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proxy_orchestration.registration import reasons
from proxy_orchestration.registration.batches import CANCELLED

_FINDS_OUT: Final = "a retry finds out without registering twice."

_TODAY: Final[Mapping[str, str]] = {
    "The batch was cancelled before this one began.": CANCELLED.message,
    "This mentor is not among those you may register for.": reasons.OUT_OF_SCOPE.message,
    "A record exists that may be this one's own, written by a call whose answer was lost. "
    "Look at it before you decide.": reasons.MAYBE_OWN.message,
    "Whether this activity is registered already could not be found out.": reasons.CHECK_FAILED.message,
    "All or nothing: waits until every conflict of the batch has a decision.": (
        reasons.AWAITING_DECISIONS.message
    ),
    "All or nothing: not registered, because another mentor of the batch was refused.": (
        reasons.ROLLED_BACK.message
    ),
    f"The service's answer never arrived; {_FINDS_OUT}": reasons.UNKNOWN.message,
    f"The service gave an answer that says nothing; {_FINDS_OUT}": reasons.BAD_ANSWER.message,
    f"The service failed, and did not say how; {_FINDS_OUT}": reasons.UNEXPECTED.message,
    "The process ended each time this one was called. Find out why, then retry it by name.": (
        reasons.DRIVER_LOST.message
    ),
    "The service refused the call for now; nothing was written.": reasons.UNAVAILABLE.message,
    "The batch ran out of time before this one began.": reasons.OUT_OF_TIME.message,
}


def as_today(message: str) -> str:
    """
    Return what the reason with this sentence says today; the sentence itself if it is not a former one.
    """
    return _TODAY.get(message, message)
