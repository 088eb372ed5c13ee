"""
What a person asks for that cannot be done: nothing was stored or called.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy_orchestration.errors.base import OrchestrationError

_SHOWN = 5


def _few(mentor_ids: Sequence[str]) -> str:
    shown = ", ".join(mentor_ids[:_SHOWN])
    rest = len(mentor_ids) - _SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


class EmptySelectionError(OrchestrationError, error_code="empty_selection", repeat_helps=False):
    """
    A request or a retry names no mentor; nothing was stored or called.
    """

    def __init__(self) -> None:
        super().__init__("No mentor is selected. Select at least one and submit again.")


class DuplicateSelectionError(OrchestrationError, error_code="duplicate_selection", repeat_helps=False):
    """
    A mentor or an item key stands for several items of a request, or is named twice; nothing was stored.

    Attributes:
        mentor_ids: each name that stands more than once, named once.
    """

    def __init__(self, mentor_ids: Sequence[str]) -> None:
        self.mentor_ids: tuple[str, ...] = tuple(mentor_ids)
        super().__init__(
            f"Selected more than once: {_few(self.mentor_ids)}. "
            "Leave each of them in once and try again. For several activities of one mentor give each entry "
            "an item_key of its own, which is no mentor's id."
        )


class UnknownMentorError(OrchestrationError, error_code="unknown_mentor", repeat_helps=False):
    """
    A verb names mentors, or item keys, that are not part of the batch; nothing changed.

    Attributes:
        mentor_ids: the names that the batch does not hold.
    """

    def __init__(self, mentor_ids: Sequence[str]) -> None:
        self.mentor_ids: tuple[str, ...] = tuple(mentor_ids)
        super().__init__(
            f"Not part of this batch: {_few(self.mentor_ids)}. "
            "Name only mentors that the batch was submitted with."
        )


class BatchTooLargeError(OrchestrationError, error_code="batch_too_large", repeat_helps=False):
    """
    A request holds more mentors than the host allows; nothing was stored.

    Attributes:
        size: mentors in the request.
        limit: `BulkSettings.max_batch_size`.
    """

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(
            f"{size} mentors are selected and at most {limit} are allowed in one batch. "
            "Split the request, or raise BulkSettings.max_batch_size."
        )


class AtomicModeError(OrchestrationError, error_code="atomic_mode", repeat_helps=False):
    """
    All or nothing was asked for, and the registration service cannot do that; nothing was called.

    Attributes:
        limit: registrations that the service takes in one call; `None` if it takes one at a time.
    """

    def __init__(self, *, limit: int | None = None) -> None:
        self.limit = limit
        takes = (
            "registers one at a time, so it cannot promise all or nothing. "
            if limit is None
            else f"takes at most {limit} in one call, and all or nothing is one call. "
        )
        advice = (
            "give the service a register_many method." if limit is None else "with fewer mentors in a batch."
        )
        super().__init__(f"The registration service {takes}Submit in independent mode, or {advice}")


class BatchNotFoundError(OrchestrationError, error_code="batch_not_found", repeat_helps=False):
    """
    There is no such batch, or none that this actor may know of.

    Attributes:
        batch_id: the id that was asked for.
    """

    def __init__(self, batch_id: str) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        super().__init__(f"There is no batch {batch_id!r} for you. Check the id, or list your batches.")


class ActivityNotFoundError(OrchestrationError, error_code="activity_not_found", repeat_helps=False):
    """
    There is no such registered activity, or none that this actor may know of.

    Attributes:
        activity_id: the id that was asked for.
    """

    def __init__(self, activity_id: str) -> None:
        self.activity_id = activity_id
        super().__init__(
            f"There is no activity {activity_id!r} for you. Check the id, or list your registered activities."
        )


class NotificationNotFoundError(OrchestrationError, error_code="notification_not_found", repeat_helps=False):
    """
    There is no such notice, or none that this actor may know of.

    Attributes:
        notification_id: the id that was asked for.
    """

    def __init__(self, notification_id: str) -> None:
        self.notification_id = notification_id
        super().__init__(f"There is no notice {notification_id!r} for you. Check the id, or list your inbox.")


class IdempotencyKeyReusedError(OrchestrationError, error_code="idempotency_key_reused", repeat_helps=False):
    """
    An idempotency key came back with another payload, or after its batch was deleted.

    Attributes:
        batch_id: the batch that the key belongs to.
        deleted: whether that batch was deleted or purged since.
    """

    def __init__(self, batch_id: str, *, deleted: bool = False) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.deleted = deleted
        why = "was deleted" if deleted else "was submitted with other content"
        super().__init__(
            f"This idempotency key belongs to batch {batch_id}, which {why}. "
            "Use a new key for a new submission."
        )


class NotAuthorizedError(OrchestrationError, error_code="not_authorized", repeat_helps=False):
    """
    The actor's roles do not allow this; nothing was read or changed.

    Attributes:
        action: what was refused.
    """

    def __init__(self, action: str, *, ask: str = "somebody whose roles allow it") -> None:
        """
        Say what was refused, and whom to ask in the organization.
        """
        self.action = action
        super().__init__(f"Your roles do not allow you to {action}. In your organization, ask {ask}.")
