"""Turns to send, per place, at the pace a platform asks for.

Knows time and keys; no platform. Whoever must wait waits in line here, so that nobody finds
out by being refused, and nobody who waited long is overtaken by who came late.

The generic cell rate algorithm (ITU-T I.371, 1996): one moment per key is all there is to keep.
"""

from __future__ import annotations

import asyncio
import time

_PRUNE_ABOVE = 1000  # keys; most are idle places whose moment has passed


class Pace:
    """At most `burst` turns at once and `per_minute` in the long run, for each key."""

    def __init__(self, per_minute: float, burst: int) -> None:
        self._gap = 60 / per_minute
        self._ahead = self._gap * (burst - 1)
        self._next: dict[str, float] = {}  # when a turn would come if there were no bursts

    def take(self, key: str, patience_s: float) -> float:
        """Take a turn: seconds until it comes. One farther off than `patience_s` is not taken."""
        now = time.monotonic()
        due = max(self._next.get(key, 0.0), now)
        wait = max(0.0, due - self._ahead - now)
        if wait <= patience_s:
            self._next[key] = due + self._gap
            if len(self._next) > _PRUNE_ABOVE:
                self._next = {one: at for one, at in self._next.items() if at > now}
        return wait

    def hold(self, key: str, seconds: float) -> None:
        """Give no turn for so long: the platform said so. Turns given already stand."""
        until = time.monotonic() + seconds + self._ahead
        self._next[key] = max(self._next.get(key, 0.0), until)

    async def turn(self, key: str, patience_s: float) -> float:
        """Wait for a turn. Returns 0, or the seconds it is off if that is beyond `patience_s`."""
        wait = self.take(key, patience_s)
        if wait > patience_s:
            return wait
        if wait > 0:
            await asyncio.sleep(wait)
        return 0.0
