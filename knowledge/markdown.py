"""Markdown's block structure, which reading and splitting both need.

Knows CommonMark with tables, through markdown-it. Does not render.
"""

from __future__ import annotations

import re
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MANY_COLUMNS = re.compile(r"^(?:[^|\n]*\|){200}", re.MULTILINE)


def block_tokens(text: str) -> list[Token]:
    """The block tokens of `text` with their lines (`map`); inline content is not parsed.

    Its lines are the same as Python's only if newline characters are the only line ends in it.
    """
    # A table's cost grows with the square of its columns; past any real one it is just text.
    return _parser(tables=not _MANY_COLUMNS.search(text)).parse(text)


def plain_text(markdown: str) -> str:
    """The text of one line of Markdown, such as a heading, without its markup."""
    (inline,) = MarkdownIt("commonmark").parseInline(markdown)
    parts = {"softbreak": " ", "hardbreak": " ", "html_inline": ""}
    return " ".join(
        "".join(parts.get(child.type, child.content) for child in inline.children or ()).split()
    )


@cache
def _parser(*, tables: bool) -> MarkdownIt:
    parser = MarkdownIt("commonmark").disable("inline")
    return parser.enable("table") if tables else parser
