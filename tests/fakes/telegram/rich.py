"""Rich messages: what a text in HTML or Markdown, or a list of blocks, becomes; its limits.

Facts: core.telegram.org/bots/api#rich-messages (Bot API 10.1 and later). Files within rich
messages are not simulated. The words of its parsing errors are not published; these are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from markdown_it import MarkdownIt

from tests.fakes.telegram.entities import clean_url
from tests.fakes.telegram.world import ApiError, World, bad

CHARACTERS, BLOCKS, DEPTH, COLUMNS = 32_768, 500, 16, 20

Block = dict[str, Any]
Text = Any  # a string, a list of texts, or an object with a type

_STYLES = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "code": "code",
    "mark": "marked",
    "sub": "subscript",
    "sup": "superscript",
    "tg-spoiler": "spoiler",
}
_VOID = {"br", "hr", "input"}
_INLINE = {*_STYLES, "a", "br", "tg-math", "input"}
_TABLE = {"tr", "td", "th", "caption", "thead", "tbody"}
_PLAIN_BLOCKS = {
    "p": "paragraph",
    "footer": "footer",
    "aside": "pullquote",
    "tg-thinking": "thinking",
}
_BLOCKS = {
    *_PLAIN_BLOCKS,
    *("h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "ul", "ol", "li", "table", "hr"),
    *("details", "summary", "tg-math-block", "cite"),
}


def shown(given: dict[str, Any], world: World, *, draft: bool = False) -> dict[str, Any]:
    """The message as people see it. Raises `ApiError`."""
    if not world.rich_enabled:
        raise ApiError(404, "method not found")
    ways = [name for name in ("html", "markdown", "blocks") if given.get(name) is not None]
    if len(ways) != 1:
        raise bad("exactly one of html, markdown and blocks must be used in a rich message")
    match ways[0]:
        case "html":
            blocks = _blocks(_tree(given["html"]).inside)
        case "markdown":
            made = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
            blocks = _blocks(_tree(made.render(given["markdown"])).inside)
        case _:
            blocks = [_labelled(one) for one in given["blocks"]]
    _check(blocks, draft=draft)
    return {"blocks": blocks} | ({"is_rtl": True} if given.get("is_rtl") else {})


def _check(blocks: list[Block], *, draft: bool) -> None:
    every = list(_every(blocks))
    if not blocks or (not _words(blocks).strip() and not draft):
        raise bad("message text is empty")
    if any(one.get("type") == "thinking" for one in every) and not draft:
        raise bad("a thinking block may be used only in drafts")
    if len(_words(blocks)) > CHARACTERS:
        raise bad("message is too long")
    if len(every) > BLOCKS:
        raise bad("the rich message has too many blocks")
    if _depth(blocks) > DEPTH:
        raise bad("the rich message is nested too deeply")
    tables = [one["cells"] for one in every if one.get("type") == "table"]
    if any(len(row) > COLUMNS for rows in tables for row in rows):
        raise bad("a table of the rich message has too many columns")


# Markup to a tree


@dataclass
class _Node:
    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    inside: list[_Node | str] = field(default_factory=list)


class _Reader(HTMLParser):
    """Builds the tree; every tag must be known and closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = _Node("")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _INLINE | _BLOCKS | _TABLE:
            raise bad(f'can\'t parse rich message: Unsupported start tag "{tag}"')
        made = _Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(made)
        if tag not in _VOID:
            self.open.append(made)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        if self.open[-1].tag != tag:
            expected = self.open[-1].tag or "nothing"
            raise bad(f'can\'t parse rich message: expected end of "{expected}", found "{tag}"')
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def _tree(markup: str) -> _Node:
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    if len(reader.open) > 1:
        raise bad(f'can\'t parse rich message: "{reader.open[-1].tag}" is not closed')
    return reader.root


# A tree to blocks


def _blocks(nodes: list[_Node | str]) -> list[Block]:
    """Blocks as they are; what stands between them becomes paragraphs."""
    made: list[Block] = []
    loose: list[_Node | str] = []

    def flush() -> None:
        text = _text(loose)
        if _words(text).strip():
            made.append({"type": "paragraph", "text": text})
        loose.clear()

    for one in nodes:
        if isinstance(one, str) or one.tag in _INLINE:
            loose.append(one)
        else:
            flush()
            made.append(_block(one))
    flush()
    return made


def _block(node: _Node) -> Block:
    tag = node.tag
    if tag in _PLAIN_BLOCKS:
        return {"type": _PLAIN_BLOCKS[tag], "text": _text(node.inside)}
    if tag[0] == "h" and tag[1:].isdigit():
        return {"type": "heading", "text": _text(node.inside), "size": int(tag[1:])}
    made: Block
    match tag:
        case "hr":
            made = {"type": "divider"}
        case "pre":
            made = _pre(node)
        case "blockquote":
            made = {"type": "blockquote", "blocks": _blocks(node.inside)}
        case "ul" | "ol":
            made = {"type": "list", "items": _items(node)}
        case "table":
            made = {"type": "table", "cells": _rows(node)}
            made |= {f"is_{one}": True for one in ("bordered", "striped") if one in node.attributes}
        case "details":
            made = _details(node)
        case "tg-math-block":
            made = {"type": "mathematical_expression", "expression": _words(_text(node.inside))}
        case _:
            raise bad(f'can\'t parse rich message: "{tag}" stands in no block it belongs to')
    return made


def _pre(node: _Node) -> Block:
    code = next((one for one in node.inside if isinstance(one, _Node) and one.tag == "code"), None)
    language = (code.attributes.get("class", "") if code else "").removeprefix("language-")
    made: Block = {"type": "pre", "text": _words(_text((code or node).inside)).rstrip("\n")}
    return made | ({"language": language} if language else {})


def _details(node: _Node) -> Block:
    first = [one for one in node.inside if isinstance(one, _Node) and one.tag == "summary"]
    if not first:
        raise bad('can\'t parse rich message: "details" needs a "summary"')
    rest = [one for one in node.inside if one is not first[0]]
    return {"type": "details", "summary": _text(first[0].inside), "blocks": _blocks(rest)}


def _items(node: _Node) -> list[Block]:
    items: list[Block] = []
    number = int(node.attributes.get("start", "1"))
    for one in node.inside:
        if isinstance(one, str):
            continue
        if one.tag != "li":
            raise bad(f'can\'t parse rich message: "{one.tag}" in a list')
        label = f"{number + len(items)}." if node.tag == "ol" else "•"
        items.append({"label": label, "blocks": _blocks(one.inside)})
    return items


def _rows(node: _Node) -> list[list[Block]]:
    rows: list[list[Block]] = []
    for one in node.inside:
        if isinstance(one, str):
            continue
        if one.tag in {"thead", "tbody"}:
            rows += _rows(one)
        elif one.tag == "tr":
            cells = [cell for cell in one.inside if isinstance(cell, _Node)]
            rows.append([_cell(cell) for cell in cells])
        elif one.tag != "caption":
            raise bad(f'can\'t parse rich message: "{one.tag}" in a table')
    return rows


def _cell(node: _Node) -> Block:
    if node.tag not in {"td", "th"}:
        raise bad(f"can't parse rich message: \"{node.tag}\" in a table's row")
    style = node.attributes.get("style", "").removeprefix("text-align:")
    made: Block = {
        "align": node.attributes.get("align") or style or "left",
        "valign": node.attributes.get("valign", "top"),
        "text": _text(node.inside),
    }
    return made | ({"is_header": True} if node.tag == "th" else {})


def _text(nodes: list[_Node | str]) -> Text:
    parts: list[Text] = []
    for one in nodes:
        if isinstance(one, str):
            parts.append(one)
        elif one.tag == "br":
            parts.append("\n")
        elif one.tag == "a":
            parts.append(_link(one))
        elif one.tag == "tg-math":
            expression = _words(_text(one.inside))
            parts.append({"type": "mathematical_expression", "expression": expression})
        elif one.tag in _STYLES:
            parts.append({"type": _STYLES[one.tag], "text": _text(one.inside)})
        elif one.tag in {"p", "cite"}:
            parts.append(_text(one.inside))
        elif one.tag != "input":
            raise bad(f'can\'t parse rich message: block "{one.tag}" within a text')
    return parts[0] if len(parts) == 1 else parts


def _link(node: _Node) -> Text:
    text = _text(node.inside)
    address = node.attributes.get("href", "")
    if address.startswith("#"):
        return {"type": "anchor_link", "text": text, "anchor_name": address[1:]}
    url = clean_url(address)
    return {"type": "url", "text": text, "url": url} if url else text


def _labelled(block: Block) -> Block:
    """A given block as it is shown: list items have their labels."""
    made = dict(block)
    if made["type"] == "list":
        made["items"] = [
            {
                **one,
                "label": f"{one['value']}." if "value" in one else "•",
                "blocks": [_labelled(inner) for inner in one["blocks"]],
            }
            for one in made["items"]
        ]
    elif "blocks" in made:
        made["blocks"] = [_labelled(one) for one in made["blocks"]]
    return made


# Reading


def _every(blocks: list[Block]) -> Iterator[Block]:
    """Blocks with all they hold: list items and table rows count too."""
    for one in blocks:
        yield one
        yield from _every(one.get("blocks", []))
        yield from _every(one.get("items", []))
        yield from ({} for _ in one.get("cells", []))


def _depth(value: Any) -> int:
    """How deep blocks and styles are nested."""
    if isinstance(value, list):
        return max((_depth(one) for one in value), default=0)
    if not isinstance(value, dict):
        return 0
    inner = max((_depth(one) for one in value.values()), default=0)
    return inner + ("type" in value)


def _words(value: Any) -> str:
    """Every character of a text or block that counts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_words(one) for one in value)
    names = ("label", "text", "summary", "expression", "blocks", "items", "cells")
    return "".join(_words(value[name]) for name in names if name in value)


def plain(message: dict[str, Any]) -> str:
    """What a person reads of a rich message: a block a line, cells between bars."""
    return "\n".join(line for one in message["blocks"] for line in _lines(one)).strip()


def _lines(block: Block) -> list[str]:
    match block["type"]:
        case "list":
            lines = []
            for item in block["items"]:
                inner = [line for one in item["blocks"] for line in _lines(one)]
                lines.append(f"{item['label']} {inner[0] if inner else ''}".rstrip())
                lines += [f"  {line}" for line in inner[1:]]
            return lines
        case "table":
            return [" | ".join(_words(cell).strip() for cell in row) for row in block["cells"]]
        case "blockquote" | "details":
            first = [_words(block["summary"])] if "summary" in block else []
            return first + [line for one in block["blocks"] for line in _lines(one)]
        case "divider":
            return ["———"]
    return _words(block).strip("\n").split("\n")
