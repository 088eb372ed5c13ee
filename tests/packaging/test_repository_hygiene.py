"""
What must not be in the repository, and what must stand beside every exception to a rule.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST_FILE = 500
MACHINE_PATH = re.compile(r"(?<![\w.~/:-])/(?:home|root|work|Users)/\w")
EXCEPTION = re.compile(r"#\s*(?:noqa|type:\s*ignore|pyright:\s*ignore|pragma:)", re.IGNORECASE)
REASONED = re.compile(
    r"#\s*(?:noqa:\s*[A-Z0-9, ]+|(?:type|pyright):\s*ignore\[[\w, -]+\]|pragma:\s*no (?:cover|branch))"
    r"(?:\s+#\s*noqa:\s*[A-Z0-9, ]+)?\s+(?:-|#|:)\s*\w.*"
)


def _files() -> list[Path]:
    """
    Return what git would commit; without git (a source archive), all that is no build product.
    """
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607 - git is found on PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = listing.stdout.split("\0") if listing.returncode == 0 else []
    paths = [ROOT / name for name in names if name] or sorted((ROOT / "src").rglob("*.py"))
    return [path for path in paths if path.is_file()]


def _text(path: Path) -> str:
    """
    Return a file's text; the samples of what offices export are in many encodings.
    """
    is_sample = path.parent.name == "files"
    return path.read_text(encoding="utf-8", errors="replace" if is_sample else "strict")


def _lines(*suffixes: str) -> list[tuple[str, str]]:
    """
    Return every line of the files with these suffixes, with the place where it stands.
    """
    return [
        (f"{path.relative_to(ROOT)}:{number}", line)
        for path in _files()
        if path.suffix in suffixes
        for number, line in enumerate(_text(path).splitlines(), 1)
    ]


def test_no_file_names_a_folder_of_the_machine_it_was_written_on() -> None:
    """
    A path below somebody's home folder helps nobody else.
    """
    lines = _lines(".py", ".md", ".toml", ".csv", ".ini", ".mako", "")

    found = [place for place, line in lines if MACHINE_PATH.search(line) and "MACHINE_PATH" not in line]

    assert [] == found


def test_no_source_file_is_longer_than_500_lines() -> None:
    """
    One idea a file, whole; a longer one holds more than one.
    """
    long = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "src").rglob("*.py"))
        if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST_FILE
    ]

    assert [] == long


def test_every_exception_to_a_rule_carries_its_code_and_its_reason() -> None:
    """
    A bare `noqa`, `type: ignore` or `pragma` says nothing to the next reader.
    """
    here = str(Path(__file__).relative_to(ROOT))
    bare = [
        place
        for place, line in _lines(".py")
        if EXCEPTION.search(line) and not REASONED.search(line) and not place.startswith(here)
    ]

    assert [] == bare
