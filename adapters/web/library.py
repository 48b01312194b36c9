"""What the page shows of the index beside answers: questions to start with, passages in full.

Knows passages; does not know how they are found. The passages come from a callable, because
the index in use may be swapped at any time; each index is looked through once.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest

from knowledge.types import Passage

_LONGEST = 90  # characters; a longer question does not read well on a button
_PER_SOURCE = 4  # questions looked at in one source and language
_KEPT = 32  # starters kept in one language


@dataclass(frozen=True, slots=True)
class _Catalogue:
    """One index, looked through: where each passage is, and what to suggest."""

    passages: Sequence[Passage] = ()
    rows: Mapping[str, int] = field(default_factory=dict)  # by passage id
    starters: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by language
    main_lang: str = ""  # of most questions


class IndexLibrary:
    """`Library` over the passages that the page's audience may read."""

    def __init__(self, passages: Callable[[], Sequence[Passage]]) -> None:
        self._passages = passages
        self._catalogue = _Catalogue()
        self._looking = asyncio.Lock()

    async def questions(self, limit: int, lang: str) -> Sequence[str]:
        """Return FAQ questions in `lang`, else in the language of most, from every source."""
        known = await self._look()
        return (known.starters.get(lang) or known.starters.get(known.main_lang, ()))[:limit]

    async def passage(self, passage_id: str) -> Passage | None:
        """Return a passage by its id, or None when the index in use has none."""
        known = await self._look()
        row = known.rows.get(passage_id)
        return None if row is None else await asyncio.to_thread(known.passages.__getitem__, row)

    async def _look(self) -> _Catalogue:
        async with self._looking:
            passages = self._passages()
            if passages is not self._catalogue.passages:
                self._catalogue = await asyncio.to_thread(_catalogue, passages)
            return self._catalogue


def _catalogue(passages: Sequence[Passage]) -> _Catalogue:
    """Read every passage once: about a second for 100,000."""
    rows: dict[str, int] = {}
    asked: Counter[str] = Counter()
    found: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row, passage in enumerate(passages):
        rows[passage.id] = row
        if passage.question and len(passage.question) <= _LONGEST:
            asked[passage.lang] += 1
            here = found[passage.lang][passage.source]
            if len(here) < _PER_SOURCE:
                here.append(passage.question)
    starters = {lang: _in_turn(sources.values()) for lang, sources in found.items()}
    main = asked.most_common(1)
    return _Catalogue(passages, rows, starters, main[0][0] if main else "")


def _in_turn(sources: Iterable[Sequence[str]]) -> list[str]:
    """The first of each source, then the second of each, without repetitions."""
    mixed = chain.from_iterable(zip_longest(*sources, fillvalue=""))
    return [question for question in dict.fromkeys(mixed) if question][:_KEPT]
