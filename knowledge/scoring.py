"""The few numbers that weigh one kind of evidence against another.

Knows the names of the evidence, the fitted coefficients (`scoring.json`, made by
`training/fit_search.py`) and how they are summed. Does not know where evidence comes from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Evidence = Mapping[str, FloatArray]
"""By name, one number per candidate: (m,) float32 each."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """Coefficients by the name of the evidence."""

    first: Mapping[str, float]
    second: Mapping[str, float]
    confident: Mapping[str, float]

    def rank_first(self, evidence: Evidence) -> FloatArray:
        """Cheap scores, (m,): which candidates are worth a second look."""
        return _weighed(self.first, evidence)

    def rank(self, evidence: Evidence) -> FloatArray:
        """Final scores, (m,); differences between them are log odds."""
        return _weighed(self.second, evidence)

    def confidence(self, evidence: Mapping[str, float]) -> float:
        """Probability in [0, 1] that the first hits answer the query."""
        bias = self.confident["bias"]
        odds = bias + sum(
            weight * evidence[name] for name, weight in self.confident.items() if name != "bias"
        )
        return float(1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0))))


@cache
def default() -> Scoring:
    """The coefficients that come with Deskhand: one setting for every knowledge base."""
    text = resources.files("knowledge").joinpath("scoring.json").read_text(encoding="utf-8")
    numbers = json.loads(text)
    return Scoring(numbers["first"], numbers["second"], numbers["confidence"])


def _weighed(weights: Mapping[str, float], evidence: Evidence) -> FloatArray:
    total: FloatArray = np.sum(
        [np.float32(weight) * evidence[name] for name, weight in weights.items()], axis=0
    ).astype(np.float32)
    return total
