"""Pictures sent together arrive one by one; here they become one message again.

Knows messages that name an album. How long to wait is a guess that fits what Telegram does:
the parts of an album follow each other within a fraction of a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from adapters.telegram.places import Said, of_album

WAIT_S = 0.5


class Albums:
    """Collects; `done` gets each album once."""

    def __init__(self, done: Callable[[Said], Awaitable[None]], wait_s: float = WAIT_S) -> None:
        self._done = done
        self._wait_s = wait_s
        self._open: dict[tuple[int, str], tuple[list[Said], asyncio.Task[None]]] = {}

    def add(self, one: Said) -> asyncio.Future[None]:
        """Take a part; the future is done when the whole album is dealt with."""
        key = one.chat, one.album
        found = self._open.get(key)
        if found is None:
            parts: list[Said] = []
            found = self._open[key] = parts, asyncio.create_task(self._close(key, parts))
        found[0].append(one)
        return asyncio.shield(found[1])

    async def _close(self, key: tuple[int, str], parts: list[Said]) -> None:
        await asyncio.sleep(self._wait_s)
        del self._open[key]
        await self._done(of_album(parts))
