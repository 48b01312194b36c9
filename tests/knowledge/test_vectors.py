from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from knowledge.errors import IndexUnwritable
from knowledge.index import IndexFolder
from knowledge.types import Audience, Passage
from knowledge.vectors import FloatArray, Kind, Sizes, VectorIndex, kind_for
from tests.fakes.embedder import WordEmbedder

KINDS = {
    Kind.EXACT: Sizes(),
    Kind.GRAPH: Sizes(exact=10, graph=10_000),
    Kind.LISTS: Sizes(exact=10, graph=10),
}


def clustered(count: int, dim: int = 48, seed: int = 0) -> FloatArray:
    """Unit vectors in groups, as embeddings are."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((max(1, count // 40), dim))
    made = centres[random.integers(0, len(centres), count)]
    made = made + random.standard_normal((count, dim)) * 0.6
    unit: FloatArray = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.mark.parametrize(
    ("count", "kind"),
    [
        (0, Kind.EXACT),
        (100_000, Kind.EXACT),
        (100_001, Kind.GRAPH),
        (250_000, Kind.GRAPH),
        (250_001, Kind.LISTS),
        (50_000_000, Kind.LISTS),
    ],
)
def test_the_kind_of_index_follows_the_number_of_vectors(count: int, kind: Kind) -> None:
    assert kind_for(count, Sizes()) is kind


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_finds_the_nearest_and_survives_the_disk(kind: Kind, tmp_path: Path) -> None:
    vectors = clustered(3000)
    assert kind_for(len(vectors), KINDS[kind]) is kind
    VectorIndex.build(vectors, KINDS[kind]).save(tmp_path / "v.faiss")
    index = VectorIndex.load(tmp_path / "v.faiss")
    assert (index.count, index.dim) == (3000, 48)
    hits = 0
    for query in clustered(50, seed=1):
        right = set(np.argsort(-(vectors @ query))[:10].tolist())
        rows, sims = index.search(query, 10)
        hits += len(right & set(rows.tolist()))
        assert (np.diff(sims) <= 0).all()
        assert np.allclose(sims, vectors[rows] @ query, atol=2e-3)
    assert hits / 500 >= (0.99 if kind is Kind.EXACT else 0.95)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_gives_back_the_vectors_of_its_rows(kind: Kind, tmp_path: Path) -> None:
    vectors = clustered(500)
    VectorIndex.build(vectors, KINDS[kind]).save(tmp_path / "v.faiss")
    index = VectorIndex.load(tmp_path / "v.faiss")
    rows = np.array([499, 0, 7, 7, 123])
    assert np.allclose(index.at(rows), vectors[rows], atol=1e-3)
    assert index.at(np.empty(0, np.int64)).shape == (0, 48)


@pytest.mark.parametrize("kind", list(Kind))
def test_asking_for_more_than_there_is_gives_what_there_is(kind: Kind) -> None:
    index = VectorIndex.build(clustered(20), KINDS[kind])
    rows, sims = index.search(clustered(1)[0], 1000)
    assert len(rows) == len(sims) <= 20
    assert (rows >= 0).all()
    assert len(index.search(clustered(1)[0], 0)[0]) == 0


def test_no_vectors_at_all_are_an_index_too(tmp_path: Path) -> None:
    VectorIndex.build(np.empty((0, 8), np.float32), Sizes()).save(tmp_path / "v.faiss")
    rows, sims = VectorIndex.load(tmp_path / "v.faiss").search(np.ones(8, np.float32), 3)
    assert len(rows) == len(sims) == 0


def test_searching_leaves_the_number_of_threads_as_it_was() -> None:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        VectorIndex.build(clustered(20), Sizes()).search(clustered(1)[0], 3)
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)


def test_a_file_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with pytest.raises(IndexUnwritable, match=r"v\.faiss could not be written"):
        VectorIndex.build(clustered(5), Sizes()).save(tmp_path / "nowhere" / "v.faiss")


@pytest.mark.parametrize("kind", list(Kind))
def test_a_long_answer_is_found_by_any_of_its_parts_and_counts_once(
    kind: Kind, tmp_path: Path
) -> None:
    """Exact for every kind of index: `dense_at` agrees with a plain maximum over the windows."""
    embedder = WordEmbedder(window=6)
    passages = [
        Passage(
            " ".join(f"word{number * 100 + at}" for at in range(1 + number % 5 * 9)),
            f"{number}.md",
        )
        for number in range(60)
    ]
    folder = IndexFolder(tmp_path / "index", KINDS[kind])
    folder.build(passages, embedder)
    view = folder.open().view(Audience.CUSTOMER)
    assert view.vectors["answer"] > 2 * view.vectors["question"]
    tail = embedder.encode_query("word433 word434 word435 word436")  # the end of passage 4
    rows, sims = view.dense("answer", tail, 60)
    assert rows[0] == 4
    assert len(set(rows.tolist())) == len(rows)
    assert (np.diff(sims) <= 0).all()
    everything = np.arange(60)
    exact = np.array([(view.vectors_of(row)[1] @ tail).max() for row in range(60)])
    assert np.allclose(view.dense_at("answer", tail, everything), exact, atol=1e-6)
    assert np.allclose(view.dense_at("answer", tail, rows[:5]), sims[:5], atol=1e-4)
    shuffled = np.array([9, 3, 3, 50])
    assert np.allclose(view.dense_at("answer", tail, shuffled), exact[shuffled], atol=1e-6)
    assert view.dense_at("answer", tail, np.empty(0, np.int64)).shape == (0,)
    assert view.dense_at("question", tail, shuffled).shape == (4,)
