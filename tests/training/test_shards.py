"""Packing loses nothing, shows everything once an epoch, and does not depend on how it is cut."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bot.types import Turn
from training import shards
from training.corpus import Document
from training.errors import DataMissing, ShardCorrupt
from training.shards import Shards, Windows, ids_of
from training.tokenizer import END_OF_TEXT, Encoder, train

ENCODER = Encoder(train(["plain words in a row, some of them twice in a row"], 400))
DOCUMENTS = st.lists(st.text(min_size=1, max_size=40), min_size=2, max_size=12)


def written(folder: Path, texts: Sequence[str], shard_tokens: int = 1 << 20) -> Shards:
    documents = [Document("test", str(place), text) for place, text in enumerate(texts)]
    shards.write(
        folder,
        {"train": documents, "held": documents[:1]},
        ENCODER,
        400,
        shard_tokens=shard_tokens,
    )
    return Shards(folder, "train")


def stream(texts: Sequence[str]) -> list[int]:
    return [one for text in texts for one in ids_of(Document("test", "", text), ENCODER)]


@settings(max_examples=40, deadline=None)
@given(DOCUMENTS, st.integers(1, 30), st.integers(1, 9), st.integers(0, 5))
def test_every_epoch_shows_every_window_once(
    texts: list[str], shard_tokens: int, context: int, seed: int
) -> None:
    whole = stream(texts)
    assume(len(whole) > context)
    with tempfile.TemporaryDirectory() as folder:
        found = written(Path(folder), texts, shard_tokens)
        assert found.read(0, len(whole) + 5).tolist() == whole
        assert found.part.text_bytes == sum(len(text.encode()) for text in texts)
        windows = Windows(found, context, seed)
        for epoch in (0, 1):
            batch = windows.batch(epoch * len(windows), len(windows))
            expected = [
                whole[one * context : one * context + context + 1] for one in range(len(windows))
            ]
            assert sorted(batch.tolist()) == sorted(expected)


@settings(max_examples=20, deadline=None)
@given(DOCUMENTS, st.integers(1, 30), st.integers(0, 50))
def test_a_batch_depends_on_seed_and_place_alone(
    texts: list[str], shard_tokens: int, first: int
) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        cut = Windows(written(Path(one), texts, shard_tokens), 2, seed=7)
        whole = Windows(written(Path(other), texts), 2, seed=7)
        whole.batch(first + 100, 3)  # what was asked before makes no difference
        assert np.array_equal(cut.batch(first, 4), whole.batch(first, 4))
        together = cut.batch(first, 4)
        assert np.array_equal(together[2:], cut.batch(first + 2, 2))


def test_documents_end_with_a_token_of_their_own_and_chats_with_their_turns() -> None:
    end = ENCODER.special(END_OF_TEXT)
    turns = (Turn("user", f"Is it open? {END_OF_TEXT}"), Turn("assistant", "Yes."))
    ids = ids_of(Document("test", "", turns=turns), ENCODER)
    assert ids[-1] == end
    assert ids.count(end) == 1, "what a person types ends no document"


def test_an_unreadable_manifest_and_too_little_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="no token shards"):
        Shards(tmp_path, "train")
    with pytest.raises(DataMissing, match="less than one window"):
        Windows(written(tmp_path, ["a"]), 100)
    (tmp_path / shards.MANIFEST).write_text("{")
    with pytest.raises(ShardCorrupt, match="not readable"):
        Shards(tmp_path, "train")


def test_perplexity_per_byte_does_not_depend_on_the_tokens_size(tmp_path: Path) -> None:
    found = written(tmp_path, ["some words in a row"])
    one = shards.per_byte(2.0, found.part)
    halves = shards.Part((shards.Shard("x", 2 * len(found), ""),), 1, found.part.text_bytes)
    assert shards.per_byte(1.0, halves) == pytest.approx(one)


def test_the_unigram_floor_is_the_entropy_of_what_is_counted(tmp_path: Path) -> None:
    found = written(tmp_path, ["a" * 3000 + "b" * 3000])
    # Pairs may have merged, so the floor is compared with counts made here.
    counts = found.counts(400) + 1
    part = counts / counts.sum()
    expected = -(found.counts(400) / len(found) * np.log(part)).sum()
    assert shards.unigram_nats(found, found, 400) == pytest.approx(expected)
