"""Reads Markdown into the tree, by markdown-it-py.

Knows CommonMark with tables and strike-through. Raw HTML is text here, an image is its
description, and a link that does not lead to an absolute http, https or mailto address is its
label. A marker `[n]` outside code and links is a `Citation`; whether source n exists is for the
renderer to know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from adapters.markdown.tree import (
    Block,
    Break,
    Citation,
    Code,
    CodeBlock,
    Document,
    Emphasis,
    Heading,
    Inline,
    Items,
    Link,
    Paragraph,
    Quote,
    Rule,
    Strike,
    Strong,
    Table,
    Text,
    plain,
)

_MARKER = re.compile(r"\[(\d{1,3})\]")


def parse(text: str) -> Document:
    """Read Markdown. Never fails: whatever is no markup is text."""
    return Document(_blocks(SyntaxTreeNode(_parser().parse(text)).children))


def safe_url(url: str) -> str:
    """Return `url` if it is an absolute http, https or mailto address, else an empty text.

    Control characters, spaces and backslashes are refused: clients drop or turn some of them
    and would then follow another address than the one that was looked at.
    """
    if any(char <= " " or char in "\x7f\\" for char in url):
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme == "mailto":
        return url if parts.path else ""
    return url if parts.scheme in {"http", "https"} and parts.hostname else ""


@cache
def _parser() -> MarkdownIt:
    # `reference` is off: `[1]: https://…` in a text would turn our markers into links.
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    return parser.disable(["reference", "html_block", "html_inline"])


def _blocks(nodes: Sequence[SyntaxTreeNode]) -> tuple[Block, ...]:
    return tuple(_block(node) for node in nodes)


def _block(node: SyntaxTreeNode) -> Block:
    return _READERS[node.type](node)


def _code(node: SyntaxTreeNode) -> Block:
    info = node.info.split()
    return CodeBlock(node.content.removesuffix("\n"), info[0] if info else "")


def _items(node: SyntaxTreeNode) -> Block:
    items = tuple(_blocks(item.children) for item in node.children)
    return Items(items, int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None)


def _table(node: SyntaxTreeNode) -> Block:
    rows = [
        tuple(_line(cell) for cell in row.children)
        for part in node.children
        for row in part.children
    ]
    return Table(rows[0], tuple(rows[1:]))


_READERS: dict[str, Callable[[SyntaxTreeNode], Block]] = {
    "paragraph": lambda node: Paragraph(_line(node)),
    "heading": lambda node: Heading(int(node.tag[1]), _line(node)),
    "fence": _code,
    "code_block": _code,
    "blockquote": lambda node: Quote(_blocks(node.children)),
    "bullet_list": _items,
    "ordered_list": _items,
    "table": _table,
    "hr": lambda _: Rule(),
}


def _line(node: SyntaxTreeNode) -> tuple[Inline, ...]:
    """The text of a block that holds one `inline` node."""
    return _inlines(node.children[0].children) if node.children else ()


def _inlines(nodes: Sequence[SyntaxTreeNode], *, cites: bool = True) -> tuple[Inline, ...]:
    found: list[Inline] = []
    for node in nodes:
        for inline in _inline(node, cites=cites):
            if found and isinstance(inline, Text) and isinstance(found[-1], Text):
                found[-1] = Text(found[-1].text + inline.text)
            else:
                found.append(inline)
    return tuple(found)


def _inline(node: SyntaxTreeNode, *, cites: bool) -> Iterator[Inline]:
    match node.type:
        case "text":
            yield from _cited(node.content) if cites else (Text(node.content),)
        case "code_inline":
            yield Code(node.content)
        case "softbreak" | "hardbreak":
            yield Break()
        case "em":
            yield Emphasis(_inlines(node.children, cites=cites))
        case "strong":
            yield Strong(_inlines(node.children, cites=cites))
        case "s":
            yield Strike(_inlines(node.children, cites=cites))
        case "link":
            url = safe_url(str(node.attrs.get("href", "")))
            label = _inlines(node.children, cites=False)
            if url and plain(label).strip():
                yield Link(url, label)
            else:
                yield from label
        case "image":
            yield Text(node.content)
        case _:
            raise AssertionError(f"the parser has no rule that makes {node.type}")


def _cited(text: str) -> Iterator[Inline]:
    at = 0
    for match in _MARKER.finditer(text):
        if match.start() > at:
            yield Text(text[at : match.start()])
        yield Citation(int(match[1]))
        at = match.end()
    if at < len(text):
        yield Text(text[at:])
