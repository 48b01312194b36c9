"""FAQ lists as CSV or TSV, in the dialects that spreadsheets write.

Knows delimiters and quoting; encodings are found by `base.decode`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from knowledge.errors import UnreadableFile
from knowledge.readers.base import RawFile, Readout, decode
from knowledge.readers.faq import FaqList, find_columns, is_header, missing_columns

_DELIMITERS = (",", ";", "\t", "|")
_PREAMBLE = 10  # rows of title and remarks that may stand before the header


def read(raw: RawFile) -> Readout:
    """Read a list whose header names at least a question and an answer column."""
    text = decode(raw).lstrip("\ufeff")
    if not text.strip():
        return Readout(())
    delimiter = _delimiter(text)
    rows = _rows(raw, text, delimiter)
    seen: list[list[str]] = []
    for _, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if is_header(row):
            faq = FaqList(raw)
            if text.count('"') % 2:
                faq.notes.append(
                    "An odd number of quotation marks: one may be missing, and the rows behind "
                    "it read as one answer."
                )
            _fill(faq, row, rows)
            return faq.finish()
        seen.append(row)
        if len(seen) == _PREAMBLE:
            break
    raise missing_columns(raw.source, seen[0] if seen else [])


def _fill(faq: FaqList, header: list[str], rows: Iterator[tuple[int, list[str]]]) -> None:
    columns = find_columns(header)
    for line, row in rows:
        values = {role: row[at] for role, at in columns.items() if at < len(row)}
        if len(row) > len(header) and any(cell.strip() for cell in row[len(header) :]):
            # A comma in an unquoted answer moves every later column, the audience included.
            faq.leave_out(f"line {line}", "with more cells than the header (a missing quote?)")
            continue
        faq.add(f"line {line}", values)


def _rows(raw: RawFile, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line it starts on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    line = 1
    try:
        for row in reader:
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise UnreadableFile(
            f"{raw.source}, line {reader.line_num}: this is not CSV ({error}).",
            "A quotation mark may be missing; save it again from a spreadsheet.",
        ) from error


def _delimiter(text: str) -> str:
    """The delimiter whose header names the needed columns, else the most frequent one."""
    head = text[:20_000].splitlines()[: _PREAMBLE + 1]
    for delimiter in _DELIMITERS:
        if any(is_header(row) for row in csv.reader(head, delimiter=delimiter)):
            return delimiter
    return max(_DELIMITERS, key=lambda mark: head[0].count(mark) if head else 0)
