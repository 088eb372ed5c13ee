"""
A file of certificates, and of who answers for their mentors.

A line that can be read and makes no sense, such as one with an empty id, is a
certificate too: it fails in the run, alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, Final

import attrs

from proxy_orchestration._normal_forms import id_form
from proxy_orchestration.cli.csv.cells import Column, identifier, is_filler
from proxy_orchestration.cli.csv.dates import day_or_moment, resolved
from proxy_orchestration.cli.csv.problems import CellError, quoted
from proxy_orchestration.cli.csv.tables import FileFormat, Record
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.records import MentorRecipients

_REVOKED_WORDS: Final[Mapping[str, bool]] = {"no": False, "yes": True}


def _yes_or_no(text: str) -> bool:
    try:
        return _REVOKED_WORDS[text.casefold()]
    except KeyError:
        msg = f"{quoted(text)} is neither yes nor no. Write one of them."
        raise CellError(msg) from None


def _identifiers(text: str) -> tuple[str, ...]:
    return tuple(identifier(each) for each in text.split() if not is_filler(each))


_RECIPIENTS: Final = ("coordinator_id", "chapter_admin_ids")
FORMAT: Final = FileFormat(
    columns=(
        *(Column(name, identifier, blank="", fillers=True) for name in ("certificate_id", "mentor_id")),
        Column("certificate_type", identifier, blank=""),
        Column("expires", day_or_moment),
        Column("revoked", _yes_or_no, optional=True, blank=False),
        Column("holder_name", str, optional=True, blank=""),
        *(
            Column(name, identifier, optional=True, blank="", fillers=True)
            for name in ("organization_id", "chapter_id")
        ),
        Column("locale", identifier, optional=True, blank=""),
        Column("coordinator_id", identifier, optional=True, blank="", fillers=True, same_for="mentor_id"),
        Column("chapter_admin_ids", _identifiers, optional=True, blank=()),
    ),
    noun="certificates",
    verdict="cannot be read as certificates; nothing was written",
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


def parse_certificates(data: bytes, *, name: str, today: date) -> CertificateFile:
    """
    Return what the bytes of a file say on that day.

    Raises:
        CsvFileError: something in it is wrong; all that was found is in it.
    """
    header, rows = FORMAT.parse(data, lambda record: (_certificate(record, today), record.values), name=name)
    return CertificateFile(
        certificates=tuple(certificate for certificate, _ in rows),
        recipients=FileRecipients(_recipients([cells for _, cells in rows])),
        names_recipients=not set(_RECIPIENTS).isdisjoint(header),
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
