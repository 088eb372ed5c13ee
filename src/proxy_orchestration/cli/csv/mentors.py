"""
A file of mentors and activities, which becomes a request.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date, timedelta
from typing import Final

import attrs

from proxy_orchestration.access import Actor
from proxy_orchestration.cli.csv.cells import NEW_MENTOR_ID, Column, identifier
from proxy_orchestration.cli.csv.dates import day, resolved
from proxy_orchestration.cli.csv.problems import CellError, quoted
from proxy_orchestration.cli.csv.tables import FileFormat, Record
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.requests import RegistrationEntry, SubmissionMode

_MINUTES: Final = re.compile(r"[0-9]{1,6}")


def _minutes(text: str) -> int:
    if _MINUTES.fullmatch(text) is None or int(text) == 0:
        msg = f"{quoted(text)} is not a number of minutes. Write a whole number from 1 to 999999."
        raise CellError(msg)
    return int(text)


FORMAT: Final = FileFormat(
    columns=(
        NEW_MENTOR_ID,
        Column("activity_type", identifier),
        Column("activity_date", day),
        Column("duration_minutes", _minutes),
        Column("notes", str, optional=True, blank=""),
    ),
    noun="mentors",
    verdict="cannot be registered; nothing was stored",
)


@attrs.frozen(kw_only=True)
class MentorFile:
    """
    A file that was read.

    Attributes:
        entries: in file order, each mentor once, at least one.
        content: SHA-256 of the file's bytes, as 64 hexadecimal digits.
        resolved_on: the day that `today` stood for; `None` when no date was relative.
    """

    entries: tuple[RegistrationEntry, ...]
    content: str
    resolved_on: date | None

    def key_for(
        self,
        actor: Actor,
        *,
        mode: SubmissionMode = SubmissionMode.INDEPENDENT,
        on_conflict: ConflictPolicy = ConflictPolicy.REVIEW,
    ) -> str:
        """
        Return the idempotency key under which this actor submits this file in this way.

        It is drawn from the actor and the file's raw bytes, so that the same
        file submitted twice joins its batch. Where the file has a relative
        date, the day that `today` stood for is part of the key too: on
        another day the same bytes mean other activities, hence another batch.
        Mode and policy count where they are not the usual ones.
        """
        parts = [actor.organization_id, actor.user_id, self.content, str(self.resolved_on)]
        if mode is not SubmissionMode.INDEPENDENT:  # the usual way adds nothing: keys of before stay
            parts.append(f"mode={mode.value}")
        if on_conflict is not ConflictPolicy.REVIEW:
            parts.append(f"on_conflict={on_conflict.value}")
        # with their lengths, since ("a", "bc") and ("ab", "c") are not the same
        digest = hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode())
        return f"file-{digest.hexdigest()}"


def parse_mentors(data: bytes, *, name: str, today: date, limit: int) -> MentorFile:
    """
    Return what the bytes of a file say on that day; a batch holds at most `limit` mentors.

    Raises:
        CsvFileError: something in it is wrong; all that was found is in it.
    """

    def read(record: Record) -> tuple[RegistrationEntry, bool]:
        cells = dict(record.values)
        mentor_id, when = cells.pop("mentor_id"), cells.pop("activity_date")
        activity = ProxyActivity(activity_date=resolved(when, today), **cells)
        return RegistrationEntry(mentor_id, activity), isinstance(when, timedelta)

    _, rows = FORMAT.parse(data, read, name=name, most=limit)
    return MentorFile(
        entries=tuple(entry for entry, _ in rows),
        content=hashlib.sha256(data).hexdigest(),
        resolved_on=today if any(is_relative for _, is_relative in rows) else None,
    )
