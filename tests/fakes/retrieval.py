"""A `Retriever` over a handful of passages in memory, with real vectors.

Cosine of question and text, plus the share of the query's words found, squashed to [0, 1]:
enough to behave like the real search on a small folder, with nothing on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log

from bot.words.lexicon import content
from knowledge.embed import Embedder
from knowledge.types import Hit, Hits, Passage, Query


@dataclass
class MemoryRetriever:
    """Searches `passages`; `queries` remembers what was asked of it."""

    passages: Sequence[Passage]
    embedder: Embedder
    version: str = "memory-1"
    queries: list[Query] = field(default_factory=list)

    def __post_init__(self) -> None:
        heads = [" ".join((*one.title_path, one.question)) for one in self.passages]
        self._heads = self.embedder.encode(heads)
        self._bodies = self.embedder.encode(
            [f"{head}\n{one.text}" for head, one in zip(heads, self.passages, strict=True)]
        )
        self._words = [
            frozenset(content(f"{head} {one.text}"))
            for head, one in zip(heads, self.passages, strict=True)
        ]

    async def search(self, query: Query) -> Hits:
        self.queries.append(query)
        return await asyncio.to_thread(self._search, query)

    def _search(self, query: Query) -> Hits:
        vector = self.embedder.encode_query(query.text)
        heads, bodies = self._heads @ vector, self._bodies @ vector
        asked = set(content(query.text))
        rarity = {
            word: log(1 + len(self.passages) / (1 + sum(word in have for have in self._words)))
            for word in asked
        }
        total = sum(rarity.values()) or 1.0
        scored = []
        for row, passage in enumerate(self.passages):
            if not query.audience.may_read(passage.audience):
                continue
            covered = sum(rarity[word] for word in asked & self._words[row]) / total
            near = max(float(heads[row]), float(bodies[row]))
            score = 0.4 * float(heads[row]) + 0.4 * float(bodies[row]) + 0.35 * covered
            scored.append(Hit(passage, score, {"cosine": near, "words": covered}))
        scored.sort(key=lambda hit: -hit.score)
        hits = tuple(scored[: query.limit])
        top = hits[0].score if hits else 0.0
        return Hits(hits, 1 / (1 + exp(-14 * (top - 0.52))), self.version)
