"""
Errors that a registration service raises to tell how a call ended.
"""

from __future__ import annotations

import math

from proxy_orchestration.errors.base import InvalidValueError, OrchestrationError

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
        raise InvalidValueError(name, "must not be empty: people and programs act on it")
    return plain


class RegistrationError(OrchestrationError, error_code="registration_error"):
    """
    Errors that a registration service raises to tell how a call ended.
    """


class RegistrationRejected(RegistrationError, error_code="registration_rejected", repeat_helps=False):  # noqa: N818 - the contract's public name
    """
    The service definitely refused: nothing was written, and repeating the call will not help.

    Attributes:
        code: a stable code for programs, in `snake_case`; not empty.
        message: one sentence for the coordinator, without personal data; not empty.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code: str = _told("RegistrationRejected.code", code)
        self.message: str = _told("RegistrationRejected.message", message)
        super().__init__(f"{self.code}: {self.message}")


class DuplicateActivityError(RegistrationError, error_code="duplicate_activity", repeat_helps=False):
    """
    Another registration already recorded this activity; a person has to decide.

    Attributes:
        existing_activity_id: the id of the existing record; not empty.
    """

    def __init__(self, existing_activity_id: str) -> None:
        self.existing_activity_id: str = _told(
            "DuplicateActivityError.existing_activity_id", existing_activity_id
        )
        super().__init__(
            f"Activity {self.existing_activity_id} is already registered for this mentor, type and day."
        )


class RegistrationUnavailable(RegistrationError, error_code="registration_unavailable", repeat_helps=True):  # noqa: N818 - the contract's public name
    """
    The call was definitely not executed, and another attempt may succeed.

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

    def __init__(self, message: str = "The answer of the registration service was lost.") -> None:
        super().__init__(message)
