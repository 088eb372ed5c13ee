"""
Notices, runs, dead messages and hidden mentors in the wire format.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StrictStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from proxy_orchestration.web.wire.fields import Answer, Body, Id, Pagination
from proxy_orchestration.web.words import CauseWord, NoticeWord, RunWord, TierWord


def _is_false(value: bool) -> bool:  # noqa: FBT001 - the one value of a field
    if value:
        raise _ONLY_SHOWN
    return value


_ONLY_SHOWN: Final = PydanticCustomError("not_false", "must be false: mentors cannot be hidden by hand")
# Not Literal[False], which takes 0 as well.
NoLongerActive: TypeAlias = Annotated[
    StrictBool, AfterValidator(_is_false), WithJsonSchema({"type": "boolean", "const": False})
]


class NewAcknowledgement(Body):
    """
    A notice that somebody takes note of.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"notification_id": "n-1", "notes": "Called."}]}
    )

    notification_id: StrictStr
    notes: Annotated[StrictStr, Field(max_length=500)] = ""
    coordinator_id: StrictStr | None = Field(
        default=None, description="Ignored. The signed-in actor is used."
    )


class Replay(Body):
    """
    Which dead messages to queue again; all that the list shows, where none is named.
    """

    message_ids: list[StrictStr] | None = None


class VisibilityRestoration(Body):
    """
    That a mentor is to be shown again.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"is_active": False, "restore_reason": "Renewed."}]}
    )

    is_active: NoLongerActive
    certificate_type: Id | None = Field(
        default=None, description="The only certificate type that this applies to."
    )
    restore_reason: Annotated[StrictStr, Field(max_length=500)] = ""


class Notice(Answer):
    """
    A notice as its recipient reads it today.
    """

    notification_id: str
    mentor_id: str
    coordinator_id: str | None = Field(description="The recipient, if notified as the coordinator.")
    recipient_id: str
    audience: Literal["mentor", "coordinator", "chapter_admin"]
    certificate_type: str
    threshold: TierWord
    status: NoticeWord
    title: str
    body: str
    action_url: str | None
    expiry_date: date = Field(description="The last day on which the certificate is valid.")
    days_until_expiry: int
    has_expired: bool
    in_banner: bool
    created_at: datetime
    read_at: datetime | None
    remind_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class Inbox(Answer):
    """
    A page of somebody's notices, newest first.
    """

    data: list[Notice]
    unread: int
    pagination: Pagination


class Marked(Answer):
    """
    How many notices were unread, and are not any more.
    """

    marked: int


class Reminder(Answer):
    """
    Until when a notice is put off; `null` where it waits no more.
    """

    remind_at: datetime | None


class Acknowledgement(Answer):
    """
    That a notice is taken note of, now or before.
    """

    notification_id: str
    is_acknowledged: Literal[True] = True
    result: Literal["acknowledged", "already_acknowledged"]


class ExpiryRun(Answer):
    """
    One run, as far as it dealt with mentors of the organization.
    """

    run_id: str
    status: RunWord
    as_of: datetime
    started_at: datetime
    completed_at: datetime
    duration_ms: int
    expirations_evaluated: int
    notifications_dispatched: int
    skipped: int
    failed: int
    thresholds_hit: dict[str, int]
    skipped_by_reason: dict[str, int]
    error_codes: dict[str, int]


class ExpiryRuns(Answer):
    """
    A page of the log of runs, newest first.
    """

    data: list[ExpiryRun]
    pagination: Pagination


class QualityProblem(Answer):
    """
    Something about a mentor that somebody should correct.
    """

    mentor_id: str
    code: str


class DataQuality(Answer):
    """
    What a run would find wrong today; nothing was written.
    """

    processed: int
    failures: list[QualityProblem]
    data_quality: list[QualityProblem]


class DeadMessage(Answer):
    """
    A push that was given up.
    """

    message_id: str
    recipient_id: str
    mentor_id: str | None
    certificate_type: str | None
    threshold: TierWord
    error_code: str
    attempts: int
    attempted_at: datetime
    expires_at: datetime


class DeadMessages(Answer):
    """
    A page of pushes that were given up, those longest ago first.
    """

    data: list[DeadMessage]
    pagination: Pagination


class Replayed(Answer):
    """
    How many messages are queued again.
    """

    replayed: int


class Suppression(Answer):
    """
    One change: a mentor was hidden for a type of certificate, or is not any more.
    """

    suppression_id: str
    mentor_id: str
    certificate_type: str
    is_active: bool = Field(description="Whether the mentor has been hidden because of it.")
    reason: CauseWord
    changed_at: datetime
    expires_at: datetime = Field(
        description="The certificate end because of which the mentor is or was hidden."
    )
    previous_status: str | None
    restored_by: str | None
    restore_reason: str


class Suppressions(Answer):
    """
    A page of changes, newest first.
    """

    data: list[Suppression]
    pagination: Pagination


class Restored(Answer):
    """
    What a restoration changed; nothing where the mentor was not hidden.
    """

    data: list[Suppression]
