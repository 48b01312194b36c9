"""The critic: how likely a reviewer is to approve an answer, given its question and passages.

Looks at meaning, wording, figures and form, and weighs them by fitted coefficients
(`critic.json`, made by `deskhand train critic`, where it is trained as the discriminator against a
generator's own answers). It ranks candidates; the answer path does without it, since it brought
nothing there (`benchmarks/README.md`). Knows texts; does not know who wrote them, and decides
nothing: whether a claim may be shown is the business of `bot/answering/ground.py`.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from bot.answering.cite import MARKER
from bot.answering.prompt import UNKNOWN
from bot.answering.units import plain, sentences
from bot.words.facts import Facts, facts
from bot.words.lexicon import content, tokens

if TYPE_CHECKING:
    from knowledge.embed import Embedder, FloatArray

TERMS = (
    "bias",
    "about",  # likeness in meaning of question and answer
    "carried",  # likeness of the answer to the nearest of the passages' sentences
    "apt",  # likeness of the question to that sentence
    "worded",  # share of the answer's words that stand in one passage sentence, mean over sentences
    "worst",  # the same of the sentence that has least
    "answered",  # share of the question's words in the answer or the sentence that carries it
    "unknown",  # share of the question's words that no passage holds
    "invented",  # share of the answer's figures and addresses that no passage holds
    "fitting",  # 1 if a figure was asked for and given, -1 if asked for and not given
    "repeated",  # share of word pairs that are not the first of their kind
    "length",  # logarithm of its words
    "scrap",  # fewer than three words
    "ended",  # ends as sentences, lists, tables and code do
    "refusal",
    "silent",  # of a refusal: share of the question's words that no passage holds
)
NEAR = 6  # passage sentences, by shared words, whose meaning is looked at
MAX_ODDS = 30.0

_WANTS_FIGURE = re.compile(
    r"\b(?:how (?:many|much|long|old|far|often|late)|when|what time|until|price|cost|fee|phone|"
    r"number|year|wie ?viele?|wann|cuánt\w*|cuándo|сколько|когда)\b|多少|几|何时",
    re.IGNORECASE,
)
_ENDED = re.compile(r"[.!?。！？:)\]|`\"'”»*]\s*$")


@dataclass(frozen=True, slots=True)
class Judgement:
    """One answer's score, and the evidence it rests on, by the names in `TERMS`."""

    score: float  # probability in [0, 1]
    evidence: Mapping[str, float]


class Critic:
    """Scores answers. Thread-safe, as its embedder is."""

    def __init__(self, embedder: Embedder, weights: Mapping[str, float] | None = None) -> None:
        self._embedder = embedder
        self.weights = default_weights() if weights is None else weights

    def score(self, question: str, answer: str, passages: Sequence[str]) -> float:
        """Probability in [0, 1] that a reviewer approves. `passages` may be quotes of them."""
        return self.judge(question, answer, passages).score

    def judge(self, question: str, answer: str, passages: Sequence[str]) -> Judgement:
        """The same with its evidence."""
        values = self.evidence(question, answer, passages)
        named = {term: float(value) for term, value in zip(TERMS, values, strict=True)}
        return Judgement(chance(self.weights, values), named)

    def rank(self, question: str, answers: Sequence[str], passages: Sequence[str]) -> list[int]:
        """Places of `answers`, best first; the earlier one where two are equal."""
        scores = [self.score(question, one, passages) for one in answers]
        return sorted(range(len(answers)), key=lambda row: (-scores[row], row))

    def evidence(self, question: str, answer: str, passages: Sequence[str]) -> FloatArray:
        """What is weighed, float32 (len(TERMS),)."""
        said = plain(MARKER.sub("", answer))
        words = content(said)
        if not said or UNKNOWN.rstrip(".").casefold() in said.casefold():
            return _without_answer(question, said, passages)
        lines = [line for text in passages for line in sentences(plain(text))]
        bags = [frozenset(content(line)) for line in lines]
        parts = [frozenset(content(one)) for one in sentences(said)]
        found = [_best_share(part, bags) for part in parts if part] or [0.0]
        about, carried, apt, line = self._meaning(question, said, words, lines, bags)
        asked = frozenset(content(question))
        every = frozenset().union(*bags)
        stated, known = facts(said), facts(" ".join((*passages, question)))
        hard = _hard(stated)
        values = (
            1.0,
            about,
            carried,
            apt,
            sum(found) / len(found),
            min(found),
            _share(asked & (frozenset(words) | line), asked),
            _share(asked - every, asked),
            _share(hard - _hard(known), hard),
            _fitting(question, stated),
            _repeated(said),
            math.log1p(len(words)),
            float(len(tokens(said)) < 3),
            float(_ENDED.search(answer) is not None),
            0.0,
            0.0,
        )
        return np.asarray(values, np.float32)

    def _meaning(
        self,
        question: str,
        said: str,
        words: Sequence[str],
        lines: Sequence[str],
        bags: Sequence[frozenset[str]],
    ) -> tuple[float, float, float, frozenset[str]]:
        """Likenesses: question to answer, answer to its nearest line, question to that line."""
        asked = self._embedder.encode_query(question)
        wanted = frozenset(words)
        order = sorted(range(len(lines)), key=lambda row: -len(wanted & bags[row]))[:NEAR]
        vectors = self._embedder.encode([said, *(lines[row] for row in order)])
        about = float(vectors[0] @ asked)
        if not order:
            return about, 0.0, 0.0, frozenset()
        near = vectors[1:] @ vectors[0]
        best = int(near.argmax())
        return about, float(near[best]), float(vectors[1 + best] @ asked), bags[order[best]]


def chance(weights: Mapping[str, float], evidence: FloatArray) -> float:
    """The probability that coefficients give to evidence."""
    odds = sum(weights.get(term, 0.0) * float(v) for term, v in zip(TERMS, evidence, strict=True))
    return 1.0 / (1.0 + math.exp(-min(max(odds, -MAX_ODDS), MAX_ODDS)))


@cache
def default_weights() -> Mapping[str, float]:
    """The coefficients that come with Deskhand."""
    text = resources.files("training").joinpath("critic.json").read_text(encoding="utf-8")
    found: Mapping[str, float] = json.loads(text)["weights"]
    return found


def _without_answer(question: str, said: str, passages: Sequence[str]) -> FloatArray:
    """Evidence about a refusal: what matters is whether the passages hold what was asked."""
    asked = frozenset(content(question))
    known = frozenset(content(plain(" ".join(passages))))
    named = {"bias": 1.0, "scrap": 1.0}
    if said:
        named = {"bias": 1.0, "refusal": 1.0, "silent": _share(asked - known, asked)}
    return np.asarray([named.get(term, 0.0) for term in TERMS], np.float32)


def _best_share(part: frozenset[str], bags: Sequence[frozenset[str]]) -> float:
    return max((len(part & bag) / len(part) for bag in bags), default=0.0)


def _share(some: frozenset[str], of: frozenset[str]) -> float:
    return len(some) / len(of) if of else 0.0


def _hard(stated: Facts) -> frozenset[str]:
    return frozenset(value for value, _ in stated.quantities) | stated.addresses | stated.code


def _fitting(question: str, stated: Facts) -> float:
    if not _WANTS_FIGURE.search(question):
        return 0.0
    return 1.0 if stated.quantities or stated.addresses else -1.0


def _repeated(said: str) -> float:
    words = tokens(said)
    pairs = list(itertools.pairwise(words))
    return 1.0 - len(set(pairs)) / len(pairs) if pairs else 0.0
