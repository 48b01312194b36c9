"""Cuts a tree into pieces that fit a message.

Knows where a text may be cut, best places first. Does not know how long anything is: the
renderer of a platform measures.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence

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
    Measure,
    Paragraph,
    Quote,
    Rule,
    Strike,
    Strong,
    Table,
    Text,
)

_SENTENCE = re.compile(r".+?(?:[.!?…]+[)\]\"'”’]*\s+|[。！？]|\n|$)", re.DOTALL)
_CJK = "\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef"
_WORD = re.compile(rf"\s*(?:[{_CJK}]|[^\s{_CJK}]+)\s*|\s+")
_LETTER = re.compile(r".", re.DOTALL)
_CUTS = (_SENTENCE, _WORD, _LETTER)
"""Where running text may be cut, best places first."""

_Fits = Callable[[tuple[Block, ...]], bool]


def split(document: Document, limit: int, measure: Measure) -> list[Document]:
    """Cut a document into pieces that measure at most `limit`, in order, losing no word.

    Cuts fall between blocks where possible, else between the lines of code (the block is closed
    and opened again), the items of a list, the rows of a table (its head is repeated), else
    between sentences, then words, then letters. Whatever is within `limit` stays whole if it can
    begin a piece of its own. `measure` must not shrink when a document grows.

    A link whose address and one word of its label are too long together loses its address. Raises
    `ValueError` if not even one letter fits.
    """

    def fits(blocks: tuple[Block, ...]) -> bool:
        return measure(Document(blocks)) <= limit

    return [Document(blocks) for blocks in _pack(document.blocks, fits)]


def _pack(blocks: Sequence[Block], fits: _Fits) -> Iterator[tuple[Block, ...]]:
    """Groups of blocks that fit."""
    held: tuple[Block, ...] = ()
    for block in blocks:
        if fits((*held, block)):
            held = (*held, block)
            continue
        if held:
            yield held
        held = ()
        *whole, last = [block] if fits((block,)) else _cut_block(block, fits)
        for piece in whole:
            yield (piece,)
        held = (last,)
    if held:
        yield held


def _cut_block(block: Block, fits: _Fits) -> list[Block]:
    """Pieces of a block that does not fit; each of them does."""
    match block:
        case Paragraph() | Heading():
            return list(_cut_text(block, fits))
        case CodeBlock():
            return list(_cut_code(block, fits))
        case Quote(blocks):
            return [Quote(group) for group in _pack(blocks, lambda group: fits((Quote(group),)))]
        case Items():
            return list(_cut_items(block, fits))
        case Table():
            return list(_cut_table(block, fits))
        case Rule():
            raise ValueError("the limit leaves no room for anything")


def _cut_text(block: Paragraph | Heading, fits: _Fits) -> Iterator[Block]:
    def remade(line: tuple[Inline, ...]) -> Block:
        return dataclasses.replace(block, children=line)

    for line in _cut_line(block.children, lambda line: fits((remade(line),))):
        yield remade(line)


def _longest(count: int, start: int, fits: Callable[[int, int], bool]) -> int:
    """The largest end in (start, count] with `fits(start, end)`; `start` if there is none."""
    low, high = start, count
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(start, middle) else (low, middle - 1)
    return low


def _cut_code(block: CodeBlock, fits: _Fits) -> Iterator[Block]:
    """Whole lines as long as they fit; a line that alone does not is cut between letters."""
    lines = block.text.split("\n")

    def some(start: int, end: int) -> CodeBlock:
        return CodeBlock("\n".join(lines[start:end]), block.language)

    at = 0
    while at < len(lines):
        end = _longest(len(lines), at, lambda start, end: fits((some(start, end),)))
        if end > at:
            yield some(at, end)
        else:
            end = at + 1
            yield from _cut_code_line(some(at, end), fits)
        at = end


def _cut_code_line(block: CodeBlock, fits: _Fits) -> Iterator[Block]:
    def some(start: int, end: int) -> CodeBlock:
        return CodeBlock(block.text[start:end], block.language)

    at = 0
    while at < len(block.text):
        end = _longest(len(block.text), at, lambda start, end: fits((some(start, end),)))
        if end == at:
            raise ValueError("the limit leaves no room for a letter of code")
        yield some(at, end)
        at = end


def _cut_items(block: Items, fits: _Fits) -> Iterator[Block]:
    def number(index: int) -> int | None:
        return None if block.start is None else block.start + index

    def some(start: int, end: int) -> Items:
        return Items(block.items[start:end], number(start))

    def parts(index: int) -> Iterator[Block]:
        for part in _pack(block.items[index], lambda part: fits((Items((part,), number(index)),))):
            yield Items((part,), number(index))

    at = 0
    while at < len(block.items):
        end = _longest(len(block.items), at, lambda start, end: fits((some(start, end),)))
        if end > at:
            yield some(at, end)
        else:
            end = at + 1
            yield from parts(at)
        at = end


def _cut_table(block: Table, fits: _Fits) -> Iterator[Block]:
    def some(start: int, end: int) -> Table:
        return Table(block.head, block.rows[start:end])

    at = 0
    while at < len(block.rows):
        end = _longest(len(block.rows), at, lambda start, end: fits((some(start, end),)))
        if end > at:
            yield some(at, end)
        else:
            end = at + 1
            # A row that is too long for a message is no table to a reader any more.
            yield from _cells(block, block.rows[at], fits)
        at = end
    if not block.rows:
        yield from _cells(block, (), fits)


def _cells(block: Table, row: Sequence[tuple[Inline, ...]], fits: _Fits) -> Iterator[Block]:
    """A row as lines "heading: cell"; the bare headings without one."""
    for index, head in enumerate(block.head):
        cell = (*head, Text(": "), *row[index]) if index < len(row) else head
        paragraph = Paragraph(cell)
        yield from [paragraph] if fits((paragraph,)) else _cut_block(paragraph, fits)


_FitsLine = Callable[[tuple[Inline, ...]], bool]


def _cut_line(
    line: tuple[Inline, ...], fits: _FitsLine, cuts: Sequence[re.Pattern[str]] = _CUTS
) -> Iterator[tuple[Inline, ...]]:
    """Pieces of running text, cut at the best places that make them fit."""
    pattern, *finer = cuts
    count = _units(line, pattern)

    def some(start: int, end: int) -> tuple[Inline, ...]:
        return _slice(line, start, end, pattern)

    at = 0
    while at < count:
        end = _longest(count, at, lambda start, end: fits(some(start, end)))
        if end > at:
            yield some(at, end)
        else:
            end = at + 1
            unit = some(at, end)
            bare = _unlinked(unit)
            if pattern is not _SENTENCE and bare != unit:
                yield from _cut_line(bare, fits, cuts)
            elif finer:
                yield from _cut_line(unit, fits, finer)
            else:
                raise ValueError("the limit leaves no room for a letter")
        at = end


def _units(line: Sequence[Inline], pattern: re.Pattern[str]) -> int:
    """How many pieces the pattern makes of a line; what cannot be cut counts as one."""
    return sum(_weight(inline, pattern) for inline in line)


def _weight(inline: Inline, pattern: re.Pattern[str]) -> int:
    match inline:
        case Text(text):
            return len(pattern.findall(text))
        case Code(text):
            return len(text) if pattern is _LETTER else 1
        case Citation() | Break():
            return 1
        case _:
            return _units(inline.children, pattern)


def _slice(
    line: Sequence[Inline], start: int, end: int, pattern: re.Pattern[str]
) -> tuple[Inline, ...]:
    """The units from `start` to `end`, inside the emphasis and links they were in."""
    taken: list[Inline] = []
    at = 0
    for inline in line:
        weight = _weight(inline, pattern)
        low, high = max(start - at, 0), min(end - at, weight)
        at += weight
        if low >= high:
            continue
        if low == 0 and high == weight:
            taken.append(inline)
            continue
        match inline:
            case Text(text):
                taken.append(Text("".join(pattern.findall(text)[low:high])))
            case Code(text):
                taken.append(Code(text[low:high]))
            case Emphasis(children) | Strong(children) | Strike(children) | Link(_, children):
                part = _slice(children, low, high, pattern)
                taken.append(dataclasses.replace(inline, children=part))
    return tuple(taken)


def _unlinked(line: Sequence[Inline]) -> tuple[Inline, ...]:
    """The same words, nothing of them a link."""
    bare: list[Inline] = []
    for inline in line:
        match inline:
            case Link(_, children):
                bare.extend(_unlinked(children))
            case Emphasis(children) | Strong(children) | Strike(children):
                bare.append(dataclasses.replace(inline, children=_unlinked(children)))
            case _:
                bare.append(inline)
    return tuple(bare)
