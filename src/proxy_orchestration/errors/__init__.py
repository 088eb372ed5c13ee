"""
Every error that this library raises, in one tree.

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
    ├── WrongThreadError
    ├── OrchestratorClosedError
    ├── WrongServiceError
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
    ├── HostTransactionError
    ├── RunHookError
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

from proxy_orchestration.errors.base import (
    InvalidInputError,
    InvalidTypeError,
    InvalidValueError,
    MisconfiguredError,
    MissingExtraError,
    OrchestrationError,
)
from proxy_orchestration.errors.requests import (
    ActivityNotFoundError,
    AtomicModeError,
    BatchNotFoundError,
    BatchTooLargeError,
    DuplicateSelectionError,
    EmptySelectionError,
    IdempotencyKeyReusedError,
    NotAuthorizedError,
    NotificationNotFoundError,
    UnknownMentorError,
)
from proxy_orchestration.errors.services import (
    DuplicateActivityError,
    OutcomeUnknownError,
    RegistrationError,
    RegistrationRejected,
    RegistrationUnavailable,
)
from proxy_orchestration.errors.states import (
    BatchLeasedError,
    BatchStateError,
    CallsAbandonedError,
    LeaseLostError,
    OrchestratorClosedError,
    StaleRunError,
    WrongServiceError,
    WrongTaskError,
    WrongThreadError,
)
from proxy_orchestration.errors.stores import (
    HostTransactionError,
    RecordRefusedError,
    RepositoryUnavailableError,
    RunHookError,
    SchemaVersionError,
)

__all__ = [
    "ActivityNotFoundError",
    "AtomicModeError",
    "BatchLeasedError",
    "BatchNotFoundError",
    "BatchStateError",
    "BatchTooLargeError",
    "CallsAbandonedError",
    "DuplicateActivityError",
    "DuplicateSelectionError",
    "EmptySelectionError",
    "HostTransactionError",
    "IdempotencyKeyReusedError",
    "InvalidInputError",
    "InvalidTypeError",
    "InvalidValueError",
    "LeaseLostError",
    "MisconfiguredError",
    "MissingExtraError",
    "NotAuthorizedError",
    "NotificationNotFoundError",
    "OrchestrationError",
    "OrchestratorClosedError",
    "OutcomeUnknownError",
    "RecordRefusedError",
    "RegistrationError",
    "RegistrationRejected",
    "RegistrationUnavailable",
    "RepositoryUnavailableError",
    "RunHookError",
    "SchemaVersionError",
    "StaleRunError",
    "UnknownMentorError",
    "WrongServiceError",
    "WrongTaskError",
    "WrongThreadError",
]
