"""What the figures of generated answers mean, on answers whose quality is plain to see."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.prompt import UNKNOWN
from knowledge.types import Passage
from training.generation_metrics import (
    HEAD,
    bare,
    distinct,
    measure,
    refuses,
    rouge_l,
    self_bleu,
)
from training.grounded import Example

PASSAGES = (
    Passage("Returns are free for 30 days. See https://shop.example/returns for more.", "a"),
    Passage("The shop opens at 9.", "b"),
)
WORDS = st.lists(st.sampled_from(["a", "bicycle", "costs", "30", "euros", "today"]), max_size=8)


def example(answer: str, keys: tuple[str, ...] = ()) -> Example:
    return Example("1", "answer", "written", "en", "q", PASSAGES, answer, keys=keys)


RIGHT = example("Returns are free for 30 days, see https://shop.example/returns. [1]", ("30 days",))
REFUSAL = example(UNKNOWN)


def test_the_approved_answer_itself_gets_full_marks() -> None:
    found = measure([RIGHT, REFUSAL], [RIGHT.answer, UNKNOWN])
    assert found.bleu == pytest.approx(100)
    assert found.chrf == pytest.approx(100)
    assert found.rouge_l == found.copied_numbers == found.copied_addresses == found.keys == 1
    assert found.cited == found.refusal_precision == found.refusal_recall == 1
    assert found.invented == 0


def test_a_wrong_figure_is_neither_copied_nor_in_the_passages() -> None:
    found = measure([RIGHT], ["Returns are free for 45 days. [1]"])
    assert found.copied_numbers == found.copied_addresses == found.keys == 0
    assert found.invented == 1
    assert 0 < (found.bleu or 0) < 60


def test_a_figure_from_another_passage_is_not_invented() -> None:
    assert measure([RIGHT], ["The shop opens at 9. [2]"]).invented == 0


def test_only_the_right_marks_count_as_cited() -> None:
    texts = ["It is 30 days. [1]", "It is 30 days. [2]", "It is 30 days.", "30 [1] days [2]"]
    assert measure([RIGHT] * 4, texts).cited == 0.25


def test_refusals_are_judged_by_where_they_belong() -> None:
    texts = [UNKNOWN, UNKNOWN, "The shop opens at 9. [2]", "Sorry: not in the passages"]
    found = measure([RIGHT, REFUSAL, REFUSAL, REFUSAL], texts)
    assert found.refusal_precision == pytest.approx(2 / 3)
    assert found.refusal_recall == pytest.approx(2 / 3)


def test_nothing_to_count_is_none_and_not_zero() -> None:
    found = measure([REFUSAL], ["It is free. [1]"])
    assert found.bleu is None
    assert found.keys is None
    assert found.refusal_precision is None
    assert found.refusal_recall == 0
    assert found.row("x").count("|") == HEAD.splitlines()[0].count("|")


def test_marks_are_no_words() -> None:
    assert bare("It is free. [1] And quick. [2]") == "It is free. And quick."
    assert refuses("Not in the passages. [1]")


@given(WORDS, WORDS)
def test_overlap_is_symmetric_and_one_only_for_the_same_words(
    one: list[str], other: list[str]
) -> None:
    a, b = " ".join(one), " ".join(other)
    assert rouge_l(a, b) == pytest.approx(rouge_l(b, a))
    assert 0 <= rouge_l(a, b) <= 1
    assert (rouge_l(a, b) == 1) == (one == other)


def test_saying_always_the_same_is_not_diverse() -> None:
    same = ["The shop opens at nine in the morning."] * 8
    words = ("kite", "lamp", "dog", "sea")
    other = [f"{word} opens {word}s for nobody but {word}" for word in words]
    assert self_bleu(same) == pytest.approx(100)
    assert self_bleu(other) < 60
    assert distinct(same) < 0.2 < distinct(other)
    assert distinct([]) == 0
