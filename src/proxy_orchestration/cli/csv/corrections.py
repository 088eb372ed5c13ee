"""
Reads a file of failed items that was exported, corrected by a person, and given back.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Final

import attrs

from proxy_orchestration._normal_forms import id_form
from proxy_orchestration.cli.csv.cells import Column, identifier
from proxy_orchestration.cli.csv.layouts import Layout
from proxy_orchestration.cli.csv.mentors import FORMAT as MENTORS
from proxy_orchestration.cli.csv.mentors import activity_of
from proxy_orchestration.cli.csv.problems import CellError, quoted
from proxy_orchestration.cli.csv.tables import FileFormat, Record
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.batches import BatchItem

_AS_IT_COMES: Final = Layout()

FORMAT: Final = FileFormat(
    columns=(
        *MENTORS.columns,
        Column("item_key", identifier, optional=True, blank=""),
        Column("state", str, optional=True, blank=""),
        Column("reason", str, optional=True, blank=""),
    ),
    noun="mentors",
    verdict="cannot be used for a retry; nothing was changed",
)


def written(items: Iterable[BatchItem]) -> str:
    """
    Return the items as a CSV file that can be corrected and read again.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FORMAT.names)
    for item in items:
        activity, outcome = item.activity, item.outcome
        reason = outcome.failure.message if outcome.failure else ""
        writer.writerow(
            (
                outcome.mentor_id,
                activity.activity_type,
                activity.activity_date.isoformat(),
                activity.duration_minutes,
                activity.notes,
                outcome.item_key,
                outcome.state.value,
                reason,
            )
        )
    return text.getvalue()


def parse_corrections(
    source: Path | bytes, *, name: str, today: date, layout: Layout = _AS_IT_COMES
) -> Mapping[str, ProxyActivity]:
    """
    Return what each line says now, by item key; a line without one is the mentor's only item.

    The activities have no details, which no file holds.

    Raises:
        CsvFileError: something in it is wrong; all that was found is in it.
    """
    lines: dict[str, int] = {}

    def read(record: Record) -> tuple[str, ProxyActivity]:
        mentor_id, activity, _ = activity_of(record, today)
        key = record.values["item_key"] or mentor_id
        if (line := lines.setdefault(id_form(key), record.line)) != record.line:
            msg = f"{quoted(key)} is already on line {line}. Keep one of the two lines."
            raise CellError(msg, column="item_key" if record.values["item_key"] else "mentor_id")
        return key, activity

    return dict(FORMAT.parse(source, read, name=name, layout=layout).rows)


@attrs.frozen(kw_only=True)
class Corrections:
    """
    What a file changes about a batch.

    Attributes:
        keys: the items to retry.
        edited: those that are registered otherwise now, by item key.
    """

    keys: tuple[str, ...]
    edited: Mapping[str, ProxyActivity]


def corrections_of(told: Mapping[str, ProxyActivity], items: Iterable[BatchItem]) -> Corrections:
    """
    Compare what a file says with what stands in the batch; what is the same is retried as it is.
    """
    known = {id_form(item.outcome.item_key): item for item in items}
    keys, edited = [], {}
    for key, activity in told.items():
        item = known.get(id_form(key))
        keys.append(key if item is None else item.outcome.item_key)
        if item is not None:
            now = attrs.evolve(activity, details=item.activity.details)
            if now != item.activity:
                edited[item.outcome.item_key] = now
    return Corrections(keys=tuple(keys), edited=edited)
