"""Measures answers on a golden set: whether they are right, cited, honest and quick.

A golden file is JSONL, one question a line:

    qid        unique name
    text       the message, as a person would type it
    history    earlier messages, oldest first: [{"role": "user" | "assistant", "content": …}]
    lang       ISO 639-1, for the breakdown
    kind       answerable | unanswerable | followup | multi | injection
    gold       sources, one of which a right answer cites (folder-relative paths)
    facts      strings that a right answer contains
    facts_alt  {fact: [other wordings that count as well]}
    must_not   strings that no answer may contain
    audience   customer (default) | internal

Knows golden questions and replies; does not know how answers are made.
"""

from __future__ import annotations

import json
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from bot.answering.answer import Generator, GroundedAnswerer
from bot.answering.prompt import FULL, Form
from bot.types import Answerer, Limits, Outcome, Question, Reply, Turn
from knowledge.errors import DeskhandError
from knowledge.types import Audience

if TYPE_CHECKING:
    from knowledge.embed import Embedder

GoldenKind = Literal["answerable", "unanswerable", "followup", "multi", "injection"]
KINDS: tuple[str, ...] = get_args(GoldenKind)


class BadGolden(DeskhandError):
    """A golden file cannot be used as it is; names the file and the line."""


@dataclass(frozen=True, slots=True)
class Golden:
    """One question with what a right answer holds."""

    qid: str
    text: str
    kind: str
    lang: str = "en"
    history: tuple[Turn, ...] = ()
    gold: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    facts_alt: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    must_not: tuple[str, ...] = ()
    audience: Audience = Audience.CUSTOMER

    @property
    def wants_answer(self) -> bool:
        """True if the knowledge holds an answer, so that refusing would be wrong."""
        return bool(self.gold)


@dataclass(frozen=True, slots=True)
class Judged:
    """One reply, held against what was expected."""

    golden: Golden
    reply: Reply
    seconds: float
    facts_found: tuple[str, ...]
    cited: bool
    forbidden: tuple[str, ...]  # `must_not` strings that the reply contains

    @property
    def refused(self) -> bool:
        """True if no answer was given."""
        return self.reply.outcome is not Outcome.ANSWERED


@dataclass(frozen=True, slots=True)
class Figures:
    """What a set of replies comes to. Shares are in [0, 1]; None where nothing applies."""

    questions: int
    cited_source: float | None  # of those the knowledge answers
    fact_recall: float | None  # facts found / facts expected
    all_facts: float | None  # questions with every fact found
    wrong_refusals: float | None  # of those the knowledge answers
    right_refusals: float | None  # of the unanswerable ones
    injection_failures: int
    must_not: int  # replies with a forbidden string, injections included
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Report:
    """Figures over everything, by kind and by language, with every judged reply."""

    overall: Figures
    by_kind: Mapping[str, Figures]
    by_lang: Mapping[str, Figures]
    replies: tuple[Judged, ...]

    def table(self) -> str:
        """The figures as a Markdown table."""
        head = (
            "| set | n | cited | facts | all facts | wrong refusals | right refusals"
            " | injection failures | must-not | p50 ms | p99 ms |"
        )
        rows = [("all", self.overall), *self.by_kind.items(), *self.by_lang.items()]
        return "\n".join([head, "|---" * 11 + "|", *(_row(name, one) for name, one in rows)])

    def figures(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        return {
            "overall": asdict(self.overall),
            "by_kind": {name: asdict(one) for name, one in self.by_kind.items()},
            "by_lang": {name: asdict(one) for name, one in self.by_lang.items()},
        }


def load_golden(path: Path) -> tuple[Golden, ...]:
    """Read a golden file. Raises `BadGolden` naming the line that is wrong and how."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise BadGolden(f"There is no golden file {path}.", "Check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadGolden(f"{path} cannot be read: {error}.", "It is JSONL in UTF-8.") from None
    found: list[Golden] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            golden = _golden(json.loads(line))
        except (ValueError, TypeError) as error:
            raise BadGolden(f"{path}, line {number}: {error}.", "Correct the line.") from None
        if golden.qid in seen:
            raise BadGolden(
                f"{path}, line {number}: {golden.qid!r} is also on line {seen[golden.qid]}.",
                "Give each question its own qid.",
            )
        seen[golden.qid] = number
        found.append(golden)
    if not found:
        raise BadGolden(f"{path} holds no questions.", "Write one JSON object per line.")
    return tuple(found)


async def evaluate(
    answerer: Answerer,
    golden: Sequence[Golden],
    step: Callable[[int, int], None] | None = None,
) -> Report:
    """Ask every question, one at a time so that latencies mean something, and judge."""
    judged = []
    for done, one in enumerate(golden, 1):
        question = Question(one.qid, one.text, one.audience, one.history)
        start = time.perf_counter()
        reply = await answerer.answer(question, _Nowhere())
        judged.append(judge(one, reply, time.perf_counter() - start))
        if step is not None:
            step(done, len(golden))
    return report(judged)


async def evaluate_folder(
    kb: Sequence[Path],
    golden: Sequence[Golden],
    embedder: Embedder,
    *,
    threshold: float,
    generator: Generator | None = None,
    limits: Limits | None = None,
    form: Form = FULL,
    step: Callable[[int, int], None] | None = None,
) -> Report:
    """Index `kb` in a temporary folder with the real search, and evaluate over it."""
    from knowledge.documents import read_folder, split
    from knowledge.index import IndexFolder
    from knowledge.search import HybridRetriever

    reading = read_folder(kb)
    passages = [passage for document in reading.documents for passage in split(document)]
    with TemporaryDirectory(prefix="deskhand-eval-") as folder:
        index = IndexFolder(Path(folder))
        index.build(passages, embedder)
        retriever = HybridRetriever(index, embedder)
        answerer = GroundedAnswerer(
            retriever, embedder, generator, threshold=threshold, limits=limits, form=form
        )
        return await evaluate(answerer, golden, step)


def judge(golden: Golden, reply: Reply, seconds: float) -> Judged:
    """Hold one reply against what was expected of it."""
    return Judged(
        golden=golden,
        reply=reply,
        seconds=seconds,
        facts_found=tuple(
            fact
            for fact in golden.facts
            if any(holds(reply.text, one) for one in (fact, *golden.facts_alt.get(fact, ())))
        ),
        # An abstention that names the nearest pages cites them, but answers nothing.
        cited=reply.outcome is Outcome.ANSWERED
        and any(_same_source(one.source, gold) for one in reply.citations for gold in golden.gold),
        forbidden=tuple(one for one in golden.must_not if holds(reply.text, one)),
    )


def report(judged: Sequence[Judged]) -> Report:
    """Sum up."""
    kinds = [kind for kind in KINDS if any(one.golden.kind == kind for one in judged)]
    langs = sorted({one.golden.lang for one in judged})
    return Report(
        overall=_figures(judged),
        by_kind={kind: _figures([j for j in judged if j.golden.kind == kind]) for kind in kinds},
        by_lang={lang: _figures([j for j in judged if j.golden.lang == lang]) for lang in langs},
        replies=tuple(judged),
    )


def write_replies(path: Path, judged: Iterable[Judged]) -> None:
    """Write each reply with its judgement as JSONL, for a person to read."""
    with path.open("w", encoding="utf-8") as file:
        for one in judged:
            file.write(json.dumps(_as_row(one), ensure_ascii=False) + "\n")


def holds(text: str, fact: str) -> bool:
    """True if `text` contains `fact`, whatever the case, Markdown, spaces and number format.

    A fact that begins or ends with a digit is not found inside a longer number.
    """
    wanted = _plain(fact)
    if not wanted:
        return False
    before = r"(?<!\d)(?<!\d[.,])" if wanted[0].isdigit() else ""
    after = r"(?!\d)(?![.,]\d)" if wanted[-1].isdigit() else ""
    if wanted[0].isalpha() and wanted[0].isascii():
        before = r"(?<![a-z0-9])"
    spaced = r"\s*".join(re.escape(word) for word in _pieces(wanted))
    return re.search(f"{before}{spaced}{after}", _plain(text)) is not None


_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"\s?\[\d{1,3}\]|[*_`#>|\\]|^\s*(?:[-+•]|\d{1,2}[.)])\s+", re.MULTILINE)
_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3})((?:[,.'’\u00a0\u202f ]\d{3})+)(?![\d])(?![.,]\d{3})")
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d{1,2}(?!\d))")
_ZEROS = re.compile(r"(?<=\d)\.(\d*?)0+(?!\d)")
_MONEY_BEFORE = re.compile(r"([€$£¥])\s*(\d+(?:\.\d+)?)")
_MONEY_AFTER = re.compile(
    r"(\d+(?:\.\d+)?)\s*(?:(€|eur\b|euros?\b|欧元)|(\$|usd\b|dollars?\b)|(£|gbp\b))"
)
_SIGNS = {2: "€", 3: "$", 4: "£"}
_DASHES = str.maketrans(dict.fromkeys("‐‑–—−", "-") | {"’": "'", "‘": "'"})


def _plain(text: str) -> str:
    """Folded text without Markdown, with numbers and money in one format."""
    text = _MARKS.sub(" ", _LINK.sub(r"\1", unicodedata.normalize("NFKC", text)))
    text = text.translate(_DASHES).casefold()
    text = _THOUSANDS.sub(lambda found: re.sub(r"[^\d]", "", found.group()), text)
    text = _ZEROS.sub(_without_zeros, _DECIMAL_COMMA.sub(".", text))
    text = _MONEY_BEFORE.sub(r"\2\1", text)
    text = _MONEY_AFTER.sub(lambda found: found.group(1) + _SIGNS[found.lastindex or 2], text)
    return " ".join(text.split())


def _without_zeros(found: re.Match[str]) -> str:
    return f".{found.group(1)}" if found.group(1) else ""


def _pieces(text: str) -> list[str]:
    """Words, and the places within them where a space may stand: "5gb" is "5 gb"."""
    return re.findall(r"\d+(?:\.\d+)*|[^\W\d_]+|[^\w\s]|_", text)


def _same_source(source: str, gold: str) -> bool:
    return source == gold or source.endswith(f"/{gold}") or gold.endswith(f"/{source}")


def _golden(row: object) -> Golden:
    if not isinstance(row, dict):
        raise TypeError("a JSON object is expected")
    keys = [one.name for one in fields(Golden)]
    unknown = sorted(set(row) - set(keys))
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; the keys are {', '.join(keys)}")
    kind = row.get("kind")
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, not one of {', '.join(KINDS)}")
    alternatives = row.get("facts_alt") or {}
    if not isinstance(alternatives, dict):
        raise TypeError("facts_alt is not an object")
    facts = _strings(row, "facts")
    stray = [fact for fact in alternatives if fact not in facts]
    if stray:
        raise ValueError(f"facts_alt names {stray[0]!r}, which is not among the facts")
    return Golden(
        qid=_string(row, "qid"),
        text=_string(row, "text", empty=True),
        kind=kind,
        lang=_string(row, "lang") if "lang" in row else "en",
        history=tuple(_turn(one) for one in row.get("history") or ()),
        gold=_strings(row, "gold"),
        facts=facts,
        facts_alt={fact: _strings(alternatives, fact) for fact in alternatives},
        must_not=_strings(row, "must_not"),
        audience=Audience(row.get("audience", "customer")),
    )


def _string(row: Mapping[str, Any], key: str, *, empty: bool = False) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not (value.strip() or empty):
        raise ValueError(f"{key} is not a text" if value is not None else f"{key} is missing")
    return value


def _strings(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = row.get(key) or []
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise TypeError(f"{key} is not a list of texts")
    return tuple(values)


def _turn(row: object) -> Turn:
    if not isinstance(row, dict) or row.get("role") not in ("user", "assistant"):
        raise ValueError('history holds {"role": "user" or "assistant", "content": "…"} objects')
    return Turn(row["role"], _string(row, "content", empty=True))


class _Nowhere:
    """A sink that shows nothing."""

    async def status(self, text: str) -> None:
        """Nothing to show."""

    async def append(self, delta: str) -> None:
        """Nothing to show."""


def _figures(judged: Sequence[Judged]) -> Figures:
    answerable = [one for one in judged if one.golden.wants_answer]
    with_facts = [one for one in judged if one.golden.facts]
    unanswerable = [one for one in judged if one.golden.kind == "unanswerable"]
    expected = sum(len(one.golden.facts) for one in with_facts)
    times = [one.seconds * 1000 for one in judged]
    return Figures(
        questions=len(judged),
        cited_source=_share(one.cited for one in answerable),
        fact_recall=sum(len(one.facts_found) for one in with_facts) / expected
        if expected
        else None,
        all_facts=_share(len(one.facts_found) == len(one.golden.facts) for one in with_facts),
        wrong_refusals=_share(one.refused for one in answerable),
        right_refusals=_share(one.refused for one in unanswerable),
        injection_failures=sum(
            bool(one.forbidden) for one in judged if one.golden.kind == "injection"
        ),
        must_not=sum(bool(one.forbidden) for one in judged),
        p50_ms=float(np.percentile(times, 50)) if times else 0.0,
        p99_ms=float(np.percentile(times, 99)) if times else 0.0,
    )


def _share(hits: Iterable[bool]) -> float | None:
    found = list(hits)
    return sum(found) / len(found) if found else None


def _row(name: str, one: Figures) -> str:
    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    cells = [
        name,
        str(one.questions),
        *map(share, (one.cited_source, one.fact_recall, one.all_facts)),
        *map(share, (one.wrong_refusals, one.right_refusals)),
        str(one.injection_failures),
        str(one.must_not),
        f"{one.p50_ms:.0f}",
        f"{one.p99_ms:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _as_row(one: Judged) -> dict[str, Any]:
    missing = [fact for fact in one.golden.facts if fact not in one.facts_found]
    return {
        "qid": one.golden.qid,
        "kind": one.golden.kind,
        "lang": one.golden.lang,
        "text": one.golden.text,
        "outcome": one.reply.outcome.value,
        "reply": one.reply.text,
        "searched": one.reply.rewritten or one.golden.text,
        "confidence": round(one.reply.confidence, 4),
        "cited": one.cited,
        "sources": [citation.source for citation in one.reply.citations],
        "facts_missing": missing,
        "must_not_found": list(one.forbidden),
        "composer": one.reply.composer,
        "ms": round(one.seconds * 1000, 1),
        "timings": {name: round(value, 1) for name, value in one.reply.timings.items()},
    }
