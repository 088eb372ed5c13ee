"""
Reads a file of certificates; refuses a bad one whole, naming every place.

Its columns are `certificate_id`, `mentor_id`, `certificate_type` and `expires`;
what may be there besides is in `docs/cli.md`. A row that can be read and makes
no sense, such as one with an empty id, goes to the run, where it fails alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

import attrs

from proxy_orchestration.cli.csv_cells import CellError, CellReader, Row, identifier
from proxy_orchestration.cli.csv_dates import iso_date, relative_days
from proxy_orchestration.cli.csv_problems import CsvFileError, quoted
from proxy_orchestration.cli.csv_tables import Columns, parse_table, read_bytes, refused
from proxy_orchestration.notification.certificates import Expiry, PeerMentorCertificate
from proxy_orchestration.notification.records import MentorRecipients

COLUMNS: Final = Columns(
    required=("certificate_id", "mentor_id", "certificate_type", "expires"),
    optional=(
        "revoked",
        "holder_name",
        "organization_id",
        "chapter_id",
        "locale",
        "coordinator_id",
        "chapter_admin_ids",
    ),
)
_RECIPIENTS: Final = frozenset({"coordinator_id", "chapter_admin_ids"})
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2})"
)
_REVOKED: Final[Mapping[str, bool]] = {"": False, "no": False, "yes": True}


@attrs.frozen
class FileRecipients:
    """
    A `RecipientDirectory`: what a file says about who answers for its mentors.
    """

    known: Mapping[str, MentorRecipients]

    async def resolve(self, mentor_ids: Collection[str], /) -> Mapping[str, MentorRecipients]:
        """
        Return the recipients of these mentors.
        """
        return {mentor_id: self.known[mentor_id] for mentor_id in mentor_ids if mentor_id in self.known}


@attrs.frozen(kw_only=True)
class CertificateFile:
    """
    A file that was read.

    Attributes:
        certificates: in file order, at least one.
        recipients: who answers for the mentors.
        names_recipients: whether the file has a column for that at all.
    """

    certificates: tuple[PeerMentorCertificate, ...]
    recipients: FileRecipients
    names_recipients: bool

    def ids_by_mentor(self) -> Mapping[str, Sequence[str]]:
        """
        Return the ids of each mentor's certificates, in file order.
        """
        found: dict[str, list[str]] = {}
        for certificate in self.certificates:
            found.setdefault(certificate.mentor_id, []).append(certificate.certificate_id)
        return found


def read_certificates(path: Path, *, today: date) -> CertificateFile:
    """
    Read and check the whole file.

    Args:
        path: the file.
        today: what `today` stands for.

    Raises:
        CsvFileError: it cannot be read, or something in it is wrong.
    """
    try:
        return parse_certificates(read_bytes(path), name=str(path), today=today)
    except CsvFileError as error:
        verdict = "cannot be read as certificates; nothing was written"
        raise CsvFileError(error.name, error.problems, verdict=verdict) from None


def parse_certificates(data: bytes, *, name: str, today: date) -> CertificateFile:
    """
    Return what the bytes of a file say.

    Raises:
        CsvFileError: something in it is wrong; all that was found is in it.
    """
    table = parse_table(data, name=name, columns=COLUMNS)
    reader = _CertificateReader(cells=CellReader(header=table.header), today=today)
    for row in table.rows:
        reader.read(row)
    if reader.cells.problems:
        raise CsvFileError(name, reader.cells.problems)
    if not reader.certificates:
        raise refused(name, "the file has a header and no certificates. Add a line for each certificate.")
    return CertificateFile(
        certificates=tuple(reader.certificates),
        recipients=FileRecipients(reader.recipients()),
        names_recipients=bool(_RECIPIENTS & set(table.header)),
    )


@attrs.define(eq=False, kw_only=True)
class _CertificateReader:
    """
    Collects certificates and recipients, row by row.
    """

    cells: CellReader
    today: date
    certificates: list[PeerMentorCertificate] = attrs.field(factory=list)
    _coordinators: dict[str, tuple[str, int]] = attrs.field(factory=dict)
    _admins: dict[str, dict[str, None]] = attrs.field(factory=dict)

    def read(self, row: Row) -> None:
        """
        Take one row in, or a problem for each cell that is wrong.
        """
        if not self.cells.fits(row):
            return
        ids = {name: self._own(row, name) for name in ("certificate_id", "mentor_id", "certificate_type")}
        organization_id, chapter_id, locale = (
            self._own(row, name) for name in ("organization_id", "chapter_id", "locale")
        )
        expires = self.cells.value(row, "expires", self._expiry)
        revoked = self._revoked(row)
        self._take_recipients(row, ids["mentor_id"])
        if expires is None:
            return
        self.certificates.append(
            PeerMentorCertificate(
                **ids,
                expires=expires,
                revoked=revoked,
                holder_name=self.cells.text(row, "holder_name"),
                organization_id=organization_id or None,
                chapter_id=chapter_id or None,
                locale=locale or None,
            )
        )

    def recipients(self) -> Mapping[str, MentorRecipients]:
        """
        Return who answers for each mentor, by all of the mentor's rows.
        """
        return {
            mentor_id: MentorRecipients(
                coordinator_id=self._coordinators.get(mentor_id, (None, 0))[0],
                chapter_admin_ids=tuple(self._admins.get(mentor_id, ())),
            )
            for mentor_id in {*self._coordinators, *self._admins}
        }

    def _own(self, row: Row, column: str) -> str:
        """
        Return an id or a code; an empty one is the run's to judge.
        """
        return (self.cells.value(row, column, identifier) or "") if self.cells.text(row, column) else ""

    def _expiry(self, text: str) -> Expiry:
        days = relative_days(text)
        try:
            if days is not None:
                return self.today + timedelta(days=days)
            if _INSTANT.fullmatch(text) is not None:
                return datetime.fromisoformat(text.upper())
            return iso_date(text)
        except (ValueError, OverflowError):
            msg = (
                f"{quoted(text)} is no end. Write YYYY-MM-DD, today, today-3, today+5, "
                "or a moment with its offset such as 2026-11-21T12:00+01:00."
            )
            raise CellError(msg) from None

    def _revoked(self, row: Row) -> bool:
        text = self.cells.text(row, "revoked")
        return bool(text) and bool(self.cells.value(row, "revoked", _yes_or_no))

    def _take_recipients(self, row: Row, mentor_id: str) -> None:
        if coordinator := self._own(row, "coordinator_id"):
            known, line = self._coordinators.setdefault(mentor_id, (coordinator, row.line))
            if known != coordinator:
                self._refuse_second(row, mentor_id, line)
        if self.cells.text(row, "chapter_admin_ids"):
            admins = self.cells.value(row, "chapter_admin_ids", _ids)
            self._admins.setdefault(mentor_id, {}).update(dict.fromkeys(admins or ()))

    def _refuse_second(self, row: Row, mentor_id: str, line: int) -> None:
        def refuse(_text: str) -> str:
            msg = f"{quoted(mentor_id)} has another coordinator on line {line}. A mentor has one."
            raise CellError(msg)

        self.cells.value(row, "coordinator_id", refuse)


def _yes_or_no(text: str) -> bool:
    try:
        return _REVOKED[text.casefold()]
    except KeyError:
        msg = f"{quoted(text)} is neither yes nor no. Write one of them."
        raise CellError(msg) from None


def _ids(text: str) -> tuple[str, ...]:
    return tuple(identifier(each) for each in text.split())
