"""The search beside BM25 alone and the embedding alone, on every query set.

    python -m benchmarks.retrieval_quality [--data ../shared/data] [--work FOLDER] [--questions N]

One setting for all sets. Prints a Markdown table of Hit@1, Hit@3 and MRR@10.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from tempfile import gettempdir

import numpy as np

from knowledge.embed import load_embedder
from knowledge.errors import DeskhandError
from knowledge.index import IndexFolder
from knowledge.search import HybridRetriever
from training import retrieval_sets
from training.evaluate_retrieval import (
    BM25,
    BM25_QUESTION,
    DENSE,
    DENSE_ANSWER,
    DENSE_QUESTION,
    HYBRID,
    Asked,
    Report,
    measure,
    plain_name,
    report,
)
from training.retrieval_sets import ENGLISH, MULTILINGUAL, QuerySet

SINGLES = (BM25, BM25_QUESTION, DENSE, DENSE_QUESTION, DENSE_ANSWER)


def measured(queries: QuerySet, folder: Path, questions: int) -> Report:
    """Index one set, or take up its index, and ask a random `questions` of it."""
    embedder = load_embedder("all-MiniLM-L6-v2")
    index = IndexFolder(folder)
    index.build(queries.passages, embedder)
    retriever = HybridRetriever(index, embedder)
    asked = [
        Asked(one.text, frozenset(plain_name(name) for name in one.gold), one.lang)
        for one in queries.sample(questions).cases
    ]
    try:
        places = asyncio.run(measure(retriever, embedder, asked))
    finally:
        retriever.close()
    return report(places, [one.lang for one in asked], len(queries.passages), 0)


def main() -> None:
    """Measure every set and print the table."""
    parser = argparse.ArgumentParser(description="Measure the search on every query set.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path(gettempdir()) / "deskhand-retrieval")
    parser.add_argument("--questions", type=int, default=500, help="most questions of a set")
    given = parser.parse_args()
    folder = given.data / "retrieval"
    heads = "".join(f" {name} |" for name in SINGLES)
    print(f"| set | passages | n | hybrid Hit@1 (95 %) | Hit@3 | MRR@10 |{heads}")
    print("|---" * (6 + len(SINGLES)) + "|")
    gains: list[float] = []
    try:
        for name in (*ENGLISH, *MULTILINGUAL):
            multilingual = name in MULTILINGUAL
            queries = (retrieval_sets.across if multilingual else retrieval_sets.load)(
                folder / name
            )
            where = given.work / (f"{name}_en" if multilingual else name)
            found = measured(queries, where, given.questions)
            ours = found.systems[HYBRID]
            cells = [f"{found.systems[one].hit1:.3f}" for one in SINGLES]
            print(
                f"| {queries.name} | {found.passages} | {ours.n} | {ours.hit1:.3f} "
                f"({ours.low:.3f}–{ours.high:.3f}) | {ours.hit3:.3f} | {ours.mrr10:.3f} | "
                + " | ".join(cells)
                + " |",
                flush=True,
            )
            if not multilingual:
                gains.append(found.lead[0])
    except DeskhandError as error:
        sys.exit(str(error))
    print(
        f"\nEnglish sets: mean lead over the better of BM25 and embedding "
        f"{100 * np.mean(gains):+.1f} points of Hit@1, least {100 * min(gains):+.1f}."
    )


if __name__ == "__main__":
    main()
