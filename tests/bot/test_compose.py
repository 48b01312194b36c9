"""The quoting composer: the sentences that answer, whole lists and code, nothing made up."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.answering.compose import BUDGET, QUOTED, Piece, Quoter, quotable
from bot.answering.units import Kind, plain, sentences, units
from knowledge.types import Hit, Passage
from tests.fakes.company import (
    CODE,
    DECAF,
    GIFT,
    PASSAGES,
    PAUSE,
    PLANTED,
    PRICES,
    REFUND_TIME,
    RETURNS,
    SHIPPING,
    embedder,
    page,
)


def quote(question: str, *passages: Passage, focus: str = "") -> tuple[Piece, ...]:
    """Quote from passages that the search liked in the given order, each clearly less."""
    hits = [Hit(passage, -2.0 * rank) for rank, passage in enumerate(passages)]
    return Quoter(embedder()).quote(question, hits, focus)


def squeezed(text: str) -> str:
    return re.sub(r"\W+", " ", plain(text)).strip()


def test_a_short_faq_answer_is_given_whole() -> None:
    (piece,) = quote("can I send a box back", RETURNS)
    assert piece.text == RETURNS.text
    assert piece.passage is RETURNS


def test_the_sentence_with_the_number_is_the_key_of_a_how_much_question() -> None:
    (piece,) = quote("how much is delivery to Ireland", SHIPPING)
    assert "£4.50" in piece.text
    assert "£4.50" in piece.key


def test_from_a_long_passage_only_what_answers_is_quoted() -> None:
    (piece,) = quote("does a paused box get more expensive?", PAUSE)
    assert "keeps its price" in piece.text
    assert len(piece.text) <= BUDGET + len("**Pause a box**\n\n")
    assert len(piece.text) < len(PAUSE.text)


def test_steps_are_kept_whole_with_the_line_that_leads_into_them() -> None:
    (piece,) = quote("how do I pause my box", PAUSE)
    assert "1. Sign in" in piece.text
    assert "2. Open **My box**" in piece.text
    assert "3. Pick the months" in piece.text


def test_a_table_is_quoted_with_its_head() -> None:
    (piece,) = quote("what does the Grove box cost a month", PRICES)
    assert "| Box | Teas | Price a month |" in piece.text
    assert "| Grove | 6 | £21 |" in piece.text


def test_a_very_long_table_keeps_its_head_and_the_rows_asked_for() -> None:
    rows = [f"| Item number {n} in the catalogue | £{n}.00 |" for n in range(60)]
    text = "\n".join(["| Item | Price |", "|---|---|", *rows])
    (piece,) = quote("price of item number 47", page("Catalogue", "All items", text, "c.md"))
    assert "| Item | Price |" in piece.text
    assert "| Item number 47 in the catalogue | £47.00 |" in piece.text
    assert len(piece.text) < 1200


def test_code_is_quoted_whole() -> None:
    (piece,) = quote("how can a shop order with the API", CODE)
    assert "```\ncurl -X POST https://api.kettle.example/v1/orders -d box=grove\n```" in piece.text


def test_no_yes_or_no_is_put_in_front() -> None:
    (piece,) = quote("do you ship to the United States?", SHIPPING)
    assert "We do not ship to the United States" in piece.text
    assert not piece.text.lower().startswith(("no", "yes"))


def test_a_second_passage_is_quoted_when_it_adds_something() -> None:
    hits = [Hit(RETURNS, 0.0), Hit(REFUND_TIME, -0.3), Hit(GIFT, -6.0)]
    found = Quoter(embedder()).quote("return a box and how long does the refund take", hits)
    assert [piece.passage for piece in found][:2] in (
        [RETURNS, REFUND_TIME],
        [REFUND_TIME, RETURNS],
    )
    assert GIFT not in [piece.passage for piece in found]


def test_a_passage_that_says_the_same_again_is_not_quoted_twice() -> None:
    again = replace(RETURNS, source="other.md", question="", title_path=("Returns",), id="")
    found = quote("can I return a box", RETURNS, again)
    assert len(found) == 1


def test_a_heading_is_added_where_the_quote_alone_does_not_say_what_it_is_about() -> None:
    text = (
        "It takes two minutes. " + "Nothing else happens meanwhile, so do not worry at all. " * 16
    )
    (piece,) = quote(
        "how long does calibrating the sensor take", page("Sensor", "Calibrating", text, "s.md")
    )
    assert piece.text.startswith("**Calibrating**")
    assert "two minutes" in piece.text


def test_a_sentence_that_leans_on_the_one_before_brings_it_along() -> None:
    filler = " ".join(f"Unrelated remark number {n} about the weather here." for n in range(16))
    text = f"{filler} The Ruby lamp ships in March. It costs 40 euros. {filler}"
    (piece,) = quote("how much does it cost in euros", page("Lamps", "News", text, "n.md"))
    assert "The Ruby lamp ships in March. It costs 40 euros." in piece.text


def test_what_is_planted_for_machines_is_never_quoted_and_nor_is_its_paragraph() -> None:
    assert quotable(PLANTED) == []
    assert quote("are refunds paid twice? any code?", PLANTED) == ()
    mixed = replace(PLANTED, text=f"The tea is good.\n\n{PLANTED.text}", id="")
    (piece,) = quote("is there a code", mixed)
    assert "FREETEA" not in piece.text
    assert "twice" not in piece.text


def test_the_new_part_of_a_follow_up_decides() -> None:
    text = " ".join(
        f"The {name} box costs £{price} and holds {n} teas in a printed tin with a lid and a card."
        for n, (name, price) in enumerate(
            [("Leaf", 12), ("Grove", 21), ("Estate", 34), ("Harbour", 40), ("Summit", 55)] * 2
        )
    )
    passage = page("Boxes", "Prices", text, "b.md")
    (piece,) = quote("how much is the Leaf box Summit", passage, focus="and Summit?")
    assert "Summit" in piece.key


def test_an_empty_passage_gives_nothing_to_quote() -> None:
    assert quote("anything", page("Empty", "Page", "", "e.md")) == ()
    assert Quoter(embedder()).quote("anything", []) == ()


def test_unspaced_text_is_quoted_by_its_sentences() -> None:
    text = "我们的茶来自云南。" * 40 + "退款需要七天到账。" + "茶叶应避光保存。" * 40
    (piece,) = quote("退款多久到账", replace(page("茶", "退款", text, "zh.md"), lang="zh", id=""))
    assert "七天" in piece.text
    assert len(piece.text) < len(text)


@pytest.mark.parametrize("passage", PASSAGES, ids=lambda one: one.title)
def test_every_word_of_a_quote_stands_in_its_passage(passage: Passage) -> None:
    for piece in quote("how much does it cost and how long does it take?", passage):
        body = squeezed(" ".join((*passage.title_path, passage.text)))
        for line in piece.text.split("\n"):
            for sentence in sentences(line):
                assert squeezed(sentence) in body


def test_never_more_passages_than_a_person_wants_to_read() -> None:
    hits = [Hit(one, -0.01 * n) for n, one in enumerate(PASSAGES)]
    assert len(Quoter(embedder()).quote("tea", hits)) <= QUOTED


def test_a_quoter_gives_the_same_again_from_memory() -> None:
    quoter = Quoter(embedder())
    hits = [Hit(PAUSE, 1.0), Hit(PRICES, 0.9), Hit(DECAF, 0.1)]
    first = quoter.quote("what happens when prices rise", hits)
    assert quoter.quote("what happens when prices rise", hits) == first


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("It costs approx. 3.50 EUR. Pay e.g. by card.", 2),
        ("We open at 9 a.m. on Monday.", 1),
        ("Version 1.2.10 is out! Get it at kettle.example/new.", 2),
        ("我们支持退货。七天内到账！", 2),
        ("Wir liefern z.B. nach Wien. Am 3. Juni nicht.", 2),
        ("“Really?” she asked. Yes.", 3),
    ],
)
def test_sentences_end_where_a_reader_would_say(text: str, count: int) -> None:
    assert len(sentences(text)) == count


def test_lines_of_a_text_file_are_pieces_of_their_own_unless_a_sentence_goes_on() -> None:
    listed = units("Open from 9 to 5\nClosed on Sunday\nRing the bell")
    assert [one.text for one in listed] == ["Open from 9 to 5", "Closed on Sunday", "Ring the bell"]
    wrapped = units("The shop is open\nfrom nine to five.\nRing the bell.")
    assert [one.text for one in wrapped] == [
        "The shop is open from nine to five.",
        "Ring the bell.",
    ]


def test_a_list_takes_the_line_that_leads_into_it() -> None:
    (only,) = units("You need:\n\n- a cup\n- water")
    assert (only.kind, only.lead, only.items) == (Kind.LIST, "You need:", ("- a cup", "- water"))


@given(st.text(alphabet=st.sampled_from("ab. !?\n-*#|`1)退货。"), max_size=200))
@settings(max_examples=150, deadline=None)
def test_cutting_any_markdown_keeps_its_letters(text: str) -> None:
    def letters(value: str) -> str:
        return re.sub(r"[^ab退货]", "", value)

    shown = "".join(f"{one.lead}{one.text}" for one in units(text))
    assert set(letters(shown)) <= set(letters(text))
    assert len(letters(shown)) <= len(letters(text))
    if "#" not in text and "-" not in text:  # neither kind of heading
        assert letters(shown) == letters(text)
