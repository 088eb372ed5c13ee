"""
The page and HTTP status for each error.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from proxy_orchestration.console.languages import marked
from proxy_orchestration.errors import (
    AtomicModeError,
    BatchNotFoundError,
    BatchStateError,
    BatchTooLargeError,
    CallsAbandonedError,
    DuplicateSelectionError,
    EmptySelectionError,
    IdempotencyKeyReusedError,
    InvalidInputError,
    NotAuthorizedError,
    NotificationNotFoundError,
    OrchestrationError,
    RepositoryUnavailableError,
    StaleRunError,
    UnknownMentorError,
    WrongServiceError,
)


class ErrorWording(NamedTuple):
    """
    How an error is told.

    Attributes:
        status: of the answer.
        title: what happened, in English.
        advice: what to do, in English.
    """

    status: int
    title: str
    advice: str


_NOT_FOUND: Final = ErrorWording(
    404,
    marked("This was not found"),
    marked("It does not exist, was deleted, or belongs to someone else. Go to the list of batches."),
)

_WORDINGS: Final[tuple[tuple[type[OrchestrationError], ErrorWording], ...]] = (
    (BatchNotFoundError, _NOT_FOUND),
    (NotificationNotFoundError, _NOT_FOUND),
    (
        NotAuthorizedError,
        ErrorWording(
            403,
            marked("Your role does not allow this"),
            marked("Nothing was read or changed. Ask someone in your organization whose role allows it."),
        ),
    ),
    (
        StaleRunError,
        ErrorWording(
            409,
            marked("Someone changed this batch before you"),
            marked("Nothing was done. Look at the batch again, and then decide."),
        ),
    ),
    (
        WrongServiceError,
        ErrorWording(
            409,
            marked("This batch belongs to another service"),
            marked("It can be read, paused and cancelled here. Retry it where it was accepted."),
        ),
    ),
    (
        BatchStateError,
        ErrorWording(
            409,
            marked("This is not possible now"),
            marked(
                "Nothing was done. Look at the batch again; it may still be running, or it may have ended."
            ),
        ),
    ),
    (
        RepositoryUnavailableError,
        ErrorWording(
            503,
            marked("The store does not answer"),
            marked(
                "Everything accepted before is safe. If you sent a form, send it again in a while; nothing "
                "is stored twice."
            ),
        ),
    ),
    (
        CallsAbandonedError,
        ErrorWording(
            503,
            marked("The registration service does not answer"),
            marked(
                "Everything accepted before is safe and continues later. Tell the operator of the service."
            ),
        ),
    ),
    (
        EmptySelectionError,
        ErrorWording(422, marked("No mentor is chosen"), marked("Choose at least one mentor and try again.")),
    ),
    (
        DuplicateSelectionError,
        ErrorWording(
            422,
            marked("A mentor is chosen twice"),
            marked("Keep each mentor once and try again."),
        ),
    ),
    (
        BatchTooLargeError,
        ErrorWording(
            422,
            marked("Too many mentors are chosen"),
            marked("Split them over several batches."),
        ),
    ),
    (
        AtomicModeError,
        ErrorWording(
            422,
            marked("All or nothing is not possible"),
            marked(
                "The registration service cannot do so many at once. Choose fewer mentors, or turn off all "
                "or nothing."
            ),
        ),
    ),
    (
        IdempotencyKeyReusedError,
        ErrorWording(
            409,
            marked("This form was already sent with different content"),
            marked("The earlier batch is in the list. For another one, begin a new registration."),
        ),
    ),
    (
        UnknownMentorError,
        ErrorWording(
            422,
            marked("A mentor is not part of this batch"),
            marked("Nothing was done. Reload the page."),
        ),
    ),
    (
        InvalidInputError,
        ErrorWording(
            422,
            marked("A value that was entered cannot be used"),
            marked("A mentor's id or a text cannot be stored. Correct it and try again."),
        ),
    ),
)

UNEXPECTED: Final = ErrorWording(
    500,
    marked("Something went wrong here"),
    marked("The error was logged. Everything accepted before is safe. Try again in a while."),
)

SIGNED_OUT: Final = ErrorWording(
    401,
    marked("You are no longer signed in"),
    marked(
        "Nothing was done. Sign in again, go back to your page and send it again. It still has what you "
        "typed."
    ),
)

REFUSED: Final = ErrorWording(
    403,
    marked("You may not see this"),
    marked("Sign in as a user who may see it, or ask your administrator."),
)

NO_PAGE: Final = ErrorWording(
    404, marked("There is no such page"), marked("Check the address, or go to the list of batches.")
)

BAD_FORM: Final = marked("This form could not be accepted")


_DELETED_SINCE: Final = ErrorWording(
    409,
    marked("The batch of this form was deleted"),
    marked("What it registered stays registered. To register more, begin a new registration."),
)


def wording_of(error: OrchestrationError) -> ErrorWording | None:
    """
    Return how the error is told to the person at the console; `None` where it is the host's own.
    """
    if isinstance(error, IdempotencyKeyReusedError) and error.deleted:
        return _DELETED_SINCE  # there is no earlier batch in the list
    return next((wording for kind, wording in _WORDINGS if isinstance(error, kind)), None)
