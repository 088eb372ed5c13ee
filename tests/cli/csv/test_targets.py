"""
A file of devices is read, or refused whole; no message shows a device's address.
"""

from __future__ import annotations

import anyio
import pytest

pytest.importorskip("typer")

from proxy_orchestration.cli.csv.problems import CsvFileError
from proxy_orchestration.cli.csv.targets import FileTargets, parse_targets
from proxy_orchestration.notification.notices import PushTarget

SECRET = "secret-" + "s" * 5000


def _targets(*lines: str) -> FileTargets:
    return parse_targets("\n".join(("recipient_id,kind,value,platform", *lines)).encode(), name="file.csv")


def test_devices_are_read_by_recipient() -> None:
    """
    A recipient may have many; one without any is absent.
    """
    targets = _targets("m1,token,abc,Android", "m1,FID,def", "m2,token,ghi,ios")

    assert {
        "m1": (
            PushTarget(kind="token", value="abc", platform="android"),
            PushTarget(kind="fid", value="def"),
        )
    } == anyio.run(targets.targets_of, ["m1", "m3"])
    assert "abc" not in repr(targets)


def test_a_device_that_is_gone_is_left_out_from_then_on() -> None:
    """
    Its line is remembered, the others stay.
    """
    targets = _targets("m1,token,abc,", "m1,token,def,")

    anyio.run(targets.prune, "m1", PushTarget(kind="token", value="abc"))
    anyio.run(targets.prune, "m2", PushTarget(kind="token", value="def"))

    assert {2} == targets.gone
    assert {"m1": (PushTarget(kind="token", value="def"),)} == anyio.run(targets.targets_of, ["m1"])


def test_faults_of_devices_never_quote_a_cell() -> None:
    """
    A value, or one that slipped into another column, is a secret.
    """
    with pytest.raises(CsvFileError) as caught:
        _targets(f"m1,{SECRET},token", f"m1,token,{SECRET}", f"{SECRET},token,a", "m1,token,", "a,b,c,d,e")

    assert [2, 3, 4, 5, 6] == [problem.line for problem in caught.value.problems]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["-", "N/A", "#REF!", "1017.0"])
def test_a_device_of_nobody_is_refused(text: str) -> None:
    """
    A filler is nobody's id, nor is what a spreadsheet made of one.
    """
    with pytest.raises(
        CsvFileError, match="column recipient_id: the cell does not contain a valid id"
    ) as refused:
        parse_targets(f"recipient_id,kind,value\n{text},fid,secret\n".encode(), name="devices.csv")

    assert text == "-" or text not in str(refused.value)
