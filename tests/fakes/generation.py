"""An engine that says what a test wrote down, and an `Generator` that holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from bot.errors import EngineDown
from bot.types import Engine, Limits, Token, Turn


@dataclass
class SaysEngine:
    """Streams `text` word by word; `breaks_after` words it goes down, `holds_after` it waits."""

    text: str
    model: str = "says-v1"
    breaks_after: int | None = None
    holds_after: int | None = None
    seen: list[Sequence[Turn]] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    closed: int = 0

    async def stream(
        self, turns: Sequence[Turn], model: str, limits: Limits
    ) -> AsyncIterator[Token]:
        self.seen.append(turns)
        try:
            for number, word in enumerate(self.text.split(" ")):
                if number == self.breaks_after:
                    raise EngineDown("The engine went away.", "It is being restarted.")
                if number == self.holds_after:
                    self.held.set()
                    await asyncio.Event().wait()
                yield Token(word if number == 0 else f" {word}", self.model)
        finally:
            self.closed += 1


@dataclass
class Serving:
    """A `Generator` that never changes."""

    engine: Engine | None
    model: str = "says"


@dataclass
class Shown:
    """A sink that remembers."""

    statuses: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    async def status(self, text: str) -> None:
        self.statuses.append(text)

    async def append(self, delta: str) -> None:
        self.pieces.append(delta)

    @property
    def text(self) -> str:
        return "".join(self.pieces)
