"""A delimited text file as a table, by the rules of Label Studio's editor and past its stumbling blocks."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from segmenter.csvtable import CsvTable, unquoted
from segmenter.errors import RecordingError
from segmenter.jsnumber import js_number, js_trim
from segmenter.limits import USUAL, Limits

Positions = npt.NDArray[np.int64]

_NOT_BLANK = re.compile(rb"[^ \t\v\f\r\n]")
_BLANK_LINE = re.compile(rb"(?:\A|\n)[ \t\v\f\r]*\n")
_PADDED_LINE = re.compile(rb"(?:\A|\n)[ \t\v\f\r\n]|[ \t\v\f\r]\n")
_NOT_INDENTED = re.compile(rb"^[ \v\f\r]*[^ \t\v\f\r\n]", re.MULTILINE)
_INDENT = re.compile(rb"^[ \v\f\r]*\t", re.MULTILINE)
_LOOKED_AT = 65_536  # characters of a line, to guess its separator
_CANDIDATES = re.compile(r"[,;\s]")
_IN_ORDER = "\x1f"  # the separator of a file that had to be put in order first: it is in no file of text
_KINDS = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PAR1", "a Parquet file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
)
_PAGES = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml")


def read_table(
    content: bytes, separator: str, names: Collection[str], limits: Limits = USUAL, *, keep_quotes: bool = False
) -> CsvTable:
    """A file as a table. `separator`: a character, or "auto". `names`: the columns wanted by name.

    The first line is a header where the editor takes it for one (some cell of it is text with a number below, or the
    other way round), and where it holds one of the `names`. `keep_quotes`: leave the quotes around cells.

    Raises RecordingError when there are no rows, what there is cannot be a table, or is larger than the limits allow.
    """
    content = _text(content)
    if separator == "\t":
        while not _NOT_INDENTED.search(content) and _NOT_BLANK.search(content):
            content = _INDENT.sub(b"", content)  # tabs before all rows are no cells, for the editor trims its rows
    first, after = _line(content, 0)
    if not first:
        raise RecordingError(
            "the file holds nothing but blank lines where rows of numbers were expected: mend the file"
        )
    second, _ = _line(content, after)
    if separator == "auto":
        separator = _guess_separator(first, second)
    _check_columns(first, second, separator, limits)
    head, data = _split(first, separator), _split(second, separator)
    if separator == "\t" and len(head) != len(data):
        head, data = _split(js_trim(first), separator), _split(js_trim(second), separator)
    headless = not _is_header(head, data, names)
    if not headless:
        _check_width(first, second, head, data)
    body = _lines(content, 0 if headless else after)
    check_rows(body.count(b"\n"), limits)  # before memory is taken for each
    remarks: tuple[str, ...] = ()
    ends, breaks = _marks(body, separator)
    if not _is_regular(body, separator, len(head), ends, breaks):
        body, remarks = _in_order(body, separator, len(head), keep_quotes)
        separator = _IN_ORDER
        ends, breaks = _marks(body, separator)
    if not len(ends):
        raise RecordingError(f"the file has a header ({shorten(first)}) but no rows below it: mend the file")
    written = [str(place) for place in range(len(head))] if headless else head
    breaks = breaks.reshape(len(ends), len(head) - 1)
    return CsvTable(tuple(written), headless, body, separator, ends, breaks, remarks)


def check_rows(rows: int, limits: Limits) -> None:
    """Raise RecordingError where there are more than the limits allow."""
    if rows > limits.rows:
        raise RecordingError(
            f"the recording has {rows:,} rows, at most {limits.rows:,} are read: cut it in parts, or raise MAX_ROWS"
        )


def _check_columns(first: str, second: str, separator: str, limits: Limits) -> None:
    columns = max(line.count(separator) for line in (first, second)) + 1
    if columns > limits.channels:
        raise RecordingError(
            f"the file has {columns:,} columns, at most {limits.channels:,} are read: leave out what is not labelled,"
            " or raise MAX_CHANNELS"
        )


def shorten(text: str) -> str:
    """The beginning of what a file has, quoted, for a message."""
    text = js_trim(text)
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _text(content: bytes) -> bytes:
    """The file as UTF-8 with plain line ends; raises RecordingError for what is no text."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        content = content.decode("utf-16", "replace").encode()
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content:
        raise RecordingError("the file is empty where rows of numbers were expected: mend the file or the task's data")
    for magic, kind in _KINDS:
        if content.startswith(magic):
            raise RecordingError(f"the file is {kind} where CSV text was expected: export the recording as CSV")
    if b"\0" in content:
        raise RecordingError(
            f"the file is binary (it begins with the bytes {content[:8].hex(' ')}) where CSV text was expected: "
            f"export the recording as CSV"
        )
    start = content[:200].lstrip()
    if start.lower().startswith(_PAGES):
        raise RecordingError(
            f"the file starts with {shorten(start[:80].decode('utf-8', 'replace'))}, a web page where CSV text was "
            f"expected: look at the task's url and at who may read it"
        )
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n")
        if b"\n" not in content:
            content = content.replace(b"\r", b"\n")
    return content


def _line(content: bytes, start: int) -> tuple[str, int]:
    """The first line from `start` on that is not blank, without spaces around it, and where the next one begins."""
    mark = _NOT_BLANK.search(content, start)
    if not mark:
        return "", len(content)
    end = content.find(b"\n", mark.start())
    end = len(content) if end < 0 else end
    begin = max(start, content.rfind(b"\n", start, mark.start()) + 1)
    return content[begin:end].decode("utf-8", "replace").strip(" \r\ufeff"), min(end + 1, len(content))


def _lines(content: bytes, start: int) -> bytes:
    """The lines from `start` on, each with its end, without the blank ones after the last."""
    stop = len(content.rstrip(b"\n "))
    if stop <= start:
        return b""
    return content[start : stop + 1] if content[stop : stop + 1] == b"\n" else content[start:stop] + b"\n"


def _guess_separator(first: str, second: str) -> str:
    """The separator both lines agree on: the editor looks at the second line alone and gives up on several kinds."""
    kinds: list[str] = list(dict.fromkeys(_CANDIDATES.findall(second[:_LOOKED_AT])))
    if len(kinds) == 1:
        return kinds[0]
    agreeing = [kind for kind in (",", ";", "\t", " ") if 0 < second.count(kind) == first.count(kind)]
    return next(iter(agreeing + kinds), ",")


def _split(line: str, separator: str) -> list[str]:
    """The cells of a line as written; separators between quotes do not count.

    A quote opens at the start of a cell only: inches and stray quotes stay where they are.
    """
    pieces = line.split(separator)
    if '"' not in line:
        return pieces
    odd = [piece.count('"') % 2 == 1 for piece in pieces]
    last_odd = max((place for place, is_odd in enumerate(odd) if is_odd), default=-1)
    cells: list[str] = []
    opened: int | None = None
    for place, piece in enumerate(pieces):
        if opened is not None:
            if odd[place]:
                cells.append(separator.join(pieces[opened : place + 1]))
                opened = None
        elif odd[place] and place < last_odd and piece.lstrip().startswith('"'):
            opened = place
        else:
            cells.append(piece)
    return cells


def _is_header(head: Sequence[str], data: Sequence[str], names: Collection[str]) -> bool:
    wanted = {name.strip().lower() for name in names}
    if any(unquoted(cell).lower() in wanted for cell in head):
        return True
    text = [math.isnan(js_number(cell)) for cell in head]
    if not any(data):  # a single line
        return all(text)
    below = [math.isnan(js_number(cell)) for cell in data] + [True] * len(head)
    return any(over != under for over, under in zip(text, below, strict=False))


def _check_width(first: str, second: str, head: Sequence[str], data: Sequence[str]) -> None:
    if any(js_trim(cell) for cell in data[len(head) :]):
        raise RecordingError(
            f"the header names {len(head)} columns ({shorten(first)}) but the first row has {len(data)} cells "
            f"({shorten(second)}): mend the file, or set the separator with sep"
        )


def _marks(body: bytes, separator: str) -> tuple[Positions, Positions]:
    """Where each line of a file ends, and where its separators are."""
    codes = np.frombuffer(body, dtype=np.uint8)
    return np.flatnonzero(codes == 10), np.flatnonzero(codes == ord(separator))


def _is_regular(body: bytes, separator: str, width: int, ends: Positions, breaks: Positions) -> bool:
    """Whether each line of a file holds `width` cells as they are, no quotes, and none of them is blank."""
    if len(breaks) != len(ends) * (width - 1) or not separator.isascii() or b'"' in body:
        return False
    grid = breaks.reshape(len(ends), width - 1)
    if width > 1 and not ((grid[1:, 0] > ends[:-1]).all() and (grid[:, -1] < ends).all()):
        return False
    if separator == " ":  # spaces around a row are no cells
        return not _PADDED_LINE.search(body)
    return not ((width == 1 or separator.isspace()) and _BLANK_LINE.search(body))


def _in_order(body: bytes, separator: str, width: int, keep_quotes: bool) -> tuple[bytes, tuple[str, ...]]:
    """A file with quotes, blank lines or rows of uneven length as one in which each row has `width` cells."""
    lines, short, long = [], 0, 0
    for line in body.decode("utf-8", "replace").split("\n"):
        if not js_trim(line):
            continue
        cells = _split(line if separator == "\t" else js_trim(line), separator)
        # Tabs at the ends of a row are no cells, unless they make up for some.
        if separator == "\t" and len(cells) != width:
            cells = _split(js_trim(line), separator)
        if not keep_quotes:
            cells = [unquoted(cell) if '"' in cell else cell for cell in cells]
        short += len(cells) < width
        long += any(js_trim(cell) for cell in cells[width:])
        cells = cells[:width] + [""] * (width - len(cells))
        lines.append(_IN_ORDER.join(cell.replace(_IN_ORDER, " ") for cell in cells))
    remarks = []
    if short:
        remarks.append(
            f"{short} of {len(lines)} rows have fewer than {width} cells: what their end lacks is taken as no value"
        )
    if long:
        remarks.append(
            f"{long} of {len(lines)} rows have more than {width} cells: what their end has too much is left out"
        )
    return "".join(f"{line}\n" for line in lines).encode(), tuple(remarks)
