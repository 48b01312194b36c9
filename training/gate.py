"""The gate: a model serves by default only where it beats the quoting composer.

Both answer the same questions, through the whole answer path: search, abstention, composing or
generating, claim check. One set is a golden set over a company's knowledge; the other is made of
grounded examples from documents that the model was not tuned on, each with a little knowledge
base of its own. Knows replies and what was expected of them; does not know how they were made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from bot.answering.answer import Generator, GroundedAnswerer
from bot.answering.prompt import FULL, Form
from bot.types import Limits, Outcome, Reply
from training.evaluate_answers import Golden, Judged, evaluate
from training.grounded import Example

if TYPE_CHECKING:
    from knowledge.embed import Embedder

DRAWS = 2000  # of the bootstrap (Efron and Tibshirani 1993)
SLACK = 0.01  # a share that two composers may differ by and still count as equal
BREVITY = 0.8  # of the other's length: clearly shorter

Fluency = Callable[[str], float]  # a text to nats per byte, by a model that wrote none of them


@dataclass(frozen=True, slots=True)
class Difference:
    """Model less quoting, with the 95 % interval over questions."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


@dataclass(frozen=True, slots=True)
class Side:
    """One composer on one set."""

    name: str
    recall: float  # of the key facts, over the questions that have some
    wrong: float  # share of all replies that answer wrongly, see `is_wrong`
    refused: float  # share of all questions that got no answer
    characters: float  # median length of an answer
    nats_per_byte: float | None  # of the answers, by another model; lower reads better
    written: float  # share of the answers that the model wrote; the others are quotes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one set says."""

    set: str
    questions: int
    quoting: Side
    model: Side
    recall: Difference
    wrong: Difference
    wins: bool
    reasons: tuple[str, ...] = field(default=())


def decide(
    name: str,
    quoting: Sequence[Judged],
    model: Sequence[Judged],
    fluency: Fluency | None = None,
    seed: int = 0,
) -> Verdict:
    """Compare two runs over the same questions, pair by pair.

    The model wins if it is not worse in key facts and wrong answers, and clearly better in one
    of them or clearly shorter. A few questions decide nothing: the intervals are then wide, and
    "not worse" is not shown.
    """
    recall = _difference(
        [
            (_recall(quote), _recall(text))
            for quote, text in zip(quoting, model, strict=True)
            if quote.golden.facts
        ],
        seed,
    )
    wrong = _difference(
        [(is_wrong(a), is_wrong(b)) for a, b in zip(quoting, model, strict=True)], seed
    )
    theirs, ours = _side("quoting", quoting, fluency), _side("model", model, fluency)
    reasons = []
    if recall.low < -SLACK:
        reasons.append(f"key facts may be lost: {recall}")
    if wrong.high > SLACK:
        reasons.append(f"there may be more wrong answers: {wrong}")
    shorter = ours.characters <= BREVITY * theirs.characters
    if not (recall.low > 0 or wrong.high < 0 or shorter):
        reasons.append("nothing is clearly better")
    if not ours.written:
        reasons.append("no answer shown was the model's: quotes stood in for all")
    return Verdict(name, len(model), theirs, ours, recall, wrong, not reasons, tuple(reasons))


def is_wrong(one: Judged) -> bool:
    """An answer that misleads: forbidden words, none of the facts, or nothing to answer with."""
    if one.forbidden:
        return True
    if one.reply.outcome is not Outcome.ANSWERED:
        return False
    if not one.golden.wants_answer:
        return True
    return bool(one.golden.facts) and not one.facts_found


def report(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as Markdown, and what follows for the default."""
    head = (
        "| set | composer | questions | key facts | wrong answers | refused | median characters |"
        " nats per byte | written by the model |"
    )
    lines = [head, "|---" * 9 + "|"]
    for one in verdicts:
        for side in (one.quoting, one.model):
            fluency = "–" if side.nats_per_byte is None else f"{side.nats_per_byte:.3f}"
            lines.append(
                f"| {one.set} | {side.name} | {one.questions} | {side.recall:.3f} |"
                f" {side.wrong:.3f} | {side.refused:.3f} | {side.characters:.0f} | {fluency} |"
                f" {side.written:.3f} |"
            )
    lines.append("")
    for one in verdicts:
        told = "the model wins" if one.wins else f"quoting stays: {'; '.join(one.reasons)}"
        lines.append(f"{one.set}: key facts {one.recall}, wrong answers {one.wrong}: {told}.")
    serves = all(one.wins for one in verdicts)
    lines.append("The model may serve by default." if serves else "Quoting stays the default.")
    return "\n".join(lines)


# ---- grounded examples as a golden set


def golden_of(example: Example) -> Golden:
    """What a right reply to an example holds: its keys, and the passages it cites."""
    kinds = {"merge": "multi", "refuse": "unanswerable", "hostile": "injection"}
    return Golden(
        qid=example.id,
        text=example.question,
        kind=kinds.get(example.kind, "answerable"),
        lang=example.lang,
        history=example.history,
        gold=() if example.refuses else tuple(one.source for one in example.passages),
        facts=example.keys,
    )


async def on_examples(
    examples: Sequence[Example],
    embedder: Embedder,
    generator: Generator | None,
    *,
    threshold: float,
    form: Form = FULL,
    limits: Limits | None = None,
    step: Callable[[int, int], None] | None = None,
) -> list[Judged]:
    """Ask each example over an index of its own passages. Those without keys count for length."""
    from knowledge.index import IndexFolder
    from knowledge.search import HybridRetriever

    judged: list[Judged] = []
    for done, one in enumerate(examples, 1):
        with TemporaryDirectory(prefix="deskhand-gate-") as folder:
            index = IndexFolder(Path(folder))
            index.build(list({passage.id: passage for passage in one.passages}.values()), embedder)
            answerer = GroundedAnswerer(
                HybridRetriever(index, embedder),
                embedder,
                generator,
                threshold=threshold,
                limits=limits,
                form=form,
            )
            judged += (await evaluate(answerer, [golden_of(one)])).replies
        if step is not None:
            step(done, len(examples))
    return judged


def _side(name: str, judged: Sequence[Judged], fluency: Fluency | None) -> Side:
    answered = [one.reply for one in judged if one.reply.outcome is Outcome.ANSWERED]
    with_facts = [one for one in judged if one.golden.facts]
    return Side(
        name=name,
        recall=_mean([_recall(one) for one in with_facts]),
        wrong=_mean([float(is_wrong(one)) for one in judged]),
        refused=1 - len(answered) / len(judged),
        characters=float(median([len(one.text) for one in answered] or [0])),
        nats_per_byte=_fluency(answered, fluency),
        written=_mean([float(one.composer == "model") for one in answered]),
    )


def _fluency(answered: Sequence[Reply], fluency: Fluency | None) -> float | None:
    values = [fluency(one.text) for one in answered if one.text] if fluency else []
    return _mean(values) if values else None


def _recall(one: Judged) -> float:
    return len(one.facts_found) / len(one.golden.facts)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _difference(pairs: Sequence[tuple[float, float]], seed: int) -> Difference:
    """The mean of second less first, and its interval by drawing pairs anew."""
    if not pairs:
        return Difference(0.0, -math.inf, math.inf)
    values = np.asarray([second - first for first, second in pairs], np.float64)
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(DRAWS, len(values)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Difference(float(values.mean()), float(low), float(high))
