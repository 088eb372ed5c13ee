"""
Reads the form data that a browser sends, with limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import aclosing
from datetime import date
from typing import Final
from urllib.parse import parse_qsl

import attrs
from starlette.requests import Request

from proxy_orchestration.console.languages import marked
from proxy_orchestration.errors import InvalidInputError
from proxy_orchestration.registration.activities import ProxyActivity, check_storable

_MOST_BYTES: Final = 4_000_000
_MOST_FIELDS: Final = 25_000
_FORM: Final = "application/x-www-form-urlencoded"

MISSING: Final = marked("Fill this in.")
NO_DAY: Final = marked("Write a date as year-month-day, for example 2026-11-21.")
NO_MINUTES: Final = marked("Write whole minutes, at least 1.")
TOO_LONG: Final = marked("This is too long, or contains characters that cannot be stored.")


class FormError(Exception):
    """
    A form that no page of ours sends: the request is answered, and nothing is done.

    Attributes:
        status: the answer's status.
        message: what is told, in English.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        self.message = message
        self.status = status
        super().__init__(message)


@attrs.frozen
class Form:
    """
    The fields of a form, in the order in which they were sent.
    """

    fields: tuple[tuple[str, str], ...] = attrs.field(repr=False)

    def get(self, name: str) -> str:
        """
        Return the last value of that name; empty without one.
        """
        return next((value for key, value in reversed(self.fields) if key == name), "")

    def all(self, name: str) -> tuple[str, ...]:
        """
        Return every value of that name.
        """
        return tuple(value for key, value in self.fields if key == name)

    def number(self, name: str) -> int:
        """
        Return a whole number that a page of ours wrote into the form.

        Raises:
            FormError: it is none.
        """
        text = self.get(name)
        if not (text.isascii() and text.isdigit()) or len(text) > 9:  # noqa: PLR2004 - far beyond any run or place
            raise FormError(marked("This form was changed on its way. Reload the page."))
        return int(text)

    def with_prefix(self, prefix: str) -> Iterator[tuple[str, str]]:
        """
        Yield the rest of each name that begins so, with its value.
        """
        for key, value in self.fields:
            if key.startswith(prefix):
                yield key.removeprefix(prefix), value


async def read_form(request: Request) -> Form:
    """
    Return the form that the request carries.

    Raises:
        FormError: it is none, or larger than any form of ours.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise FormError(marked("Send this form from its page."), status=415)
    body = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > _MOST_BYTES:
                raise FormError(marked("This form is too large. Choose fewer mentors at once."), status=413)
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:  # too many fields, or bytes that are no text
        raise FormError(marked("This form was changed on its way. Reload the page.")) from None
    return Form(tuple(pairs))


@attrs.frozen(kw_only=True)
class ActivityFields:
    """
    An activity as somebody typed it, and what of it is wrong.

    Attributes:
        typed: the fields as they came.
        activity_type, activity_date, duration_minutes, notes: what of them is valid.
        errors: a message, in English, for each field that is not.
    """

    typed: Mapping[str, str] = attrs.field(repr=False)
    activity_type: str | None
    activity_date: date | None
    duration_minutes: int | None
    notes: str = attrs.field(repr=False)
    errors: Mapping[str, str]

    def activity(self, details: Mapping[str, object]) -> ProxyActivity | None:
        """
        Return the whole activity, or `None` while a field is missing or wrong.
        """
        if self.errors or not (self.activity_type and self.activity_date and self.duration_minutes):
            return None
        return ProxyActivity(
            activity_type=self.activity_type,
            activity_date=self.activity_date,
            duration_minutes=self.duration_minutes,
            notes=self.notes,
            details=details,
        )


FIELD_NAMES: Final = ("activity_type", "activity_date", "duration_minutes", "notes")


def activity_fields(form: Form) -> ActivityFields:
    """
    Return the activity that a form describes.
    """
    typed = {name: form.get(name).strip() for name in FIELD_NAMES}
    day, minutes = _day(typed["activity_date"]), _minutes(typed["duration_minutes"])
    errors = {name: MISSING for name in FIELD_NAMES[:3] if not typed[name]}
    if day is None and typed["activity_date"]:
        errors["activity_date"] = NO_DAY
    if minutes is None and typed["duration_minutes"]:
        errors["duration_minutes"] = NO_MINUTES
    errors |= _unstorable(typed, day, minutes)
    return ActivityFields(
        typed=typed,
        activity_type=typed["activity_type"] if "activity_type" not in errors else None,
        activity_date=day,
        duration_minutes=minutes if "duration_minutes" not in errors else None,
        notes=typed["notes"] if "notes" not in errors else "",
        errors=errors,
    )


def _day(text: str) -> date | None:
    # Python reads 20261121 and 2026-W47-6 too; a browser's date field sends neither.
    try:
        return date.fromisoformat(text) if len(text) == len("2026-11-21") and text[4] == "-" else None
    except ValueError:
        return None


def _minutes(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:  # noqa: PLR2004 - more minutes than any store keeps
        return None
    return int(text) or None


def _unstorable(typed: Mapping[str, str], day: date | None, minutes: int | None) -> dict[str, str]:
    """
    Return a message for each text that no store keeps, each asked about by itself.
    """
    kind, notes = typed["activity_type"], typed["notes"]
    return {
        name: TOO_LONG
        for name, asked in (("activity_type", (kind, "")), ("notes", ("any", notes)))
        if asked[0] and not _is_storable(*asked, day or date.min, minutes or 1)
    }


def _is_storable(kind: str, notes: str, day: date, minutes: int) -> bool:
    try:
        check_storable(
            ProxyActivity(activity_type=kind, activity_date=day, duration_minutes=minutes, notes=notes)
        )
    except InvalidInputError:
        return False
    return True
