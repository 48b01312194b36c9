"""FAQ lists as Excel workbooks: every visible sheet that names the needed columns.

Knows cells and their saved values. Never evaluates a formula or runs a macro.
"""

from __future__ import annotations

import datetime
import io
import warnings
from collections.abc import Iterable, Iterator

from knowledge.readers.base import RawFile, Readout, parsing
from knowledge.readers.faq import FaqList, find_columns, is_header, missing_columns
from knowledge.readers.zips import check_office_file

_PREAMBLE = 10  # rows of title and remarks that may stand before the header
_MAX_ROWS = 200_000
_MAX_COLUMNS = 200


def read(raw: RawFile) -> Readout:
    """Read the sheets; one that lacks the columns is noted, if another has them."""
    import openpyxl

    check_office_file(raw, "an Excel workbook (.xlsx)")
    with parsing(raw, "an Excel workbook (.xlsx)"), warnings.catch_warnings():
        # openpyxl warns about features it will not write back (validation, extensions); reading
        # does not need them.
        warnings.simplefilter("ignore", UserWarning)
        book = openpyxl.load_workbook(
            io.BytesIO(raw.data), read_only=True, data_only=True, keep_links=False
        )
        try:
            return _read_sheets(raw, book.worksheets)
        finally:
            book.close()


def _read_sheets(raw: RawFile, sheets: Iterable[object]) -> Readout:
    faq = FaqList(raw)
    lacking: list[tuple[str, list[str]]] = []
    found = False
    visible = [sheet for sheet in sheets if getattr(sheet, "sheet_state", "") == "visible"]
    for sheet in sheets:
        name = str(getattr(sheet, "title", ""))
        if sheet not in visible:
            # What the author hid is not for readers, and nobody would look for it there.
            faq.notes.append(f"Sheet {name!r} is hidden and was not read.")
            continue
        rows = _rows(sheet)
        header, first = _find_header(rows)
        if header is None:
            if first:
                lacking.append((name, first))
            continue
        found = True
        path = (name,) if len(visible) > 1 else ()
        columns = find_columns(header)
        for number, row in rows:
            values = {role: row[at] for role, at in columns.items() if at < len(row)}
            faq.add(f"{name} row {number}", values, path)
    if lacking and not found:
        raise missing_columns(raw.source, [name for _, names in lacking for name in names])
    for name, names in lacking:
        error = missing_columns(f"Sheet {name!r}", names)
        faq.notes.append(f"{error.message} It was not read.")
    return faq.finish()


def _find_header(rows: Iterator[tuple[int, list[str]]]) -> tuple[list[str] | None, list[str]]:
    """The header row, else None, and the first row that has cells. Leaves `rows` behind it."""
    first: list[str] = []
    seen = 0
    for _, row in rows:
        if not any(row):
            continue
        if is_header(row):
            return row, first
        first = first or row
        seen += 1
        if seen == _PREAMBLE:
            break
    return None, first


def _rows(sheet: object) -> Iterator[tuple[int, list[str]]]:
    # A sheet may claim a million rows for one cell's format; blank ones cost time, not memory.
    rows = sheet.iter_rows(max_row=_MAX_ROWS, max_col=_MAX_COLUMNS, values_only=True)  # type: ignore[attr-defined] # openpyxl has no types
    for number, row in enumerate(rows, 1):
        yield number, [_cell(value) for value in row]


def _cell(value: object) -> str:
    """A cell as a person sees it, near enough: whole numbers and dates without a tail of zeros."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return str(value)
