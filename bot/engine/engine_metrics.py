"""The figures the engine's own process exposes, in Prometheus' format.

Separate from `bot.metrics`: the two processes are scraped apart.
"""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from bot.engine.protocol import Usage


class EngineMetrics:
    """Counts of one engine process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        prefix = "deskhand_engine"
        self._running = Gauge(f"{prefix}_running", "Answers being decoded.", registry=registry)
        self._waiting = Gauge(f"{prefix}_waiting", "Requests without a slot.", registry=registry)
        self._tokens = Counter(f"{prefix}_tokens", "Tokens.", ["kind"], registry=registry)
        self._first = Histogram(
            f"{prefix}_first_token_seconds",
            "From the request to its first token.",
            registry=registry,
            buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
        )
        self._rate = Histogram(
            f"{prefix}_tokens_per_second",
            "Decoding speed of one answer, from its first token.",
            registry=registry,
            buckets=(1, 3, 10, 20, 50, 100, 200, 500, 1000),
        )

    def observe_load(self, running: int, waiting: int) -> None:
        """Set the gauges."""
        self._running.set(running)
        self._waiting.set(waiting)

    def count_answer(self, usage: Usage, first_s: float, rest_s: float) -> None:
        """Count an answer that ended, whole or cancelled."""
        self._tokens.labels("prompt").inc(usage.prompt)
        self._tokens.labels("generated").inc(usage.completion)
        if usage.completion:
            self._first.observe(first_s)
        if usage.completion > 1 and rest_s > 0:
            self._rate.observe((usage.completion - 1) / rest_s)

    def page(self) -> tuple[bytes, int, dict[str, str]]:
        """Body, status and headers of `/metrics`."""
        return generate_latest(self._registry), 200, {"Content-Type": CONTENT_TYPE_LATEST}
