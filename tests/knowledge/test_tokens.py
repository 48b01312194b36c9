from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from knowledge.embed import TokenVectors
from knowledge.tokens import QUERY_TOKENS, TokenStore
from tests.fakes.embedder import WordEmbedder

EMBEDDER = WordEmbedder(dim=48)
TEXTS = [
    ["how do i reset my password", "open settings", "press the reset link"],
    ["where is my parcel", "look at the tracking page"],
    ["refunds", "a refund takes a week"],
    ["", "only a window"],
    ["only a question"],
    [""],
]


def made(texts: list[str]) -> list[TokenVectors]:
    return EMBEDDER.encode_tokens(texts)


@pytest.fixture(scope="module")
def store() -> TokenStore:
    return TokenStore.build(EMBEDDER.dim, (made(one) for one in TEXTS))


def exact(query: str, row: int, texts: slice) -> float:
    """MaxSim by its definition, in floats, weighted by rarity."""
    asked = EMBEDDER.query_tokens(query)
    vectors = np.concatenate([one.vectors for one in made(TEXTS[row])[texts]])
    held = [{w for text in one for w in text.split()} for one in TEXTS]
    counts = np.asarray([sum(word in one for one in held) for word in query.split()])
    weights = np.log1p((len(TEXTS) - counts + 0.5) / (counts + 0.5))
    return float((asked.vectors @ vectors.T).max(1) @ weights / weights.sum())


def test_scores_are_those_of_the_definition_to_within_eight_bits(store: TokenStore) -> None:
    query = "reset the password please"
    late = store.late(EMBEDDER.query_tokens(query), np.asarray([0, 1, 2]))
    for place, row in enumerate((0, 1, 2)):
        assert late.question[place] == pytest.approx(exact(query, row, slice(0, 1)), abs=0.02)
        assert late.whole[place] == pytest.approx(exact(query, row, slice(None)), abs=0.02)
    windows = [exact(query, 0, slice(place, place + 1)) for place in (1, 2)]
    assert late.window[0] == pytest.approx(max(windows), abs=0.02)


def test_the_passage_that_holds_the_words_wins(store: TokenStore) -> None:
    late = store.late(EMBEDDER.query_tokens("track my parcel"), np.arange(3))
    assert late.whole.argmax() == late.question.argmax() == 1
    assert late.asked.argmax() == 1


def test_a_query_equal_to_the_question_is_met_in_full_both_ways(store: TokenStore) -> None:
    late = store.late(EMBEDDER.query_tokens("where is my parcel"), np.asarray([1]))
    for values in (late.question, late.whole, late.flat, late.rare, late.asked):
        assert values[0] == pytest.approx(1, abs=0.01)


def test_texts_without_tokens_score_nothing(store: TokenStore) -> None:
    late = store.late(EMBEDDER.query_tokens("only a"), np.asarray([3, 4, 5]))
    assert late.question.tolist()[0] == late.question.tolist()[2] == 0
    assert late.window[1] == late.question[1]  # no window: its question stands in
    assert late.window[2] == 0
    assert late.asked[0] == 0
    assert late.window[0] == pytest.approx(1, abs=0.01)
    assert late.question[1] == pytest.approx(1, abs=0.01)


def test_an_empty_query_and_no_rows_score_nothing(store: TokenStore) -> None:
    empty = store.late(EMBEDDER.query_tokens(""), np.arange(3))
    assert empty.whole.tolist() == [0, 0, 0]
    assert len(store.late(EMBEDDER.query_tokens("parcel"), np.empty(0, np.int64)).whole) == 0


def test_a_long_query_is_compared_by_its_start(store: TokenStore) -> None:
    start = " ".join(f"word{n}" for n in range(QUERY_TOKENS))
    short = store.late(EMBEDDER.query_tokens(start), np.arange(3))
    longer = store.late(EMBEDDER.query_tokens(f"{start} password parcel"), np.arange(3))
    assert np.array_equal(short.whole, longer.whole)


def test_tokens_of_another_vocabulary_count_as_rare(store: TokenStore) -> None:
    unseen, common = store.rarity(np.asarray([2**30, EMBEDDER.query_tokens("a").ids[0]], np.int32))
    assert unseen > common


def test_what_is_taken_builds_the_same_store_and_is_not_quantised_again(
    store: TokenStore,
) -> None:
    again = TokenStore.build(EMBEDDER.dim, (store.take(row) for row in range(len(store))))
    twice = TokenStore.build(EMBEDDER.dim, (again.take(row) for row in range(len(again))))
    query = EMBEDDER.query_tokens("reset my parcel")
    for one in (again, twice):
        assert np.array_equal(
            one.late(query, np.arange(6)).whole, store.late(query, np.arange(6)).whole
        )
        assert np.array_equal(one.take(0).vectors, store.take(0).vectors)


def test_a_part_with_its_own_rarity_can_be_mixed_from_taken_and_fresh(store: TokenStore) -> None:
    mixed = TokenStore.build(EMBEDDER.dim, [store.take(1), made(TEXTS[2])])
    late = mixed.late(EMBEDDER.query_tokens("refund week"), np.arange(2))
    assert late.whole.argmax() == 1


def test_what_is_saved_is_loaded_the_same(store: TokenStore, tmp_path: Path) -> None:
    store.save(tmp_path)
    loaded = TokenStore.load(tmp_path)
    assert len(loaded) == len(store) == 6
    query = EMBEDDER.query_tokens("reset my parcel")
    assert np.array_equal(
        loaded.late(query, np.arange(6)).asked, store.late(query, np.arange(6)).asked
    )
    assert np.array_equal(loaded.take(0).vectors, store.take(0).vectors)


def test_parts_that_disagree_are_refused(store: TokenStore, tmp_path: Path) -> None:
    store.save(tmp_path)
    np.save(tmp_path / "scales.npy", np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="offsets"):
        TokenStore.load(tmp_path)


def test_passages_are_consumed_one_at_a_time() -> None:
    alive = 0

    def stream() -> Iterator[list[TokenVectors]]:
        nonlocal alive
        for text in ("one", "two", "three"):
            alive += 1
            yield made([text])
            alive -= 1
            assert alive == 0

    assert len(TokenStore.build(EMBEDDER.dim, stream())) == 3


def test_a_store_of_nothing_is_saved_and_loaded(tmp_path: Path) -> None:
    TokenStore.build(EMBEDDER.dim, []).save(tmp_path)
    assert len(TokenStore.load(tmp_path)) == 0
