"""
Errors for requests that cannot be carried out; nothing was stored or called.
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
    A request names a mentor or an item key more than once; nothing was stored.

    Attributes:
        mentor_ids: the repeated mentor ids or item keys, each listed once.
    """

    def __init__(self, mentor_ids: Sequence[str]) -> None:
        self.mentor_ids: tuple[str, ...] = tuple(mentor_ids)
        super().__init__(
            f"Selected more than once: {_few(self.mentor_ids)}. Keep each of them once and try again. To "
            "register several activities of one mentor, give each entry its own item_key, different from "
            "every mentor's id."
        )


class UnknownMentorError(OrchestrationError, error_code="unknown_mentor", repeat_helps=False):
    """
    A verb names mentors, or item keys, that are not part of the batch; nothing changed.

    Attributes:
        mentor_ids: the mentor ids or item keys that are not part of the batch.
    """

    def __init__(self, mentor_ids: Sequence[str]) -> None:
        self.mentor_ids: tuple[str, ...] = tuple(mentor_ids)
        super().__init__(
            f"Not part of this batch: {_few(self.mentor_ids)}. Use only mentors or item keys of this batch."
        )


class BatchTooLargeError(OrchestrationError, error_code="batch_too_large", repeat_helps=False):
    """
    A request has more entries than one batch may have; nothing was stored.

    Attributes:
        size: the number of entries in the request.
        limit: `BulkSettings.max_batch_size`.
    """

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(
            f"The request has {size} entries, and a batch may have at most {limit}. Split the request, or "
            "raise BulkSettings.max_batch_size."
        )


class AtomicModeError(OrchestrationError, error_code="atomic_mode", repeat_helps=False):
    """
    The request asked for all or nothing, and the registration service cannot do that; nothing was called.

    Attributes:
        limit: the most registrations that the service takes in one call; `None` if it takes one at a time.
    """

    def __init__(self, *, limit: int | None = None) -> None:
        self.limit = limit
        takes = (
            "registers one mentor per call, so it cannot promise all or nothing. "
            if limit is None
            else (
                f"takes at most {limit} registrations per call, and an all-or-nothing batch is a single "
                "call. "
            )
        )
        advice = "give the service a register_many method." if limit is None else "submit fewer mentors."
        super().__init__(f"The registration service {takes}Submit in independent mode, or {advice}")


class BatchNotFoundError(OrchestrationError, error_code="batch_not_found", repeat_helps=False):
    """
    There is no batch with this id that the actor may see.

    Attributes:
        batch_id: the requested id.
    """

    def __init__(self, batch_id: str) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        super().__init__(
            f"There is no batch {batch_id!r}, or you have no access to it. Check the id, or list your "
            "batches."
        )


class ActivityNotFoundError(OrchestrationError, error_code="activity_not_found", repeat_helps=False):
    """
    There is no registered activity with this id that the actor may see.

    Attributes:
        activity_id: the requested id.
    """

    def __init__(self, activity_id: str) -> None:
        self.activity_id = activity_id
        super().__init__(
            f"There is no activity {activity_id!r}, or you have no access to it. Check the id, or list your "
            "registered activities."
        )


class NotificationNotFoundError(OrchestrationError, error_code="notification_not_found", repeat_helps=False):
    """
    There is no notice with this id that the actor may see.

    Attributes:
        notification_id: the requested id.
    """

    def __init__(self, notification_id: str) -> None:
        self.notification_id = notification_id
        super().__init__(
            f"There is no notice {notification_id!r}, or you have no access to it. Check the id, or list "
            "your inbox."
        )


class IdempotencyKeyReusedError(OrchestrationError, error_code="idempotency_key_reused", repeat_helps=False):
    """
    An idempotency key was used again, with a different request or after its batch was deleted.

    Attributes:
        batch_id: the batch that first used the key.
        deleted: whether that batch was deleted or purged in the meantime.
    """

    def __init__(self, batch_id: str, *, deleted: bool = False) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.deleted = deleted
        why = "was deleted" if deleted else "was submitted with different content"
        super().__init__(
            f"This idempotency key belongs to batch {batch_id}, which {why}. "
            "Use a new key for a new submission."
        )


class NotAuthorizedError(OrchestrationError, error_code="not_authorized", repeat_helps=False):
    """
    The actor's roles do not allow this; nothing was read or changed.

    Attributes:
        action: the refused action, as a verb phrase such as `cancel a batch`.
    """

    def __init__(self, action: str, *, ask: str = "someone whose role allows it") -> None:
        """
        Make the error from the refused action and from whom to ask in the organization.
        """
        self.action = action
        super().__init__(f"Your roles do not allow you to {action}. In your organization, ask {ask}.")
