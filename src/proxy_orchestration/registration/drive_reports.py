"""
What an engine's job is told of the run that it was to drive.
"""

from __future__ import annotations

import enum

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration.registration.states import BulkStatus


class DriveEnding(enum.Enum):
    """
    Where a call that was to drive a run left it.
    """

    SETTLED = "settled"  # nothing is left to do, be it that it was driven to its end here or elsewhere
    HELD = "held"  # somebody else holds its lease
    WAITING = "waiting"  # it was driven, and nothing more of it is due for a while
    PAUSED = "paused"  # nothing of it is called until somebody resumes it
    LOST = "lost"  # it was driven until another driver took it over
    GONE = "gone"  # there is no such batch, or another run is its current one


@attrs.frozen(kw_only=True)
class DriveReport(PlainModel):
    """
    What became of one call of `drive_if_free`; small, so that an engine may store it.

    Attributes:
        batch_id: the batch.
        run: the run that this is about; where it is GONE the batch's current one, `None` without a batch.
        ending: where it stands.
        status: the batch's status, once it is SETTLED; else `None`.
        retry_after: seconds after which to call again; `None` where there is nothing to come
            back for: it is over, or whoever resumes it wakes a driver.
    """

    batch_id: str
    run: int | None
    ending: DriveEnding
    status: BulkStatus | None = None
    retry_after: float | None = None


@attrs.frozen(kw_only=True)
class WaitingRun(PlainModel):
    """
    A run of which something is due, and that nobody drives.

    Attributes:
        batch_id: the batch.
        run: its current run.
    """

    batch_id: str
    run: int
