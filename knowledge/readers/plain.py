"""Plain text: one section, its paragraphs as they are. It has no structure to know."""

from __future__ import annotations

from knowledge.readers.base import Content, RawFile, Readout, clean, decode
from knowledge.types import Section


def read(raw: RawFile) -> Readout:
    """Read a `.txt` file; its title is its name."""
    text = clean(decode(raw)).strip()
    sections = (Section(text, (raw.name,)),) if text else ()
    return Readout((Content(raw.name, sections),))
