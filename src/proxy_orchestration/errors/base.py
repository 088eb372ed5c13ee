"""
The root of the error tree, and the errors for unusable input, unsuitable parts and missing extras.
"""

from __future__ import annotations

from typing import ClassVar


class OrchestrationError(Exception):
    """
    Base class of every error that this library raises.

    Attributes:
        error_code: a stable code for programs, in `snake_case`, one for each class of this library; a
            host's class inherits its base's code, or sets its own: `class Mine(Base, error_code="mine")`.
        repeat_helps: whether the same, unchanged call may succeed later; `None` if the class cannot
            know. A host's class sets it in the same way: `class Mine(Base, repeat_helps=False)`.
        batch_id: the batch that the error is about, or the batch that was being submitted when the error
            happened, whether that was stored or not; `None` where there is none.
        idempotency_key: the key of the request that was being submitted, `None` without one.
    """

    error_code: ClassVar[str] = "orchestration_error"
    repeat_helps: ClassVar[bool | None] = None
    batch_id: str | None = None
    idempotency_key: str | None = None

    def __init_subclass__(
        cls, *, error_code: str | None = None, repeat_helps: bool | None = None, **rest: object
    ) -> None:
        super().__init_subclass__(**rest)
        if error_code is not None:
            cls.error_code = error_code
        if repeat_helps is not None:
            cls.repeat_helps = repeat_helps


class MisconfiguredError(OrchestrationError, TypeError, error_code="misconfigured", repeat_helps=False):
    """
    A part that the host gave to an orchestrator, service or dispatcher is unsuitable; nothing was started.

    Attributes:
        owner: the class or function that was given the part.
        part: the name of the unsuitable argument.
    """

    def __init__(self, owner: str, part: str, problem: str) -> None:
        self.owner = owner
        self.part = part
        super().__init__(f"{owner} cannot work with this {part}: {problem}")


class InvalidInputError(OrchestrationError, error_code="invalid_input", repeat_helps=False):
    """
    A value that the caller passed is not valid; nothing was stored or called.

    Attributes:
        name: the name of the argument, or of the class and its field (`BulkSettings.max_concurrency`).
        rule: the rest of the message: what the value must be.
    """

    def __init__(self, name: str, rule: str) -> None:
        self.name = name
        self.rule = rule
        super().__init__(f"{name} {rule}")


class InvalidTypeError(InvalidInputError, TypeError, error_code="invalid_type"):
    """
    The value has the wrong type.
    """


class InvalidValueError(InvalidInputError, ValueError, error_code="invalid_value"):
    """
    The value has the right type, but breaks a rule.
    """


class MissingExtraError(OrchestrationError, ImportError, error_code="missing_extra", repeat_helps=False):
    """
    An optional part was used, and its extra is not installed.

    Attributes:
        extra: the name of the extra to install.
    """

    def __init__(self, extra: str, *, needed_by: str) -> None:
        self.extra = extra
        super().__init__(f"{needed_by} needs an extra: pip install 'proxy-orchestration[{extra}]'")
