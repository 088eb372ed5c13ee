"""
Reads a file of devices; refuses a bad one whole, naming every place and no address.

Its columns are `recipient_id`, `kind` (`fid` or `token`), `value` and, if
wanted, `platform`. A value is a secret, so no message quotes a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from proxy_orchestration.cli.csv_cells import CellError, CellReader, Row
from proxy_orchestration.cli.csv_problems import CsvFileError
from proxy_orchestration.cli.csv_tables import Columns, parse_table, read_bytes, refused
from proxy_orchestration.notification.records import PushTarget

COLUMNS: Final = Columns(required=("recipient_id", "kind", "value"), optional=("platform",))
_KINDS: Final = frozenset({"fid", "token"})
_LONGEST_ID: Final = 200
_LONGEST_VALUE: Final = 4096


@attrs.frozen(kw_only=True)
class _Device:
    """
    One line of the file.
    """

    target: PushTarget
    line: int


@attrs.define(eq=False, kw_only=True)
class FileTargets:
    """
    A `PushTargetDirectory` over a file that was read; the file itself stays as it is.

    Attributes:
        devices: by recipient, in file order.
        gone: the file's lines whose devices the provider does not know any more.
    """

    devices: Mapping[str, list[_Device]] = attrs.field(repr=False)
    gone: set[int] = attrs.field(factory=set)

    async def targets_of(self, recipient_ids: Collection[str], /) -> Mapping[str, Sequence[PushTarget]]:
        """
        Return the devices of these recipients.
        """
        return {
            each: tuple(device.target for device in self.devices[each] if device.line not in self.gone)
            for each in recipient_ids
            if each in self.devices
        }

    async def prune(self, recipient_id: str, target: PushTarget, /) -> None:
        """
        Note that a device is gone; the lines are told at the end.
        """
        self.gone.update(
            device.line for device in self.devices.get(recipient_id, ()) if device.target == target
        )


def read_targets(path: Path) -> FileTargets:
    """
    Read and check the whole file.

    Raises:
        CsvFileError: it cannot be read, or something in it is wrong.
    """
    try:
        return parse_targets(read_bytes(path), name=str(path))
    except CsvFileError as error:
        raise CsvFileError(
            error.name, error.problems, verdict="cannot be read as devices; nothing was sent"
        ) from None


def parse_targets(data: bytes, *, name: str) -> FileTargets:
    """
    Return what the bytes of a file say.

    Raises:
        CsvFileError: something in it is wrong; all that was found is in it.
    """
    table = parse_table(data, name=name, columns=COLUMNS)
    cells = CellReader(header=table.header)
    devices: dict[str, list[_Device]] = {}
    for row in table.rows:
        if cells.fits(row):
            _read(row, cells, devices)
    if cells.problems:
        raise CsvFileError(name, cells.problems)
    if not devices:
        raise refused(name, "the file has a header and no devices. Add a line for each device.")
    return FileTargets(devices=devices)


def _read(row: Row, cells: CellReader, devices: dict[str, list[_Device]]) -> None:
    recipient_id = cells.value(row, "recipient_id", _at_most(_LONGEST_ID))
    kind = cells.value(row, "kind", _kind)
    value = cells.value(row, "value", _at_most(_LONGEST_VALUE))
    if recipient_id is None or kind is None or value is None:
        return
    target = PushTarget(kind=kind, value=value, platform=cells.text(row, "platform").casefold())
    devices.setdefault(recipient_id, []).append(_Device(target=target, line=row.line))


def _at_most(longest: int) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if len(text) > longest or not text.isprintable():
            msg = f"the cell has more than {longest} characters, or some that cannot be shown. Write it anew."
            raise CellError(msg)
        return text

    return checked


def _kind(text: str) -> str:
    if text.casefold() not in _KINDS:
        msg = "the cell is no kind of address. Write fid or token."
        raise CellError(msg)
    return text.casefold()
