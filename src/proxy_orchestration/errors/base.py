"""
The root of the tree, what a caller gave that makes no sense, and what is not installed.
"""

from __future__ import annotations

from typing import ClassVar


class OrchestrationError(Exception):
    """
    Root of every error of this library.

    Attributes:
        error_code: stable and machine-readable, `snake_case`, one for each class of this library; a
            host's class has that of its base, or names its own: `class Mine(Base, error_code="mine")`.
        repeat_helps: whether the same call may help later, unchanged; `None` where that is not known.
            A host's class says so likewise: `class Mine(Base, repeat_helps=False)`.
        batch_id: the batch that it is about, or that was being submitted when it
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
    A part that a host gave an orchestrator, a service or a dispatcher does not fit; nothing was started.

    Attributes:
        owner: what was to be made.
        part: the argument that does not fit.
    """

    def __init__(self, owner: str, part: str, problem: str) -> None:
        self.owner = owner
        self.part = part
        super().__init__(f"{owner} cannot work with this {part}: {problem}")


class InvalidInputError(OrchestrationError, error_code="invalid_input", repeat_helps=False):
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


class MissingExtraError(OrchestrationError, ImportError, error_code="missing_extra", repeat_helps=False):
    """
    An optional part was imported without its extra being installed.

    Attributes:
        extra: the extra's name.
    """

    def __init__(self, extra: str, *, needed_by: str) -> None:
        self.extra = extra
        super().__init__(f"{needed_by} needs an extra: pip install 'proxy-orchestration[{extra}]'")
