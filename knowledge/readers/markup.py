"""Pieces of Markdown, as the readers of other formats write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

_SAFE_SCHEMES = frozenset(("", "http", "https", "mailto", "tel"))


def fence(code: str, language: str = "") -> str:
    """A code block whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    mark = "`" * max(3, longest + 1)
    return f"{mark}{language}\n{code}\n{mark}" if code.strip() else ""


def bullet(blocks: Sequence[str], mark: str) -> str:
    """One list item made of blocks, the later lines indented under the first."""
    indent = " " * (len(mark) + 1)
    text = blocks[0]
    for block in blocks[1:]:
        # A nested list follows its item directly, other blocks after an empty line.
        text += ("\n" if re.match(r"[-*]\s|\d+\.\s", block) else "\n\n") + block
    lines = text.split("\n")
    return "\n".join(
        [f"{mark} {lines[0]}", *(f"{indent}{line}" if line else "" for line in lines[1:])]
    )


def link(text: str, address: str) -> str:
    """A link, or only its text where the address is not one a person should follow."""
    try:
        scheme = urlsplit(address).scheme.lower()
    except ValueError:  # not an address at all
        return text
    if scheme not in _SAFE_SCHEMES:
        return text
    target = re.sub(r"[\s<>()\x00-\x1f]", lambda found: f"%{ord(found.group()):02X}", address)
    label = " ".join(text.split())
    return label if label == address else f"[{label}]({target})"


def pipe_table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its header. Rows and columns without text go."""
    kept = [row for row in rows if any(cell.strip() for cell in row)]
    if not kept:
        return ""
    width = max(map(len, kept))
    table = [[*row, *[""] * (width - len(row))] for row in kept]
    columns = [at for at in range(width) if any(row[at].strip() for row in table)]
    lines = [
        "| " + " | ".join(" ".join(row[at].split()).replace("|", "\\|") for at in columns) + " |"
        for row in table
    ]
    return "\n".join([lines[0], "|" + " --- |" * len(columns), *lines[1:]])
