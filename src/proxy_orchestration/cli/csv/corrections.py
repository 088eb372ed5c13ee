"""
Reads a file of failed items that was exported, corrected by a person, and given back.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Final

import attrs

from proxy_orchestration._normal_forms import id_form
from proxy_orchestration._pseudonyms import is_pseudonym
from proxy_orchestration.cli.csv.cells import Column, identifier
from proxy_orchestration.cli.csv.layouts import Layout
from proxy_orchestration.cli.csv.mentors import FORMAT as MENTORS
from proxy_orchestration.cli.csv.mentors import activity_of
from proxy_orchestration.cli.csv.problems import CellError, CsvFileError, CsvProblem, quoted
from proxy_orchestration.cli.csv.tables import FileFormat, Record
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.batches import BatchItem
from proxy_orchestration.registration.states import OPEN_STATES, RETRYABLE_BY_NAME, ItemState

_AS_IT_COMES: Final = Layout()
_OVER: Final = frozenset(ItemState) - OPEN_STATES - RETRYABLE_BY_NAME
"""States of which a retry takes up nobody, whatever a line says."""

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


@attrs.frozen(kw_only=True)
class Told:
    """
    What one line says.

    Attributes:
        line: the file's line.
        mentor_id: whose item it is about.
        item_key: which one; empty where the line does not say.
        activity: what is to be registered; without details, which no file holds.
    """

    line: int
    mentor_id: str
    item_key: str
    activity: ProxyActivity

    @property
    def name(self) -> str:
        """
        Return how the line calls its item.
        """
        return self.item_key or self.mentor_id

    @property
    def column(self) -> str:
        """
        Return the column that says so.
        """
        return "item_key" if self.item_key else "mentor_id"


def parse_corrections(
    source: Path | bytes, *, name: str, today: date, layout: Layout = _AS_IT_COMES
) -> Sequence[Told]:
    """
    Return what each line says now.

    Raises:
        CsvFileError: something in it is wrong; all that was found is in it.
    """

    def read(record: Record) -> Told:
        mentor_id, activity, _ = activity_of(record, today)
        item_key = record.values["item_key"]
        return Told(line=record.line, mentor_id=mentor_id, item_key=item_key, activity=activity)

    return FORMAT.parse(source, read, name=name, layout=layout).rows


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


def corrections_of(told: Iterable[Told], items: Iterable[BatchItem], *, name: str) -> Corrections:
    """
    Compare what a file says with what stands in the batch; what is the same is retried as it is.

    Args:
        told: what the file says.
        items: all of the batch.
        name: the file's name, for errors.

    Raises:
        CsvFileError: a line is about no item, about one that cannot be retried, or about one that an
            earlier line is about; all that were found are in it.
    """
    by_key, by_mentor = _items_by_name(items)
    lines: dict[str, int] = {}
    edited: dict[str, ProxyActivity] = {}
    problems: list[CsvProblem] = []
    for each in told:
        try:
            item = _item_of(each, by_key, by_mentor)
            key = item.outcome.item_key
            _check_first(each, lines.setdefault(key, each.line))
        except CellError as error:
            problems.append(CsvProblem(str(error), each.line, each.column))
            continue
        now = attrs.evolve(each.activity, details=item.activity.details)
        if now != item.activity:
            edited[key] = now
    if problems:
        raise CsvFileError(name, problems, verdict=FORMAT.verdict)
    return Corrections(keys=tuple(lines), edited=edited)


def _check_first(told: Told, line: int) -> None:
    if line != told.line:
        msg = f"{quoted(told.name)} is already on line {line}. Keep one of the two lines."
        raise CellError(msg)


def _items_by_name(
    items: Iterable[BatchItem],
) -> tuple[Mapping[str, BatchItem], Mapping[str, Sequence[BatchItem]]]:
    by_key: dict[str, BatchItem] = {}
    by_mentor: defaultdict[str, list[BatchItem]] = defaultdict(list)
    for item in items:
        by_key[id_form(item.outcome.item_key)] = item
        by_mentor[id_form(item.outcome.mentor_id)].append(item)
    return by_key, by_mentor


def _item_of(
    told: Told, by_key: Mapping[str, BatchItem], by_mentor: Mapping[str, Sequence[BatchItem]]
) -> BatchItem:
    """
    Return the item that a line is about: without a key it is the mentor's only one.
    """
    form = id_form(told.name)
    found = by_mentor.get(form, ()) if not told.item_key else [by_key[form]] if form in by_key else ()
    if not found:
        msg = f"{quoted(told.name)} is not part of this batch. Correct the cell, or remove the line."
        raise CellError(msg)
    if len(found) > 1:
        msg = (
            f"{quoted(told.name)} has {len(found)} lines in this batch. Give the item_key that "
            "export --failed writes."
        )
        raise CellError(msg)
    if is_pseudonym(found[0].outcome.mentor_id):
        msg = f"{quoted(told.name)} is erased, so it cannot be registered. Remove the line."
        raise CellError(msg)
    state = found[0].outcome.state
    if state in _OVER:
        msg = (
            f"{quoted(told.name)} has the state {state.value}; only failed, unknown and cancelled lines are "
            "retried. Remove the line."
        )
        raise CellError(msg)
    return found[0]
