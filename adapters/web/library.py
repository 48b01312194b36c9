"""What the page shows of the index beside answers: questions to start with, passages in full.

Knows passages; does not know how they are found. The passages come from a callable, because
the index in use may be swapped at any time.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, zip_longest

from knowledge.types import Passage

_LONGEST = 90  # characters; a longer question does not read well on a button


class IndexLibrary:
    """`Library` over the passages that the page's audience may read."""

    def __init__(self, passages: Callable[[], Sequence[Passage]]) -> None:
        self._passages = passages
        self._seen: Sequence[Passage] = ()
        self._by_id: Mapping[str, Passage] = {}

    async def questions(self, limit: int, lang: str) -> Sequence[str]:
        """Return FAQ questions, taken in turn from each source; those in `lang` come first."""
        return await asyncio.to_thread(_questions, self._passages(), limit, lang)

    async def passage(self, passage_id: str) -> Passage | None:
        """Return a passage by its id, or None when the index in use has none."""
        passages = self._passages()
        if passages is not self._seen:
            self._by_id = await asyncio.to_thread(lambda: {each.id: each for each in passages})
            self._seen = passages
        return self._by_id.get(passage_id)


def _questions(passages: Sequence[Passage], limit: int, lang: str) -> list[str]:
    by_source: defaultdict[str, list[Passage]] = defaultdict(list)
    for passage in passages:
        if passage.question and len(passage.question) <= _LONGEST:
            by_source[passage.source].append(passage)
    in_turn = [p for p in chain.from_iterable(zip_longest(*by_source.values())) if p is not None]
    ordered = sorted(in_turn, key=lambda passage: passage.lang != lang)
    return list(dict.fromkeys(passage.question for passage in ordered))[:limit]
