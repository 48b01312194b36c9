"""The critic's evidence and verdicts, on answers whose faults are plain to see."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.prompt import UNKNOWN
from tests.fakes.company import embedder
from tests.fakes.embedder import WordEmbedder
from training.critic import TERMS, Critic, default_weights

PASSAGES = (
    "Returns are free for 30 days after delivery. Send the parcel to the warehouse.",
    "The shop opens at 9 and closes at 18 on weekdays.",
)
ASKED = "How many days do I have to return a parcel?"
GOOD = "Returns are free for 30 days after delivery. [1]"
PLAIN = Critic(WordEmbedder(), {})


def evidence(answer: str, question: str = ASKED) -> dict[str, float]:
    return dict(PLAIN.judge(question, answer, PASSAGES).evidence)


def test_a_figure_that_no_passage_holds_is_seen() -> None:
    assert evidence(GOOD)["invented"] == 0
    assert evidence("Returns are free for 45 days. [1]")["invented"] == 1


def test_words_from_nowhere_carry_less() -> None:
    good, bad = evidence(GOOD), evidence("Penguins juggle marmalade every other Sunday. [1]")
    assert good["worst"] > 0.9 > bad["worst"]
    assert good["carried"] > bad["carried"]


def test_a_question_for_a_figure_wants_one() -> None:
    assert evidence(GOOD)["fitting"] == 1
    assert evidence("Send the parcel to the warehouse. [1]")["fitting"] == -1
    assert evidence(GOOD, "Are returns free?")["fitting"] == 0


def test_stammering_scraps_and_broken_ends_are_seen() -> None:
    assert evidence("free free free free free free")["repeated"] > 0.5
    assert evidence("30")["scrap"] == 1
    assert evidence("Returns are free for")["ended"] == 0
    assert evidence(GOOD)["ended"] == 1


def test_a_refusal_is_weighed_by_what_the_passages_leave_open() -> None:
    needless = evidence(UNKNOWN)
    right = evidence(UNKNOWN, "Do you repair violins in Oslo?")
    assert needless["refusal"] == right["refusal"] == 1
    assert right["silent"] > needless["silent"]


def test_the_best_candidate_comes_first_and_equals_keep_their_order() -> None:
    critic = Critic(embedder())
    answers = ["free free free", GOOD, "Returns are free for 45 days. [1]", GOOD]
    assert critic.rank(ASKED, answers, PASSAGES)[:2] == [1, 3]


def test_the_coefficients_that_ship_prefer_a_carried_answer() -> None:
    critic = Critic(embedder())
    assert set(default_weights()) == set(TERMS)
    good = critic.score(ASKED, GOOD, PASSAGES)
    assert good > 0.5
    for bad in ("the the days shop 9 9 9", "Returns take 77 weeks on the moon. [2]", "", "You"):
        assert critic.score(ASKED, bad, PASSAGES) < good


@given(st.text(max_size=80), st.text(max_size=120), st.lists(st.text(max_size=120), max_size=3))
def test_any_text_gets_a_finite_verdict(question: str, answer: str, passages: list[str]) -> None:
    judged = Critic(WordEmbedder(), default_weights()).judge(question, answer, passages)
    assert 0 <= judged.score <= 1
    assert all(math.isfinite(value) for value in judged.evidence.values())


def test_evidence_has_a_name_for_every_number() -> None:
    assert len(PLAIN.evidence(ASKED, GOOD, PASSAGES)) == len(TERMS) == len(set(TERMS))
    assert PLAIN.score(ASKED, GOOD, ()) == pytest.approx(0.5)
