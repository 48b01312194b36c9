"""Checks a generated answer, claim by claim, against the passages it was made from.

A claim is a sentence, a list item, a table row or a block of code. What the passages do not
carry is dropped, and an answer of which too little is left is refused as a whole. Knows facts
and wording, not the world: a false passage makes a false answer. Synchronous work on the
processor: call it off the event loop.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot.answering.cite import MARKER, Citer, mark
from bot.answering.prompt import UNKNOWN
from bot.answering.units import Kind, Unit, plain, units
from bot.words.facts import Facts, facts, opposed
from bot.words.lexicon import content, language
from knowledge.types import Passage

if TYPE_CHECKING:
    from knowledge.embed import Embedder, FloatArray

ENOUGH = 0.4  # share of what the model claimed that must survive, in characters
# When wording counts as support. Coverage is the share of a claim's content words found.
COVERED = 0.6  # of the passage, with …
COVERED_SENTENCE = 0.4  # … this much of one sentence, or …
CLOSE = 0.6  # … a sentence this similar in meaning
PARAPHRASE = 0.75  # similarity that carries a claim with little wording in common
COVERED_PARAPHRASE = 0.35

_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_IMAGE = re.compile(r"!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])")
_LINK = re.compile(r"\[([^\]]*)\]\(\s*<?([^)\s>]*)>?[^)]*\)")
_REFERENCE = re.compile(r"^\s*\[[^\]]+\]:\s+\S+.*$", re.MULTILINE)
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^>\s]+)>")
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>?")
_CODE = re.compile(r"(```.*?```|~~~.*?~~~|`[^`\n]*`)", re.DOTALL)
_AFTER_STOP = re.compile(r"([.!?。！？])((?:\s?\[\d{1,3}\])+)")
_GROUPED = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})+)\]")
_YES_NO = re.compile(
    r"^\W*(?:(?P<yes>yes|yeah|sí|ja|да|是的?|可以|correct|right)|(?P<no>no|nope|nein|нет|不是?|不可以))\W*$",
    re.IGNORECASE,
)
_CLAUSES = re.compile(
    r"[;；]\s*|,?\s+(?=(?:but|while|whereas|although|pero|aunque|aber|sondern|но|хотя)\s)|，(?=但)"
)


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer that may be shown: its text, cited, and the passages that carry it."""

    text: str
    supported: frozenset[str]  # passage ids
    dropped: int  # claims that were not carried by any passage


@dataclass(slots=True)
class Passages:
    """The passages of one answer, cut into the sentences that claims are held against."""

    given: Sequence[Passage]
    lines: list[tuple[int, str]] = field(init=False)  # (passage, sentence)
    words: list[frozenset[str]] = field(init=False)  # of each line
    bodies: list[str] = field(init=False)  # each passage with its headings, plain
    body_words: list[frozenset[str]] = field(init=False)
    body_facts: list[Facts] = field(init=False)
    raws: list[str] = field(init=False)  # for addresses and code, spaces squeezed

    def __post_init__(self) -> None:
        self.lines = [(n, line) for n, one in enumerate(self.given) for line in _lines(one)]
        self.words = [frozenset(content(line)) for _, line in self.lines]
        around = [" ".join((*one.title_path, one.question)) for one in self.given]
        self.bodies = [
            f"{head}. {plain(one.text)}" for head, one in zip(around, self.given, strict=True)
        ]
        self.body_words = [frozenset(content(body)) for body in self.bodies]
        self.body_facts = [_all_facts(body) for body in self.bodies]
        self.raws = [
            re.sub(r"\s+", " ", f"{head} {one.text} {one.url}")
            for head, one in zip(around, self.given, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Support:
    passage: int
    line: str
    strength: float


class Checker:
    """Holds generated text against passages. Thread-safe."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def check(self, text: str, passages: Passages, citer: Citer) -> Checked | None:
        """The supported part of `text` with `[n]` renumbered by `citer`; None if too little is.

        The model's own markers name `passages.given` from 1. Valid ones stay, wrong ones go,
        missing ones are added.
        """
        if not passages.given or UNKNOWN.rstrip(".").casefold() in text.casefold():
            return None
        cleaned = _AFTER_STOP.sub(r"\2\1", _GROUPED.sub(_spread, neutral(text, passages)))
        work = _Work(self._embedder, passages, citer)
        out = [shown for unit in units(cleaned) if (shown := work.unit(unit))]
        body = _joined(out)
        if not work.supported or work.kept < ENOUGH * (work.kept + work.lost):
            return None
        return Checked(body, frozenset(work.supported), work.dropped)


def neutral(text: str, passages: Passages) -> str:
    """Model output made harmless: no images, no markup, no links the passages do not hold."""
    text = _REFERENCE.sub("", _THINKING.sub("", text))
    known = " ".join(passages.raws)
    pieces = _CODE.split(text)
    for index in range(0, len(pieces), 2):
        piece = _IMAGE.sub("", pieces[index])
        piece = _AUTOLINK.sub(r"\1", piece)
        piece = _LINK.sub(lambda one: _known_link(one, known), piece)
        pieces[index] = _TAG.sub("", piece)
    return "".join(pieces).strip()


def _known_link(found: re.Match[str], known: str) -> str:
    target = found.group(2)
    harmless = re.match(r"(?:https?:|mailto:|tel:|[\w./#-]+$)", target, re.IGNORECASE)
    return found.group() if harmless and target and target in known else found.group(1)


def _spread(found: re.Match[str]) -> str:
    return "".join(f"[{one.strip()}]" for one in re.split("[,;]", found.group(1)))


class _Work:
    """One answer being checked."""

    def __init__(self, embedder: Embedder, passages: Passages, citer: Citer) -> None:
        self._embedder = embedder
        self._passages = passages
        self._citer = citer
        self._vectors: FloatArray | None = None
        self._held = ""  # a bare "Yes." that waits for the claim after it
        self.supported: set[str] = set()
        self.kept = 0  # characters
        self.lost = 0
        self.dropped = 0

    def unit(self, unit: Unit) -> tuple[Unit, str] | None:
        """What is left of a piece, as Markdown; None if nothing is."""
        if unit.kind is Kind.SENTENCE:
            text = self._sentence(unit.text)
        elif unit.kind is Kind.CODE:
            text = self._code(unit.text)
        else:
            text = self._items(unit)
        if not text:
            return None
        lead = self._lead(unit.lead) if unit.lead else ""
        return unit, f"{lead}\n\n{text}" if lead else text

    def _sentence(self, text: str) -> str:
        bare = MARKER.sub("", text).strip()
        answer = _YES_NO.match(plain(bare))
        if answer:
            self._held = bare
            return ""
        if _says_nothing(bare):
            return bare if not bare.endswith(":") else ""
        shown = self._claim(text)
        held, self._held = self._held, ""
        if shown and held:
            said_no = _YES_NO.match(plain(held))
            denies = facts(plain(bare)).negated
            # "No." before a sentence that affirms would turn the passage round.
            if said_no and bool(said_no.group("no")) == denies:
                return f"{held} {shown}"
        return shown

    def _claim(self, text: str) -> str:
        """A claim with its markers put right, or "" if no passage carries it."""
        bare = MARKER.sub("", text).strip()
        given = [int(one) - 1 for one in MARKER.findall(text)]
        given = [one for one in given if 0 <= one < len(self._passages.given)]
        support = self._support(plain(bare), bare, given)
        if not support:
            self.lost += len(bare)
            self.dropped += 1
            return ""
        self.kept += len(bare)
        for one in support:
            passage = self._passages.given[one.passage]
            self.supported.add(passage.id)
            bare = mark(bare, self._citer.number(passage, one.line[:300]))
        return bare

    def _support(self, claim: str, raw: str, given: Sequence[int]) -> list[_Support]:
        """The passages that carry a claim: those the model named, else the best of all."""
        order = list(dict.fromkeys([*given, *range(len(self._passages.given))]))
        found = {n: one for n in order if (one := self._held_by(n, claim, raw)) is not None}
        named = [found[n] for n in dict.fromkeys(given) if n in found]
        if named:
            return named
        return [max(found.values(), key=lambda one: one.strength)] if found else []

    def _held_by(self, number: int, claim: str, raw: str) -> _Support | None:
        passages = self._passages
        stated = facts(claim, names=language(claim) != "de")
        if not _carries(passages, number, stated, facts(raw)):
            return None
        words = frozenset(content(claim))
        rows = [row for row, (n, _) in enumerate(passages.lines) if n == number]
        overlaps = {row: len(words & passages.words[row]) / (len(words) or 1) for row in rows}
        same = [row for row in rows if facts(passages.lines[row][1]).negated == stated.negated]
        best = max(same, key=lambda row: overlaps[row], default=None)
        if best is None or self._denied(words, best, overlaps, same):
            return None
        line = passages.lines[best][1]
        if opposed(claim, line):
            return None
        covered = len(words & passages.body_words[number]) / len(words) if words else 1.0
        if covered >= COVERED and overlaps[best] >= COVERED_SENTENCE:
            return _Support(number, line, covered + overlaps[best])
        row, close = self._closest(claim, same)
        meant = covered >= COVERED and close >= CLOSE
        if meant or (close >= PARAPHRASE and covered >= COVERED_PARAPHRASE):
            return _Support(number, passages.lines[row][1], covered + close)
        return None

    def _denied(
        self, words: frozenset[str], best: int, overlaps: dict[int, float], same: Sequence[int]
    ) -> bool:
        """True if a sentence that says the opposite is at least as near to the claim.

        It must hold a word of the claim that the best agreeing sentence lacks: that word is
        what the claim is really about.
        """
        said = self._passages.words
        return any(
            overlap >= overlaps[best] and words & said[row] - said[best]
            for row, overlap in overlaps.items()
            if row not in same
        )

    def _closest(self, claim: str, rows: Sequence[int]) -> tuple[int, float]:
        if self._vectors is None:
            self._vectors = self._embedder.encode([line for _, line in self._passages.lines])
        scores = self._vectors[list(rows)] @ self._embedder.encode([claim])[0]
        best = int(scores.argmax())
        return rows[best], float(scores[best])

    def _items(self, unit: Unit) -> str:
        """A list or table with the items that are carried; a table keeps its head."""
        if unit.kind is Kind.TABLE:
            head, rows = list(unit.items[:2]), unit.items[2:]
            kept = [row for row in rows if self._claim(row)]
            numbers = "" if not kept else self._row_marker(kept[0])
            return "\n".join([*head, *kept]) + numbers if kept else ""
        kept = [shown for item in unit.items if (shown := self._item(item))]
        if unit.kind is Kind.STEPS:
            return "\n".join(
                re.sub(r"^(\s*)\d{1,3}[.)]", rf"\g<1>{n}.", item) for n, item in enumerate(kept, 1)
            )
        return "\n".join(kept)

    def _row_marker(self, row: str) -> str:
        support = self._support(plain(row), row, [])
        return "" if not support else (
            f"\n\n[{self._citer.number(self._passages.given[support[0].passage])}]"
        )  # fmt: skip

    def _item(self, item: str) -> str:
        bullet = re.match(r"^\s*(?:[-*+]|\d{1,3}[.)])\s+", item)
        start = bullet.group() if bullet else ""
        shown = self._claim(item[len(start) :])
        return f"{start}{shown}" if shown else ""

    def _code(self, text: str) -> str:
        lines = [re.sub(r"\s+", " ", one).strip() for one in text.split("\n")[1:-1]]
        for number, raw in enumerate(self._passages.raws):
            if lines and all(one in raw for one in lines):
                passage = self._passages.given[number]
                self.kept += len(text)
                self.supported.add(passage.id)
                return mark(text, self._citer.number(passage))
        self.lost += len(text)
        self.dropped += 1
        return ""

    def _lead(self, lead: str) -> str:
        """A line that introduces a list: it stays unless it states facts no passage holds."""
        bare = MARKER.sub("", lead).strip()
        stated, raw = facts(plain(bare)), facts(bare)
        everywhere = range(len(self._passages.given))
        return bare if any(_carries(self._passages, n, stated, raw) for n in everywhere) else ""


def _lines(passage: Passage) -> list[str]:
    found = [passage.question] if passage.question else []
    for unit in units(passage.text):
        if unit.kind is Kind.SENTENCE:
            # Clauses apart: "green teas are organic; the others are not" denies only half.
            found.extend(_CLAUSES.split(plain(unit.text)))
        else:
            lead = plain(unit.lead)
            rows = [plain(one) for one in unit.items] or [plain(unit.text)]
            found.extend(f"{lead} {row}".strip() for row in rows)
    return [one for one in found if one]


def _all_facts(body: str) -> Facts:
    """Facts of a whole passage; every word may be a name there, whatever its capitals."""
    return facts(body)


def _carries(passages: Passages, number: int, stated: Facts, raw: Facts) -> bool:
    """True if every hard fact of the claim stands in the passage."""
    body = passages.body_facts[number]
    values = {value for value, _ in body.quantities}
    for value, unit in stated.quantities:
        if value not in values:
            return False
        # A number may lose its unit on the way ("30 or 60 days"), but not change it.
        if unit and (value, unit) not in body.quantities and (value, "") not in body.quantities:
            return False
    text = passages.raws[number]
    folded = text.casefold()
    if any(one not in folded for one in raw.addresses):
        return False
    if any(one not in text and one not in folded for one in raw.code):
        return False
    words = passages.body_words[number]
    return all(name in words or name in folded for name in stated.names)


def _says_nothing(text: str) -> bool:
    stated = facts(plain(text))
    hard = stated.quantities or stated.addresses or stated.code or stated.names or stated.negated
    return not hard and not content(plain(text))


def _joined(shown: Sequence[tuple[Unit, str]]) -> str:
    out: list[str] = []
    block = -1
    for unit, text in shown:
        if unit.kind is Kind.SENTENCE and unit.block == block:
            out[-1] += " " + text
        else:
            out.append(text)
        block = unit.block if unit.kind is Kind.SENTENCE else -1
    return "\n\n".join(out)
