"""One reader per format, found by the ending of the file's name.

A reader takes `RawFile` (bytes and the name they are cited by) and gives `Readout`, or raises
`UnreadableFile`. It fetches nothing, runs nothing and opens nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from knowledge.readers import docx, faq_csv, faq_data, faq_xlsx, html, markdown, pdf, plain
from knowledge.readers.base import RawFile, Readout

READERS: Mapping[str, Callable[[RawFile], Readout]] = {
    ".csv": faq_csv.read,
    ".docx": docx.read,
    ".htm": html.read,
    ".html": html.read,
    ".json": faq_data.read_json,
    ".jsonl": faq_data.read_jsonl,
    ".markdown": markdown.read,
    ".md": markdown.read,
    ".ndjson": faq_data.read_jsonl,
    ".pdf": pdf.read,
    ".text": plain.read,
    ".tsv": faq_csv.read,
    ".txt": plain.read,
    ".xhtml": html.read,
    ".xlsx": faq_xlsx.read,
    ".yaml": faq_data.read_yaml,
    ".yml": faq_data.read_yaml,
}


def reader_for(name: str) -> Callable[[RawFile], Readout] | None:
    """The reader for a file name, or None if its ending is not one Deskhand reads."""
    return READERS.get(PurePosixPath(name).suffix.lower())
