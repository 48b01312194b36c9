"""Numbers what a reply cites: `[n]` in the text, one citation per passage, 1 to n as they appear.

Knows Markdown and passages; does not know whether a claim is true.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bot.types import Citation
from knowledge.types import Passage

MARKER = re.compile(r"\s?\[(\d{1,3})\](?!\()")


class Citer:
    """Hands out numbers in the order of first use and remembers what each stands for."""

    def __init__(self) -> None:
        self._citations: dict[str, Citation] = {}

    def number(self, passage: Passage, quote: str = "") -> int:
        """The number of this passage; a new one gets the next."""
        known = self._citations.get(passage.id)
        if known is None:
            known = Citation(
                number=len(self._citations) + 1,
                passage_id=passage.id,
                title=passage.title,
                source=passage.source,
                url=passage.url,
                anchor=passage.anchor,
                quote=quote,
            )
            self._citations[passage.id] = known
        return known.number

    @property
    def citations(self) -> tuple[Citation, ...]:
        """Everything cited so far, by number."""
        return tuple(self._citations.values())


def mark(text: str, number: int) -> str:
    """`text` with `[number]` at its end: after the last line, or below a table or code block."""
    last = text.rsplit("\n", 1)[-1].strip()
    if last.startswith(("|", "```", "~~~")) or last.endswith("|"):
        return f"{text}\n\n[{number}]"
    return f"{text} [{number}]"


def renumber(
    text: str, passages: Sequence[Passage], quotes: Mapping[str, str], citer: Citer
) -> str:
    """Bring a model's markers into order of appearance and drop those that point nowhere.

    `passages` are what the model was given as 1, 2, …; `quotes` are the words, by passage id,
    that carry its claims.
    """

    def replaced(found: re.Match[str]) -> str:
        given = int(found.group(1))
        if not 1 <= given <= len(passages):
            return ""
        passage = passages[given - 1]
        return f" [{citer.number(passage, quotes.get(passage.id, ''))}]"

    return MARKER.sub(replaced, text)
