"""The few numbers that weigh one kind of evidence against another.

Knows the names of the evidence, the fitted coefficients (`scoring.json`, made by
`training/fit_search.py`) and how they are summed. Does not know where evidence comes from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Evidence = Mapping[str, FloatArray]
"""By name, one number per candidate: (m,) float32 each."""


BEHIND = 5  # places behind the first hit where its lead is measured

Facts = Mapping[str, float]
"""Numbers about the query itself, by name."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """Coefficients by the name of the evidence, or of `evidence*fact` for a product."""

    first: Mapping[str, float]
    second: Mapping[str, float]
    confident: Mapping[str, float]

    def rank_first(self, evidence: Evidence, facts: Facts) -> FloatArray:
        """Cheap scores, (m,): which candidates are worth a second look."""
        return weighed(self.first, evidence, facts)

    def rank(self, evidence: Evidence, facts: Facts) -> FloatArray:
        """Final scores, (m,); differences between them are log odds."""
        return weighed(self.second, evidence, facts)

    def confidence(self, scores: FloatArray, evidence: Evidence, facts: Facts) -> float:
        """Probability in [0, 1] that the first hits answer the query."""
        if not len(scores):
            return 0.0
        odds = float(weighed(self.confident, foremost(scores, evidence), facts)[0])
        return 1.0 / (1.0 + math.exp(-min(max(odds, -30.0), 30.0)))


@cache
def default() -> Scoring:
    """The coefficients that come with Deskhand: one setting for every knowledge base."""
    text = resources.files("knowledge").joinpath("scoring.json").read_text(encoding="utf-8")
    numbers = json.loads(text)
    return Scoring(numbers["first"], numbers["second"], numbers["confidence"])


def weighed(weights: Mapping[str, float], evidence: Evidence, facts: Facts) -> FloatArray:
    """The weighted sum of the evidence, (m,)."""
    total = np.zeros(len(next(iter(evidence.values()))), np.float32)
    for term, weight in weights.items():
        name, _, fact = term.partition("*")
        total += np.float32(weight * facts[fact] if fact else weight) * evidence[name]
    return total


def foremost(scores: FloatArray, evidence: Evidence) -> dict[str, FloatArray]:
    """What the confidence is judged by, (1,) each: the first hit's evidence and its lead.

    `margin` is its score less the second's, `lead` less the sixth's: several passages may
    answer one question, but an answered question has a cliff somewhere behind them. `one` is
    a constant, for the bias and for facts that count by themselves (`one*length`).
    """
    order = np.argsort(-scores, kind="stable")[: BEHIND + 1]
    ranked = scores[order]
    first = {name: values[order[:1]] for name, values in evidence.items()}
    return first | {
        "one": np.ones(1, np.float32),
        "margin": ranked[:1] - ranked[min(1, len(ranked) - 1)],
        "lead": ranked[:1] - ranked[-1],
    }
