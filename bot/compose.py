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

from bot.units import Kind, Unit, plain, units
from bot.words.lexicon import content, tokens
from bot.words.orders import is_planted
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
    """A passage cut into pieces. `vectors` fills as pieces are looked at, by row."""

    units: tuple[Unit, ...]
    plains: tuple[str, ...]
    words: tuple[frozenset[str], ...]
    vectors: dict[int, FloatArray]


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


_NUMBER = re.compile(r"\d")
_MONEY = re.compile(
    r"[$€£¥₽]|\b(?:USD|EUR|GBP|CHF|CNY|RMB|euros?|dollars?|pounds?|free|gratis|kostenlos"
    r"|бесплатно|руб\w*)\b|[元免]",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"\d\s*(?::\d\d|am\b|pm\b|h\b|uhr\b)|\b(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?"
    r"|monday|tuesday|wednesday|thursday|friday|saturday|sunday|today|immediately|instantly"
    r"|minutos?|horas?|d[ií]as?|semanas?|mes(?:es)?|años?|lunes|viernes|sábado|domingo"
    r"|minuten?|stunden?|tag(?:e|en)?|wochen?|monat(?:e|en)?|jahre?n?|montag|freitag|samstag"
    r"|минут\w*|час\w*|дн(?:я|ей|ь)|день|недел\w*|месяц\w*|лет|год\w*)\b|[0-9一二三四五六七八九十两]\s*"
    r"(?:个)?(?:分钟|小时|天|日|周|月|年)",
    re.IGNORECASE,
)
_CONTACT = re.compile(r"\S+@\S+\.\w+|https?://|\+?\d[\d\s()./-]{6,}\d")
_WANTS = (
    (
        re.compile(
            r"\bhow much\b|\bprice|\bcosts?\b|\bfees?\b|\bcharge|\bcu[aá]nto (?:cuesta|vale|es)"
            r"|\bprecio|\bcoste|\bwie ?viel|\bkost|\bpreis|\bсколько стоит|\bцен|多少钱|价格|费用",
            re.IGNORECASE,
        ),
        _MONEY,
    ),
    (
        re.compile(
            r"\bwhen\b|\bhow (?:long|soon|fast|quick|often)\b|\bwhat time\b|\bhours\b|\bdeadline"
            r"|\bcu[aá]ndo\b|\bcu[aá]nto (?:tarda|tiempo|dura)|\bhorario|\bplazo|\bwann\b"
            r"|\bwie lange"
            r"|\bfrist|\böffnungszeit|\bкогда\b|\bкак долго|\bсколько (?:врем|длит|ждать)|\bсрок"
            r"|什么时候|多久|几天|几点|多长时间|时间",
            re.IGNORECASE,
        ),
        _TIME,
    ),
    (
        re.compile(
            r"\bhow many\b|\bhow (?:far|big|large|old|high|heavy)\b|\blimit|\bmaximum|\bminimum"
            r"|\bcu[aá]ntos?\b|\bcu[aá]ntas\b|\bwie ?viele|\bсколько\b|多少|几个",
            re.IGNORECASE,
        ),
        _NUMBER,
    ),
    (
        re.compile(
            r"\bcontact|\be-?mail|\bphone|\bcall\b|\baddress|\breach\b|\bcontacto|\btel[eé]fono"
            r"|\bcorreo|\bkontakt|\btelefon|\berreich|\bсвязаться|\bтелефон|\bпочт|联系|电话|邮箱",
            re.IGNORECASE,
        ),
        _CONTACT,
    ),
)
_HOW_TO = re.compile(
    r"\bhow (?:do|can|should|would|to)\b|\bsteps?\b|\bcómo (?:puedo|se|hago|cambio)"
    r"|\bwie (?:kann|geht|mache|stelle)|\bкак (?:мне|можно|сделать)|怎么|如何",
    re.IGNORECASE,
)
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


@dataclass(frozen=True, slots=True)
class _Asked:
    """What kind of thing a question wants to see."""

    shapes: tuple[re.Pattern[str], ...]
    how_to: bool

    @classmethod
    def of(cls, question: str) -> _Asked:
        """Read from the question's wording."""
        shapes = tuple(shape for ask, shape in _WANTS if ask.search(question))
        return cls(shapes, _HOW_TO.search(question) is not None)


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
            side = _side_piece(one, pieces)
            if side is not None:
                pieces.append(side)
        return tuple(pieces)

    def _score(self, question: str, hits: Sequence[Hit], focus: str) -> list[_Scored]:
        """Each passage that has something to quote, with a score for every piece of it."""
        rows = [(hit, cut) for hit in hits if (cut := self._cut(hit.passage)).units]
        if not rows:
            return []
        weight = _weights(question, focus, [words for _, cut in rows for words in cut.words])
        asked = _Asked.of(focus or question)
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
        best = [
            [int(row) for row in np.argsort(-base, kind="stable")[: _few(hit.passage, cut)]]
            for hit, cut, base in rows
        ]
        with self._lock:
            missing = [
                (cut, row)
                for (_, cut, _), chosen in zip(rows, best, strict=True)
                for row in chosen
                if row not in cut.vectors
            ]
        if missing:
            made = self._embedder.encode([cut.plains[row][:EMBEDDED_CHARS] for cut, row in missing])
            with self._lock:
                for (cut, row), made_one in zip(missing, made, strict=True):
                    cut.vectors[row] = made_one
        asked = self._embedder.encode_query(question)
        found = []
        for (_, cut, base), chosen in zip(rows, best, strict=True):
            known = np.array([float(cut.vectors[row] @ asked) for row in chosen], np.float32)
            cosines = np.full(len(base), known.min() - 0.05, np.float32)
            cosines[chosen] = known
            found.append(cosines)
        return found


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


def _worded(passage: Passage, cut: _Cut, weight: dict[str, float], asked: _Asked) -> FloatArray:
    """(pieces,) what wording and shape alone say about each piece."""
    around = frozenset(content(_about(passage)))
    return np.array(
        [
            WORDS * _covered(weight, cut.words[row], around)
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


def _side_piece(one: _Scored, pieces: list[Piece]) -> Piece | None:
    """What a further passage adds; None if it only repeats what is quoted already."""
    best = one.best
    words = one.cut.words[best]
    for piece in pieces:
        quoted = frozenset(content(plain(piece.text)))
        if len(words & quoted) >= SAME * len(words):
            return None
    rows = _pick(one, best, SIDE_BUDGET)
    return Piece(_joined(one, rows, ""), one.hit.passage, one.cut.plains[best][:300], one.top)


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
    limit = STEPS_WHOLE if unit.kind in (Kind.STEPS, Kind.CODE) else LIST_WHOLE
    if len(unit.text) <= limit or not unit.items:
        return unit.whole
    head = 2 if unit.kind is Kind.TABLE else 0
    asked = set(content(question))
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
