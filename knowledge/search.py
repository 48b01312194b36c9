"""Hybrid search: words, meanings and words in context, weighed into one order.

Knows how candidates are gathered from one audience's view and scored in two stages, and turns
the evidence for the best of them into a probability that the query is answered here. Does not
know what is done with the hits, nor how the index is stored.

First stage: cosines of the question and answer vectors, and BM25 coverage of words and
character n-grams. Second stage: late interaction over token vectors, for the best few.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from knowledge import scoring
from knowledge.embed import Embedder, TokenVectors
from knowledge.errors import KnowledgeError
from knowledge.index import IndexFolder, OpenIndex, View
from knowledge.lexical import best
from knowledge.scoring import Scoring
from knowledge.types import Hit, Hits, Query

FloatArray = npt.NDArray[np.float32]
RowArray = npt.NDArray[np.int64]

GATHER = 40  # candidates each kind of evidence may name
SECOND = 30  # candidates that get the second look
THREADS = 2  # more searches at once only wait for the same cores


class HybridRetriever:
    """Searches the current index; safe to call from any number of tasks.

    `problems` says what was wrong with newer versions when an older one had to be opened.
    """

    def __init__(self, folder: IndexFolder, embedder: Embedder) -> None:
        """Raises `IndexMissing`, `IndexCorrupt`, `EmbedderMismatch` when nothing can be used."""
        opened = folder.open_best(embedder)
        self.problems: tuple[KnowledgeError, ...] = opened.problems
        self._folder = folder
        self._embedder = embedder
        self._scoring = scoring.default()
        self._index = opened.index
        self._refused = folder.current_version() if opened.problems else None
        self._refreshing = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="search")

    @property
    def version(self) -> str:
        """The index version that new searches use."""
        return self._index.version

    def refresh(self) -> bool:
        """Take up a newer current version; True if there was one. Blocks while it is verified.

        Searches that run meanwhile finish on the version they began with. Raises what
        `IndexFolder.open` raises, once per unusable version; the old one then stays in use.
        """
        with self._refreshing:
            current = self._folder.current_version()
            if current is None or current in {self._index.version, self._refused}:
                return False
            self._refused = current
            self._index = self._folder.open(current, self._embedder)
            self._refused = None
            self.problems = ()
            return True

    async def search(self, query: Query) -> Hits:
        """At most `query.limit` passages that `query.audience` may read, best first."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._search, query)

    def close(self) -> None:
        """Let go of the threads. Searches already begun finish."""
        self._pool.shutdown(wait=False)

    def _search(self, query: Query) -> Hits:
        index = self._index  # read once: a swap may happen at any moment
        return search(index, self._embedder, query, self._scoring)


def search(index: OpenIndex, embedder: Embedder, query: Query, weights: Scoring) -> Hits:
    """Search one opened index, on this thread."""
    view = index.view(query.audience)
    began = time.perf_counter()
    tokens = embedder.query_tokens(query.text)
    embedded = time.perf_counter()
    rows, evidence = gather(view, query.text, tokens)
    first = weights.rank_first(evidence)
    keep = best(first - first.min() + 1.0, SECOND)[0] if len(first) else np.empty(0, np.int64)
    rows, evidence = rows[keep], {name: values[keep] for name, values in evidence.items()}
    gathered = time.perf_counter()
    late = view.tokens.late(tokens, rows)
    evidence |= {f"late_{name}": values for name, values in asdict(late).items()}
    scores = weights.rank(evidence)
    order = np.argsort(-scores, kind="stable")[: max(0, query.limit)]
    hits = tuple(
        Hit(
            view.passages[int(rows[place])],
            float(scores[place]),
            {name: float(values[place]) for name, values in evidence.items()},
        )
        for place in order
    )
    confidence = _confidence(scores, evidence, weights)
    done = time.perf_counter()
    timings = {
        "embed": (embedded - began) * 1e3,
        "first": (gathered - embedded) * 1e3,
        "second": (done - gathered) * 1e3,
    }
    return Hits(hits, confidence, index.version, timings)


def gather(view: View, text: str, tokens: TokenVectors) -> tuple[RowArray, dict[str, FloatArray]]:
    """Candidates of the first stage, as rows in ascending order, with their evidence."""
    words, grams = view.lexical.words(text), view.lexical.grams(text)
    named = [view.dense(field, tokens.pooled, GATHER)[0] for field in ("question", "answer")]
    named += [
        best(scores, GATHER)[0]
        for scores in (words.question, words.whole, grams.question, grams.whole)
    ]
    rows = np.unique(np.concatenate(named)).astype(np.int64)
    return rows, {
        "question": view.dense_at("question", tokens.pooled, rows),
        "answer": view.dense_at("answer", tokens.pooled, rows),
        "words_question": words.question[rows],
        "words_whole": words.whole[rows],
        "grams_question": grams.question[rows],
        "grams_whole": grams.whole[rows],
    }


def _confidence(scores: FloatArray, evidence: dict[str, FloatArray], weights: Scoring) -> float:
    if not len(scores):
        return 0.0
    top = int(np.argmax(scores))
    others = np.delete(scores, top)
    margin = float(scores[top] - others.max()) if len(others) else 0.0
    known = {name: float(values[top]) for name, values in evidence.items()}
    return weights.confidence(known | {"margin": margin})
