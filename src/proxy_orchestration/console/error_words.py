"""
What people are told when something cannot be done, and with which status.
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
    marked("There is nothing here for you"),
    marked("It does not exist, was deleted, or belongs to somebody else. Go to the list of batches."),
)

_WORDINGS: Final[tuple[tuple[type[OrchestrationError], ErrorWording], ...]] = (
    (BatchNotFoundError, _NOT_FOUND),
    (NotificationNotFoundError, _NOT_FOUND),
    (
        NotAuthorizedError,
        ErrorWording(
            403,
            marked("Your role does not allow this"),
            marked("Nothing was read or changed. Ask somebody in your organization whose role allows it."),
        ),
    ),
    (
        StaleRunError,
        ErrorWording(
            409,
            marked("Somebody acted on this batch before you"),
            marked("Nothing was done. Look at the batch again and decide on that."),
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
            marked("Nothing was done. Look at the batch again; it may still be running, or be done."),
        ),
    ),
    (
        RepositoryUnavailableError,
        ErrorWording(
            503,
            marked("The store does not answer"),
            marked(
                "What was accepted before is safe. If you sent a form, send it again in a while: "
                "whatever was stored the first time is not stored twice."
            ),
        ),
    ),
    (
        CallsAbandonedError,
        ErrorWording(
            503,
            marked("The registration service does not answer"),
            marked("What was accepted before is safe and goes on later. Tell whoever runs the service."),
        ),
    ),
    (
        EmptySelectionError,
        ErrorWording(422, marked("Nobody is chosen"), marked("Choose at least one mentor and try again.")),
    ),
    (
        DuplicateSelectionError,
        ErrorWording(
            422,
            marked("Somebody is chosen twice"),
            marked("Leave each mentor in once and try again."),
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
                "The registration service cannot do so many at once. "
                "Choose fewer, or let each mentor end by itself."
            ),
        ),
    ),
    (
        IdempotencyKeyReusedError,
        ErrorWording(
            409,
            marked("This form was sent before, with other content"),
            marked("The earlier batch stands in the list. Begin a new registration for another one."),
        ),
    ),
    (
        UnknownMentorError,
        ErrorWording(
            422,
            marked("A mentor is not part of this batch"),
            marked("Nothing was done. Load the page anew."),
        ),
    ),
    (
        InvalidInputError,
        ErrorWording(
            422,
            marked("Something entered here cannot be used"),
            marked("A mentor's id or a text is not one that can be stored. Correct it and try again."),
        ),
    ),
)

UNEXPECTED: Final = ErrorWording(
    500,
    marked("Something went wrong here"),
    marked("It was noted. What was accepted before is safe; try again in a while."),
)

SIGNED_OUT: Final = ErrorWording(
    401,
    marked("You are not signed in any more"),
    marked(
        "Nothing was done. Sign in again, go back to your page and send it anew; "
        "what you typed is still in it."
    ),
)

REFUSED: Final = ErrorWording(
    403, marked("You may not see this"), marked("Sign in as somebody who may, or ask your administrator.")
)

NO_PAGE: Final = ErrorWording(
    404, marked("There is no such page"), marked("Check the address, or go to the list of batches.")
)

BAD_FORM: Final = marked("This form could not be taken")


def wording_of(error: OrchestrationError) -> ErrorWording | None:
    """
    Return how the error is told to the person at the console; `None` where it is the host's own.
    """
    return next((wording for kind, wording in _WORDINGS if isinstance(error, kind)), None)
