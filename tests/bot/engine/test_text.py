"""Text from tokens: whole characters only, and nothing past a stop string."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.text import BROKEN, Detokenizer, StopStrings
from tests.fakes.models import make_tokenizer

Tokenizer = Any  # transformers' fast tokenizer; importing its type costs seconds

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return make_tokenizer(300)  # hardly more than bytes: characters are split over tokens


def pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """What is shown, token by token."""
    detokenizer = Detokenizer(lambda some: tokenizer.decode(list(some)))
    return [*(detokenizer.add([one]) for one in ids), detokenizer.finish()]


@given(TEXT)
def test_pieces_add_up_to_the_text_and_never_hold_half_a_character(
    tokenizer: Tokenizer, text: str
) -> None:
    text = text.replace(BROKEN, "")
    shown = pieces(tokenizer, tokenizer.encode(text))

    assert "".join(shown) == text
    assert not any(BROKEN in piece for piece in shown)


@given(st.lists(st.integers(3, 299), max_size=40))
def test_any_ids_at_all_give_text_that_is_valid_and_ends_whole(
    tokenizer: Tokenizer, ids: list[int]
) -> None:
    whole = "".join(pieces(tokenizer, ids))

    whole.encode()
    assert whole.rstrip(BROKEN) == tokenizer.decode(ids).rstrip(BROKEN)


def test_an_answer_cut_in_the_middle_of_an_emoji_ends_before_it(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("ok 🎉")

    assert "".join(pieces(tokenizer, ids[:-1])) == "ok "


def test_bytes_that_never_become_a_character_do_not_hold_up_the_text(tokenizer: Tokenizer) -> None:
    lone = tokenizer.encode("é")[-1]  # a continuation byte without its beginning

    shown = pieces(tokenizer, [lone] * 12 + tokenizer.encode("abc"))

    assert "".join(shown).endswith("abc")


@given(TEXT, st.lists(st.text("ab\n ", min_size=1, max_size=4), min_size=1, max_size=3), st.data())
def test_stop_strings_cut_as_if_the_text_had_come_in_one_piece(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    text = text + data.draw(st.text("ab\n ", max_size=12))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    watch = StopStrings(stops)
    out = ""
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        out += watch.add(text[start:end])
        assert text.startswith(out)
    out += watch.finish()

    places = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    assert out == (text[: min(places)[1]] if places else text)
    assert watch.hit == bool(places)


def test_what_cannot_begin_a_stop_string_is_shown_at_once() -> None:
    watch = StopStrings(["\nUser:"])

    assert watch.add("hello") == "hello"
    assert watch.add("\nUs") == ""
    assert watch.add("ually") == "\nUsually"
