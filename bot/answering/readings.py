"""Which reading of a message the knowledge answers best: alone, or leaning on what came before.

Knows readings and what the search found for each. Does not search, and never decides whether to
answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.answering.understand import Part
from bot.words.followup import Candidate, Lean
from bot.words.lexicon import content
from knowledge.types import Hit, Hits

# What makes one reading better than another, beside the search's confidence.
NEW, CARRIED = 0.2, 0.1  # share of its own words, and of the words carried over, that are found
ALONE = {Lean.NONE: 0.0, Lean.WEAK: 0.05, Lean.NAMES: -0.1, Lean.STRONG: -0.3}  # without context
# What is left of a reading's confidence if its best passage says nothing of what is new, while
# another reading's does. What is new in "do they get any?" names nothing and tells little.
OLD = {Lean.NONE: 0.0, Lean.WEAK: 0.2, Lean.NAMES: 0.2, Lean.STRONG: 0.5}
UNSPOKEN = 0.5  # … and while none does; a message that could stand alone then does
LOOKED_AT = 3  # hits
TELLING = 3.0  # a word with a digit in it (E07, 2026) says as much as so many others


@dataclass(frozen=True, slots=True)
class Read:
    """One part of a message with the reading of it that the knowledge answers best."""

    part: Part
    reading: Candidate
    hits: Hits
    answered: bool

    @property
    def query(self) -> str:
        """What was searched for."""
        return self.reading.text

    @property
    def focus(self) -> str:
        """What of the query is new; empty where all of it is."""
        return "" if self.reading.alone else self.part.text


def best_reading(part: Part, readings: Sequence[Candidate], found: Sequence[Hits]) -> int:
    """The row of the reading to go on with; `found` holds each one's hits."""
    new = set(content(part.text))
    carried = {word for one in readings for word in content(one.text)} - new
    tops = [_share(new, _words(hits.hits[0])) if hits.hits else 0.0 for hits in found]
    spoken = max(tops)

    def fit(row: int) -> tuple[float, int]:
        """How well a reading is answered: by what was asked now, and by what it leans on.

        One passage has to hold both: a passage on the old topic beside one on the new says that
        the topic has changed.
        """
        hits, reading = found[row], readings[row]
        both = max(
            (
                NEW * _share(new, words) + CARRIED * _share(carried, words)
                for words in map(_words, hits.hits[:LOOKED_AT])
            ),
            default=0.0,
        )
        if reading.alone:
            return hits.confidence + both + ALONE[reading.lean], -row
        # The old question carried over finds its old answer with ease, and is sure of it: what
        # counts is whether its best passage speaks of what is new, if any reading's does.
        if reading.lean is Lean.WEAK and not tops[row]:
            return 0.0, -row
        old = OLD[reading.lean]
        kept = old + (1 - old) * tops[row] / spoken if spoken else UNSPOKEN
        return hits.confidence * kept + both, -row

    return max(range(len(readings)), key=fit)


def _share(asked: set[str], words: set[str]) -> float:
    total = sum(map(_weight, asked))
    return sum(map(_weight, asked & words)) / total if asked else 1.0


def _weight(word: str) -> float:
    return TELLING if any(char.isdigit() for char in word) else 1.0


def _words(hit: Hit) -> set[str]:
    one = hit.passage
    return set(content(" ".join((*one.title_path, one.question, one.text))))
