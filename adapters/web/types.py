"""What the composition root hands to the web door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from knowledge.types import Passage


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether questions can be answered. No `problems` means ready; `detail` is shown beside."""

    problems: tuple[str, ...] = ()
    detail: Mapping[str, str] = field(default_factory=dict)  # e.g. {"engine": "quoting"}


class Library(Protocol):
    """What the page shows of the knowledge beside answers."""

    async def questions(self, limit: int, lang: str) -> Sequence[str]:
        """Return questions worth suggesting that customers may read, `lang` first if known."""
        ...

    async def passage(self, passage_id: str) -> Passage | None:
        """Return a passage of the index in use, of any audience; None when it is gone."""
        ...
