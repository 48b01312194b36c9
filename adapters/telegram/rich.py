"""Replies as rich messages: the tree as typed blocks, where plain messages have nothing for it.

Knows the blocks of Bot API 10.1 (https://core.telegram.org/bots/api#inputrichmessage). There is no
markup to break: texts are values, and Telegram is told to detect nothing in them. Used for tables
and headings, which a plain message can only imitate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiogram.types import (
    InputRichBlockBlockQuotation,
    InputRichBlockDivider,
    InputRichBlockList,
    InputRichBlockListItem,
    InputRichBlockParagraph,
    InputRichBlockPreformatted,
    InputRichBlockSectionHeading,
    InputRichBlockTable,
    InputRichBlockUnion,
    InputRichMessage,
    RichBlockTableCell,
    RichTextBold,
    RichTextCode,
    RichTextItalic,
    RichTextStrikethrough,
    RichTextUnion,
    RichTextUrl,
)

from adapters.markdown import (
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
from adapters.telegram.render import Follow

MOST_COLUMNS = 20
MOST_BLOCKS = 500


def worth_it(document: Document) -> bool:
    """Whether a rich message says it better, and may say it."""
    structured = any(isinstance(block, (Table, Heading)) for block in document.blocks)
    tables = [block for block in document.blocks if isinstance(block, Table)]
    return (
        structured
        and all(len(table.head) <= MOST_COLUMNS for table in tables)
        and len(document.blocks) + sum(len(table.rows) for table in tables) < MOST_BLOCKS
    )


def rich(document: Document, follow: Follow, urls: Mapping[int, str]) -> InputRichMessage:
    """The whole text as blocks; `urls` are where the markers lead."""
    made = _Rich(follow, urls)
    return InputRichMessage(
        blocks=[made.block(one) for one in document.blocks], skip_entity_detection=True
    )


@dataclass(frozen=True, slots=True)
class _Rich:
    follow: Follow
    urls: Mapping[int, str]

    def block(self, block: Block) -> InputRichBlockUnion:
        made: InputRichBlockUnion = InputRichBlockDivider()
        match block:
            case Paragraph(children):
                made = InputRichBlockParagraph(text=self.line(children))
            case Heading(level, children):
                made = InputRichBlockSectionHeading(text=self.line(children), size=level)
            case CodeBlock(text, language):
                made = InputRichBlockPreformatted(text=text, language=language or None)
            case Quote(blocks):
                made = InputRichBlockBlockQuotation(blocks=[self.block(one) for one in blocks])
            case Items(items, start):
                made = InputRichBlockList(
                    items=[
                        self._item(item, None if start is None else start + index)
                        for index, item in enumerate(items)
                    ]
                )
            case Table(head, rows):
                cells = [[self._cell(cell, head=True) for cell in head]]
                cells += [[self._cell(cell, head=False) for cell in row] for row in rows]
                made = InputRichBlockTable(cells=cells, is_bordered=True)
            case Rule():
                pass
        return made

    def _item(self, item: Sequence[Block], number: int | None) -> InputRichBlockListItem:
        return InputRichBlockListItem(
            blocks=[self.block(one) for one in item],
            value=number,
            type=None if number is None else "1",
        )

    def _cell(self, cell: Sequence[Inline], *, head: bool) -> RichBlockTableCell:
        return RichBlockTableCell(
            align="left", valign="top", text=self.line(cell), is_header=head or None
        )

    def line(self, inlines: Sequence[Inline]) -> RichTextUnion:
        parts = [self._inline(one) for one in inlines]
        return parts[0] if len(parts) == 1 else parts

    def _inline(self, inline: Inline) -> RichTextUnion:
        shown: RichTextUnion = ""
        match inline:
            case Text(text):
                shown = text
            case Code(text):
                shown = RichTextCode(text=text)
            case Emphasis(children):
                shown = RichTextItalic(text=self.line(children))
            case Strong(children):
                shown = RichTextBold(text=self.line(children))
            case Strike(children):
                shown = RichTextStrikethrough(text=self.line(children))
            case Link(url, children) if self.follow(url):
                shown = RichTextUrl(text=plain(children), url=url)
            case Link(_, children):
                shown = self.line(children)
            case Citation(number):
                url = self.urls.get(number, "")
                shown = RichTextUrl(text=f"[{number}]", url=url) if url else f"[{number}]"
            case Break():
                shown = "\n"
        return shown
