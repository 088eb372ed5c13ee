"""
Turns a file's bytes into text: UTF-8, or what spreadsheets of Windows and LibreOffice write by default.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Final

from proxy_orchestration.cli.csv.problems import CsvProblem, RefusedError, quoted

_BOM: Final = codecs.BOM_UTF8
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_UTF_8_LETTER: Final = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_FOREIGN: Final = re.compile(r"[^\W\d_a-zA-Z]{3}")
"""So many letters beyond ASCII in a row are Greek or Cyrillic in another encoding."""

_TYPED_WITH_LETTERS: Final = frozenset("«»‘’‚“”„–—…°§€´·\xa0")  # noqa: RUF001 - what people type
_SAVE_ANEW: Final = "Save the file as CSV in UTF-8 and submit it again."


def lines_in(text: str) -> int:
    """
    Return on which line of the file the text ends, from 1.
    """
    return len(_LINE_END.findall(text)) + 1


def text_of(data: bytes, *, encoding: str | None, tell: Callable[[str], None]) -> str:
    """
    Return the file's text.

    Args:
        data: its bytes.
        encoding: in which it is; `None`: UTF-8, or Windows-1252 where only letters of that are in it.
        tell: is told when it is not UTF-8.

    Raises:
        RefusedError: it is no text in that encoding.
    """
    text = _decoded(data, encoding, tell)
    before, nul, _ = text.partition("\0")
    if nul:
        message = "there is a zero byte, so this is not a text file. Save it as CSV in UTF-8."
        raise RefusedError(CsvProblem(message, lines_in(before)))
    return text


def _decoded(data: bytes, encoding: str | None, tell: Callable[[str], None]) -> str:
    if encoding is not None:
        return _decoded_as(data, encoding)
    if data.startswith(_UTF_16):
        message = f"the file is UTF-16, which Excel calls Unicode text. {_SAVE_ANEW}"
        raise RefusedError(CsvProblem(message))
    try:
        return data.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        text = None if data.startswith(_BOM) else _windows_text(data)
        if text is None:
            raise RefusedError(_undecodable(data, error, "UTF-8", _SAVE_ANEW)) from None
    tell("The file is not UTF-8; it was read as Windows-1252, as Windows and LibreOffice save it.")
    return text


def _decoded_as(data: bytes, encoding: str) -> str:
    try:
        codec = codecs.lookup(encoding)
        text, _ = codec.decode(data.removeprefix(_BOM) if codec.name == "utf-8" else data, "strict")
    except LookupError:
        message = f"{quoted(encoding)} is no encoding. Name one such as utf-8, windows-1252 or iso-8859-15."
        raise RefusedError(CsvProblem(message)) from None
    except UnicodeError as error:
        advice = "Leave --encoding out, or name another one."
        if not isinstance(error, UnicodeDecodeError):
            raise RefusedError(CsvProblem(f"the file is not {encoding}. {advice}")) from None
        raise RefusedError(_undecodable(data, error, encoding, advice)) from None
    return str(text)


def _windows_text(data: bytes) -> str | None:
    """
    Return the text in Windows-1252 where nothing else is likely; `None` for a mixture, or another encoding.
    """
    if _UTF_8_LETTER.search(data):
        return None
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    strange = {char for char in set(text) if not char.isascii()}
    is_likely = all(char.isalpha() or char in _TYPED_WITH_LETTERS for char in strange)
    return text if is_likely and not _FOREIGN.search(text) else None


def _undecodable(data: bytes, error: UnicodeDecodeError, encoding: str, advice: str) -> CsvProblem:
    position = error.start + (len(_BOM) if data.startswith(_BOM) else 0)
    message = f"byte {position + 1} of the file (0x{data[position]:02x}) is not {encoding}. {advice}"
    return CsvProblem(message, lines_in(data[:position].decode("latin-1")))  # any byte is a character there
