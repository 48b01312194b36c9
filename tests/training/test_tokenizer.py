"""The tokenizer gives back what it was given, and nobody can type a special token."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bot.answering.prompt import COMPACT, FULL, UNKNOWN, build
from bot.types import Turn
from knowledge.types import Passage
from training import tokenizer
from training.errors import DataMissing
from training.tokenizer import CITATIONS, MARKS, SPECIAL, Encoder

TEXTS = [
    "Returns are free within 30 days of delivery, [1] and the shop opens at 9:00.",
    "退货在三十天内免费。 商店九点开门。",
    "Las devoluciones son gratuitas durante treinta días. 🎉 ¡Gracias!",
    "Возврат бесплатный. Öffnungszeiten: täglich von 9 bis 18 Uhr.",
] * 20
PIECES = st.one_of(
    st.text(), st.sampled_from([*SPECIAL, *MARKS, " ", "\n", "\r\n", "<|", "[12]", "it's", "007"])
)
ANYTHING = st.lists(PIECES, max_size=8).map("".join)


@cache
def learned() -> Any:
    return tokenizer.train(TEXTS, 600)


@cache
def encoder() -> Encoder:
    return Encoder(learned())


@settings(deadline=None)
@given(ANYTHING)
def test_decoding_gives_back_every_text(text: str) -> None:
    assert learned().decode(encoder().text(text), skip_special_tokens=False) == text


@settings(deadline=None)
@given(ANYTHING)
def test_no_text_becomes_a_special_token(text: str) -> None:
    special = {encoder().special(one) for one in SPECIAL}
    assert special.isdisjoint(encoder().text(text))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), ANYTHING), max_size=4))
def test_conversations_are_encoded_as_the_chat_template_renders_them(
    said: list[tuple[Any, str]],
) -> None:
    turns = [Turn(role, text) for role, text in said if not any(one in text for one in SPECIAL)]
    assume(turns)
    messages = [{"role": one.role, "content": one.content} for one in turns]
    rendered = learned().apply_chat_template(messages, tokenize=False)
    assert encoder().turns(turns) == learned().encode(rendered, add_special_tokens=False)


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=10**12))
def test_every_digit_is_a_token(number: int) -> None:
    ids = encoder().text(f"E{number}")
    digits = [learned().decode([one]) for one in ids][-len(str(number)) :]
    assert digits == list(str(number))


@pytest.mark.parametrize("form", [FULL, COMPACT], ids=["full", "compact"])
def test_what_every_prompt_holds_is_one_token_each(form: Any) -> None:
    passage = Passage("Returns are free.", "returns.md", ("Returns",))
    asked = build("Is it free?", [passage], form=form)[-1].content
    pieces = [learned().decode([one]) for one in encoder().text(f"{asked} {UNKNOWN} [1]")]
    for mark in ("<passages>", '<passage number="', '" title="', "</passage>", "<question>"):
        assert mark in pieces
    assert {UNKNOWN, " [1]"} <= set(pieces)
    assert set(CITATIONS) <= set(MARKS)


def test_saved_and_loaded_it_is_the_same(tmp_path: Any) -> None:
    learned().save_pretrained(tmp_path)
    again = tokenizer.load(tmp_path)
    assert again.get_vocab() == learned().get_vocab()
    assert again.chat_template == learned().chat_template
    assert (again.eos_token, again.pad_token) == ("<|im_end|>", "<|pad|>")
    assert again.decode(Encoder(again).text(TEXTS[2])) == TEXTS[2]


def test_too_small_a_vocabulary_and_a_missing_tokenizer_are_named(tmp_path: Any) -> None:
    with pytest.raises(DataMissing, match="vocabulary of 100"):
        tokenizer.train(TEXTS, 100)
    with pytest.raises(DataMissing, match="no tokenizer"):
        tokenizer.load(tmp_path)
