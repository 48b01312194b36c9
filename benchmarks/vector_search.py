"""Vector search: our index kinds against a raw FAISS flat index.

    python -m benchmarks.vector_search [--sizes 1000 10000 100000] [--rounds 7] [--all-kinds]

Vectors are synthetic: 384 numbers, in groups as embeddings are. Each query is searched both
ways in turns, on one OpenMP thread; p50 and p99 over all queries, and recall of the flat
index's ten nearest. `--all-kinds` also measures the kinds that a size would not choose.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np

from knowledge.vectors import FloatArray, Kind, Sizes, VectorIndex, kind_for

DIM = 384
FORCED = {
    Kind.EXACT: Sizes(exact=10**9),
    Kind.GRAPH: Sizes(exact=0, graph=10**9),
    Kind.LISTS: Sizes(exact=0, graph=0),
}


def unit(vectors: FloatArray) -> FloatArray:
    """Rows of length 1."""
    scaled: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def clustered(count: int, queries: int) -> tuple[FloatArray, FloatArray]:
    """Vectors in groups of fifty, and queries near some of them."""
    random = np.random.default_rng(count)
    centres = random.standard_normal((max(1, count // 50), DIM), np.float32)
    vectors = centres[random.integers(0, len(centres), count)]
    vectors = unit(vectors + random.standard_normal((count, DIM), np.float32) * np.float32(0.7))
    near = vectors[random.integers(0, count, queries)]
    noise = random.standard_normal((queries, DIM), np.float32) * np.float32(0.03)
    return vectors, unit(near + noise)


def measure(kind: Kind, vectors: FloatArray, queries: FloatArray, rounds: int) -> str:
    """One table row."""
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "v.faiss"
        VectorIndex.build(vectors, FORCED[kind]).save(file)
        built = time.perf_counter() - began
        began = time.perf_counter()
        ours = VectorIndex.load(file)
        opened = (time.perf_counter() - began) * 1e3
        raw_ms, our_ms, hits = [], [], 0
        for _ in range(rounds):
            for query in queries:
                began = time.perf_counter()
                _, right = flat.search(query[None], 10)
                middle = time.perf_counter()
                rows, _ = ours.search(query, 10)
                our_ms.append((time.perf_counter() - middle) * 1e3)
                raw_ms.append((middle - began) * 1e3)
                hits += len(set(right[0].tolist()) & set(rows.tolist()))
    raw50, raw99 = np.percentile(raw_ms, [50, 99])
    our50, our99 = np.percentile(our_ms, [50, 99])
    recall = hits / (10 * rounds * len(queries))
    return (
        f"| {len(vectors):,} | {kind} | {raw50:.2f} / {raw99:.2f} | {our50:.2f} / {our99:.2f} | "
        f"{our50 / raw50:.2f} / {our99 / raw99:.2f} | {recall:.3f} | {built:.1f} | {opened:.1f} |"
    )


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--queries", type=int, default=50, help="per round")
    parser.add_argument("--all-kinds", action="store_true")
    given = parser.parse_args()
    faiss.omp_set_num_threads(1)
    print("| vectors | kind | flat float32 ms p50 / p99 | ours ms p50 / p99 | ours ÷ flat | "
          "recall@10 | build and save s | open ms |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for size in given.sizes:
        vectors, queries = clustered(size, given.queries)
        for kind in Kind if given.all_kinds else [kind_for(size, Sizes())]:
            print(measure(kind, vectors, queries, given.rounds), flush=True)


if __name__ == "__main__":
    main()
