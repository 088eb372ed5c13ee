"""
Reads a file of devices. A device's address is a secret, so no message quotes a cell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from proxy_orchestration.cli.csv.cells import Column
from proxy_orchestration.cli.csv.layouts import Layout
from proxy_orchestration.cli.csv.problems import CellError, CsvProblem
from proxy_orchestration.cli.csv.tables import FileFormat
from proxy_orchestration.ids import usual_id_rule
from proxy_orchestration.notification.notices import PushTarget

_AS_IT_COMES: Final = Layout()
_KINDS: Final = frozenset({"fid", "token"})


def _at_most(longest: int) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if len(text) > longest or not text.isprintable():
            msg = (
                f"the cell has more than {longest} characters, or characters that cannot be displayed. "
                "Correct it."
            )
            raise CellError(msg)
        return text

    return checked


def _recipient(text: str) -> str:
    if usual_id_rule(text) is not None:
        msg = "the cell does not contain a valid id. Correct it."
        raise CellError(msg)
    return _at_most(200)(text)


def _kind(text: str) -> str:
    if text.casefold() not in _KINDS:
        msg = "the cell is not a known kind of address. Write fid or token."
        raise CellError(msg)
    return text.casefold()


FORMAT: Final = FileFormat(
    columns=(
        Column("recipient_id", _recipient),
        Column("kind", _kind),
        Column("value", _at_most(4096)),
        Column("platform", str.casefold, optional=True, blank=""),
    ),
    noun="devices",
    verdict="cannot be read as a list of devices; nothing was sent",
)


@attrs.define(eq=False, kw_only=True)
class FileTargets:
    """
    A `PushTargetDirectory` over a file that was read; the file itself stays as it is.

    Attributes:
        devices: by recipient, then by the file's line.
        gone: the file's lines whose devices the provider does not know any more.
        unread: what is wrong with the lines that cannot be read.
    """

    devices: Mapping[str, Mapping[int, PushTarget]] = attrs.field(repr=False)
    gone: set[int] = attrs.field(factory=set)
    unread: tuple[CsvProblem, ...] = ()

    async def targets_of(self, recipient_ids: Collection[str], /) -> Mapping[str, Sequence[PushTarget]]:
        """
        Return the devices of these recipients.
        """
        return {
            each: tuple(target for line, target in self.devices[each].items() if line not in self.gone)
            for each in recipient_ids
            if each in self.devices
        }

    async def prune(self, recipient_id: str, target: PushTarget, /) -> None:
        """
        Note that a device is gone; the lines are told at the end.
        """
        devices = self.devices.get(recipient_id, {})
        self.gone.update(line for line, device in devices.items() if device == target)


def parse_targets(source: Path | bytes, *, name: str, layout: Layout = _AS_IT_COMES) -> FileTargets:
    """
    Return what a file says; a line that cannot be read stops no other.

    Raises:
        CsvFileError: no line can be read, or the file cannot be read to its end.
    """
    devices: dict[str, dict[int, PushTarget]] = defaultdict(dict)
    parsed = FORMAT.parse_lines(source, lambda record: record, name=name, layout=layout)
    for record in parsed.rows:
        cells = dict(record.values)
        recipient_id = cells.pop("recipient_id")
        devices[recipient_id][record.line] = PushTarget(**cells)
    return FileTargets(devices=devices, unread=tuple(parsed.problems))
