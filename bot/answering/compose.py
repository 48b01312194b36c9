"""The quoting composer: picks the sentences of the best passages that answer the question.

Used when no model is configured or the engine is down, and the floor any model has to beat.
Every word of a quote stands in a passage; nothing is rephrased, and no "yes" or "no" is put in
front. Knows sentences and their scores; does not know how passages were found, and never
decides whether to answer. Synchronous work on the processor: call it off the event loop.
"""

from __future__ import annotations

import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

import numpy as np

from bot.answering.units import Kind, Unit, plain, units
from bot.words.lexicon import content, tokens
from bot.words.orders import is_planted
from bot.words.wants import Asked
from knowledge.types import Hit, Passage

if TYPE_CHECKING:
    from knowledge.embed import Embedder, FloatArray

FAQ_WHOLE = 800  # characters of an FAQ answer that is given whole
PAGE_WHOLE = 650  # characters of a page's passage that is given whole: cut text misleads
BUDGET = 700  # characters quoted from a longer passage
SIDE_BUDGET = 320  # characters quoted from each further passage
LIST_WHOLE = 900  # characters up to which a list or table is not shortened
STEPS_WHOLE = 2400  # steps and code are kept whole up to here
PASSAGES = 4  # passages looked at
QUOTED = 3  # passages quoted from
# Embedding is what costs time here: only pieces whose wording is promising are embedded, more of
# them where a choice among them has to be made, and passages without a chance are left out.
EMBEDDED, EMBEDDED_WHOLE = 6, 2
EMBEDDED_CHARS = 240  # of a piece
CHANCE = 4.0  # log odds behind the search's first from which a passage has none
CACHE = 2000  # passages whose pieces and vectors are kept

# What a piece's score is made of. Chosen on golden questions over several knowledge folders;
# the exact values matter little, that each part is there does.
MEANING, WORDS, KIND = 0.55, 0.30, 0.08
NAMED = 0.5  # for a table with a row about the very code that is asked for
NEAR = 0.16  # pieces this close to the best one of their passage are quoted with it
# The search's scores are log odds; the best sentence adds to them with this weight.
SENTENCE = 4.0
SIDE_NEAR = 2.2  # log odds by which a further passage may be behind the best one
SAME = 0.75  # share of a piece's words already quoted above which it says nothing new


@dataclass(frozen=True, slots=True)
class Piece:
    """What is quoted from one passage: Markdown, and the words that carry the answer."""

    text: str
    passage: Passage
    key: str
    score: float


@dataclass(frozen=True, slots=True)
class _Cut:
    """A passage cut into pieces. `vectors` fills as pieces are looked at, by what was embedded."""

    units: tuple[Unit, ...]
    plains: tuple[str, ...]
    words: tuple[frozenset[str], ...]
    vectors: dict[str, FloatArray]


@dataclass(frozen=True, slots=True)
class _Scored:
    hit: Hit
    cut: _Cut
    scores: FloatArray  # (pieces,)

    @property
    def best(self) -> int:
        """The row that answers best."""
        return int(self.scores.argmax())

    @property
    def top(self) -> float:
        """The best row's score."""
        return float(self.scores.max())

    @property
    def odds(self) -> float:
        """How well the passage answers: what the search says, and its best sentence."""
        return self.hit.score + SENTENCE * self.top


# A sentence that opens like this leans on the one before it.
_LEANS = re.compile(
    r"^(?:it|its|this|that|these|those|they|them|their|he|she|such|then|also|however|otherwise"
    r"|but|so|therefore|instead|in (?:this|that|which) case|after that|if so|both|either|neither"
    r"|es|das|dies\w*|sie|er|dann|aber|jedoch|sonst|danach|außerdem|esto|esta|este|ello|también"
    r"|además|pero|sin embargo|entonces|это\w*|он[аио]?|они|также|но|однако|тогда|затем)\b"
    r"|^(?:这|那|它|他|她|但|不过|然后|此外|另外|否则)",
    re.IGNORECASE,
)
_NOISE = re.compile(
    r"^(?:see also|last (?:updated|reviewed|modified)|read more|learn more|click here|contents"
    r"|back to top|véase también|siehe auch|см\. также|另请参阅)\b",
    re.IGNORECASE,
)


class Quoter:
    """Cuts passages into pieces once, remembers their vectors, and picks. Thread-safe."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._cuts: OrderedDict[str, _Cut] = OrderedDict()
        self._lock = threading.Lock()

    def quote(self, question: str, hits: Sequence[Hit], focus: str = "") -> tuple[Piece, ...]:
        """The pieces that answer `question`, best passage first; empty if none can be quoted.

        `hits` are best first and already known to be about the question. `focus` is the part of
        the question that is new, where the rest was carried over from the conversation.
        """
        near = [hit for hit in hits[:PASSAGES] if hit.score > hits[0].score - CHANCE]
        scored = self._score(question, near, focus)
        if not scored:
            return ()
        main, *others = sorted(scored, key=lambda one: -one.odds)
        pieces = [_main_piece(main, question)]
        for one in others:
            if len(pieces) == QUOTED or one.odds < main.odds - SIDE_NEAR:
                break
            side = _side_piece(one, pieces, question)
            if side is not None:
                pieces.append(side)
        return tuple(pieces)

    def _score(self, question: str, hits: Sequence[Hit], focus: str) -> list[_Scored]:
        """Each passage that has something to quote, with a score for every piece of it."""
        rows = [(hit, cut) for hit in hits if (cut := self._cut(hit.passage)).units]
        if not rows:
            return []
        weight = _weights(question, focus, [words for _, cut in rows for words in cut.words])
        asked = Asked.of(focus or question)
        worded = [_worded(hit.passage, cut, weight, asked) for hit, cut in rows]
        close = self._closeness(
            question, [(*row, base) for row, base in zip(rows, worded, strict=True)]
        )
        return [
            _Scored(hit, cut, base + np.float32(MEANING) * meaning)
            for (hit, cut), base, meaning in zip(rows, worded, close, strict=True)
        ]

    def _cut(self, passage: Passage) -> _Cut:
        with self._lock:
            known = self._cuts.get(passage.id)
            if known is not None:
                self._cuts.move_to_end(passage.id)
                return known
        shown = tuple(quotable(passage))
        plains = tuple(plain(unit.whole) for unit in shown)
        words = tuple(frozenset(content(text)) for text in plains)
        with self._lock:
            cut = self._cuts.setdefault(passage.id, _Cut(shown, plains, words, {}))
            while len(self._cuts) > CACHE:
                self._cuts.popitem(last=False)
        return cut

    def _closeness(
        self, question: str, rows: Sequence[tuple[Hit, _Cut, FloatArray]]
    ) -> list[FloatArray]:
        """(pieces,) cosines to the question, per passage.

        Pieces whose wording promises little get a little less than the least that was computed.
        """
        words = set(content(question))
        best = [
            [int(row) for row in np.argsort(-base, kind="stable")[: _few(hit.passage, cut)]]
            for hit, cut, base in rows
        ]
        telling = [
            [_telling(cut, row, words) for row in chosen]
            for (_, cut, _), chosen in zip(rows, best, strict=True)
        ]
        with self._lock:
            missing = [
                (cut, text)
                for (_, cut, _), texts in zip(rows, telling, strict=True)
                for text in texts
                if text not in cut.vectors
            ]
        if missing:
            made = self._embedder.encode([text for _, text in missing])
            with self._lock:
                for (cut, text), made_one in zip(missing, made, strict=True):
                    cut.vectors[text] = made_one
        asked = self._embedder.encode_query(question)
        found = []
        for (_, cut, base), chosen, texts in zip(rows, best, telling, strict=True):
            known = np.array([float(cut.vectors[text] @ asked) for text in texts], np.float32)
            cosines = np.full(len(base), known.min() - 0.05, np.float32)
            cosines[chosen] = known
            found.append(cosines)
        return found


def _telling(cut: _Cut, row: int, asked: set[str]) -> str:
    """What of a piece is embedded: its beginning, or of a table the row that fits the words."""
    unit, text = cut.units[row], cut.plains[row]
    if unit.kind is not Kind.TABLE or len(text) <= EMBEDDED_CHARS:
        return text[:EMBEDDED_CHARS]
    rows = [plain(item) for item in unit.items[2:]]
    overlaps = [len(asked & set(content(one))) for one in rows]
    if not any(overlaps):
        return text[:EMBEDDED_CHARS]
    return f"{plain(unit.items[0])} {rows[overlaps.index(max(overlaps))]}"[:EMBEDDED_CHARS]


def _few(passage: Passage, cut: _Cut) -> int:
    return EMBEDDED_WHOLE if _shown_whole(passage, cut) else EMBEDDED


def _shown_whole(passage: Passage, cut: _Cut) -> bool:
    limit = FAQ_WHOLE if passage.question else PAGE_WHOLE
    return sum(len(unit.whole) for unit in cut.units) <= limit


def quotable(passage: Passage) -> list[Unit]:
    """The pieces of a passage that may be shown.

    A paragraph in which one sentence gives orders to machines is left out whole: the sentences
    beside it belong to the same trap.
    """
    found = units(passage.text)
    trapped = {unit.block for unit in found if is_planted(unit.whole)}
    return [unit for unit in found if unit.block not in trapped]


def _about(passage: Passage) -> str:
    return " ".join((*passage.title_path, passage.question))


def _weights(question: str, focus: str, rows: Sequence[frozenset[str]]) -> dict[str, float]:
    """How much each asked word tells pieces apart: inverse frequency among them, summing to 1.

    Words of `focus` count double: "and for business?" is about business.
    """
    asked = dict.fromkeys(content(question))
    new = set(content(focus))
    seen = Counter(word for row in rows for word in row)
    raw = {
        word: log(1 + (len(rows) + 1) / (seen[word] + 0.5)) * (2 if word in new else 1)
        for word in asked
    }
    total = sum(raw.values())
    return {word: value / total for word, value in raw.items()} if total else {}


def _worded(passage: Passage, cut: _Cut, weight: dict[str, float], asked: Asked) -> FloatArray:
    """(pieces,) what wording and shape alone say about each piece."""
    around = frozenset(content(_about(passage)))
    return np.array(
        [
            WORDS * _covered(weight, cut.words[row], around)
            + (NAMED if unit.kind is Kind.TABLE and _rows_named(unit.items[2:], weight) else 0.0)
            + _shape_bonus(unit, cut.plains[row], asked.shapes, how_to=asked.how_to)
            for row, unit in enumerate(cut.units)
        ],
        np.float32,
    )


def _covered(weight: dict[str, float], words: frozenset[str], around: frozenset[str]) -> float:
    """Share of the question's words in the piece; words of its headings count half."""
    return sum(
        value * (1.0 if word in words else 0.5 if word in around else 0.0)
        for word, value in weight.items()
    )


def _shape_bonus(
    unit: Unit, text: str, wanted: Sequence[re.Pattern[str]], *, how_to: bool
) -> float:
    bonus = sum(KIND for shape in wanted if shape.search(text))
    if how_to and unit.kind in (Kind.STEPS, Kind.CODE):
        bonus += KIND
    if _NOISE.match(text) or len(tokens(text)) < 3:
        bonus -= 0.25
    if unit.kind is Kind.SENTENCE and text.endswith(("?", "？", ":", "：")):
        bonus -= 0.15
    return bonus


def _main_piece(one: _Scored, question: str) -> Piece:
    passage = one.hit.passage
    shown = one.cut.units
    best = one.best
    whole = _shown_whole(passage, one.cut)
    rows = list(range(len(shown))) if whole else _pick(one, best, BUDGET)
    text = _joined(one, rows, question)
    if not passage.question and not shown[rows[0]].heading:
        text = _with_heading(text, passage, question)
    return Piece(text, passage, one.cut.plains[best][:300], one.top)


def _side_piece(one: _Scored, pieces: list[Piece], question: str) -> Piece | None:
    """What a further passage adds; None if it only repeats what is quoted already."""
    best = one.best
    words = one.cut.words[best]
    for piece in pieces:
        quoted = frozenset(content(plain(piece.text)))
        if len(words & quoted) >= SAME * len(words):
            return None
    rows = _pick(one, best, SIDE_BUDGET)
    text = _joined(one, rows, question)
    return Piece(text, one.hit.passage, one.cut.plains[best][:300], one.top)


def _pick(one: _Scored, best: int, budget: int) -> list[int]:
    """Rows worth quoting, in reading order: the best, its near rivals, and what they lean on."""
    shown = one.cut.units
    chosen: set[int] = set()
    used = 0
    for row in map(int, np.argsort(-one.scores, kind="stable")):
        if one.scores[row] < one.top - NEAR:
            break
        wanted = [row, *_leant_on(shown, row)]
        size = sum(len(shown[i].whole) for i in wanted if i not in chosen)
        if chosen and used + size > budget:
            continue
        chosen.update(wanted)
        used += size
    for row in range(1, len(shown) - 1):
        # A gap of one sentence reads as a jump; fill it when it is cheap.
        together = shown[row - 1].block == shown[row].block == shown[row + 1].block
        if together and {row - 1, row + 1} <= chosen and used + len(shown[row].text) <= budget:
            chosen.add(row)
            used += len(shown[row].text)
    return sorted(chosen | {best})


def _leant_on(shown: Sequence[Unit], row: int) -> list[int]:
    found: list[int] = []
    while row > 0 and len(found) < 2:
        unit = shown[row]
        leans = unit.kind is Kind.SENTENCE and _LEANS.match(plain(unit.text))
        if not leans or shown[row - 1].block != unit.block:
            break
        row -= 1
        found.append(row)
    return found


def _joined(one: _Scored, rows: Iterable[int], question: str) -> str:
    """Pieces as Markdown: sentences of one paragraph on one line, blocks apart."""
    out: list[str] = []
    block = -1
    heading = ""
    for row in rows:
        unit = one.cut.units[row]
        if unit.heading and unit.heading != heading:
            out.append(f"**{plain(unit.heading)}**")
            block = -1
        heading = unit.heading
        text = _balanced(_shortened(unit, question))
        if unit.kind is Kind.SENTENCE and unit.block == block:
            out[-1] += " " + text
        else:
            out.append(text)
        block = unit.block if unit.kind is Kind.SENTENCE else -1
    return "\n\n".join(out)


def _shortened(unit: Unit, question: str) -> str:
    """The piece with its lead; a very long list or table keeps its best-matching rows."""
    asked = set(content(question))
    if unit.kind is Kind.TABLE and (rows := _rows_named(unit.items[2:], asked)):
        return "\n".join((*unit.items[:2], *rows))
    limit = STEPS_WHOLE if unit.kind in (Kind.STEPS, Kind.CODE) else LIST_WHOLE
    if len(unit.text) <= limit or not unit.items:
        return unit.whole
    head = 2 if unit.kind is Kind.TABLE else 0
    rated = sorted(
        range(head, len(unit.items)),
        key=lambda row: (-len(asked & set(content(plain(unit.items[row])))), row),
    )
    kept = list(range(head))
    used = 0
    for row in rated:
        used += len(unit.items[row])
        if used > limit and len(kept) > head:
            break
        kept.append(row)
    text = "\n".join(unit.items[row] for row in sorted(kept))
    return f"{unit.lead}\n\n{text}" if unit.lead else text


def _rows_named(rows: Sequence[str], asked: Iterable[str]) -> list[str]:
    """The few rows that the question names by a code or a number ("E07"); empty if it names none.

    Only such words: others may stand in one row by chance, and the answer in the next.
    """
    codes = {word for word in asked if any(char.isdigit() for char in word)}
    if not codes:
        return []
    named = [row for row in rows if codes & set(content(plain(row)))]
    return named if 2 * len(named) <= len(rows) else []


def _balanced(text: str) -> str:
    """A sentence cut out of a bold stretch does not keep half of its marks."""
    return text.replace("**", "") if text.count("**") % 2 else text


def _with_heading(text: str, passage: Passage, question: str) -> str:
    """Put the heading in front when the quote alone does not say what it is about."""
    if not passage.title_path:
        return text
    asked = set(content(question))
    said = set(content(plain(text)))
    title = passage.title_path[-1]
    missing = (asked - said) & set(content(" ".join(passage.title_path)))
    if missing or _LEANS.match(plain(text)):
        return f"**{plain(title)}**\n\n{text}"
    return text
