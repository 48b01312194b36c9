from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.terms import MAX_TERM, fold, grams, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Error ERR_CONN-19", {"error", "err", "conn", "19", "errconn19"}),
        ("docker-compose", {"docker", "compose", "dockercompose"}),
        ("0x80070057", {"0x80070057"}),
        ("v1.2.3", {"v1", "2", "3", "v123"}),
        ("C++ and C#", {"c", "c+", "c#", "and"}),
        ("getUserName", {"get", "user", "name", "getusername"}),
        ("don't", {"dont"}),
        ("shop's", {"shop"}),
        ("東京都", {"東", "京", "都", "東京", "京都"}),
        ("ลืม", {"ลื", "ืม", "ลืม"}),
        ("비밀번호를", {"비밀번호를", "비밀", "밀번", "번호", "호를"}),
        ("हिन्दी में", {"हिन्दी", "में"}),
    ],
)
def test_words_identifiers_and_unspaced_scripts_give_their_terms(
    text: str, expected: set[str]
) -> None:
    assert set(terms(text)) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Café", "cafe"),
        ("ΆΛΦΑ", "αλφα"),
        ("covid19", "COVID-19"),
        ("Ｆｕｌｌ１２", "full12"),
        ("שָׁלוֹם", "שלום"),
        ("السَّلامُ", "السلام"),
        ("straße", "STRASSE"),
        ("what’s", "what's"),
        ("pass\u00adword", "password"),
    ],
)
def test_two_spellings_of_a_word_meet(one: str, other: str) -> None:
    assert set(terms(one)) & set(terms(other))


def test_marks_that_tell_words_apart_are_kept() -> None:
    assert set(terms("か")) != set(terms("が"))
    assert fold("й") != fold("и")


def test_a_typo_still_shares_most_character_grams() -> None:
    right, wrong = set(grams("password reset")), set(grams("pasword reset"))
    assert len(right & wrong) >= 0.6 * len(right)


def test_unspaced_text_has_grams_too() -> None:
    assert set(grams("東京都")) == {"東京", "京都"}
    assert grams("ลืมรหัส")


@given(st.text())
def test_any_text_gives_terms_of_bounded_length(text: str) -> None:
    assert all(0 < len(term) <= MAX_TERM + 2 for term in [*terms(text), *grams(text)])


@pytest.mark.parametrize("text", ["😀👍🏽 🇫🇷", "— … !?", "\u200b\u202e", "___ --"])
def test_symbols_alone_give_no_words(text: str) -> None:
    assert terms(text) == []
