"""What batching and decoding say to each other: requests, news of them, and what a decoder is.

Knows token ids; does not know models or how they are run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from bot.engine.copying import CopySource
from bot.engine.sampling import Sampling
from bot.errors import EngineDown


@dataclass(eq=False)
class Generation:
    """One answer being made: iterate for new token ids, `cancel` to stop early."""

    id: str
    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling
    adapter: str
    cancel: Callable[[], None]
    copying: CopySource | None = None  # what to help it copy from
    tokens: list[int] = field(default_factory=list)
    before: int = 0  # how many of them an earlier attempt made, before memory ran out
    news: asyncio.Queue[list[int] | EngineDown | None] = field(default_factory=asyncio.Queue)

    async def __aiter__(self) -> AsyncIterator[list[int]]:
        """New ids, as they come. Raises `EngineDown` when the engine broke."""
        while (new := await self.news.get()) is not None:
            if isinstance(new, EngineDown):
                raise new
            yield new


@dataclass(frozen=True, slots=True)
class News:
    """What one step brought one request: tokens, its end, or what went wrong."""

    id: str
    tokens: Sequence[int] = ()
    done: bool = False
    error: str = ""


Deliver = Callable[[list[News]], None]
"""Takes the news of one step; called from the decoder's own thread."""


class Decoder(Protocol):
    """Decodes what it is given, in a thread of its own. Everything here is called from others."""

    mixes: bool
    """Whether requests for different adapters run together. If not, whoever uses the decoder
    makes the right one active, while nothing runs."""
    steers: bool
    """Whether repetition penalties and copying are heeded."""

    @property
    def error(self) -> BaseException | None:
        """What ended the thread; None while it lives, or when it was stopped."""
        ...

    @property
    def alive(self) -> bool:
        """Whether the thread is decoding, or would."""
        ...

    @property
    def resting(self) -> bool:
        """Whether nothing is in the batch, cancelled requests included."""
        ...

    def add(self, request: Generation) -> bool:
        """Begin a request; False when the thread is dead. Never waits."""
        ...

    def cancel(self, name: str) -> None:
        """End a request at the next step, without news."""
        ...

    def pause(self) -> AbstractContextManager[None]:
        """Hold the decoding between two steps."""
        ...

    def forget(self, adapter: str | None = None) -> None:
        """Drop kept prefixes and what is known of an adapter; None: of all. Only in a pause."""
        ...

    def stop(self, timeout_s: float) -> None:
        """End the thread; what is unfinished gets no more news."""
        ...
