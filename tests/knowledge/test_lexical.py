from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.lexical import Lexical, best
from knowledge.types import Passage
from tests.fakes.passages import PASSAGES

MANY = [
    Passage("Press the reset link that we mail to you.", "a", question="I forgot my password"),
    Passage("Error E-1042 means that the card was refused.", "b", question="What is E-1042?"),
    Passage("営業時間は午前九時から午後六時までです。", "c", question="営業時間を教えてください"),
    Passage("退款会在七天内到账。", "d", question="怎么申请退款？"),
    Passage("ลืมรหัสผ่านให้กดลิงก์รีเซ็ต", "e", question="ลืมรหัสผ่านทำอย่างไร"),
    Passage("Wir liefern nach Österreich und in die Schweiz.", "f", question="Wohin liefert ihr?"),
    Passage("تستغرق عملية الشحن ثلاثة أيام", "g", question="كم يستغرق الشحن؟"),
    Passage("Parcels to the islands take a day longer.", "h", ("Delivery", "Islands")),
]


@pytest.fixture(scope="module")
def lexical() -> Lexical:
    return Lexical.build(MANY)


@pytest.mark.parametrize(
    ("query", "row"),
    [
        ("forgot password", 0),
        ("e1042", 1),
        ("E-1042", 1),
        ("営業時間", 2),
        ("退款多久到账", 3),
        ("รหัสผ่าน", 4),
        ("lieferung nach osterreich", 5),
        ("الشحن", 6),
        ("delivery islands", 7),
    ],
)
def test_each_script_and_code_finds_its_passage(lexical: Lexical, query: str, row: int) -> None:
    rows, scores = lexical.search(query, 3)
    assert rows[0] == row
    assert (np.diff(scores) <= 0).all()


def test_a_typo_is_found_by_grams_where_words_find_nothing(lexical: Lexical) -> None:
    query = "pasword forgoten"
    assert lexical.words(query).whole.max() == 0
    assert lexical.grams(query).whole.argmax() == 0


def test_coverage_tells_how_much_of_the_query_is_met(lexical: Lexical) -> None:
    full = lexical.words("forgot my password")
    half = lexical.words("forgot my zebra")
    assert full.unknown == 0
    assert half.unknown > 0
    assert full.question[0] > 0.5
    assert half.known < full.known
    assert (full.question >= 0).all()
    assert (full.whole <= 1).all()


def test_a_rare_word_outweighs_a_common_one() -> None:
    built = Lexical.build([Passage(f"parcel number {n}", str(n)) for n in range(20)])
    found = built.words("parcel 7")
    assert found.whole.argmax() == 7


def test_no_query_is_too_strange(lexical: Lexical) -> None:
    for query in ("", " ", "😀👍🏽", "x" * 100_000, "a b " * 25_000, "שלום עולם", "\u202e\u0000"):
        rows, scores = lexical.search(query, 5)
        assert len(rows) == len(scores) <= 5
        found = lexical.words(query)
        assert np.isfinite(found.whole).all()
        assert len(found.whole) == len(lexical) == len(MANY)


def test_what_is_saved_is_loaded_the_same(lexical: Lexical, tmp_path: Path) -> None:
    lexical.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".npy", ".txt", ".json"}
    loaded = Lexical.load(tmp_path)
    for query in ("forgot password", "退款", "zebra", "liefert"):
        before, after = lexical.words(query), loaded.words(query)
        assert np.array_equal(before.whole, after.whole)
        assert np.array_equal(before.question, after.question)
        assert np.array_equal(lexical.grams(query).whole, loaded.grams(query).whole)
        assert (before.known, before.unknown, before.count) == (
            after.known,
            after.unknown,
            after.count,
        )


def test_postings_that_do_not_match_the_words_are_refused(lexical: Lexical, tmp_path: Path) -> None:
    lexical.save(tmp_path)
    words = tmp_path / "words.txt"
    words.write_text(words.read_text(encoding="utf-8") + "\nzebra", encoding="utf-8")
    with pytest.raises(ValueError, match="postings"):
        Lexical.load(tmp_path)


def test_an_index_of_nothing_and_of_wordless_texts_answers(tmp_path: Path) -> None:
    for passages in ([], [Passage("…", "a"), Passage("", "b")]):
        built = Lexical.build(passages)
        folder = tmp_path / str(len(passages))
        folder.mkdir()
        built.save(folder)
        for one in (built, Lexical.load(folder)):
            assert len(one) == len(passages)
            assert len(one.search("anything", 5)[0]) == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=8), st.text(max_size=40))
def test_coverage_is_a_share_for_any_text(texts: list[str], query: str) -> None:
    built = Lexical.build(Passage(text, str(row)) for row, text in enumerate(texts))
    for found in (built.words(query), built.grams(query)):
        for scores in (found.question, found.whole):
            assert ((scores >= 0) & (scores <= 1.001)).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=20), st.integers(0, 25))
def test_the_best_are_the_highest_positive_in_order(values: list[float], k: int) -> None:
    rows, scores = best(np.asarray(values, np.float32), k)
    wanted = sorted(
        (row for row, value in enumerate(values) if value > 0), key=lambda r: -values[r]
    )
    assert rows.tolist() == wanted[:k]
    assert scores.tolist() == [values[row] for row in wanted[:k]]


def test_the_shared_sample_is_found_by_its_question() -> None:
    built = Lexical.build(PASSAGES)
    for row, passage in enumerate(PASSAGES[:12]):
        assert built.search(passage.question, 1)[0].tolist() == [row]


def test_a_code_is_found_in_the_passages_that_hold_it() -> None:
    texts = ["Code E07 means too hot.", "E12 means overdue.", "Codes mean faults.", "E07, E12."]
    lexical = Lexical.build([Passage(text, "faults.md") for text in texts])
    assert lexical.codes("what do e07 and E12 mean").tolist() == [0.5, 0.5, 0.0, 1.0]
    assert lexical.codes("what do codes mean").tolist() == [0.0] * 4
    assert lexical.codes("what does E99 mean").tolist() == [0.0] * 4


def test_a_code_that_stands_everywhere_is_a_word_like_any_other() -> None:
    lexical = Lexical.build([Passage(f"The K9 manual, part {n}", "k9.md") for n in range(200)])
    assert not lexical.codes("how do I clean the k9").any()
