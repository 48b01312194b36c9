"""Fitting the search: the evidence that tells right from wrong gets the weight."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from knowledge import scoring
from tests.fakes.company import embedder
from training import retrieval_sets
from training.fit_search import (
    CONFIDENCE_TERMS,
    FIRST_TERMS,
    SECOND_TERMS,
    auc,
    calibration_error,
    fit_logistic,
    fit_ranker,
    ranks,
    rows_of,
)
from training.retrieval_sets import SetMissing
from training.search_evidence import Examiner, Sample


def samples(count: int, seed: int) -> list[Sample]:
    """Questions of 3 to 8 candidates: the right one is high in `told`, not in `noise`."""
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        size = int(draw.integers(3, 9))
        gold = np.zeros(size, bool)
        gold[draw.integers(size)] = True
        told = draw.normal(0, 1, size) + 3 * gold
        evidence = {"told": told.astype(np.float32)}
        evidence["noise"] = draw.normal(0, 1, size).astype(np.float32)
        made.append(Sample(evidence, {"length": float(draw.random())}, gold))
    return made


def test_the_ranker_weighs_what_tells_and_puts_the_right_candidate_first() -> None:
    terms = ("told", "noise", "noise*length")
    weights = fit_ranker([rows_of(samples(300, 1), terms)], terms, 1e-3)
    unseen = rows_of(samples(300, 2), terms)
    assert weights["told"] > 5 * abs(weights["noise"])
    assert (ranks(unseen, terms, weights) == 1).mean() > 0.85
    assert (ranks(unseen, terms, dict.fromkeys(terms, 0.0) | {"noise": 1.0}) == 1).mean() < 0.5


def test_stated_chances_come_true() -> None:
    draw = np.random.default_rng(3)
    values = np.stack([np.ones(4000), draw.normal(2, 1, 4000), draw.normal(0, 1, 4000)], 1)
    real = 1 / (1 + np.exp(-(1.5 * values[:, 1] - 3)))
    right = (draw.random(4000) < real).astype(np.float32)
    weights = fit_logistic([(values.astype(np.float32), right)], ("one", "told", "noise"), 1e-5)
    odds = values @ np.array(list(weights.values()))
    chances = (1 / (1 + np.exp(-odds))).astype(np.float32)
    assert weights["told"] == pytest.approx(1.5, abs=0.2)
    assert abs(weights["noise"]) < 0.15
    assert calibration_error(chances, right) < 0.03
    assert calibration_error(np.full(4000, 0.99, np.float32), right) > 0.3


@given(
    arrays.arrays(np.float32, 20, elements=st.floats(0, 1, width=32), unique=True),
    st.lists(st.booleans(), min_size=20, max_size=20).filter(lambda one: 0 < sum(one) < 20),
)
def test_auc_is_the_share_of_pairs_in_the_right_order(
    chances: np.ndarray[tuple[int], np.dtype[np.float32]], picked: list[bool]
) -> None:
    right = np.array(picked)
    pairs = [(a, b) for a in chances[right] for b in chances[~right]]
    brute = sum(bool(a > b) for a, b in pairs) / len(pairs)
    assert auc(chances, right.astype(np.float32)) == pytest.approx(brute)


def test_a_query_set_becomes_evidence_under_the_names_that_are_fitted(tmp_path: Path) -> None:
    data = tmp_path / "shop"
    data.mkdir()
    asked = {"f1": "How do I return a parcel?", "f2": "When are you open?", "f3": "Do you ship?"}
    answers = {"f1": "Send it back.", "f2": "From nine to six.", "f3": "Yes, to all of Europe."}
    faqs = [{"id": n, "question": q, "answer": answers[n], "lang": "en"} for n, q in asked.items()]
    queries = [{"qid": n, "text": q.lower(), "gold": [n], "lang": "en"} for n, q in asked.items()]
    for name, rows in (("faqs", faqs), ("queries", queries)):
        text = "\n".join(json.dumps(row) for row in rows)
        (data / f"{name}.jsonl").write_text(text, encoding="utf-8")
    shop = retrieval_sets.load(data)
    examiner = Examiner(shop, tmp_path / "index", embedder(), scoring.default())
    assert rows_of(examiner.first(), FIRST_TERMS).values.shape == (3, 3, len(FIRST_TERMS))
    second = rows_of(examiner.second(), SECOND_TERMS)
    assert (ranks(second, SECOND_TERMS, dict(scoring.default().second)) == 1).all()


def test_the_shipped_coefficients_are_those_that_a_fit_writes() -> None:
    shipped = scoring.default()
    assert set(shipped.first) == {*FIRST_TERMS, "codes"}
    assert set(shipped.second) == {*SECOND_TERMS, "codes"}
    assert set(shipped.confident) == {*CONFIDENCE_TERMS, "codes"}


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetMissing, match="nowhere"):
        retrieval_sets.load(tmp_path / "nowhere")
