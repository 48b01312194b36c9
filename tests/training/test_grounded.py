"""Grounded tuning data: what an example promises, whatever it was made from."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.cite import MARKER, Citer
from bot.answering.ground import Checker, Passages
from bot.answering.prompt import COMPACT, UNKNOWN
from tests.fakes.embedder import WordEmbedder
from training.grounded import (
    SPLITS,
    BadExamples,
    Example,
    cited,
    examples,
    read,
    split_of,
    write,
)
from training.grounded_sources import SourceMissing, read_all, untokenised
from training.grounded_written import companies
from training.surface import as_typed

KNOWN = list(companies(40, seed=3))
MADE = examples(KNOWN, "train", 400)


def of(kind: str) -> list[Example]:
    return [one for one in MADE if one.kind == kind]


def test_every_kind_of_example_is_made() -> None:
    assert len(MADE) == 400
    assert {one.kind for one in MADE} == {"answer", "merge", "refuse", "hostile"}
    assert sum(one.answer.startswith(("Yes", "No,")) for one in MADE) > 5
    assert any("|---|" in one.answer for one in MADE)


def test_what_may_not_be_wrong_is_copied_to_the_letter_from_a_cited_passage() -> None:
    for one in MADE:
        if one.refuses:
            continue
        marked = {int(n) - 1 for n in MARKER.findall(one.answer)}
        assert marked, one
        assert max(marked) < len(one.passages)
        for key in one.keys:
            assert key.casefold() in one.answer.casefold()
            assert any(key.casefold() in whole(one, at).casefold() for at in marked), one


def whole(one: Example, at: int) -> str:
    passage = one.passages[at]
    return " ".join((*passage.title_path, passage.question, passage.text))


def test_the_claim_check_that_serves_lets_the_answers_pass() -> None:
    checker = Checker(WordEmbedder())
    taught = [one for one in MADE if not one.refuses][:120]
    passed = [
        checker.check(one.answer, Passages(one.passages), Citer()) is not None for one in taught
    ]
    # The words-only embedder of the tests misses a rephrasing now and then.
    assert sum(passed) >= 0.9 * len(passed)


def test_a_refusal_shows_passages_none_of_which_answers() -> None:
    refusals = of("refuse")
    for one in refusals:
        assert one.answer == UNKNOWN
        assert one.passages
    answers = {(known.question, known.document): known for known in KNOWN}
    shown = 0
    for one in refusals:
        document = one.passages[0].source.rpartition("/")[0]
        known = answers.get((one.question, document))
        if known is not None and len(known.key) > 2:
            shown += any(known.key in passage.text for passage in one.passages)
    assert shown == 0


def test_a_merged_answer_cites_a_passage_for_each_of_the_two_questions() -> None:
    merged = of("merge")
    assert merged
    assert all(len(set(MARKER.findall(one.answer))) == 2 for one in merged)


def test_an_order_in_a_page_changes_nothing_about_the_answer() -> None:
    for one in of("hostile"):
        assert "ignore all" not in one.answer.casefold()
        assert not one.refuses
        assert any(len(passage.text.split("\n\n")) > 1 for passage in one.passages)


def test_a_document_stands_on_one_side_of_the_split_only() -> None:
    sides = {split: examples(KNOWN, split, 200) for split in SPLITS}
    texts = {
        split: {passage.source.rpartition("/")[0] for one in made for passage in one.passages}
        for split, made in sides.items()
    }
    for split, documents in texts.items():
        assert all(split_of(document) == split for document in documents)
    assert not texts["train"] & texts["test"]


def test_the_same_seed_makes_the_same_examples_and_another_seed_others() -> None:
    assert examples(KNOWN, "train", 50, seed=1) == examples(KNOWN, "train", 50, seed=1)
    assert examples(KNOWN, "train", 50, seed=1) != examples(KNOWN, "train", 50, seed=2)


def test_the_right_passages_are_among_those_that_the_compact_prompt_shows() -> None:
    taught = [one for one in MADE if one.readable(COMPACT)]
    assert len(taught) > 0.9 * len(MADE)
    for one in taught:
        numbers = [int(n) for n in MARKER.findall(one.answer)]
        assert max(numbers, default=1) <= COMPACT.passages


def test_an_answer_that_the_prompt_does_not_show_is_not_readable() -> None:
    one = next(one for one in MADE if one.kind == "answer" and one.keys)
    assert one.readable(COMPACT)
    assert not replace(one, keys=("4711-never-said",)).readable(COMPACT)
    assert not replace(one, answer="Cobblers tenderly improvise chandeliers. [1]").readable()


def test_the_prompt_is_the_one_that_serving_builds() -> None:
    from bot.answering.prompt import build

    one = MADE[0]
    assert one.turns(COMPACT) == build(one.question, one.passages, one.history, one.lang, COMPACT)


def test_examples_come_back_from_a_file_as_they_were(tmp_path: Path) -> None:
    told = write(tmp_path, {"train": MADE[:60]}, seed=0)
    assert list(read(tmp_path / "train.jsonl")) == MADE[:60]
    assert told["counts"]["train"]["examples"] == 60
    assert told == json.loads((tmp_path / "dataset.json").read_text())
    again = write(tmp_path / "again", {"train": MADE[:60]}, seed=0)
    assert again["hash"] == told["hash"]
    assert write(tmp_path / "other", {"train": MADE[:59]}, seed=0)["hash"] != told["hash"]


def test_a_damaged_file_of_examples_is_named_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, {"train": MADE[:3]}, seed=0)
    path = tmp_path / "train.jsonl"
    path.write_text(path.read_text() + '{"id": 1}\n')
    with pytest.raises(BadExamples, match=r"train\.jsonl, line 4"):
        list(read(path))


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="squad_sentence_question"):
        read_all(tmp_path)


def test_tokenised_text_is_put_together_again() -> None:
    assert (
        untokenised("the afc -lrb- founded 1960 -rrb- did n't pay $ 5 , they said .")
        == "The afc (founded 1960) didn't pay $5, they said."
    )


def test_a_mark_follows_each_sentence_and_stands_once_below_a_block() -> None:
    assert cited("It is free. It takes a day.", 2) == "It is free. [2] It takes a day. [2]"
    assert cited("1. Open it.\n2. Close it.", 1) == "1. Open it.\n2. Close it. [1]"
    assert cited("```sh\nls\n```", 3) == "```sh\nls\n```\n\n[3]"


@given(st.integers(), st.sampled_from([one.question for one in KNOWN]))
def test_typing_never_changes_figures_codes_and_links(seed: int, question: str) -> None:
    typed = as_typed(question, random.Random(seed))
    assert typed.strip()
    assert re.findall(r"\d+", typed) == re.findall(r"\d+", question)


def test_people_type_the_same_question_in_many_ways() -> None:
    rng = random.Random(0)
    typed = {as_typed("How long do I have to return something?", rng) for _ in range(300)}
    assert len(typed) > 60
    assert "How long do I have to return something?" in typed
