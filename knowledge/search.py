"""Hybrid search: words, meanings and words in context, weighed into one order.

Knows how candidates are gathered from one audience's view and scored in two stages, and turns
the evidence for the best of them into a probability that the query is answered here. Does not
know what is done with the hits, nor how the index is stored.

First stage: cosines of the question and answer vectors, BM25 coverage of words and character
n-grams, and codes held. Second stage: late interaction over token vectors, for the best few.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from knowledge import scoring
from knowledge.embed import Embedder, TokenVectors
from knowledge.errors import KnowledgeError
from knowledge.index import IndexFolder, OpenIndex, View
from knowledge.lexical import QUERY_CHARS, Coverage, best
from knowledge.scoring import Evidence, Scoring
from knowledge.types import Hit, Hits, Query

FloatArray = npt.NDArray[np.float32]
RowArray = npt.NDArray[np.int64]

GATHER = 40  # candidates each kind of evidence may name
SECOND = 30  # candidates that get the second look
LATIN = "\u024f"  # the last letter of the Latin alphabet and its common extensions
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

    @property
    def index(self) -> OpenIndex:
        """The opened index that new searches use."""
        return self._index

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


@dataclass(frozen=True, slots=True)
class Examined:
    """What one query found in one view, before anything is shown: candidates by row.

    `evidence` holds (m,) numbers per candidate, `facts` numbers about the query itself.
    """

    rows: RowArray
    evidence: Evidence
    facts: Mapping[str, float]


def search(index: OpenIndex, embedder: Embedder, query: Query, weights: Scoring) -> Hits:
    """Search one opened index, on this thread."""
    view = index.view(query.audience)
    began = time.perf_counter()
    tokens = embedder.query_tokens(query.text)
    embedded = time.perf_counter()
    few = shortlist(gather(view, query.text, tokens), weights, SECOND)
    gathered = time.perf_counter()
    seen = look_again(view, tokens, few)
    scores = weights.rank(seen.evidence, seen.facts)
    order = np.argsort(-scores, kind="stable")
    hits = tuple(
        Hit(
            view.passages[int(seen.rows[place])],
            float(scores[place]),
            {name: float(values[place]) for name, values in seen.evidence.items()},
        )
        for place in order[: max(0, query.limit)]
    )
    confidence = weights.confidence(scores, seen.evidence, seen.facts)
    done = time.perf_counter()
    timings = {
        "embed": (embedded - began) * 1e3,
        "first": (gathered - embedded) * 1e3,
        "second": (done - gathered) * 1e3,
    }
    return Hits(hits, confidence, index.version, timings)


def gather(view: View, text: str, tokens: TokenVectors) -> Examined:
    """Candidates of the first stage: the best by each kind of evidence, with all of it."""
    words, grams = view.lexical.words(text), view.lexical.grams(text)
    codes = view.lexical.codes(text)
    named = [view.dense(field, tokens.pooled, GATHER)[0] for field in ("question", "answer")]
    named += [
        best(scores, GATHER)[0]
        for scores in (words.question, words.whole, grams.question, grams.whole, codes)
    ]
    rows = np.unique(np.concatenate(named)).astype(np.int64)
    evidence = {
        "question": view.dense_at("question", tokens.pooled, rows),
        "answer": view.dense_at("answer", tokens.pooled, rows),
        "words_question": words.question[rows],
        "words_whole": words.whole[rows],
        "grams_question": grams.question[rows],
        "grams_whole": grams.whole[rows],
        "codes": codes[rows],
    }
    return Examined(rows, evidence, query_facts(text, words, grams, len(view.passages)))


def query_facts(text: str, words: Coverage, grams: Coverage, passages: int) -> dict[str, float]:
    """Numbers about a query in this knowledge.

    `script` is the share of letters outside the Latin alphabet: there the default embedding
    model sees little, and words count for more.
    """
    letters = [letter for letter in text[:QUERY_CHARS] if letter.isalpha()]
    return {
        "script": sum(letter > LATIN for letter in letters) / max(1, len(letters)),
        "length": math.log1p(words.count),
        "rarity": words.known / max(1, words.count),
        "known_words": words.known / max(1e-6, words.known + words.unknown),
        "known_grams": grams.known / max(1e-6, grams.known + grams.unknown),
        "passages": math.log(max(1, passages)),
    }


def shortlist(found: Examined, weights: Scoring, count: int) -> Examined:
    """The `count` best of the first stage."""
    scores = weights.rank_first(found.evidence, found.facts)
    keep = np.sort(np.argsort(-scores, kind="stable")[:count])
    evidence = {name: values[keep] for name, values in found.evidence.items()}
    return Examined(found.rows[keep], evidence, found.facts)


def look_again(view: View, tokens: TokenVectors, found: Examined) -> Examined:
    """Add the second stage's evidence: late interaction over token vectors."""
    late = asdict(view.tokens.late(tokens, found.rows))
    return Examined(
        found.rows,
        {**found.evidence, **{f"late_{name}": values for name, values in late.items()}},
        found.facts,
    )
