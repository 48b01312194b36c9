"""HTML as a person sees it: title, headings, visible text as Markdown, anchors.

Knows tags. What is invisible is decided by `visible.py`. Never fetches what a page refers to,
and does not guess at layouts: navigation is what is marked up as navigation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urljoin, urlsplit

from knowledge.language import detect_language, normalize_language
from knowledge.readers.base import Content, Outline, RawFile, Readout, clean, decode, parsing, words
from knowledge.readers.markup import bullet, fence, link, pipe_table
from knowledge.readers.visible import Visibility

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_BLOCKS = words(
    "address article aside blockquote body caption center dd details dialog div dl dt fieldset "
    "figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu "
    "nav ol p pre section summary table tbody td tfoot th thead tr ul"
)
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_MARKS = {"strong": "**", "b": "**", "em": "*", "i": "*", "del": "~~", "s": "~~"}
_PERMALINKS = frozenset(("", "#", "¶", "§", "🔗"))
_SPACE = re.compile(r"[ \t\n\r\f\xa0]+")
_SPAN_LIMIT = 100  # columns or rows one cell may claim


class _Sink(Protocol):
    """Where blocks go: the document's outline, or one item, cell or quotation."""

    def heading(self, level: int, text: str, anchor: str) -> None: ...
    def text(self, block: str) -> None: ...


class _Blocks:
    """Collects the blocks inside a list item, cell or quotation, where headings do not divide."""

    def __init__(self) -> None:
        self.blocks: list[str] = []

    def heading(self, level: int, text: str, anchor: str) -> None:
        del level, anchor
        self.text(f"**{text}**")

    def text(self, block: str) -> None:
        if block.strip():
            self.blocks.append(block.strip("\n"))


def read(raw: RawFile) -> Readout:
    """Read one page."""
    with parsing(raw, "HTML"):
        root = _parse(decode(raw, declared=_declared_encoding(raw.data)))
        if root is None:
            return Readout((Content(raw.name, ()),))
        url = _first(root, "//link[@rel='canonical']/@href")
        if urlsplit(url).scheme not in ("http", "https"):
            url = ""
        outline = Outline()
        page = _Page(Visibility(root), urljoin(url, _first(root, "//base/@href")))
        page.walk(_main(root), outline)
        title = outline.title or clean(" ".join(_first(root, "//title").split())) or raw.name
        sections = outline.finish(title)
        text = "\n".join(section.text for section in sections)
        declared = normalize_language(_first(root, "/html/@lang")) or "en"
        return Readout(
            (
                Content(
                    title,
                    sections,
                    audience=_first(root, "//meta[@name='audience']/@content"),
                    # Templates often claim a language they are not in; the text knows better.
                    lang=detect_language(text, declared),
                    url=url,
                ),
            )
        )


def fragment_to_markdown(html: str) -> str:
    """The visible text of a piece of HTML as Markdown. Raises what lxml raises."""
    root = _parse(html)
    if root is None:
        return ""
    sink = _Blocks()
    _Page(Visibility(root), "").walk(root, sink)
    return "\n\n".join(sink.blocks)


def _parse(text: str) -> HtmlElement | None:
    from lxml import etree, html

    # Bytes, because lxml refuses a string that declares an encoding of its own.
    parser = html.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True)
    try:
        return html.document_fromstring(clean(text).encode(), parser=parser)
    except etree.ParserError:  # nothing in it
        return None


def _declared_encoding(data: bytes) -> str:
    found = re.search(
        rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w-]{2,40})", data[:4096], re.IGNORECASE
    )
    return found.group(1).decode() if found else ""


def _first(root: HtmlElement, path: str) -> str:
    found = root.xpath(path)
    if not found:
        return ""
    value = found[0] if isinstance(found[0], str) else found[0].text_content()
    return str(value).strip()


def _main(root: HtmlElement) -> HtmlElement:
    """The part of the page that is the page: `<main>`, else the only `<article>`, else all."""
    for path in ("//main", "//*[@role='main']", "//article"):
        found = root.xpath(path)
        if len(found) == 1:
            return found[0]
    return root


class _Page:
    """Renders elements to Markdown."""

    def __init__(self, visibility: Visibility, base: str) -> None:
        self._visible = visibility
        self._base = base

    def walk(self, element: HtmlElement, sink: _Sink) -> None:
        """Render what is in `element`: runs of inline content as paragraphs, blocks in turn."""
        run: list[str] = [_squeeze(element.text)]
        for child in element:
            if isinstance(child.tag, str) and not self._visible.hides(child):
                if self._is_block(child):
                    sink.text(_tidy("".join(run)))
                    run = []
                    self._block(child, sink)
                else:
                    run.append(self._inline(child))
            run.append(_squeeze(child.tail))
        sink.text(_tidy("".join(run)))

    def _is_block(self, element: HtmlElement) -> bool:
        # An `a` or `span` around blocks is only a wrapper.
        return element.tag in _BLOCKS or any(child.tag in _BLOCKS for child in element.iter())

    def _block(self, element: HtmlElement, sink: _Sink) -> None:
        tag = element.tag
        if tag in _HEADINGS:
            text = self._plain(element)
            if text:
                sink.heading(int(tag[1]), text, _anchor(element))
        elif tag == "pre":
            sink.text(fence(element.text_content().strip("\n"), _code_language(element)))
        elif tag in ("ul", "ol", "menu"):
            sink.text(self._list(element))
        elif tag == "table":
            self._table(element, sink)
        elif tag == "blockquote":
            quoted = "\n\n".join(self._inside(element))
            sink.text("\n".join(f"> {line}".rstrip() for line in quoted.split("\n")))
        elif tag == "dt":
            text = self._plain(element)
            sink.text(f"**{text}**" if text else "")
        elif tag == "details":
            self._details(element, sink)
        elif tag != "hr":
            self.walk(element, sink)

    def _details(self, element: HtmlElement, sink: _Sink) -> None:
        """A fold-out: its summary is a heading for what it holds, and for nothing after it."""
        summary = element.find("summary")
        text = self._plain(summary) if summary is not None else ""
        if summary is not None:
            summary.text = ""
            for child in list(summary):
                summary.remove(child)
        if text and isinstance(sink, Outline):
            place = sink.mark()
            sink.heading(sink.level + 1, text, element.get("id") or "")
            self.walk(element, sink)
            sink.resume(place)
        else:
            sink.text(f"**{text}**" if text else "")
            self.walk(element, sink)

    def _inside(self, element: HtmlElement) -> list[str]:
        inner = _Blocks()
        self.walk(element, inner)
        return inner.blocks

    def _list(self, element: HtmlElement) -> str:
        start = element.get("start") or ""
        number = int(start) if start.isascii() and start.isdigit() and len(start) < 7 else 1
        items: list[str] = []
        for child in element:
            if not isinstance(child.tag, str) or self._visible.hides(child):
                continue
            if child.tag in ("ul", "ol", "menu"):  # common, if not valid: a list in a list
                items.append("\n".join("  " + line for line in self._list(child).split("\n")))
                continue
            blocks = self._inside(child)
            if blocks:
                items.append(bullet(blocks, f"{number}." if element.tag == "ol" else "-"))
                number += 1
        return "\n".join(items)

    def _table(self, element: HtmlElement, sink: _Sink) -> None:
        rows = [row for row in _rows(element) if not self._visible.hides(row)]
        cells = [
            [cell for cell in row if cell.tag in ("td", "th") and not self._visible.hides(cell)]
            for row in rows
        ]
        for caption in element.iterchildren("caption"):
            if not self._visible.hides(caption):
                self.walk(caption, sink)
        if max(map(len, cells), default=0) < 2 or any(
            next(cell.iterdescendants("table", "pre", "ul", "ol", *_HEADINGS), None) is not None
            for row in cells
            for cell in row
        ):
            # It arranges a page, or holds what no table row can.
            for row in cells:
                for cell in row:
                    self.walk(cell, sink)
            return
        sink.text(pipe_table(self._grid(cells)))

    def _grid(self, cells: list[list[HtmlElement]]) -> list[list[str]]:
        """Cell texts by row; a cell that spans rows is repeated in each, so rows can part."""
        grid: list[list[str]] = []
        hanging: dict[int, tuple[int, str]] = {}
        for row in cells:
            texts: list[str] = []

            def fill(texts: list[str] = texts) -> None:
                while hanging.get(len(texts), (0, ""))[0] > 0:
                    left, text = hanging[len(texts)]
                    hanging[len(texts)] = (left - 1, text)
                    texts.append(text)

            for cell in row:
                fill()
                text = " ".join(" ".join(self._inside(cell)).split())
                hanging[len(texts)] = (_span(cell, "rowspan") - 1, text)
                texts.append(text)
                for _ in range(_span(cell, "colspan") - 1):
                    hanging.pop(len(texts), None)
                    texts.append("")
            fill()
            grid.append(texts)
        return grid

    def _plain(self, element: HtmlElement) -> str:
        """The visible text without markup, as headings need it."""
        parts = [element.text or ""]
        for child in element:
            if isinstance(child.tag, str) and not self._visible.hides(child):
                text = self._plain(child)
                if child.tag != "a" or text not in _PERMALINKS:
                    parts.append(f" {text} " if self._is_block(child) else text)
            parts.append(child.tail or "")
        text = "".join(parts)
        return " ".join(text.split()) if element.tag in _BLOCKS else _SPACE.sub(" ", text)

    def _inline(self, element: HtmlElement) -> str:
        tag = element.tag
        if tag == "br":
            return "\n"
        if tag == "img":
            return _squeeze(element.get("alt"))
        if tag in ("code", "kbd", "samp", "tt"):
            text = " ".join(element.text_content().split())
            mark = "``" if "`" in text else "`"
            return f"{mark}{text}{mark}" if text else ""
        parts = [_squeeze(element.text)]
        for child in element:
            if isinstance(child.tag, str) and not self._visible.hides(child):
                parts.append(self._inline(child))
            parts.append(_squeeze(child.tail))
        text = "".join(parts)
        bare = text.strip()
        if tag == "a":
            return "" if bare in _PERMALINKS else text.replace(bare, self._link(bare, element), 1)
        mark = _MARKS.get(tag, "")
        return text.replace(bare, f"{mark}{bare}{mark}", 1) if mark and bare else text

    def _link(self, text: str, element: HtmlElement) -> str:
        address = (element.get("href") or "").strip()
        if not address or address.startswith("#"):
            return text
        return link(text, urljoin(self._base, address))


def _rows(table: HtmlElement) -> Iterator[HtmlElement]:
    for child in table:
        if child.tag == "tr":
            yield child
        elif child.tag in ("thead", "tbody", "tfoot"):
            yield from child.iterchildren("tr")


def _span(cell: HtmlElement, name: str) -> int:
    value = cell.get(name) or ""
    count = int(value) if value.isascii() and value.isdigit() and len(value) < 7 else 1
    return min(max(count, 1), _SPAN_LIMIT)


def _anchor(heading: HtmlElement) -> str:
    """The id a link can point at: of the heading, in it, just before it, or of its section."""
    for element in heading.iter():
        found = element.get("id") or (element.get("name") if element.tag == "a" else "")
        if found:
            return str(found)
    before = heading.getprevious()
    if before is not None:
        if before.tag == "a" and not before.text_content().strip():
            return str(before.get("id") or before.get("name") or "")
        return ""
    parent = heading.getparent()
    while parent is not None and parent.tag in ("section", "article", "div", "header"):
        if parent.get("id"):
            return str(parent.get("id"))
        if parent.getprevious() is not None:
            break
        parent = parent.getparent()
    return ""


def _code_language(pre: HtmlElement) -> str:
    for element in pre.iter():
        found = re.search(r"(?:^|\s)lang(?:uage)?-([\w+#-]{1,20})", element.get("class") or "")
        if found:
            return found.group(1)
    return ""


def _squeeze(text: str | None) -> str:
    return _SPACE.sub(" ", text or "")


def _tidy(text: str) -> str:
    """A paragraph without white space around its line breaks."""
    return "\n".join(line.strip() for line in text.split("\n") if line.strip())
