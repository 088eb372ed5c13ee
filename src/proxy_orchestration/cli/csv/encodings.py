"""
Turns a file's bytes into text: UTF-8, or what spreadsheets of Windows and LibreOffice write by default.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import IO, Final

from proxy_orchestration.cli.csv.problems import CsvProblem, RefusedError, quoted
from proxy_orchestration.cli.csv.sources import beginning_of, decoded, lines_of

_BOM: Final = codecs.BOM_UTF8
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_UTF_8_LETTER: Final = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_FOREIGN: Final = re.compile(r"[^\W\d_a-zA-Z]{3}")
"""So many letters beyond ASCII in a row are Greek or Cyrillic in another encoding."""

_TYPED_WITH_LETTERS: Final = frozenset("«»‘’‚“”„–—…°§€´·\xa0")  # noqa: RUF001 - what people type
_PIECE: Final = 1024 * 1024
_SAVE_ANEW: Final = "Save the file as CSV in UTF-8 and submit it again."


def lines_in(text: str) -> int:
    """
    Return on which line of the file the text ends, from 1.
    """
    return len(_LINE_END.findall(text)) + 1


def encoding_of(file: IO[bytes], *, encoding: str | None, tell: Callable[[str], None]) -> str:
    """
    Return in which encoding a file is; it was seen to be sound to its end.

    Args:
        file: the file.
        encoding: in which it is said to be; `None`: UTF-8, or Windows-1252 where only letters of
            that are in it.
        tell: is told when it is not UTF-8.

    Raises:
        RefusedError: it is no text in that encoding.
    """
    if encoding is not None:
        return _checked(file, encoding)
    if beginning_of(file, len(_UTF_16[0])) in _UTF_16:
        message = f"the file is UTF-16, which Excel calls Unicode text. {_SAVE_ANEW}"
        raise RefusedError(CsvProblem(message))
    return _found(file, tell)


def _found(file: IO[bytes], tell: Callable[[str], None]) -> str:
    try:
        _read_through(file, "utf-8-sig")
    except UnicodeDecodeError as error:
        if _has_mark(file) or not _is_windows_text(file):
            raise RefusedError(_undecodable(file, error, "UTF-8", _SAVE_ANEW)) from None
    else:
        return "utf-8-sig"
    tell(
        "The file is not UTF-8; it was read as Windows-1252, which Windows and LibreOffice use when they "
        "save CSV."
    )
    return "cp1252"


def _checked(file: IO[bytes], encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
        found = "utf-8-sig" if name == "utf-8" else name
        _read_through(file, found)
    except (LookupError, AttributeError):
        message = (
            f"{quoted(encoding)} is not a known encoding. Give one such as utf-8, windows-1252 or "
            "iso-8859-15."
        )
        raise RefusedError(CsvProblem(message)) from None
    except UnicodeError as error:
        advice = "Omit --encoding, or give another encoding."
        if not isinstance(error, UnicodeDecodeError):
            raise RefusedError(CsvProblem(f"the file is not valid {encoding}. {advice}")) from None
        raise RefusedError(_undecodable(file, error, encoding, advice)) from None
    return found


def _read_through(file: IO[bytes], encoding: str) -> None:
    """
    Decode everything, a piece at a time, and keep nothing of it.

    Raises:
        UnicodeDecodeError: some of it is no text; its place is that in the whole file.
        RefusedError: there is a zero byte.
    """
    lines = 1
    try:
        with decoded(file, encoding) as text:
            while piece := text.read(_PIECE):
                before, nul, _ = piece.partition("\0")
                if nul:
                    message = (
                        "the file contains a zero byte, so it is not a text file. Save it as CSV in UTF-8."
                    )
                    raise RefusedError(CsvProblem(message, lines + lines_in(before) - 1))
                lines += lines_in(piece) - 1
    except UnicodeDecodeError:
        _whole(file).decode(encoding)  # whose error knows the place in all of it
        raise


def _is_windows_text(file: IO[bytes]) -> bool:
    """
    Tell whether nothing but Windows-1252 is likely: no mixture, and no other encoding.
    """
    strange: set[str] = set()
    for line in lines_of(file):  # no letter, and no row of them, goes over the end of one
        if _UTF_8_LETTER.search(line):
            return False
        try:
            text = line.decode("cp1252")
        except UnicodeDecodeError:
            return False
        if _FOREIGN.search(text):
            return False
        strange.update(char for char in text if not char.isascii())
    return all(char.isalpha() or char in _TYPED_WITH_LETTERS for char in strange)


def _has_mark(file: IO[bytes]) -> bool:
    return beginning_of(file, len(_BOM)) == _BOM


def _whole(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _undecodable(file: IO[bytes], error: UnicodeDecodeError, encoding: str, advice: str) -> CsvProblem:
    # The codec that drops a mark counts from behind it.
    position = error.start + (len(_BOM) if _has_mark(file) and error.encoding != "utf-8-sig" else 0)
    data = _whole(file)
    message = f"byte {position + 1} of the file (0x{data[position]:02x}) is not valid {encoding}. {advice}"
    return CsvProblem(message, lines_in(data[:position].decode("latin-1")))  # any byte is a character there
