"""Fit the search's coefficients, and say how well they do on sets they were not fitted on.

    python -m training.fit_search --data DATA --work FOLDER [--write knowledge/scoring.json]

`DATA` holds `retrieval/`, `intents/` and `text/`; `FOLDER` keeps the indexes between runs.
Three fits: the first stage's weights, the second stage's, and the confidence. The first two
are linear softmax rankers over each question's candidates (ListNet's top-one likelihood, Cao
et al., ICML 2007); the confidence is a logistic regression. Each set counts the same, and the
figures come from leaving one set out. Knows nothing of how the search uses the numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from knowledge import scoring
from knowledge.embed import load_embedder
from knowledge.errors import DeskhandError
from knowledge.scoring import Scoring, foremost, weighed
from training import retrieval_sets
from training.retrieval_sets import ENGLISH, Case, QuerySet
from training.search_evidence import Examiner, Sample, Trial

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Weights = dict[str, float]

FIRST = (
    "question",
    "answer",
    "words_question",
    "words_whole",
    "grams_question",
    "grams_whole",
)
LATE = tuple(f"late_{name}" for name in ("question", "window", "whole", "flat", "rare", "asked"))
FACTS = ("length", "rarity", "known_words")
FIRST_TERMS = FIRST
SECOND_TERMS = (*FIRST, *LATE, *(f"{name}*{fact}" for name in FIRST + LATE for fact in FACTS))
CONFIDENCE_TERMS = (
    "one",
    *("question", "answer", *LATE, "margin", "lead"),
    *("words_whole*known_words", "grams_whole*known_grams"),
    *("words_question*known_words", "grams_question*known_grams"),
    *("one*length", "one*known_words", "one*passages"),
    *(f"{name}*script" for name in ("one", "late_whole", "question", "answer")),
    *("words_whole*script", "grams_whole*script"),
)
# The weight of holding the codes that a query names, in each stage and in the confidence. Not
# fitted: the sets' questions name too few ("covid-19" is none that tells passages apart).
CODES_FIRST, CODES_SECOND, CODES_CONFIDENCE = 6.0, 4.0, 1.5
TOP = 3  # hits that may answer for the confidence to be right
LANGUAGES = ("en", "zh", "ru")  # of XQuAD: passages without questions, and other scripts
SECOND_L2, CONFIDENCE_L2 = 3e-3, 3e-3


@dataclass(frozen=True, slots=True)
class Rows:
    """One set's samples as arrays: (n, m, terms), and (n, m) which candidates are real or right."""

    values: Array
    real: Mask
    gold: Mask


def rows_of(samples: Sequence[Sample], terms: Sequence[str]) -> Rows:
    """Pad every sample to the longest. Raises ValueError on no samples."""
    longest = max(len(sample.gold) for sample in samples)
    values = np.zeros((len(samples), longest, len(terms)), np.float32)
    real = np.zeros((len(samples), longest), bool)
    gold = np.zeros((len(samples), longest), bool)
    for place, sample in enumerate(samples):
        count = len(sample.gold)
        for column, term in enumerate(terms):
            values[place, :count, column] = weighed({term: 1.0}, sample.evidence, sample.facts)
        real[place, :count] = True
        gold[place, :count] = sample.gold
    return Rows(values, real, gold)


def fit_ranker(sets: Sequence[Rows], terms: Sequence[str], l2: float) -> Weights:
    """Weights under which each question's right candidates are likeliest."""
    spread = np.mean([one.values[one.real].std(0) for one in sets], 0) + 1e-6
    packs = []
    for one in sets:
        useful = one.gold.any(1)
        packs.append(
            (
                torch.from_numpy(one.values[useful] / spread).float(),
                torch.from_numpy(one.real[useful]),
                torch.from_numpy(one.gold[useful]),
            )
        )

    def loss(weights: torch.Tensor) -> torch.Tensor:
        total = l2 * (weights**2).sum()
        for values, real, gold in packs:
            scores = (values @ weights).masked_fill(~real, -1e9)
            right = torch.logsumexp(scores.masked_fill(~gold, -1e9), 1)
            total = total + (torch.logsumexp(scores, 1) - right).mean() / len(packs)
        return total

    found = _minimum(loss, len(terms)) / spread
    return {term: round(float(weight), 4) for term, weight in zip(terms, found, strict=True)}


def fit_logistic(sets: Sequence[tuple[Array, Array]], terms: Sequence[str], l2: float) -> Weights:
    """Weights of a logistic regression; the first term is the bias and is not held back."""
    spread = np.mean([values.std(0) for values, _ in sets], 0)
    spread[spread < 1e-6] = 1.0
    middle = np.mean([values.mean(0) for values, _ in sets], 0)
    middle[0] = 0.0
    packs = [
        (torch.from_numpy((values - middle) / spread).float(), torch.from_numpy(right).float())
        for values, right in sets
    ]

    def loss(weights: torch.Tensor) -> torch.Tensor:
        total = l2 * (weights[1:] ** 2).sum()
        for values, right in packs:
            odds = values @ weights
            error = torch.nn.functional.binary_cross_entropy_with_logits(odds, right)
            total = total + error / len(packs)
        return total

    found = _minimum(loss, len(terms)) / spread
    found[0] -= float((found[1:] * middle[1:]).sum())
    return {term: round(float(weight), 4) for term, weight in zip(terms, found, strict=True)}


def _minimum(loss: Callable[[torch.Tensor], torch.Tensor], size: int) -> Array:
    weights = torch.zeros(size, requires_grad=True)
    search = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def step() -> torch.Tensor:
        search.zero_grad()
        value = loss(weights)
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves this one untyped
        return value

    search.step(step)  # type: ignore[no-untyped-call]  # the same
    found: Array = weights.detach().numpy()
    return found


def ranks(rows: Rows, terms: Sequence[str], weights: Weights) -> Array:
    """The place of each question's best right candidate, from 1; infinite where there is none."""
    scores = rows.values @ np.asarray([weights[term] for term in terms], np.float32)
    scores = np.where(rows.real, scores, -np.inf)
    best = np.where(rows.gold, scores, -np.inf).max(1)
    places = 1.0 + (scores > best[:, None]).sum(1)
    found: Array = np.where(rows.gold.any(1), places, np.inf).astype(np.float32)
    return found


def judged(trials: Sequence[Trial], weights: Scoring) -> tuple[Array, Array]:
    """Each trial's confidence evidence, (n, terms), and whether the first hits answer, (n,)."""
    values, right = [], []
    for trial in trials:
        sample = trial.sample
        scores = weights.rank(sample.evidence, sample.facts)
        first = foremost(scores, sample.evidence)
        values.append([weighed({t: 1.0}, first, sample.facts)[0] for t in CONFIDENCE_TERMS])
        right.append(sample.gold[np.argsort(-scores, kind="stable")[:TOP]].any())
    return np.asarray(values, np.float32), np.asarray(right, np.float32)


def auc(chances: Array, right: Array) -> float:
    """The chance that a right one is rated above a wrong one."""
    order = np.argsort(chances, kind="stable")
    places = np.empty(len(order))
    places[order] = np.arange(1, len(order) + 1)
    yes = right.sum()
    return float((places[right == 1].sum() - yes * (yes + 1) / 2) / (yes * (len(right) - yes)))


def calibration_error(chances: Array, right: Array, bins: int = 10) -> float:
    """Expected calibration error: how far stated and real chances lie apart, in the mean."""
    place = np.minimum((chances * bins).astype(int), bins - 1)
    return float(
        sum(
            abs(chances[place == one].mean() - right[place == one].mean()) * (place == one).mean()
            for one in np.unique(place)
        )
    )


class Fit:
    """All evidence of all sets, and the fits over any choice of them."""

    def __init__(self, examiners: Mapping[str, Examiner], foreign: Sequence[Case]) -> None:
        ranking = {name: one for name, one in examiners.items() if name in (*ENGLISH, "xquad_en")}
        self.first = {n: rows_of(one.first(), FIRST_TERMS) for n, one in ranking.items()}
        print("first stage collected", file=sys.stderr)  # noqa: T201 - a long run says where it is
        self.second = {n: rows_of(one.second(), SECOND_TERMS) for n, one in ranking.items()}
        print("second stage collected", file=sys.stderr)  # noqa: T201 - the same
        self.trials = {n: one.trials(foreign, per_size=60, seed=1) for n, one in examiners.items()}

        self._made: dict[str, Scoring] = {}

    def scoring(self, *, without: str = "") -> Scoring:
        """Coefficients from every set but those of one source."""
        family = _family(without)
        if family not in self._made:
            self._made[family] = self._fitted(family)
        return self._made[family]

    def _fitted(self, family: str) -> Scoring:
        first = [rows for name, rows in self.first.items() if _family(name) != family]
        second = [rows for name, rows in self.second.items() if _family(name) != family]
        ranked = Scoring(
            fit_ranker(first, FIRST_TERMS, SECOND_L2) | {"codes": CODES_FIRST},
            fit_ranker(second, SECOND_TERMS, SECOND_L2) | {"codes": CODES_SECOND},
            {},
        )
        judgements = [
            judged(trials, ranked)
            for name, trials in self.trials.items()
            if _family(name) != family
        ]
        confident = fit_logistic(judgements, CONFIDENCE_TERMS, CONFIDENCE_L2)
        return Scoring(ranked.first, ranked.second, confident | {"codes": CODES_CONFIDENCE})

    def report(self, full: Scoring) -> list[str]:
        """A Markdown table: each set under coefficients from all sets, and from the others only."""
        lines = [
            "| set | Hit@1 fitted on all | Hit@1 set left out | AUC | ECE | right at 0.5 |",
            "|---|---|---|---|---|---|",
        ]
        means: list[list[float]] = []
        for name, trials in self.trials.items():
            left = self.scoring(without=name)
            hits = [float("nan")] * 2
            if name in self.second:
                rows = self.second[name]
                hits = [
                    float((ranks(rows, SECOND_TERMS, dict(one.second)) == 1).mean())
                    for one in (full, left)
                ]
            values, right = judged(trials, left)
            chances = chances_of(values, left)
            figures = [*hits, *quality(chances, right)]
            means.append(figures)
            lines.append(_row(name, figures))
            print(lines[-1], file=sys.stderr)  # noqa: T201 - a long run says where it is
        lines.append(_row("mean", [float(one) for one in np.nanmean(means, 0)]))
        return lines + self._by_size()

    def _by_size(self) -> list[str]:
        """How the confidence does by the size of the knowledge and the kind of question."""
        chances: list[float] = []
        right: list[float] = []
        sizes: list[int] = []
        kinds: list[str] = []
        for name, trials in self.trials.items():
            left = self.scoring(without=name)
            values, answered = judged(trials, left)
            chances += chances_of(values, left).tolist()
            right += answered.tolist()
            sizes += [trial.size for trial in trials]
            kinds += [trial.kind for trial in trials]
        chance, answer = np.asarray(chances, np.float32), np.asarray(right, np.float32)
        size, kind = np.asarray(sizes), np.asarray(kinds)
        lines = ["", "| passages | questions | AUC | ECE | right at 0.5 |", "|---|---|---|---|---|"]
        for low, high in ((0, 12), (13, 50), (51, 150), (151, 400), (401, 10**9)):
            mask = (size >= low) & (size <= high)
            if mask.any():
                label = f"{size[mask].min()} to {size[mask].max()} | {mask.sum()}"
                lines.append(_row(label, quality(chance[mask], answer[mask])))
        for one in ("held", "removed", "foreign"):
            mask = kind == one
            share = float(((chance[mask] > 0.5) == (answer[mask] > 0.5)).mean())
            lines.append(f"| {one} | {mask.sum()} | | | {share:.3f} |")
        return lines


def chances_of(values: Array, weights: Scoring) -> Array:
    """Confidences of judged trials, (n,)."""
    odds = values @ np.asarray([weights.confident[term] for term in CONFIDENCE_TERMS], np.float32)
    return (1.0 / (1.0 + np.exp(-np.clip(odds, -30, 30)))).astype(np.float32)


def quality(chances: Array, right: Array) -> list[float]:
    """AUC, expected calibration error, and the share judged rightly at 0.5."""
    return [
        auc(chances, right),
        calibration_error(chances, right),
        float(((chances > 0.5) == (right > 0.5)).mean()),
    ]


def _row(name: str, figures: Sequence[float]) -> str:
    return f"| {name} | " + " | ".join("" if np.isnan(f) else f"{f:.3f}" for f in figures) + " |"


def _family(name: str) -> str:
    """Sets from one source are left out together."""
    return name.partition("_")[0]


def collect(data: Path, work: Path, questions: int) -> Fit:
    """Open every set and gather its evidence. Minutes to an hour the first time."""
    embedder = load_embedder("all-MiniLM-L6-v2")
    sets: list[QuerySet] = [retrieval_sets.load(data / "retrieval" / name) for name in ENGLISH]
    file = data / "text" / "xquad.jsonl.xz"
    sets += [retrieval_sets.paragraphs(file, lang) for lang in LANGUAGES]
    translated = data / "retrieval" / "letsencrypt_faq_xling"
    sets.append(retrieval_sets.mixed(translated))  # passages of ten languages side by side
    weights = scoring.default()
    examiners = {}
    for one in sets:
        print(f"indexing {one.name}", file=sys.stderr)  # noqa: T201 - a long run says where it is
        examiners[one.name] = Examiner(one.sample(questions), work / one.name, embedder, weights)
    clinc = data / "intents" / "clinc150"
    foreign = [
        Case(text, frozenset())
        for name in ("oos_train", "oos_val", "val")
        for text in retrieval_sets.texts(clinc / f"{name}.jsonl")[:150]
    ]
    # What is foreign to one list in every script: another list's questions.
    others = retrieval_sets.across(data / "retrieval" / "bitcoin_faq_xling").cases
    foreign += [Case(one.text, frozenset()) for one in others[::8]]
    return Fit(examiners, foreign)


def main() -> None:
    """Collect, fit, report, and write the coefficients where asked."""
    parser = argparse.ArgumentParser(description="Fit the search's coefficients.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the query sets")
    parser.add_argument("--work", type=Path, required=True, help="folder to keep indexes in")
    parser.add_argument("--questions", type=int, default=1000, help="most questions of a set")
    parser.add_argument("--write", type=Path, help="file to write the coefficients to")
    given = parser.parse_args()
    try:
        fit = collect(given.data, given.work, given.questions)
    except DeskhandError as error:
        sys.exit(str(error))
    full = fit.scoring()
    print("\n".join(fit.report(full)))  # noqa: T201 - its product
    if given.write:
        numbers = {
            "fitted_on": sorted(fit.trials),
            "first": full.first,
            "second": full.second,
            "confidence": full.confident,
        }
        given.write.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
