"""
Batches and items in the wire format.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar, Final, Literal, TypeAlias

from pydantic import ConfigDict, Field, JsonValue, StrictStr
from pydantic.config import JsonDict

from proxy_orchestration.web.wire.fields import Answer, Body, Id, IsoDay, Label, Minutes, Run
from proxy_orchestration.web.words import BatchWord, ItemWord

ModeWord: TypeAlias = Literal["independent", "atomic"]
PolicyWord: TypeAlias = Literal["review", "skip", "override"]
DecisionWord: TypeAlias = Literal["override", "skip", "override_maybe_own"]
CANCELLED: Final = "cancelled"

_ACTIVITY: Final[JsonDict] = {
    "activity_type": "home_visit",
    "activity_date": "2026-01-31",
    "duration_minutes": 45,
}
_ITEM: Final[JsonDict] = {"mentor_id": "mentor-482", **_ACTIVITY, "notes": "First visit."}


class Activity(Body):
    """
    What was done.
    """

    activity_type: Id
    activity_date: IsoDay
    duration_minutes: Minutes
    notes: StrictStr = ""
    details: dict[str, JsonValue] = Field(default_factory=dict)


class NewItem(Activity):
    """
    One mentor's activity.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra={"examples": [_ITEM]})

    mentor_id: Id
    item_id: Id | None = Field(
        default=None, description="The item's key in the batch; by default the mentor's id."
    )


class NewBatch(Body):
    """
    A bulk submission, or a preview of one.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"items": [_ITEM], "label": "January visits"}]}
    )

    items: list[NewItem] = Field(json_schema_extra={"minItems": 1})
    coordinator_id: StrictStr | None = Field(
        default=None, description="Ignored. The signed-in actor always registers."
    )
    label: Label | None = None
    mode: ModeWord = "independent"
    on_conflict: PolicyWord = "review"


class BatchChange(Body):
    """
    What to change of a batch: cancel it, or call it something else.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "examples": [{"status": CANCELLED, "cancellation_reason": "Wrong day."}, {"label": "February"}],
            "minProperties": 1,
        }
    )

    status: Literal["cancelled"] | None = None
    cancellation_reason: StrictStr | None = None
    label: Label | None = Field(default=None, description="`null` removes the label.")


class Cancellation(Body):
    """
    Why a batch is cancelled.
    """

    cancellation_reason: StrictStr | None = None


class Retry(Body):
    """
    What to retry: all that failed, or whom it names, as they are or with another activity.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "examples": [
                {},
                {"mentor_ids": ["mentor-482"], "expected_run": 1},
                {"activities": {"mentor-482": _ACTIVITY}},
            ]
        }
    )

    mentor_ids: list[StrictStr] | None = Field(default=None, description="Mentors or item ids.")
    expected_run: Run | None = Field(
        default=None, description="The run that you read. If another run is current, the request is refused."
    )
    activities: dict[str, Activity] | None = Field(
        default=None, description="What to register instead, by mentor or item id."
    )


class Decisions(Body):
    """
    What becomes of those that need a review, each by itself.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"decisions": {"mentor-482": "skip"}, "expected_run": 1}]}
    )

    decisions: dict[str, DecisionWord] = Field(
        description="By mentor or item id.", json_schema_extra={"minProperties": 1}
    )
    expected_run: Run | None = None


class Batch(Answer):
    """
    A batch without its items.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "batch_id": "batch-0042",
                    "coordinator_id": "coord-119",
                    "status": "partial",
                    "started": True,
                    "run": 1,
                    "total_items": 15,
                    "completed": 13,
                    "failed": 2,
                    "counts": {"success": 13, "failed": 2},
                    "label": "January visits",
                    "mode": "independent",
                    "on_conflict": "review",
                    "submitted_at": "2026-01-31T12:00:00Z",
                    "completed_at": "2026-01-31T12:00:04Z",
                }
            ]
        }
    )

    batch_id: str
    coordinator_id: str
    status: BatchWord
    started: bool = Field(description="False until a driver has begun the current run.")
    run: int = Field(description="The submission is run 1. Each retry and each review opens the next run.")
    total_items: int
    completed: int = Field(description="Items that succeeded.")
    failed: int = Field(
        description="Items that failed or whose result is unknown. A retry takes up these items."
    )
    counts: dict[ItemWord, int] = Field(description="Items by status; the sum is `total_items`.")
    label: str | None
    mode: ModeWord
    on_conflict: PolicyWord
    submitted_at: datetime
    completed_at: datetime | None = Field(description="When the current run settled.")
    opened_by: str = ""
    retried_by: str | None = None
    decided_by: str | None = None
    cancelled_by: str | None = None
    cancellation_reason: str | None = None
    paused_at: datetime | None = None
    paused_by: str | None = None
    pause_code: str | None = None


class ItemResult(Answer):
    """
    Where one item stands.
    """

    item_id: str
    mentor_id: str
    status: ItemWord
    activity_id: str | None
    error: str | None = Field(description="One sentence for the coordinator.")
    error_code: str | None
    retryable: bool | None
    conflicting_activity_id: str | None
    attempts: int = Field(description="The number of calls in the run that settled the item.")
    settled_at: datetime | None


class ItemHistory(ItemResult):
    """
    How one run settled an item.
    """

    run: int


class Item(ItemResult):
    """
    One item with its activity, and how every run settled it.
    """

    place: int = Field(description="The item's position in the request, from 1.")
    activity_type: str
    activity_date: date
    duration_minutes: int
    notes: str
    details: dict[str, Any]
    history: list[ItemHistory]


class BatchDetail(Batch):
    """
    A batch with a page of its items.
    """

    items: list[Item]
    next_after: int | None = Field(description="Send it as `after` to get the items that follow.")


class CancelledBatch(Batch):
    """
    A batch after a change, with what a cancel did: four numbers whose sum is `total_items`.
    """

    cancellation: CancelNumbers | None


class CancelNumbers(Answer):
    """
    What a cancel did to every item.
    """

    never_started: int
    finished: int
    in_doubt: int
    already_settled: int


class PagePlace(Answer):
    """
    Which page of a list this is.
    """

    page: int
    limit: int
    total: int
    next_cursor: str | None = Field(
        description="Send it as `cursor` to get the next page, even if new batches arrive."
    )


class BatchList(Answer):
    """
    A page of batches, newest first.
    """

    data: list[Batch]
    pagination: PagePlace


class Deleted(Answer):
    """
    That a batch is gone.
    """

    success: Literal[True] = True
    deleted_id: str


class FoundConflict(Answer):
    """
    An item that conflicts with what is registered.
    """

    item_id: str
    mentor_id: str
    kind: Literal["duplicate", "in_batch", "check_failed", "maybe_own"]
    existing_activity_id: str | None


class Preview(Answer):
    """
    What a submission would meet; conflicts, clean and refused items are all there are.
    """

    total: int
    conflicts: list[FoundConflict]
    clean: list[str] = Field(description="Item ids.")
    refused: list[str] = Field(description="Item ids of mentors that the coordinator may not register for.")


class Update(Answer):
    """
    One item settled; the `update` event of a stream.
    """

    batch_id: str
    run: int
    sequence: int = Field(description="Without gaps, from 1; also the event's `id`.")
    settled: int = Field(description="The number of settled items of the batch, including this one.")
    total_items: int
    item: ItemResult


class Updates(Answer):
    """
    What a long-poll answers.
    """

    updates: list[Update]
    next_after: int = Field(description="Send it as `after` to get what follows.")
    settled: bool = Field(description="Whether this run has no further updates.")
    batch: Batch
