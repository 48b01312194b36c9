"""Measures the search on questions whose right passages are known.

A query file is JSONL, one question a line:

    text       the question, as a person would type it
    gold       what answers it, one or a list: an FAQ's id, a source path, or `source#anchor`
    qid        unique name, for messages (optional)
    lang       ISO 639-1, for the breakdown (optional)

The hybrid search is measured beside what it is made of: BM25 alone and the embedding model
alone. Knows questions and places in a ranking; does not know how the ranking is made.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from knowledge.documents import read_folder, split
from knowledge.embed import Embedder
from knowledge.errors import DeskhandError
from knowledge.index import IndexFolder
from knowledge.lexical import best
from knowledge.search import HybridRetriever
from knowledge.types import Audience, Passage, Query
from knowledge.view import View

Array = npt.NDArray[np.float64]
Step = Callable[[int, int], None]

HYBRID = "hybrid"
BM25 = "BM25"
BM25_QUESTION = "BM25, question only"
DENSE = "embedding"
DENSE_QUESTION = "embedding, question only"
DENSE_ANSWER = "embedding, answer only"
SYSTEMS = (HYBRID, BM25, BM25_QUESTION, DENSE, DENSE_QUESTION, DENSE_ANSWER)

DEPTH = 30  # passages looked at; some may be parts of one entry, and count once
RESAMPLES = 1000


class BadQueries(DeskhandError):
    """The knowledge or the queries to measure with cannot be used as they are."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question with what answers it."""

    text: str
    gold: frozenset[str]
    lang: str = "en"
    qid: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """How well one system does. `low` and `high` bound Hit@1 (bootstrap, 95 %)."""

    n: int
    hit1: float
    hit3: float
    mrr10: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Report:
    """Figures by system, over everything and by language."""

    passages: int
    left_out: int  # questions whose gold is not in the knowledge
    systems: Mapping[str, Figures]
    by_lang: Mapping[str, Mapping[str, Figures]]
    lead: tuple[float, float, float]  # Hit@1 over the better of BM25 and embedding; 95 % bounds

    def figures(self) -> dict[str, Any]:
        """Everything, for JSON."""

        def plain(systems: Mapping[str, Figures]) -> dict[str, Any]:
            return {
                name: {
                    "n": one.n,
                    "hit@1": round(one.hit1, 4),
                    "hit@1_95": [round(one.low, 4), round(one.high, 4)],
                    "hit@3": round(one.hit3, 4),
                    "mrr@10": round(one.mrr10, 4),
                }
                for name, one in systems.items()
            }

        return {
            "passages": self.passages,
            "left_out": self.left_out,
            "lead": [round(one, 4) for one in self.lead],
            "systems": plain(self.systems),
            "by_lang": {lang: plain(systems) for lang, systems in self.by_lang.items()},
        }

    def table(self) -> str:
        """The figures as a Markdown table."""
        lines = [
            "| questions | system | n | Hit@1 | 95 % | Hit@3 | MRR@10 |",
            "|---|---|---|---|---|---|---|",
        ]
        groups = {"all": self.systems, **(self.by_lang if len(self.by_lang) > 1 else {})}
        for label, systems in groups.items():
            for name, one in systems.items():
                lines.append(
                    f"| {label} | {name} | {one.n} | {one.hit1:.3f} | {one.low:.3f}–{one.high:.3f}"
                    f" | {one.hit3:.3f} | {one.mrr10:.3f} |"
                )
        lead, low, high = (100 * one for one in self.lead)
        lines.append("")
        lines.append(
            f"{self.passages} passages. Hybrid over the better of the two alone: "
            f"{lead:+.1f} points of Hit@1 (95 %: {low:+.1f} to {high:+.1f})."
        )
        if self.left_out:
            lines.append(f"{self.left_out} questions left out: their gold is not in the knowledge.")
        return "\n".join(lines)


def evaluate(faqs: Path, queries: Path, embedder: Embedder, *, step: Step | None = None) -> Report:
    """Index `faqs` (a file or folder the index can read) in a temporary folder and ask.

    Everything is searched as an internal asker would. `step` gets (questions done, in all).
    Raises `BadQueries` and whatever reading and indexing raise. Runs its own event loop.
    """
    asked = load_queries(queries)
    reading = read_folder([faqs])
    passages = [passage for document in reading.documents for passage in split(document)]
    if not passages:
        reason = "; ".join(problem.message for problem in reading.problems)
        raise BadQueries(
            f"There is nothing to search in {faqs}. {reason}".strip(),
            "Give an FAQ list with question and answer columns, or a document.",
        )
    names = {name for passage in passages for name in names_of(passage)}
    known = [one for one in asked if one.gold & names]
    if not known:
        example = min(asked[0].gold)
        raise BadQueries(
            f"No question in {queries} has its gold in {faqs}; the first one wants {example!r}.",
            "`gold` is an id of the list's id column, a source path, or source#anchor.",
        )
    with TemporaryDirectory(prefix="deskhand-eval-") as temporary:
        folder = IndexFolder(Path(temporary) / "index")
        folder.build(passages, embedder)
        retriever = HybridRetriever(folder, embedder)
        try:
            places = asyncio.run(measure(retriever, embedder, known, step))
        finally:
            retriever.close()
    return report(places, [one.lang for one in known], len(passages), len(asked) - len(known))


def load_queries(path: Path) -> list[Asked]:
    """Read a query file. Raises `BadQueries` naming the file and the line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise BadQueries(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadQueries(f"{path} is not UTF-8 text.", "Save it as UTF-8 JSON lines.") from None
    asked = [
        _asked(line, f"{path}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    asked = [one for one in asked if one.gold]
    if not asked:
        raise BadQueries(
            f"There is no question with a gold in {path}.",
            'Each line is like {"text": "How do I pay?", "gold": ["payment"]}.',
        )
    return asked


def _asked(line: str, where: str) -> Asked:
    remedy = 'Each line is like {"text": "How do I pay?", "gold": ["payment"]}.'
    try:
        row = json.loads(line)
    except ValueError:
        raise BadQueries(f"{where} is not JSON.", remedy) from None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise BadQueries(f"{where} has no `text`.", remedy)
    gold = row.get("gold")
    several = [gold] if isinstance(gold, str | int) else gold
    if not isinstance(several, list) or not all(isinstance(one, str | int) for one in several):
        raise BadQueries(f"{where} has no usable `gold`.", remedy)
    named = frozenset(plain_name(str(one)) for one in several)
    return Asked(row["text"], named, str(row.get("lang", "en")), str(row.get("qid", "")))


def names_of(passage: Passage) -> tuple[str, ...]:
    """What a gold may call a passage: its anchor, its source, or both."""
    source, anchor = passage.source, plain_name(passage.anchor)
    both = (anchor, f"{plain_name(source)}-{anchor}") if anchor else ()
    return (*both, plain_name(source))


def plain_name(name: str) -> str:
    """As FAQ ids look once they are anchors."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-")


async def measure(
    retriever: HybridRetriever,
    embedder: Embedder,
    asked: Sequence[Asked],
    step: Step | None = None,
) -> dict[str, Array]:
    """The place of each question's best right passage, (n,) by system; infinite if not found.

    Passages that share a name (parts of one entry) count as one place.
    """
    view = retriever.index.view(Audience.INTERNAL)
    names = [names_of(passage) for passage in view.passages]
    places: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    for number, one in enumerate(asked, 1):
        hits = await retriever.search(Query(one.text, Audience.INTERNAL, DEPTH))
        found = [names_of(hit.passage) for hit in hits.hits]
        places[HYBRID].append(_place(found, one.gold))
        for name, rows in alone(view, embedder, one.text).items():
            places[name].append(_place([names[row] for row in rows], one.gold))
        if step is not None:
            step(number, len(asked))
    return {name: np.asarray(values) for name, values in places.items()}


def alone(view: View, embedder: Embedder, text: str) -> dict[str, npt.NDArray[np.int64]]:
    """What each single kind of evidence ranks first: rows, best first, by system.

    BM25 is over question and answer together, ties in the order of the list. The embedding
    alone is the mean of the question's and the nearest answer window's cosine.
    """
    words = view.lexical.words(text)
    vector = embedder.encode_query(text)
    near = {field: view.dense(field, vector, 4 * DEPTH)[0] for field in ("question", "answer")}
    either = np.unique(np.concatenate(list(near.values())))
    mean = view.dense_at("question", vector, either) + view.dense_at("answer", vector, either)
    return {
        BM25: best(words.whole, DEPTH)[0],
        BM25_QUESTION: best(words.question, DEPTH)[0],
        DENSE: either[np.argsort(-mean, kind="stable")[:DEPTH]],
        DENSE_QUESTION: near["question"][:DEPTH],
        DENSE_ANSWER: near["answer"][:DEPTH],
    }


def _place(found: Iterable[tuple[str, ...]], gold: frozenset[str]) -> float:
    for place, names in enumerate(dict.fromkeys(found), 1):
        if not gold.isdisjoint(names):
            return float(place)
    return float("inf")


def report(
    places: Mapping[str, Array], langs: Sequence[str], passages: int, left_out: int
) -> Report:
    """Figures from places, with bootstrap intervals over the questions."""
    every = np.asarray(langs)
    by_lang = {
        lang: {name: _figures(values[every == lang]) for name, values in places.items()}
        for lang in sorted(set(langs))
    }
    systems = {name: _figures(values) for name, values in places.items()}
    better = max((BM25, DENSE), key=lambda name: systems[name].hit1)
    gain = (places[HYBRID] == 1).astype(float) - (places[better] == 1)
    low, high = _bounds(gain)
    return Report(passages, left_out, systems, by_lang, (float(gain.mean()), low, high))


def _figures(places: Array) -> Figures:
    first = (places == 1).astype(float)
    low, high = _bounds(first)
    reciprocal = np.where(places <= 10, 1.0 / places, 0.0)
    return Figures(
        len(places),
        float(first.mean()),
        float((places <= 3).mean()),
        float(reciprocal.mean()),
        low,
        high,
    )


def _bounds(values: Array) -> tuple[float, float]:
    """95 % bounds of the mean, by resampling the questions."""
    chance = np.random.default_rng(0)
    drawn = chance.integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(1), (0.025, 0.975))
    return float(low), float(high)
