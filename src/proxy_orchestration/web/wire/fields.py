"""
The field types of the wire format, and its two kinds of models.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, ClassVar, Final, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr
from pydantic_core import PydanticCustomError

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_NO_DAY: Final = PydanticCustomError("iso_day", "must be a calendar day such as 2026-01-31")
_NO_MOMENT: Final = PydanticCustomError(
    "iso_moment", "must be a date and time with its offset, such as 2026-01-31T12:00:00Z"
)
_LONGEST_ID: Final = 200
LARGEST: Final = 2**31 - 1
"""What every store counts to."""


def _iso_day(value: object) -> object:
    # Pydantic takes the seconds of a day's midnight, and their text, for a date; decision 278.
    if isinstance(value, str) and _DAY.fullmatch(value):
        return value
    raise _NO_DAY


def _iso_moment(value: object) -> object:
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return value
    raise _NO_MOMENT


IsoDay: TypeAlias = Annotated[date, BeforeValidator(_iso_day)]
IsoMoment: TypeAlias = Annotated[datetime, BeforeValidator(_iso_moment)]
Id: TypeAlias = Annotated[StrictStr, Field(min_length=1, max_length=_LONGEST_ID)]
Label: TypeAlias = Annotated[StrictStr, Field(max_length=200)]
Minutes: TypeAlias = Annotated[StrictInt, Field(ge=1, le=LARGEST)]
Run: TypeAlias = Annotated[StrictInt, Field(ge=1, le=LARGEST)]


class Body(BaseModel):
    """
    What a client sends: a field that is not known is refused.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """
    What the server sends: a client overlooks fields that it does not know.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)


class Pagination(Answer):
    """
    How a list goes on.
    """

    limit: int
    next_after: str | None = Field(description="Send it as `after` (or `cursor`) to get what follows.")
