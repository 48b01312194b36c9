"""The nodes of a Markdown text: what of it a chat message can hold.

Knows shapes only. Two trees are equal when they say the same in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """Characters that mean themselves."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """A few characters of code within a line."""

    text: str


@dataclass(frozen=True, slots=True)
class Emphasis:
    """Usually shown in italics."""

    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Strong:
    """Usually shown in bold."""

    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Strike:
    """Struck through."""

    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A label that leads to an absolute address (see `safe_url`)."""

    url: str
    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Citation:
    """A marker `[number]`."""

    number: int


@dataclass(frozen=True, slots=True)
class Break:
    """A new line within a paragraph."""


Inline: TypeAlias = Text | Code | Emphasis | Strong | Strike | Link | Citation | Break


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 1 to 6."""

    level: int
    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """Lines of code, without the last line's end; `language` may be empty."""

    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """Somebody else's words."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A list. Numbered from `start`, or bulleted when that is None."""

    items: tuple[tuple[Block, ...], ...]
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Cells of inline text: one row of headings, then rows as wide as it."""

    head: tuple[tuple[Inline, ...], ...]
    rows: tuple[tuple[tuple[Inline, ...], ...], ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across."""


Block: TypeAlias = Paragraph | Heading | CodeBlock | Quote | Items | Table | Rule


@dataclass(frozen=True, slots=True)
class Document:
    """A whole text, or a piece of one."""

    blocks: tuple[Block, ...]


Measure = Callable[[Document], int]
"""How long a document is on a platform: characters, bytes, UTF-16 units."""


def plain(node: Document | Block | Sequence[Inline]) -> str:
    """The words without the markup: blocks on lines of their own, cells apart by tabs."""
    words = ""
    match node:
        case Document(blocks) | Quote(blocks):
            words = "\n".join(plain(block) for block in blocks)
        case Paragraph(children) | Heading(_, children):
            words = plain(children)
        case CodeBlock(text):
            words = text
        case Items(items):
            words = "\n".join(plain(block) for item in items for block in item)
        case Table(head, rows):
            words = "\n".join("\t".join(plain(cell) for cell in row) for row in (head, *rows))
        case Rule():
            pass
        case _:
            words = "".join(_word(inline) for inline in node)
    return words


def _word(inline: Inline) -> str:
    match inline:
        case Text(text) | Code(text):
            return text
        case Citation(number):
            return f"[{number}]"
        case Break():
            return "\n"
        case _:
            return plain(inline.children)
