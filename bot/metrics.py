"""The figures the server exposes at `/metrics`, in Prometheus' format.

Knows names, labels and units; does not know who counts. Names follow the Prometheus naming
guide (https://prometheus.io/docs/practices/naming/): base units, `_total` for counters.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ACCEPTED = Counter("deskhand_accepted_total", "Messages committed to the inbox.", ["channel"])
REFUSED = Counter("deskhand_refused_total", "Messages not taken in.", ["reason"])
ANSWERED = Counter("deskhand_answered_total", "Replies made, by how they ended.", ["outcome"])
WAITING = Gauge("deskhand_waiting", "Questions accepted and not yet answered.")
STAGE_SECONDS = Histogram(
    "deskhand_stage_seconds",
    "Time spent in each stage of a question.",
    ["stage"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 90),
)
VOTES = Counter("deskhand_votes_total", "Votes received; 0 is a withdrawal.", ["value"])
ENGINE_TOKENS = Counter("deskhand_engine_tokens_total", "Tokens generated.", ["model"])
ENGINE_RESTARTS = Counter("deskhand_engine_restarts_total", "Times the engine was restarted.")
