"""
What an engine's job learns about the run that it was to drive.
"""

from __future__ import annotations

import enum

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration.registration.states import BulkStatus


class DriveEnding(enum.Enum):
    """
    The state in which a call of `drive_if_free` left a run.
    """

    SETTLED = "settled"  # nothing is left to do; it was driven to its end here or elsewhere
    HELD = "held"  # another driver holds its lease
    WAITING = "waiting"  # it was driven, and its next item is due later
    PAUSED = "paused"  # no item is called until it is resumed
    LOST = "lost"  # it was driven until another driver took it over
    GONE = "gone"  # there is no such batch, or another run is its current one


@attrs.frozen(kw_only=True)
class DriveReport(PlainModel):
    """
    The result of one call of `drive_if_free`; small enough for an engine to store.

    Attributes:
        batch_id: the batch.
        run: the number of the run; if it is GONE, that of the batch's current run, or `None`
            without a batch.
        ending: the state of the run.
        status: the batch's status if `ending` is SETTLED, else `None`.
        retry_after: the seconds after which to call again; `None` if no further call is needed,
            because the run has ended or will be woken when it is resumed.
    """

    batch_id: str
    run: int | None
    ending: DriveEnding
    status: BulkStatus | None = None
    retry_after: float | None = None


@attrs.frozen(kw_only=True)
class WaitingRun(PlainModel):
    """
    A run that has due items and no driver.

    Attributes:
        batch_id: the batch.
        run: the number of its current run.
    """

    batch_id: str
    run: int
