"""Texts for Telegram: HTML that is always whole, pieces that lose nothing, five languages."""

from __future__ import annotations

import dataclasses
import random
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.markdown import parse
from adapters.telegram.menu import calls
from adapters.telegram.render import PIECE, partial, pieces, utf16, visible
from adapters.telegram.rich import worth_it
from adapters.telegram.texts import COMMANDS, LANGUAGES, REASONS, notice, texts
from bot.dispatching import notices
from bot.types import Citation, Outcome, Reply
from tests.fakes.telegram.entities import parse as telegram_parse

ALPHABET = st.sampled_from(
    [*"ab <>&*_`~[]()!#|-1.\n\"'\\😀é人", "**", "```", "](https://a.b)", "| a |\n|---|\n", "\n\n"]
)
MARKDOWN = st.lists(ALPHABET, max_size=60).map("".join)


def answer(text: str, *sources: Citation) -> Reply:
    return Reply(text, Outcome.ANSWERED, sources)


@settings(max_examples=150, deadline=None)
@given(MARKDOWN)
def test_whatever_a_model_writes_telegram_can_parse_it(text: str) -> None:
    for piece in pieces(answer(text), "en"):
        shown, _ = telegram_parse(piece.html, "HTML", None)
        assert shown == visible(piece.html).strip() != ""
        assert utf16(visible(piece.html)) <= PIECE


@settings(max_examples=100, deadline=None)
@given(MARKDOWN)
def test_no_beginning_of_an_answer_is_half_open_markup(text: str) -> None:
    for end in range(0, len(text), 7):
        telegram_parse(partial(text[:end]) or "…", "HTML", None)


@pytest.mark.parametrize("seed", range(4))
def test_long_answers_are_cut_without_losing_a_word(seed: int) -> None:
    letters, some = string.ascii_letters + "😀人.", random.Random(seed)
    words = ["".join(some.choices(letters, k=some.randint(1, 40))) for _ in range(600)]
    found = pieces(answer(" ".join(words)), "en")
    assert len(found) > 2
    assert all(utf16(visible(piece.html)) <= PIECE for piece in found)
    whole = "".join(visible(piece.html) for piece in found)
    assert re.sub(r"\s", "", whole) == "".join(words)


@pytest.mark.parametrize(
    "address",
    ["https://evil.com/x", "http://127.0.0.1", "www.evil.com", "evil.com", "tg://user?id=5"],
)
def test_addresses_that_are_not_cited_cannot_be_clicked(address: str) -> None:
    (piece,) = pieces(answer(f"See {address} or [this]({address})."), "en")
    assert f"<code>{address}" in piece.html
    assert "<a" not in piece.html
    assert "://" not in piece.text


def test_cited_addresses_can() -> None:
    source = Citation(1, "p", "Returns", "r.md", "https://docs.example.com/returns")
    text = "See https://docs.example.com/more and [more](https://docs.example.com/x). [1]"
    (piece,) = pieces(answer(text, source), "en")
    assert "<code>" not in piece.html
    assert '<a href="https://docs.example.com/returns">[1]</a>' in piece.html


def test_names_and_commands_in_answers_are_not_live() -> None:
    (piece,) = pieces(answer("Ask @somebody, /delete_my_data, and/or me@example.com"), "en")
    assert "@somebody" not in piece.html
    assert "/delete" not in piece.html
    assert "and/or me@example.com" in piece.html


def test_only_what_html_cannot_show_is_a_rich_message() -> None:
    assert worth_it(parse("# Title\n\ntext"))
    assert worth_it(parse("| a |\n|---|\n| b |"))
    assert not worth_it(parse("text with **bold** and\n\n- a list\n\n> a quote\n\n```\ncode\n```"))
    assert not worth_it(parse(f"|{'a|' * 21}\n|{'-|' * 21}\n|{'b|' * 21}"))


# The catalogue


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_language_says_everything_with_the_same_blanks(language: str) -> None:
    english, other = LANGUAGES["en"], LANGUAGES[language]
    for field in dataclasses.fields(english):
        mine, theirs = getattr(other, field.name), getattr(english, field.name)
        assert mine, field.name
        if isinstance(theirs, str):
            blanks = re.findall(r"\{\w+\}", theirs)
            assert re.findall(r"\{\w+\}", mine) == blanks, field.name
            commands = set(re.findall(r"/\w+", theirs))
            assert set(re.findall(r"/\w+", mine)) == commands, field.name
    assert (len(other.commands), len(other.reasons)) == (len(COMMANDS), len(REASONS))


def test_a_language_without_texts_gets_english_and_regions_their_language() -> None:
    assert texts("pt-BR") is LANGUAGES["en"]
    assert texts("ZH-hant") is LANGUAGES["zh"]
    assert notice(notices.BUSY, "de").startswith("Es tut mir leid")
    assert notice("an answer", "de") == "an answer"


def test_the_menu_keeps_telegrams_limits() -> None:
    for told in LANGUAGES.values():
        assert len(told.description) <= 512
        assert len(told.short) <= 120
        assert all(len(what) <= 256 for what in told.commands)
    assert len(list(calls())) == 3 * len(LANGUAGES) + 1
