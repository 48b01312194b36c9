"""Documents into passages: pieces of a size that an embedding model sees whole.

Knows Markdown's blocks, so that code, tables and lists stay in one piece, or are cut where that
hurts least. Does not know files, embeddings or searching.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from markdown_it.token import Token
from semantic_text_splitter import TextSplitter

from knowledge.markdown import block_tokens
from knowledge.types import Document, Passage, Section

LIMIT = 200  # word-pieces a passage aims to stay below
SLACK = 40  # what the last passage of a section may have more, rather than leave a scrap
FAQ_LIMIT = 600  # an FAQ answer up to here stays whole
_TINY = 24  # sections of a line or two, which say little alone
_LEAD = 50  # a lead-in up to here is repeated over each part of what it leads in
_STRETCH = 4_000  # characters
_HEADER = 80  # the same for the header of a table

_WORD = re.compile(
    r"[\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    r"\U0001f000-\U0003ffff]"  # one each: Chinese, Japanese, Korean, Thai, Lao, Burmese, Khmer
    r"|[A-Za-z\u00c0-\u024f]+"
    r"|\d+"
    r"|[^\W\d_]+"
    r"|[^\w\s]|_"
)
# A sentence ends at a full stop before white space that no small letter follows, at a full-width
# stop anywhere, at a line's end, and at the spaces that separate phrases in Thai and its kin.
_SENTENCE = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”’»)\]*_]*+\s++(?![a-zà-ÿ])"
    r"|[。！？｡．]++[」』）”’]*+\s*+"
    r"|[।॥؟۔]\s*"
    r"|\n+"
    r"|(?<=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\s+"
)


def pieces(text: str) -> int:
    """About how many word-pieces an embedding model makes of `text`.

    An estimate without a tokenizer, because which model embeds is a setting. For MiniLM's
    vocabulary it is some 15 % too high in English, and in other languages too low (by a third in
    Spanish or German, by two thirds in Polish or Russian); multilingual vocabularies are kinder
    to those.
    """
    count = 0
    for word in _WORD.findall(text):
        if len(word) == 1:
            count += 1
        elif word.isascii() or word[0] < "\u0250":
            count += 1 if len(word) <= 6 else (len(word) + 3) // 4
        else:
            count += (len(word) + 1) // 2
    return count


def split(document: Document) -> list[Passage]:
    """Cut a document into passages, in reading order, each content once.

    A passage stays within one section, or holds several tiny neighbours under one heading. An
    FAQ entry is one passage unless its answer is very long.
    """
    passages: dict[str, Passage] = {}
    for section in _merged(document.sections):
        if section.question and pieces(section.text) <= FAQ_LIMIT:
            texts = [section.text.strip()]
        else:
            texts = cut(section.text)
        for text in texts:
            passage = Passage(
                text=text,
                source=document.source,
                title_path=section.title_path,
                anchor=section.anchor,
                question=section.question,
                audience=document.audience,
                lang=document.lang,
                url=document.url,
            )
            if text:
                passages.setdefault(passage.id, passage)
    return list(passages.values())


def _merged(sections: Sequence[Section]) -> Iterator[Section]:
    """The sections, runs of tiny ones under one heading joined, their headings in bold."""

    def family(section: Section) -> tuple[str, ...]:
        if section.question or len(section.title_path) < 2 or pieces(section.text) > _TINY:
            return ()
        return section.title_path[:-1]

    for parent, group in groupby(sections, family):
        run = list(group)
        if not parent or len(run) == 1:
            yield from run
            continue
        texts = [f"**{section.title_path[-1]}**\n\n{section.text}" for section in run]
        at = 0
        for count in _fill(map(pieces, texts), LIMIT):
            text = "\n\n".join(texts[at : at + count])
            yield run[at] if count == 1 else Section(text, parent, run[at].anchor)
            at += count


def _fill(sizes: Iterable[int], limit: int) -> Iterator[int]:
    """How many of the next sizes fit together, again and again; at least one each time."""
    count = total = 0
    for size in sizes:
        if count and total + size > limit:
            yield count
            count = total = 0
        count += 1
        total += size
    if count:
        yield count


@dataclass(frozen=True, slots=True)
class _Block:
    kind: str
    text: str
    items: tuple[str, ...] = ()  # of a list

    @property
    def leads(self) -> bool:
        """True for what announces the next block: "You need:", or a heading."""
        if self.kind == "heading":
            return True
        bare = self.text.rstrip("*_ ")
        whole_bold = self.text.startswith("**") and self.text.endswith("**")
        return self.kind == "paragraph" and (bare.endswith((":", "：")) or whole_bold)


def cut(text: str, limit: int = LIMIT) -> list[str]:
    """Cut Markdown into parts of at most `limit` word-pieces (the last: plus `SLACK`)."""
    if pieces(text) <= limit and re.search(r"\w", text):  # the usual case, without parsing
        return [text.strip("\n").rstrip()]
    units: list[str] = []
    lead = ""
    for block in _blocks(text):
        if block.leads and pieces(lead) + pieces(block.text) <= _LEAD:
            lead = _join(lead, block.text)
            continue
        units.extend(_fitted(lead, block, limit))
        lead = ""
    if lead:
        units.append(lead)
    sizes = [pieces(unit) for unit in units]
    parts: list[str] = []
    at = 0
    for count in _fill(sizes, limit):
        parts.append("\n\n".join(units[at : at + count]))
        at += count
    if len(parts) > 1 and pieces(parts[-1]) <= SLACK:
        parts[-2:] = [_join(parts[-2], parts[-1])]
    return parts


def _join(first: str, second: str) -> str:
    return f"{first}\n\n{second}" if first else second


def _fitted(lead: str, block: _Block, limit: int) -> list[str]:
    """A block with its lead-in, in as many parts as the limit takes."""
    if pieces(lead) + pieces(block.text) <= limit:
        return [_join(lead, block.text)]
    return [_join(lead, part) for part in _parts(block, limit - pieces(lead))]


def _parts(block: _Block, limit: int) -> list[str]:
    """A block that is too large, cut by what it is."""
    lines = block.text.split("\n")
    if block.kind == "list":
        return _packed(block.items, limit)
    if block.kind == "table" and len(lines) > 2:
        header = "\n".join(lines[:2])
        size = pieces(header)
        if size <= min(_HEADER, limit // 2):
            return [f"{header}\n{rows}" for rows in _packed(lines[2:], limit - size)]
    if block.kind == "fence":
        mark = re.match(r"\s*([`~]{3,})", lines[0])
        if mark:
            closed = len(lines) > 1 and lines[-1].strip().startswith(mark.group(1))
            body = lines[1 : -1 if closed else None]
            # The fence and its language, twice over.
            room = limit - 2 * pieces(lines[0])
            if room >= limit // 2:
                return [f"{lines[0]}\n{part}\n{mark.group(1)}" for part in _packed(body, room)]
    return _sentences(block.text, limit)


def _packed(texts: Sequence[str], limit: int) -> list[str]:
    """Lines, rows or items, as many together as fit; one that does not fit alone is cut."""
    fitting: list[str] = []
    for text in texts:
        fitting.extend([text] if pieces(text) <= limit else _sentences(text, limit))
    parts: list[str] = []
    at = 0
    for count in _fill(map(pieces, fitting), limit):
        part = "\n".join(fitting[at : at + count]).strip("\n")
        at += count
        if part.strip():
            parts.append(part)
    return parts


def _sentences(text: str, limit: int) -> list[str]:
    """Prose cut between sentences; a sentence that is too long, between words."""
    segments: list[str] = []
    at = 0
    for found in _SENTENCE.finditer(text):
        segments.append(text[at : found.end()])
        at = found.end()
    segments.append(text[at:])
    fitting: list[str] = []
    for segment in segments:
        if pieces(segment) <= limit:
            fitting.append(segment)
        else:
            for stretch in _stretches(segment):
                fitting.extend(_splitter(limit).chunks(stretch))
    parts: list[str] = []
    at = 0
    for count in _fill(map(pieces, fitting), limit):
        part = "".join(fitting[at : at + count]).strip()
        at += count
        if part:
            parts.append(part)
    return parts


def _stretches(text: str) -> Iterator[str]:
    """`text` in pieces of at most 4,000 characters, between words where there are any.

    The splitter's cost grows with the square of what it is given.
    """
    while len(text) > _STRETCH:
        space = text.rfind(" ", 0, _STRETCH)
        end = space + 1 if space > 0 else _STRETCH
        yield text[:end]
        text = text[end:]
    yield text


@cache
def _splitter(limit: int) -> TextSplitter:
    return TextSplitter.from_callback(pieces, limit, trim=False)


_KINDS = {
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "table_open": "table",
    "fence": "fence",
    "code_block": "fence",
    "heading_open": "heading",
    "hr": "rule",
}


def _blocks(text: str) -> Iterator[_Block]:
    """The top-level blocks of Markdown, every line in one of them, rules left out."""
    lines = text.split("\n")
    tokens = block_tokens(text)
    at = 0
    for index, token in enumerate(tokens):
        if token.level > 0 or token.map is None or token.nesting < 0:
            continue
        first, last = token.map
        yield from _paragraph(lines[at:first])  # link definitions have no token
        at = last
        body = "\n".join(lines[first:last]).strip("\n").rstrip()
        kind = _KINDS.get(token.type, "paragraph")
        if kind == "list":
            yield _Block(kind, body, _items(tokens[index + 1 :], lines))
        elif kind != "rule":
            yield _Block(kind, body)
    yield from _paragraph(lines[at:])


def _paragraph(lines: Sequence[str]) -> Iterator[_Block]:
    text = "\n".join(lines).strip("\n")
    if text.strip():
        yield _Block("paragraph", text)


def _items(tokens: Sequence[Token], lines: Sequence[str]) -> tuple[str, ...]:
    """The items of the list whose opening token came just before `tokens`, as written."""
    items: list[str] = []
    for token in tokens:
        if token.level == 0:  # the list's closing token
            break
        if token.level == 1 and token.type == "list_item_open" and token.map is not None:
            items.append("\n".join(lines[slice(*token.map)]).strip("\n").rstrip())
    return tuple(items)
