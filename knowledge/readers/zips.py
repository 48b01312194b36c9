"""Limits on Office files, which are ZIP archives of XML, before a parser opens them.

Knows ZIP directories only.
"""

from __future__ import annotations

import io
import zipfile

from knowledge.errors import UnreadableFile
from knowledge.readers.base import RawFile, parsing

MAX_UNPACKED = 300_000_000  # bytes, all parts together
MAX_PART = 100_000_000  # bytes of XML in one part
MAX_RATIO = 200  # unpacked to packed; Office XML stays far below
MAX_PARTS = 10_000
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")


def check_office_file(raw: RawFile, kind: str) -> None:
    """Raise `UnreadableFile` unless this is a ZIP that unpacks to a sane size without a DTD.

    The sizes in the directory can be trusted as upper bounds: Python's reader stops there.
    """
    if raw.data.startswith(_OLE):
        raise UnreadableFile(
            f"{raw.source} is protected with a password, or in the format from before 2007.",
            f"Save it as {kind} without a password.",
        )
    with parsing(raw, kind), zipfile.ZipFile(io.BytesIO(raw.data)) as archive:
        parts = archive.infolist()
        _check_sizes(raw, parts)
        for part in parts:
            if part.filename.endswith((".xml", ".rels")):
                # Entities are how a small XML file becomes a huge one; Office never writes a
                # document type.
                with archive.open(part) as stream:
                    if b"<!DOCTYPE" in stream.read(2048):
                        raise UnreadableFile(
                            f"{raw.source} holds an XML document type, which {kind} never does.",
                            "Save it again in an Office program.",
                        )


def _check_sizes(raw: RawFile, parts: list[zipfile.ZipInfo]) -> None:
    unpacked = sum(part.file_size for part in parts)
    packed = sum(part.compress_size for part in parts)
    largest = max(
        (part.file_size for part in parts if part.filename.endswith((".xml", ".rels"))), default=0
    )
    if (
        len(parts) > MAX_PARTS
        or unpacked > MAX_UNPACKED
        or largest > MAX_PART
        or (unpacked > 10_000_000 and unpacked > packed * MAX_RATIO)
    ):
        raise UnreadableFile(
            f"{raw.source} would unpack to {unpacked:,} bytes in {len(parts):,} parts, "
            "more than is accepted.",
            "Split it into smaller files.",
        )
