from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge import scoring
from knowledge.scoring import Scoring, foremost, weighed
from knowledge.search import GATHER, SECOND

EVIDENCE = {
    "cosine": np.asarray([0.2, 0.9, 0.5], np.float32),
    "words": np.asarray([1.0, 0.0, 0.5], np.float32),
}


def test_evidence_is_weighed_alone_and_times_a_fact() -> None:
    found = weighed({"cosine": 2.0, "words*length": 1.0}, EVIDENCE, {"length": 3.0})
    assert found.tolist() == pytest.approx([3.4, 1.8, 2.5])


def test_the_confidence_sees_the_first_hit_and_its_lead() -> None:
    first = foremost(np.asarray([1.0, 4.0, 3.5], np.float32), EVIDENCE)
    assert first["cosine"].tolist() == pytest.approx([0.9])
    assert first["margin"].tolist() == pytest.approx([0.5])
    assert first["lead"].tolist() == pytest.approx([3.0])


def test_one_candidate_has_no_lead() -> None:
    one = {"cosine": np.asarray([0.5], np.float32)}
    first = foremost(np.asarray([2.0], np.float32), one)
    assert first["margin"].tolist() == first["lead"].tolist() == [0.0]


def test_nothing_found_is_no_confidence() -> None:
    weights = Scoring({}, {}, {"one": 9.0})
    assert weights.confidence(np.empty(0, np.float32), {}, {}) == 0.0


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=8), st.floats(-1e3, 1e3))
def test_confidence_is_a_probability(scores: list[float], bias: float) -> None:
    weights = Scoring({}, {}, {"one": bias, "lead": 1.0})
    found = weights.confidence(np.asarray(scores, np.float32), {}, {})
    assert 0.0 <= found <= 1.0


def test_the_shipped_coefficients_name_their_sets_and_are_few() -> None:
    weights = scoring.default()
    assert len(weights.first) + len(weights.second) + len(weights.confident) < 100
    assert SECOND <= GATHER
