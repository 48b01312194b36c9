"""Word documents: headings, paragraphs, lists and tables in reading order.

Knows WordprocessingML, opened by python-docx. Leaves out what a person reading the document
does not see: hidden text, deleted text of tracked changes, comments, headers and footers.
Footnotes are left out too.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from knowledge.readers.base import (
    Anchors,
    Content,
    Outline,
    RawFile,
    Readout,
    clean,
    heading_anchor,
    parsing,
)
from knowledge.readers.markup import link, pipe_table
from knowledge.readers.zips import check_office_file

if TYPE_CHECKING:
    from docx.document import Document as WordDocument
    from docx.oxml.xmlchemy import BaseOxmlElement as Element
    from docx.styles.style import ParagraphStyle

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_MC_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_OFF = frozenset(("0", "false", "off", "none"))
# Containers that do not show: deletions, moved-away text, notes and field codes.
_SKIPPED = frozenset(
    (f"{_W}del", f"{_W}moveFrom", f"{_W}pPr", f"{_W}rPr", f"{_W}instrText", _MC_FALLBACK)
)
_HEADING = re.compile(r"heading ([1-9])$", re.IGNORECASE)


def read(raw: RawFile) -> Readout:
    """Read one document."""
    import docx

    check_office_file(raw, "a Word document (.docx)")
    with parsing(raw, "a Word document (.docx)"):
        document = docx.Document(io.BytesIO(raw.data))
        outline = _Word(document).outline()
        title = outline.title or clean(document.core_properties.title or "").strip() or raw.name
    return Readout((Content(title, outline.finish(title)),))


class _Word:
    """Walks one document's body."""

    def __init__(self, document: WordDocument) -> None:
        self._document = document
        self._targets = {
            key: rel.target_ref for key, rel in document.part.rels.items() if rel.is_external
        }
        self._styles = {style.style_id: style for style in document.styles}
        self._anchors = Anchors()
        self._outline = Outline()
        self._list: list[str] = []

    def outline(self) -> Outline:
        """The document, divided by its headings."""
        for block in self._blocks(self._document.element.body):
            if block.tag == f"{_W}tbl":
                self._end_list()
                self._outline.text(self._table(block))
            else:
                self._paragraph(block)
        self._end_list()
        return self._outline

    def _blocks(self, parent: Element) -> Iterator[Element]:
        """Paragraphs and tables in order, those in content controls included."""
        for child in parent:
            if child.tag in (f"{_W}p", f"{_W}tbl"):
                yield child
            elif child.tag == f"{_W}sdt":
                gallery = child.find(f".//{_W}docPartGallery")
                if gallery is None or gallery.get(f"{_W}val") != "Table of Contents":
                    for content in child.iterchildren(f"{_W}sdtContent"):
                        yield from self._blocks(content)
            elif child.tag in (f"{_W}ins", f"{_W}moveTo", f"{_W}customXml", f"{_W}smartTag"):
                yield from self._blocks(child)

    def _paragraph(self, paragraph: Element) -> None:
        text = self._text(paragraph)
        if not text:
            return
        level = self._heading_level(paragraph)
        if level:
            self._end_list()
            plain = " ".join(self._text(paragraph, links=False).split())
            self._outline.heading(level, plain, self._anchors.unique(heading_anchor(plain)))
            return
        mark = self._list_mark(paragraph)
        if mark:
            self._list.append(mark + text.replace("\n", "\n" + " " * len(mark)))
        else:
            self._end_list()
            self._outline.text(text)

    def _end_list(self) -> None:
        self._outline.text("\n".join(self._list))
        self._list = []

    def _heading_level(self, paragraph: Element) -> int:
        """1 to 9 for a heading, by its style or outline level; 0 for body text."""
        own = paragraph.find(f"{_W}pPr/{_W}outlineLvl")
        style = self._style(paragraph)
        for _ in range(10):  # a style is based on another, which may be a heading
            if style is None:
                break
            if style.name == "Title":
                return 1
            found = _HEADING.match(style.name or "")
            if found:
                return int(found.group(1))
            if own is None:
                own = style.element.find(f"{_W}pPr/{_W}outlineLvl")
            style = style.base_style
        value = own.get(f"{_W}val") if own is not None else ""
        return int(value) + 1 if value and value.isdigit() and int(value) < 9 else 0

    def _style(self, paragraph: Element) -> ParagraphStyle | None:
        name = paragraph.find(f"{_W}pPr/{_W}pStyle")
        return self._styles.get(name.get(f"{_W}val")) if name is not None else None

    def _list_mark(self, paragraph: Element) -> str:
        """`- ` or `1. ` with its indentation, or "" for what is no list item."""
        numbering = paragraph.find(f"{_W}pPr/{_W}numPr")
        style = self._style(paragraph)
        name = (style.name or "") if style is not None else ""
        if numbering is None and style is not None:
            numbering = style.element.find(f"{_W}pPr/{_W}numPr")
        if numbering is None and not name.startswith(("List Bullet", "List Number")):
            return ""
        level, kind = 0, "decimal" if name.startswith("List Number") else "bullet"
        if numbering is not None:
            number = _value(numbering.find(f"{_W}numId"))
            if number == "0":  # numbering taken away again
                return ""
            depth = _value(numbering.find(f"{_W}ilvl"))
            level = min(int(depth), 8) if depth.isdigit() else 0
            kind = self._format(number, level) or kind
        return "   " * level + ("- " if kind == "bullet" else "1. ")

    def _format(self, number: str, level: int) -> str:
        """The `numFmt` of a numbering instance at a level, or ""."""
        try:
            root = self._document.part.numbering_part.element
        except (KeyError, NotImplementedError):  # no numbering part
            return ""
        for instance in root.iterchildren(f"{_W}num"):
            if instance.get(f"{_W}numId") == number:
                wanted = _value(instance.find(f"{_W}abstractNumId"))
                for abstract in root.iterchildren(f"{_W}abstractNum"):
                    if abstract.get(f"{_W}abstractNumId") == wanted:
                        for each in abstract.iterchildren(f"{_W}lvl"):
                            if each.get(f"{_W}ilvl") == str(level):
                                return _value(each.find(f"{_W}numFmt"))
        return ""

    def _table(self, table: Element) -> str:
        rows: list[list[str]] = []
        for row in table.iterchildren(f"{_W}tr"):
            cells: list[str] = []
            for cell in row.iter(f"{_W}tc"):
                if next(cell.iterancestors(f"{_W}tbl")) is not table:
                    continue  # of a table in a cell; its text comes with that cell
                merge = cell.find(f"{_W}tcPr/{_W}vMerge")
                above = rows[-1][len(cells)] if rows and len(cells) < len(rows[-1]) else ""
                if merge is not None and merge.get(f"{_W}val") != "restart":
                    cells.append(above)
                else:
                    paragraphs = (self._text(each) for each in cell.iter(f"{_W}p"))
                    cells.append(" ".join(filter(None, paragraphs)))
                span = _value(cell.find(f"{_W}tcPr/{_W}gridSpan"))
                extra = min(int(span), 100) - 1 if span.isdigit() else 0
                cells.extend([""] * extra)
            rows.append(cells)
        if max(map(len, rows), default=0) < 2:
            return "\n\n".join(cell for row in rows for cell in row if cell)
        return pipe_table(rows)

    def _text(self, element: Element, *, links: bool = True) -> str:
        """The visible text of a paragraph, with its links."""
        text = "".join(self._pieces(element, links=links))
        return "\n".join(" ".join(line.split()) for line in clean(text).strip().split("\n"))

    def _pieces(self, element: Element, *, links: bool) -> Iterator[str]:
        for child in element:
            tag = child.tag
            if tag in _SKIPPED or (tag == f"{_W}r" and self._vanishes(child)):
                continue
            if tag == f"{_W}t":
                yield child.text or ""
            elif tag in (f"{_W}br", f"{_W}cr"):
                yield "\n"
            elif tag in (f"{_W}tab", f"{_W}ptab"):
                yield " "
            elif tag == f"{_W}noBreakHyphen":
                yield "-"
            elif tag == f"{_W}hyperlink" and links:
                inner = "".join(self._pieces(child, links=links))
                target = self._targets.get(child.get(f"{_R}id"), "")
                yield link(inner, target) if target and inner.strip() else inner
            elif tag == f"{_W}p":  # a text box in a paragraph
                yield "\n" + "".join(self._pieces(child, links=links)) + "\n"
            else:
                yield from self._pieces(child, links=links)

    def _vanishes(self, run: Element) -> bool:
        vanish = run.find(f"{_W}rPr/{_W}vanish")
        if vanish is None:
            return False
        return vanish.get(f"{_W}val", "1") not in _OFF


def _value(element: Element | None) -> str:
    return (element.get(f"{_W}val") or "") if element is not None else ""
