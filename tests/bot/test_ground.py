"""What a model says is held against the passages: kept, dropped or refused as a whole."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.answering.cite import MARKER, Citer, mark
from bot.answering.ground import Checked, Checker, Passages, neutral
from bot.words.facts import facts, number
from tests.fakes.company import CODE, DECAF, ORGANIC, PRICES, RETURNS, SHIPPING, embedder

GIVEN = (SHIPPING, RETURNS, PRICES, CODE, ORGANIC)


def check(text: str) -> Checked | None:
    return Checker(embedder()).check(text, Passages(GIVEN), Citer())


def text_of(said: str) -> str:
    checked = check(said)
    assert checked is not None
    return checked.text


@pytest.mark.parametrize(
    "claim",
    [
        "Delivery within the UK takes 2 to 3 working days and is free [1].",
        "A box to Ireland needs 5 working days and costs £4.50 [1].",
        "You can send back unopened boxes within 21 days [2].",
        "The Grove box costs £21 a month [3].",
        "We don't ship to the United States [1].",
        "Write to help@kettle.example for a return label [2].",
        "The key goes in the header `X-Kettle-Key` [4].",
    ],
)
def test_what_a_passage_says_in_other_words_is_kept(claim: str) -> None:
    checked = check(claim)
    assert checked is not None
    assert MARKER.sub("", checked.text) == MARKER.sub("", claim)
    assert checked.dropped == 0
    assert "[1]" in checked.text


@pytest.mark.parametrize(
    "claim",
    [
        "Delivery within the UK takes 4 to 6 working days [1].",  # other numbers
        "Delivery within the UK takes 2 to 3 weeks [1].",  # another unit
        "A box to Ireland costs €4.50 [1].",  # another currency
        "Delivery within the UK is free and takes 2 to 3 working days to Scotland [1].",  # a name
        "You can return unopened boxes within 21 days by writing to refunds@kettle.example [2].",
        "See https://kettle.example/returns for returning unopened boxes within 21 days [2].",
        "Run `curl -X DELETE` to order a box [4].",
        "We ship to the United States [1].",  # the passage says the opposite
        "Unopened boxes cannot be returned within 21 days [2].",
        "All green teas are not certified organic [5].",
        "The teas grow on the slopes of a volcano and are picked by hand at night [5].",
    ],
)
def test_what_no_passage_says_is_not_shown(claim: str) -> None:
    assert check(claim) is None


def test_a_sentence_that_denies_outweighs_one_that_only_sounds_alike() -> None:
    passage = replace(
        SHIPPING,
        text="Many people in the United States drink our tea. We do not ship tea to the "
        "United States.",
        id="",
    )
    checker = Checker(embedder())
    said = "We ship our tea to people in the United States."
    assert checker.check(said, Passages((passage,)), Citer()) is None
    said = "We don't ship tea to the United States."
    assert checker.check(said, Passages((passage,)), Citer()) is not None


def test_unsupported_sentences_are_dropped_from_an_otherwise_good_answer() -> None:
    checked = check(
        "Unopened boxes can be returned within 21 days [2]. You also get a free mug. "
        "Write to help@kettle.example for a label [2]."
    )
    assert checked is not None
    assert checked.dropped == 1
    assert "mug" not in checked.text
    assert "21 days" in checked.text
    assert "label" in checked.text


def test_an_answer_of_which_too_little_is_left_is_refused_whole() -> None:
    assert (
        check(
            "Unopened boxes can be returned within 21 days [2]. Every customer receives a silver "
            "teapot on the first anniversary. The chairman signs each card by hand. Membership "
            "includes entry to our museum in Darjeeling."
        )
        is None
    )


@pytest.mark.parametrize("said", ["", "NOT IN THE PASSAGES.", "Not in the passages", "<think>hm"])
def test_a_model_that_does_not_know_gives_way_to_the_quote(said: str) -> None:
    assert check(said) is None


def test_markers_are_renumbered_by_appearance_and_wrong_ones_go() -> None:
    citer = Citer()
    checked = Checker(embedder()).check(
        "The Grove box costs £21 a month [3][9]. "
        "Unopened boxes can be returned within 21 days [2].",
        Passages(GIVEN),
        citer,
    )
    assert checked is not None
    assert checked.text == (
        "The Grove box costs £21 a month. [1] Unopened boxes can be returned within 21 days. [2]"
    )
    assert [one.passage_id for one in citer.citations] == [PRICES.id, RETURNS.id]
    assert "21 days" in citer.citations[1].quote


def test_a_missing_or_misplaced_marker_is_replaced_by_the_passage_that_carries_the_claim() -> None:
    citer = Citer()
    said = "The Grove box costs £21 a month. Unopened boxes can be returned within 21 days [1]."
    checked = Checker(embedder()).check(said, Passages(GIVEN), citer)
    assert checked is not None
    assert [one.passage_id for one in citer.citations] == [PRICES.id, RETURNS.id]


def test_markers_after_the_full_stop_and_in_one_bracket_belong_to_their_sentence() -> None:
    citer = Citer()
    said = (
        "Unopened boxes can be returned within 21 days.[2] The Grove box costs £21 a month. [3, 7]"
    )
    checked = Checker(embedder()).check(said, Passages(GIVEN), citer)
    assert checked is not None
    assert [one.passage_id for one in citer.citations] == [RETURNS.id, PRICES.id]


def test_lists_keep_their_supported_items_and_steps_are_counted_again() -> None:
    shown = text_of(
        "Prices a month:\n\n1. The Leaf box costs £12 [3]\n2. The Moon box costs £99 [3]\n"
        "3. The Estate box costs £34 [3]"
    )
    assert shown.startswith("Prices a month:\n\n1. The Leaf box costs £12 [1]")
    assert "2. The Estate box costs £34 [1]" in shown
    assert "Moon" not in shown


def test_code_must_stand_in_a_passage_line_by_line() -> None:
    good = "```\ncurl -X POST https://api.kettle.example/v1/orders -d box=grove\n```"
    assert good in text_of(f"Order a box by API with one call [4]:\n\n{good}")
    assert check("Do this:\n\n```\nrm -rf /\n```") is None


def test_a_bare_yes_stays_only_in_front_of_a_claim_that_agrees_with_it() -> None:
    assert text_of("Yes. Unopened boxes can be returned within 21 days [2].").startswith("Yes. ")
    assert not text_of("No. Unopened boxes can be returned within 21 days [2].").startswith("No")
    assert text_of("No. We do not ship to the United States [1].").startswith("No. ")


def test_thinking_images_markup_and_strange_links_do_not_survive() -> None:
    given = Passages(GIVEN)
    said = (
        "<think>secret plan</think>Look ![pixel](https://evil.example/p.png?q=1) "
        "[here](https://evil.example) <script>alert(1)</script><img src=x onerror=y> "
        "[account](javascript:alert(1)) https://api.kettle.example/v1/orders "
        "[order](https://api.kettle.example/v1/orders)\n\n[x]: https://evil.example"
    )
    shown = neutral(said, given)
    for bad in ("evil", "<", "javascript", "onerror", "secret", "pixel"):
        assert bad not in shown
    assert "[order](https://api.kettle.example/v1/orders)" in shown


def test_text_that_looks_like_markup_stays_inside_code() -> None:
    assert (
        neutral("Use `<key>` and\n```\n<a>\n```", Passages((CODE,)))
        == "Use `<key>` and\n```\n<a>\n```"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,000", "1000"),
        ("1.000", "1 000"),
        ("3,50", "3.5"),
        ("007", "7"),
        ("2.0", "2"),
        ("9:00", "9:00"),
    ],
)
def test_numbers_mean_the_same_in_every_country(one: str, other: str) -> None:
    assert number(one) == number(other)


def test_versions_are_no_amounts() -> None:
    assert number("1.2.10") == "1.2.10"


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("It takes two weeks.", ("2", "week")),
        ("It takes 14 Tage.", ("14", "day")),
        ("within 5 working days", ("5", "workday")),
        ("costs €1,299.00", ("1299", "eur")),
        ("kostet 20 Euro", ("20", "eur")),
        ("需要3个工作日", ("3", "workday")),
        ("занимает 3 недели", ("3", "week")),
        ("save 15 %", ("15", "percent")),
    ],
)
def test_quantities_are_known_with_their_units(text: str, quantity: tuple[str, str]) -> None:
    assert quantity in facts(text).quantities


def test_a_mark_goes_below_tables_and_code_and_behind_everything_else() -> None:
    assert mark("Text.", 2) == "Text. [2]"
    assert mark("| a |\n|---|\n| b |", 1) == "| a |\n|---|\n| b |\n\n[1]"
    assert mark("```\nx\n```", 1) == "```\nx\n```\n\n[1]"
    assert mark("1. One\n2. Two", 3) == "1. One\n2. Two [3]"


@given(st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_whatever_a_model_says_the_result_is_cited_and_in_order(said: str) -> None:
    citer = Citer()
    checked = Checker(embedder()).check(said, Passages((DECAF, RETURNS)), citer)
    if checked is not None:
        numbers = [int(one) for one in re.findall(r"\[(\d+)\]", checked.text)]
        assert {one.number for one in citer.citations} <= set(numbers)
        assert "![" not in checked.text
