"""How often somebody may ask: a token bucket per visitor and per address.

Knows keys and rates; does not know what is being asked.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_KEYS = 50_000  # buckets kept; the longest unused go first, and those are full anyway


class RateLimit:
    """A token bucket per key: `per_minute` on average, the same number at once.

    One event loop, no locks. `clock` returns seconds that never step back.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = float(per_minute)
        self._rate = per_minute / 60
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, key: str) -> float:
        """Take one token; return 0.0, or the seconds until there will be one."""
        now = self._clock()
        tokens, at = self._buckets.pop(key, (self._size, now))
        tokens = min(self._size, tokens + (now - at) * self._rate)
        short = max(0.0, 1.0 - tokens)
        self._buckets[key] = (tokens if short else tokens - 1.0, now)
        if len(self._buckets) > _KEYS:
            self._buckets.popitem(last=False)
        return short / self._rate
