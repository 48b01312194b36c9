"""Plain text: paragraphs as they are, under the headings that plain text can have.

Knows two conventions for headings, a line in capitals on its own and a line underlined with
`===` or `---`. Everything else is text.
"""

from __future__ import annotations

import re

from knowledge.readers.base import Content, Outline, RawFile, Readout, clean, decode

_UNDERLINED = re.compile(r"(?P<text>[^\n]{1,80})\n(?P<mark>={3,}|-{3,})[ \t]*(?:\n|\Z)")
_LETTERS = 3  # a heading in capitals has at least these, so "A" or "N/A" is none


def read(raw: RawFile) -> Readout:
    """Read a text file; its title is its first heading of level 1, else its name."""
    outline = Outline()
    blocks = re.split(r"\n[ \t]*\n", clean(decode(raw)).strip("\n"))
    for number, block in enumerate(blocks):
        rest = block.strip("\n")
        underlined = _UNDERLINED.match(rest)
        if underlined and underlined.group("text").strip():
            level = 1 if underlined.group("mark")[0] == "=" else 2
            outline.heading(level, " ".join(underlined.group("text").split()), "")
            rest = rest[underlined.end() :]
        elif _in_capitals(rest):
            outline.heading(1 if number == 0 else 2, " ".join(rest.split()), "")
            rest = ""
        outline.text(rest)
    title = outline.title or raw.name
    return Readout((Content(title, outline.finish(title)),))


def _in_capitals(block: str) -> bool:
    """True for `OPENING HOURS`, and for `OPENING HOURS (all stores)`."""
    text = block.partition("(")[0]
    return (
        "\n" not in block
        and len(block) <= 80
        and text.isupper()
        and sum(map(str.isalpha, text)) >= _LETTERS
        and not block.rstrip().endswith((".", "!", ",", ";", ":"))
    )
