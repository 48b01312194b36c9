"""What the search sees for questions whose answers are known: the rows it is fitted on.

Knows how to open a query set as a view, how to cut a smaller knowledge base out of it, and how
to ask it what it holds and what it does not. Does not know how coefficients are fitted.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from knowledge.embed import Embedder
from knowledge.index import IndexFolder
from knowledge.lexical import Lexical
from knowledge.scoring import Evidence, Facts, Scoring
from knowledge.search import Examined, gather, look_again, shortlist
from knowledge.tokens import TokenStore
from knowledge.types import Audience
from knowledge.vectors import Sizes, VectorIndex
from knowledge.view import View
from training.retrieval_sets import Case, QuerySet

SIZES = ((10, 6), (30, 4), (100, 2), (300, 1))
"""Sizes of small knowledge bases, and how many of each are drawn from a set."""

CANDIDATES = 40  # that get the second look: some more than in service, so a fit may reorder


@dataclass(frozen=True, slots=True)
class Sample:
    """One question's candidates."""

    evidence: Evidence
    facts: Facts
    gold: npt.NDArray[np.bool_]  # (m,) whether each candidate answers the question


@dataclass(frozen=True, slots=True)
class Trial:
    """One question to one knowledge base that may or may not hold its answer.

    `kind` is "held", "removed" (the answer was taken out) or "foreign" (another subject).
    """

    sample: Sample
    size: int
    kind: str


class Examiner:
    """One query set, opened for questions."""

    def __init__(
        self, queries: QuerySet, folder: Path, embedder: Embedder, weights: Scoring
    ) -> None:
        """Index the set in `folder`, or take up the index that is there."""
        index = IndexFolder(folder)
        index.build(queries.passages, embedder)
        self.queries = queries
        self.view = index.open(embedder=embedder).view(Audience.INTERNAL)
        self._embedder = embedder
        self._weights = weights
        self._anchors = [passage.anchor for passage in self.view.passages]

    def first(self) -> list[Sample]:
        """Every question's candidates, with the evidence of the first stage."""
        return [self._sample(self._gather(self.view, one), one) for one in self.queries.cases]

    def second(self) -> list[Sample]:
        """Every question's shortlist, with the evidence of both stages."""
        return [self._second(self.view, one) for one in self.queries.cases]

    def trials(self, foreign: Sequence[Case], per_size: int, seed: int) -> list[Trial]:
        """Questions to knowledge bases of all sizes, answerable and not.

        In each smaller one, half of the set's questions asked have their answer in it. The
        whole set is asked `per_size` questions as it is, and as many with their answers taken
        out. `foreign` questions go to each.
        """
        chance = random.Random(seed)  # noqa: S311 - a sample, not a secret
        whole = len(self._anchors)
        found: list[Trial] = []
        for size, repeats in SIZES:
            if size > 0.7 * whole:
                continue
            share = max(2, per_size // repeats // 2)
            for _ in range(repeats):
                rows = sorted(chance.sample(range(whole), size))
                held = {self._anchors[row] for row in rows}
                asked = _some(chance, (c for c in self.queries.cases if c.gold & held), share)
                asked += _some(chance, (c for c in self.queries.cases if not c.gold & held), share)
                asked += _some(chance, foreign, share // 2)
                found += self._asked(part(self.view, rows), asked)
        found += self._asked(self.view, _some(chance, self.queries.cases, per_size // 2))
        found += self._asked(self.view, _some(chance, foreign, per_size // 4))
        for _ in range(4):
            asked = _some(chance, self.queries.cases, per_size // 8)
            gone = frozenset[str]().union(*(one.gold for one in asked))
            rows = [row for row, anchor in enumerate(self._anchors) if anchor not in gone]
            if len(rows) >= whole // 2:
                found += self._asked(part(self.view, rows), asked)
        return found

    def _asked(self, view: View, cases: Iterable[Case]) -> list[Trial]:
        anchors = {passage.anchor for passage in view.passages}
        trials = []
        for case in cases:
            kind = "held" if case.gold & anchors else "removed" if case.gold else "foreign"
            trials.append(Trial(self._second(view, case), len(anchors), kind))
        return trials

    def _gather(self, view: View, case: Case) -> tuple[View, Examined]:
        return view, gather(view, case.text, self._embedder.query_tokens(case.text))

    def _second(self, view: View, case: Case) -> Sample:
        tokens = self._embedder.query_tokens(case.text)
        few = shortlist(gather(view, case.text, tokens), self._weights, CANDIDATES)
        return self._sample((view, look_again(view, tokens, few)), case)

    def _sample(self, found: tuple[View, Examined], case: Case) -> Sample:
        view, seen = found
        if view is self.view:
            anchors = [self._anchors[row] for row in seen.rows]
        else:
            anchors = [view.passages[int(row)].anchor for row in seen.rows]
        gold = np.asarray([anchor in case.gold for anchor in anchors], bool)
        return Sample(seen.evidence, seen.facts, gold)


def part(view: View, rows: Sequence[int]) -> View:
    """A smaller knowledge base: some rows of a view, indexed by themselves, in memory."""
    passages = [view.passages[row] for row in rows]
    vectors = [view.vectors_of(row) for row in rows]
    counts = [len(answer) for _, answer in vectors]
    return View(
        passages,
        Lexical.build(passages),
        TokenStore.build(view.dim, (view.tokens.take(row) for row in rows)),
        (
            VectorIndex.build(np.concatenate([question for question, _ in vectors]), Sizes()),
            VectorIndex.build(np.concatenate([answer for _, answer in vectors]), Sizes()),
        ),
        np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
    )


def _some(chance: random.Random, cases: Iterable[Case], count: int) -> list[Case]:
    every = list(cases)
    return chance.sample(every, min(count, len(every)))
