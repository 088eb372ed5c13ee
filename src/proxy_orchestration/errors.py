"""
Every error this library raises, in one tree.

::

    OrchestrationError
    ├── MisconfiguredError             a TypeError too
    ├── InvalidInputError
    │   ├── InvalidTypeError           a TypeError too
    │   └── InvalidValueError          a ValueError too
    ├── EmptySelectionError
    ├── DuplicateSelectionError
    ├── UnknownMentorError
    ├── BatchTooLargeError
    ├── AtomicModeError
    ├── CallsAbandonedError
    ├── WrongTaskError
    ├── BatchNotFoundError
    ├── ActivityNotFoundError
    ├── BatchStateError
    │   ├── StaleRunError
    │   └── BatchLeasedError
    ├── IdempotencyKeyReusedError
    ├── NotAuthorizedError
    ├── NotificationNotFoundError
    ├── RegistrationError              raised by a registration service
    │   ├── RegistrationRejected
    │   ├── DuplicateActivityError
    │   ├── RegistrationUnavailable
    │   └── OutcomeUnknownError
    ├── RepositoryUnavailableError
    │   └── SchemaVersionError
    ├── RecordRefusedError             raised by a repository
    ├── LeaseLostError                 raised by a repository to a stale driver, and by drive_batch
    ├── UnreadableRecordError          raised where certificates are read
    ├── MissingMessageFieldError       raised where notices are worded
    └── MissingExtraError              an ImportError too

Every message says what happened and what to do. None carries personal data,
a table's name or a vendor's own text. Programs ask the class, or its
`error_code`, which stays although a sentence is reworded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

_SHOWN = 5
_LONGEST_TEXT = 1000


def _plain(text: object) -> str:
    """
    Return what any store can keep: a string of a bounded length, without what UTF-8 cannot say.
    """
    return str(text).encode(errors="replace").decode().replace("\0", "")[:_LONGEST_TEXT]


def _told(name: str, text: object) -> str:
    """
    Return what any store can keep of a text that has to tell something.
    """
    # What is no text is made one: a refusal that cannot be raised would hide that it was definite.
    plain = "" if text is None else _plain(text)
    if not plain.strip():
        raise InvalidValueError(name, "must not be empty: say it, so that people and programs can act on it")
    return plain


def _few(mentor_ids: Sequence[str]) -> str:
    shown = ", ".join(mentor_ids[:_SHOWN])
    rest = len(mentor_ids) - _SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


class OrchestrationError(Exception):
    """
    Root of every error of this library.

    Attributes:
        error_code: stable and machine-readable, `snake_case`, one for each class of this library; a
            host's class has that of its base, or names its own: `class Mine(Base, error_code="mine")`.
        batch_id: the batch that it is about, or that was being submitted when it
            happened, whether that was stored or not; `None` where there is none.
        idempotency_key: the key of the request that was being submitted, `None` without one.
    """

    error_code: ClassVar[str] = "orchestration_error"
    batch_id: str | None = None
    idempotency_key: str | None = None

    def __init_subclass__(cls, *, error_code: str | None = None, **rest: object) -> None:
        super().__init_subclass__(**rest)
        if error_code is not None:
            cls.error_code = error_code


class MisconfiguredError(OrchestrationError, TypeError, error_code="misconfigured"):
    """
    A part that a host gave an orchestrator, a service or a dispatcher does not fit; nothing was started.

    Attributes:
        owner: what was to be made.
        part: the argument that does not fit.
    """

    def __init__(self, owner: str, part: str, problem: str) -> None:
        self.owner = owner
        self.part = part
        super().__init__(f"{owner} cannot work with this {part}: {problem}")


class InvalidInputError(OrchestrationError, error_code="invalid_input"):
    """
    A value that a caller gave makes no sense; nothing was stored or called.

    Attributes:
        name: the argument, or the model and its field.
        rule: what it must be.
    """

    def __init__(self, name: str, rule: str) -> None:
        self.name = name
        self.rule = rule
        super().__init__(f"{name} {rule}")


class InvalidTypeError(InvalidInputError, TypeError, error_code="invalid_type"):
    """
    The value is of another type than is asked for.
    """


class InvalidValueError(InvalidInputError, ValueError, error_code="invalid_value"):
    """
    The value is of the right type and breaks a rule.
    """


class EmptySelectionError(OrchestrationError, error_code="empty_selection"):
    """
    A request or a retry names no mentor; nothing was stored or called.
    """

    def __init__(self) -> None:
        super().__init__("No mentor is selected. Select at least one and submit again.")


class DuplicateSelectionError(OrchestrationError, error_code="duplicate_selection"):
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


class UnknownMentorError(OrchestrationError, error_code="unknown_mentor"):
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


class BatchTooLargeError(OrchestrationError, error_code="batch_too_large"):
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


class AtomicModeError(OrchestrationError, error_code="atomic_mode"):
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


class CallsAbandonedError(OrchestrationError, error_code="calls_abandoned"):
    """
    Too many calls of this process do not end although they were cancelled; no further one begins.

    Attributes:
        count: how many there are.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(
            f"{count} calls of the registration service do not end although they were cancelled, so this "
            "process begins no further one. The batch is resumable: drive it in another process, or "
            "restart this one, and mend the service."
        )


class WrongTaskError(OrchestrationError, error_code="wrong_task"):
    """
    A block that drives a run was not left by the task that entered it; driving was stopped.

    A streaming response does that: a web framework may take up what it streams in one task, and
    end it in another. The batch is resumable.

    Attributes:
        batch_id: the batch.
        verb: the verb whose block it is.
    """

    def __init__(self, batch_id: str, verb: str) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.verb = verb
        super().__init__(
            f"The block of {verb} was not left by the task that entered it, as happens in streaming "
            f"responses, so batch {batch_id} is driven here no longer. Submit with drive=False, let serve "
            "drive in the background, and look on with watch_batch, whose block any task may leave."
        )


class BatchNotFoundError(OrchestrationError, error_code="batch_not_found"):
    """
    There is no such batch, or none that this actor may know of.

    Attributes:
        batch_id: the id that was asked for.
    """

    def __init__(self, batch_id: str) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        super().__init__(f"There is no batch {batch_id!r} for you. Check the id, or list your batches.")


class ActivityNotFoundError(OrchestrationError, error_code="activity_not_found"):
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


class BatchStateError(OrchestrationError, error_code="batch_state"):
    """
    The batch is not in a state in which this can be done; nothing changed.

    Attributes:
        batch_id: the batch.
        reason: one sentence: what stands in the way, and what to do.
    """

    def __init__(self, batch_id: str, reason: str) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.reason = reason
        super().__init__(f"Batch {batch_id}: {reason}")


class StaleRunError(BatchStateError, error_code="stale_run"):
    """
    Another run was opened since the caller looked; nothing changed.

    Attributes:
        expected_run: the run the caller named.
        current_run: the run the batch is in.
    """

    def __init__(self, batch_id: str, *, expected_run: int, current_run: int) -> None:
        self.expected_run = expected_run
        self.current_run = current_run
        super().__init__(
            batch_id,
            f"run {expected_run} was expected and run {current_run} is current. "
            "Read the status again and decide on that.",
        )


class BatchLeasedError(BatchStateError, error_code="batch_leased"):
    """
    Someone else is driving this batch right now.

    Attributes:
        retry_after: seconds until the lease ends if it is not renewed.
    """

    def __init__(self, batch_id: str, *, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(
            batch_id,
            f"another driver holds it for up to {retry_after:.1f} s more. "
            "Watch it instead, or try again after that time.",
        )


class IdempotencyKeyReusedError(OrchestrationError, error_code="idempotency_key_reused"):
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


class NotAuthorizedError(OrchestrationError, error_code="not_authorized"):
    """
    The actor's roles do not allow this; nothing was read or changed.

    Attributes:
        action: what was refused.
    """

    def __init__(self, action: str) -> None:
        self.action = action
        super().__init__(f"Your roles do not allow you to {action}. Ask a coordinator of the organization.")


class NotificationNotFoundError(OrchestrationError, error_code="notification_not_found"):
    """
    There is no such notice, or none that this actor may know of.

    Attributes:
        notification_id: the id that was asked for.
    """

    def __init__(self, notification_id: str) -> None:
        self.notification_id = notification_id
        super().__init__(f"There is no notice {notification_id!r} for you. Check the id, or list your inbox.")


class RegistrationError(OrchestrationError, error_code="registration_error"):
    """
    What a registration service raises to say how a call ended.
    """


class RegistrationRejected(RegistrationError, error_code="registration_rejected"):  # noqa: N818 - the contract's public name
    """
    The service refused, definitely: nothing was written, and repeating will not help.

    Attributes:
        code: stable and machine-readable, `snake_case`; not empty.
        message: one sentence for the coordinator, without personal data; not empty.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code: str = _told("RegistrationRejected.code", code)
        self.message: str = _told("RegistrationRejected.message", message)
        super().__init__(f"{self.code}: {self.message}")


class DuplicateActivityError(RegistrationError, error_code="duplicate_activity"):
    """
    Another registration already recorded this activity; a person has to decide.

    Attributes:
        existing_activity_id: the record that it conflicts with; not empty.
    """

    def __init__(self, existing_activity_id: str) -> None:
        self.existing_activity_id: str = _told(
            "DuplicateActivityError.existing_activity_id", existing_activity_id
        )
        super().__init__(f"Activity {self.existing_activity_id} already covers this mentor, type and day.")


class RegistrationUnavailable(RegistrationError, error_code="registration_unavailable"):  # noqa: N818 - the contract's public name
    """
    The call was definitely not executed and is worth another attempt.

    Attributes:
        retry_after: seconds to wait before that, or `None` for the policy's own delay;
            what is no finite number from 0 on counts as `None`.
        everyone: whether the service is unavailable for all: then nothing of the
            run in which this is raised is called before, not just this item.
    """

    def __init__(self, retry_after: float | None = None, everyone: bool = False) -> None:  # noqa: FBT001, FBT002 - the contract's signature
        usable = isinstance(retry_after, int | float) and 0 <= retry_after < math.inf
        self.retry_after: float | None = retry_after if usable else None
        self.everyone: bool = everyone
        super().__init__("The registration service is unavailable; the call was not executed.")


class OutcomeUnknownError(RegistrationError, error_code="outcome_unknown"):
    """
    The call may or may not have been executed: a lost reply, a cut connection.
    """

    def __init__(self, message: str = "The answer to the call was lost.") -> None:
        super().__init__(message)


class RepositoryUnavailableError(OrchestrationError, error_code="repository_unavailable"):
    """
    The store could not be read or written; what was acknowledged before is safe.

    It is logged as it is, so an adapter puts no value and no vendor's text in it.

    Attributes:
        reason: what is wrong with the store.
        advice: what to do about it.
    """

    def __init__(self, reason: str, *, advice: str) -> None:
        self.reason = reason
        self.advice = advice
        super().__init__(f"{reason} {advice}")


class SchemaVersionError(RepositoryUnavailableError, error_code="schema_version"):
    """
    The store's schema is missing, or older or newer than this library's.
    """


class RecordRefusedError(OrchestrationError, error_code="record_refused"):
    """
    The store refuses a record; nothing of the call was stored.
    """

    def __init__(self) -> None:
        super().__init__(
            "The store refuses a record: a value breaks one of its rules, or cannot be kept as text. "
            "Nothing of this call was stored. Correct the record and repeat."
        )


class LeaseLostError(OrchestrationError, error_code="lease_lost"):
    """
    A driver's fence is no longer the run's; its write changed nothing.

    Attributes:
        batch_id: the batch.
        run: the run that somebody else has taken over, or that is settled.
    """

    def __init__(self, batch_id: str, run: int) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.run = run
        super().__init__(
            f"Run {run} of batch {batch_id} was taken over by another driver. Stop; watch the batch instead."
        )


class MissingExtraError(OrchestrationError, ImportError, error_code="missing_extra"):
    """
    An optional part was imported without its extra being installed.

    Attributes:
        extra: the extra's name.
    """

    def __init__(self, extra: str, *, needed_by: str) -> None:
        self.extra = extra
        super().__init__(f"{needed_by} needs an extra: pip install 'proxy-orchestration[{extra}]'")
