"""
A file of decisions is read, or refused whole with every place named.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("typer")

from hypothesis import given
from hypothesis import strategies as st

from proxy_orchestration.cli.csv.decisions import parse_decisions
from proxy_orchestration.cli.csv.problems import CsvFileError, CsvProblem
from proxy_orchestration.registration.conflicts import ConflictDecision


def _parse(text: str) -> dict[str, ConflictDecision]:
    return dict(parse_decisions(text.encode(), name="decisions.csv"))


def _problems(text: str) -> tuple[CsvProblem, ...]:
    with pytest.raises(CsvFileError) as caught:
        _parse(text)
    return caught.value.problems


@pytest.mark.parametrize(
    "text",
    [
        "mentor_id,decision\nm2,override\nm1,skip\n",
        "decision;mentor_id\r\nOVERRIDE;m2\r\n Skip ; m1\r\n",
        "\ufeffmentor_id,decision\n\nm2,override\n,\nm1,skip",
    ],
)
def test_a_good_file_is_read_in_file_order(text: str) -> None:
    """
    Whatever spreadsheet wrote it.
    """
    assert [("m2", ConflictDecision.OVERRIDE), ("m1", ConflictDecision.SKIP)] == list(_parse(text).items())


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("mentor_id\nm1\n", 1, "decision"),
        ("mentor_id,decision,reason\nm1,skip,x\n", 1, None),
        ("mentor_id,decision\nm1,later\n", 2, "decision"),
        ("mentor_id,decision\nm1\n", 2, "decision"),
        ("mentor_id,decision\n,skip\n", 2, "mentor_id"),
        ("mentor_id,decision\nm1,skip,x\n", 2, None),
        ("mentor_id,decision\nm1,skip\nm1,override\n", 3, "mentor_id"),
        ("mentor_id,decision\n", None, None),
        ("", None, None),
    ],
)
def test_a_fault_is_refused_with_its_place(text: str, line: int | None, column: str | None) -> None:
    """
    The place is the file's own line and column.
    """
    (problem,) = _problems(text)

    assert (line, column) == (problem.line, problem.column)


def test_all_faults_are_told_together_under_what_comes_of_them(tmp_path: Path) -> None:
    """
    One round is enough to fix a file, and nothing was changed by it.
    """
    path = tmp_path / "decisions.csv"
    path.write_text("mentor_id,decision\nm1,no\nm2,yes\n")

    with pytest.raises(CsvFileError) as caught:
        parse_decisions(path, name=str(path))

    assert 2 == len(caught.value.problems)
    assert f"{path} cannot be used as decisions; nothing was changed." == str(caught.value).splitlines()[0]


@given(st.one_of(st.binary(), st.text(alphabet='m1,;"\n\r skipoverd\0').map(str.encode)))
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    """
    Whatever a file holds, it ends as decisions or as the one typed error.
    """
    for content in (data, b"mentor_id,decision\n" + data):
        assert _read_or_refused(content)


def _read_or_refused(content: bytes) -> object:
    try:
        return parse_decisions(content, name="f")
    except CsvFileError as error:
        return error.problems


@pytest.mark.parametrize("name", ["#N/A", "1017.0", "0", "-"])
def test_whoever_is_in_a_batch_can_be_decided_about(name: str) -> None:
    """
    What is stored is named as it is, whatever was said of new ids since.
    """
    data = f"mentor_id,decision\n{name},skip\n".encode()

    assert {name: ConflictDecision.SKIP} == parse_decisions(data, name="decisions.csv")
