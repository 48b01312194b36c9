"""Cuts a passage's Markdown into the pieces that can be quoted on their own.

A piece is a sentence, or a whole list, table or code block together with the line that leads
into it: half a procedure is worse than none. Knows Markdown's shapes and where sentences end;
does not know which piece answers what.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from markdown_it import MarkdownIt

from bot.words.lexicon import is_unspaced, words_of


class Kind(StrEnum):
    """What shape a piece has, which decides how it may be shortened and joined."""

    SENTENCE = "sentence"
    LIST = "list"
    STEPS = "steps"  # an ordered list: never shortened
    TABLE = "table"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Unit:
    """One quotable piece. `block` tells which pieces stood in the same paragraph."""

    text: str  # Markdown
    kind: Kind
    block: int
    lead: str = ""  # the line that introduces a list, table or code block
    items: tuple[str, ...] = ()  # list items or table rows, as written
    heading: str = ""  # the heading inside the passage that this stands under

    @property
    def whole(self) -> str:
        """The piece as it is shown: with its lead-in."""
        return f"{self.lead}\n\n{self.text}" if self.lead else self.text


_ABBREVIATIONS = frozenset(
    words_of(
        """e.g i.e etc vs approx no nos fig mr mrs ms dr prof st inc ltd co corp dept est al
    cf z.b d.h u.a bzw ca ggf evtl usw nr str tel inkl max min abs art zzgl p.ej ej
    sr sra srta ud uds pág núm aprox т.е т.д т.п т.к др стр им ул г руб коп напр u.s
    a.m p.m jan feb mar apr jun jul aug sep sept oct nov dec"""
    )
)
_END = re.compile(r"((?<![.!?…])[.!?…]++[\"'”’»)\]*_]*)(?=\s+\S)|([。！？；]+[”’」』）]*)")
_BULLET = re.compile(r"^\s{0,3}(?:[-*+•·‣]|\d{1,3}[.)])\s+")
_COUNTED = frozenset({"no", "nos", "nr", "art", "fig", "pág", "núm"})
_MONTH = re.compile(r"(?i:jan|feb|mär|apr|mai|jun|jul|aug|sep|okt|nov|dez)|[a-zà-ÿа-я]")
_GOES_ON = re.compile(r"[^\W\d_A-ZÀ-ÖØ-ÞА-ЯЁ\u3400-\u9fff]|[,;)]")
_INNER_HEADING = re.compile(r"^#{1,6}\s+|\s+#+\s*$")


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table")


def sentences(text: str) -> list[str]:
    """Sentences of running text in order, trimmed. Abbreviations, numbers, dotted names hold."""
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        if match.group(1) and not _ends_sentence(text, match):
            continue
        found.append(text[start : match.end()].strip())
        start = match.end()
    found.append(text[start:].strip())
    return [one for one in found if one]


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    # Only the neighbourhood is looked at: a long text must not be copied at every stop.
    following = text[match.end() : match.end() + 20].lstrip()
    if match.group(1)[0] != ".":
        return True
    words = text[max(0, match.start() - 30) : match.start()].split()
    spaced = not words or text[match.start() - 1].isspace()
    before = "" if spaced else words[-1].lstrip("(\"'“„«*_[").casefold()
    if before in _COUNTED:  # "no. 5" goes on, "No. We don't." does not
        return not following[:1].isdigit()
    if before in _ABBREVIATIONS or (len(before) == 1 and before.isalpha()):
        # "at 5 p.m. We close" still ends, and so does "option B. Then".
        return before in {"a.m", "p.m", "etc", "usw"} and following[:1].isupper()
    if before.isdigit() and len(before) <= 2:
        # "am 3. Juni", and the "3." that numbers an item
        numbers_item = not text[max(0, match.start() - 30) : match.start() - len(before)].strip()
        if numbers_item or _MONTH.match(following):
            return False
    return not following[:1].islower() or is_unspaced(following[:1])


def units(markdown: str) -> list[Unit]:
    """The quotable pieces of a passage, in reading order."""
    lines = markdown.split("\n")
    found: list[Unit] = []
    heading = ""
    for number, (kind, start, end) in enumerate(_blocks(markdown)):
        text = "\n".join(lines[start:end]).strip("\n")
        if kind == "heading":
            heading = _INNER_HEADING.sub("", text.strip().split("\n")[0])
        elif kind == "paragraph":
            found.extend(_paragraph(text, number, heading))
        elif kind == "rule":
            continue
        else:
            shape = Kind(kind)
            lead = _take_lead(found, number)
            found.append(Unit(text, shape, number, lead, _items(text, shape), heading))
    return found


def _blocks(markdown: str) -> Iterator[tuple[str, int, int]]:
    """Top-level blocks as (kind, first line, line after the last)."""
    names = {
        "heading_open": "heading",
        "paragraph_open": "paragraph",
        "bullet_list_open": "list",
        "ordered_list_open": "steps",
        "table_open": "table",
        "fence": "code",
        "code_block": "code",
        "hr": "rule",
        "blockquote_open": "paragraph",
        "html_block": "paragraph",
    }
    for token in _parser().parse(markdown):
        if token.level == 0 and token.map and token.type in names:
            yield names[token.type], token.map[0], token.map[1]


def _paragraph(text: str, block: int, heading: str) -> Iterator[Unit]:
    plain = "\n".join(re.sub(r"^\s*>\s?", "", line) for line in text.split("\n"))
    # Text files write lists that Markdown reads as one paragraph: short lines of their own,
    # none of which goes on in lower case as a wrapped sentence does.
    lines = [line.strip() for line in plain.split("\n") if line.strip()]
    short = len(lines) > 1 and sum(map(len, lines)) / len(lines) < 60
    hard = short and not any(_GOES_ON.match(line) for line in lines[1:])
    pieces = lines if hard else [" ".join(lines)]
    for piece in pieces:
        for sentence in sentences(piece):
            yield Unit(sentence, Kind.SENTENCE, block, heading=heading)


def _take_lead(found: list[Unit], block: int) -> str:
    """Remove and return the sentence that introduces the block that follows it."""
    if not found or found[-1].kind is not Kind.SENTENCE or found[-1].block != block - 1:
        return ""
    last = found[-1].text
    alone = len(found) < 2 or found[-2].block != found[-1].block
    if last.rstrip("*_ ").endswith((":", "：")) or (alone and len(last) < 160):
        return found.pop().text
    return ""


def _items(text: str, kind: Kind) -> tuple[str, ...]:
    if kind is Kind.CODE:
        return ()
    if kind is Kind.TABLE:
        return tuple(text.split("\n"))
    items: list[str] = []
    for line in text.split("\n"):
        if _BULLET.match(line) or not items:
            items.append(line.rstrip())
        else:
            items[-1] += "\n" + line.rstrip()
    return tuple(items)


_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"[*_`#>|]+|^\s*(?:[-+•]|\d{1,3}[.)])\s+", re.MULTILINE)


def plain(markdown: str) -> str:
    """The words of a piece of Markdown, for embedding and matching: no marks, no addresses."""
    return re.sub(r"\s+", " ", _MARKS.sub(" ", _LINK.sub(r"\1", markdown))).strip()
