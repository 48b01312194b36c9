"""A bounded number of places, handed out fairly.

Knows who waits; does not know for what.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable


class FairSlots:
    """A semaphore that serves its waiters' owners in turn, not its waiters in order.

    However many requests one owner has waiting, everybody else's next request is served after
    at most one of them.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._lines: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    async def acquire(self, owner: Hashable) -> None:
        """Wait for a slot. Cancelling gives the place in the line back."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # the slot came in the same moment
            else:
                self._leave(owner, turn)
            raise

    def release(self) -> None:
        """Hand the slot to the next owner in turn."""
        if not self._lines:
            self._free += 1
            return
        owner, line = next(iter(self._lines.items()))
        turn = line.popleft()
        if line:
            self._lines.move_to_end(owner)
        else:
            del self._lines[owner]
        turn.set_result(None)

    def _leave(self, owner: Hashable, turn: asyncio.Future[None]) -> None:
        line = self._lines[owner]
        line.remove(turn)
        if not line:
            del self._lines[owner]
