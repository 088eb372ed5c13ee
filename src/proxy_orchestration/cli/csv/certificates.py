"""
Reads a file of certificates with the people who are responsible for their mentors.

A line that can be read and makes no sense, such as one with an empty id, is a
certificate too: it fails in the run, alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import attrs

from proxy_orchestration._normal_forms import id_form
from proxy_orchestration.cli.csv.cells import Column, identifier, is_filler, unharmed
from proxy_orchestration.cli.csv.dates import day_or_moment, resolved
from proxy_orchestration.cli.csv.layouts import Layout
from proxy_orchestration.cli.csv.problems import CellError, CsvProblem, quoted
from proxy_orchestration.cli.csv.tables import FileFormat, Record
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.records import MentorRecipients

_REVOKED_WORDS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("no", "n", "false", "f", "nei", "nein", "usann", "falsch"), False),
    **dict.fromkeys(("yes", "y", "true", "t", "ja", "j", "sann", "wahr"), True),
}
"""As people write it, and as programs in English, Norwegian and German do."""

_BETWEEN_IDS: Final = re.compile(r"[\s,;]+")


def _yes_or_no(text: str) -> bool:
    try:
        return _REVOKED_WORDS[text.casefold()]
    except KeyError:
        msg = f"{quoted(text)} is neither yes nor no. Write one of them."
        raise CellError(msg) from None


def _identifiers(text: str) -> tuple[str, ...]:
    return tuple(identifier(each) for each in _BETWEEN_IDS.split(text) if each and not is_filler(each))


_AS_IT_COMES: Final = Layout()
_RECIPIENTS: Final = ("coordinator_id", "chapter_admin_ids")
FORMAT: Final = FileFormat(
    columns=(
        Column("certificate_id", unharmed, blank="", fillers=True),
        Column("mentor_id", identifier, blank="", fillers=True),
        Column("certificate_type", identifier, blank=""),
        Column("expires", day_or_moment),
        Column("revoked", _yes_or_no, optional=True, blank=False),
        Column("holder_name", str, optional=True, blank=""),
        *(
            Column(name, unharmed, optional=True, blank="", fillers=True)
            for name in ("organization_id", "chapter_id")
        ),
        Column("locale", identifier, optional=True, blank=""),
        Column("coordinator_id", identifier, optional=True, blank="", fillers=True, same_for="mentor_id"),
        Column("chapter_admin_ids", _identifiers, optional=True, blank=()),
    ),
    noun="certificates",
    verdict="cannot be read as a list of certificates; nothing was written",
)


@attrs.frozen
class FileRecipients:
    """
    A `RecipientDirectory`: what a file says about who answers for its mentors.

    Attributes:
        known: by the form in which the mentors' ids are compared.
    """

    known: Mapping[str, MentorRecipients]

    async def resolve(self, mentor_ids: Collection[str], /) -> Mapping[str, MentorRecipients]:
        """
        Return the recipients of these mentors.
        """
        forms = {mentor_id: id_form(mentor_id) for mentor_id in mentor_ids}
        return {mentor_id: self.known[form] for mentor_id, form in forms.items() if form in self.known}


@attrs.frozen(kw_only=True)
class CertificateFile:
    """
    A file that was read.

    Attributes:
        certificates: in file order, at least one.
        recipients: who answers for the mentors.
        names_recipients: whether the file has a column for that at all.
        unread: what is wrong with the lines that cannot be read.
    """

    certificates: tuple[PeerMentorCertificate, ...]
    recipients: FileRecipients
    names_recipients: bool
    unread: tuple[CsvProblem, ...] = ()

    def ids_by_mentor(self) -> Mapping[str, Sequence[str]]:
        """
        Return the ids of each mentor's certificates, in file order.
        """
        found: dict[str, list[str]] = {}
        for certificate in self.certificates:
            found.setdefault(certificate.mentor_id, []).append(certificate.certificate_id)
        return found


def parse_certificates(
    source: Path | bytes, *, name: str, today: date, layout: Layout = _AS_IT_COMES
) -> CertificateFile:
    """
    Return what a file says on that day; a line that cannot be read stops no other.

    Raises:
        CsvFileError: no line can be read, or the file cannot be read to its end.
    """
    parsed = FORMAT.parse_lines(
        source, lambda record: (_certificate(record, today), record.values), name=name, layout=layout
    )
    return CertificateFile(
        certificates=tuple(certificate for certificate, _ in parsed.rows),
        recipients=FileRecipients(_recipients([cells for _, cells in parsed.rows])),
        names_recipients=not set(_RECIPIENTS).isdisjoint(parsed.header),
        unread=tuple(parsed.problems),
    )


def _certificate(record: Record, today: date) -> PeerMentorCertificate:
    cells = {name: value for name, value in record.values.items() if name not in _RECIPIENTS}
    cells["expires"] = resolved(cells["expires"], today)
    for name in ("organization_id", "chapter_id", "locale"):
        cells[name] = cells[name] or None
    return PeerMentorCertificate(**cells)


def _recipients(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, MentorRecipients]:
    """
    Return who answers for each mentor, by all of the mentor's lines.
    """
    known: dict[str, MentorRecipients] = {}
    for row in rows:
        mentor = id_form(row["mentor_id"])
        before = known.get(mentor, MentorRecipients())
        found = MentorRecipients(
            coordinator_id=before.coordinator_id or row["coordinator_id"] or None,
            chapter_admin_ids=tuple(dict.fromkeys((*before.chapter_admin_ids, *row["chapter_admin_ids"]))),
        )
        if found != MentorRecipients():
            known[mentor] = found
    return known
