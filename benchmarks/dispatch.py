"""What durability costs: accepting, answering and delivering against bare SQLite commits.

    python -m benchmarks.dispatch [--rounds 5] [--seconds 60] [--messages 10000] [--url URL]

Without a model: the answerer replies at once (in the load test after 20 ms), so what is measured
is the journal and the dispatcher. The bare side is the smallest durable thing there is: one
`INSERT` and one `COMMIT` per message on the same disk with the same WAL and `synchronous=FULL`,
in a loop without an event loop around it. Rounds are interleaved, so that a busy machine slows
both sides.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import logging
import random
import sqlite3
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
import structlog

from bot.config import LimitSettings
from bot.dispatching.dispatch import Dispatcher
from bot.store import Store
from bot.types import Accept, Actor, Address, Event, Outcome, Question, Reply, Sink

TEXT = "I ordered a lamp last Tuesday and it has not arrived yet. Can you tell me where it is?"
LIMITS = LimitSettings(waiting=1_000_000, waiting_per_actor=1_000_000, drain_s=1)
NUMBERS = itertools.count()


def event(conversation: str) -> Event:
    """A new message of a typical length."""
    number = next(NUMBERS)
    address = Address("bench", conversation, {"thread": str(number)})
    return Event(f"bench:{number}", address, Actor(conversation), TEXT, datetime.now(UTC))


@dataclass
class Answerer:
    """Answers after `seconds`; at first only when `open` is set."""

    seconds: float = 0.0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, question: Question, sink: Sink) -> Reply:
        """Repeat the question."""
        del sink
        await self.open.wait()
        if self.seconds:
            await asyncio.sleep(self.seconds)
        return Reply(question.text, Outcome.ANSWERED)


class Channel:
    """Notes when each reply was shown."""

    name = "bench"

    def __init__(self) -> None:
        self.shown: dict[str, float] = {}
        self.times = Counter[str]()
        self.waiters: dict[str, asyncio.Event] = {}

    async def run(self, accept: Accept) -> None:
        """Nothing comes from here; the benchmark calls `accept` itself."""

    async def open(self, to: Address, event_id: str) -> Delivery:
        """Begin one reply."""
        del to
        return Delivery(self, event_id)

    async def delivered(self, to: Address, answer_id: str) -> str | None:
        """Nothing is ever in doubt here."""
        del to, answer_id
        return None


@dataclass
class Delivery:
    """One reply."""

    channel: Channel
    event_id: str

    async def status(self, text: str) -> None:
        """Not shown."""

    async def append(self, delta: str) -> None:
        """Not shown."""

    async def finish(self, reply: Reply, answer_id: str) -> str:
        """Note the time."""
        del reply
        self.channel.shown[self.event_id] = time.perf_counter()
        self.channel.times[self.event_id] += 1
        if self.event_id in self.channel.waiters:
            self.channel.waiters[self.event_id].set()
        return answer_id


@contextlib.asynccontextmanager
async def desk(url: str, answerer: Answerer) -> AsyncIterator[tuple[Dispatcher, Channel]]:
    """A running dispatcher."""
    store = Store.open(url, exclusive=True)
    channel = Channel()
    dispatcher = Dispatcher(store, answerer, {"bench": channel}, LIMITS)
    await dispatcher.start()
    yield dispatcher, channel
    await dispatcher.drain()
    await store.close()


def bare(path: Path, messages: int) -> list[float]:
    """Seconds of each insert + commit."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE message (id INTEGER PRIMARY KEY, event_id TEXT UNIQUE, actor TEXT,"
        " conversation TEXT, text TEXT, at TEXT)"
    )
    seconds = []
    for _ in range(messages):
        one = event("c")
        row = (one.id, one.actor.id, one.address.conversation, one.text, one.at.isoformat())
        began = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT INTO message (event_id, actor, conversation, text, at) VALUES (?,?,?,?,?)", row
        )
        connection.execute("COMMIT")
        seconds.append(time.perf_counter() - began)
    connection.close()
    return seconds


async def accepts(url: str, concurrent: int, messages: int) -> tuple[list[float], float]:
    """Seconds of each `accept`, and of all of them, while answers are held back."""
    async with desk(url, Answerer()) as (dispatcher, _):
        seconds: list[float] = []

        async def client(number: int) -> None:
            for _ in range(messages // concurrent):
                one = event(f"c{number}")
                began = time.perf_counter()
                await dispatcher.accept(one)
                seconds.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(client(number) for number in range(concurrent)))
        return seconds, time.perf_counter() - began


async def lives(url: str, concurrent: int, messages: int) -> tuple[list[float], float]:
    """Seconds from `accept` to the reply shown, and for all of them."""
    answerer = Answerer()
    answerer.open.set()
    async with desk(url, answerer) as (dispatcher, channel):
        seconds: list[float] = []

        async def client(number: int) -> None:
            for _ in range(messages // concurrent):
                one = event(f"c{number}")
                shown = channel.waiters[one.id] = asyncio.Event()
                began = time.perf_counter()
                await dispatcher.accept(one)
                await shown.wait()
                seconds.append(channel.shown[one.id] - began)

        began = time.perf_counter()
        await asyncio.gather(*(client(number) for number in range(concurrent)))
        return seconds, time.perf_counter() - began


async def lag(late: list[float], every: float = 0.005) -> None:
    """Measure how late a sleeper is woken."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(every)
        late.append(time.perf_counter() - began - every)


@dataclass
class Load:
    """What the load test found."""

    accepts: list[float]
    lags: list[float]
    shown: int
    twice: int
    disordered: int
    rss_before: int
    rss_most: int
    last_reply: float  # seconds after the last message


async def load(url: str, messages: int, seconds: float) -> Load:
    """Let messages arrive at random moments, whatever becomes of the earlier ones."""
    answerer = Answerer(seconds=0.02)
    answerer.open.set()
    process = psutil.Process()
    async with desk(url, answerer) as (dispatcher, channel):
        found = Load([], [], 0, 0, 0, process.memory_info().rss, 0, 0.0)
        ticking = asyncio.create_task(lag(found.lags))
        order: dict[str, list[str]] = {}

        async def send(one: Event) -> None:
            began = time.perf_counter()
            await dispatcher.accept(one)
            found.accepts.append(time.perf_counter() - began)
            order.setdefault(one.address.conversation, []).append(one.id)

        began = time.perf_counter()
        calls = set()
        for moment in sorted(random.uniform(0, seconds) for _ in range(messages)):
            await asyncio.sleep(max(0.0, began + moment - time.perf_counter()))
            call = asyncio.create_task(send(event(f"c{random.randrange(1000)}")))
            calls.add(call)
            call.add_done_callback(calls.discard)
            if len(found.accepts) % 200 == 0:
                found.rss_most = max(found.rss_most, process.memory_info().rss)
        await asyncio.gather(*calls)
        ended = time.perf_counter()
        while len(channel.shown) < messages and time.perf_counter() - ended < 120:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.05)
        ticking.cancel()
        found.rss_most = max(found.rss_most, process.memory_info().rss)
        found.shown = len(channel.shown)
        found.twice = sum(times > 1 for times in channel.times.values())
        found.last_reply = max(channel.shown.values()) - ended
        moments = [[channel.shown.get(one, 0.0) for one in talk] for talk in order.values()]
        found.disordered = sum(talk != sorted(talk) for talk in moments)
        return found


def at(seconds: Sequence[float], share: float) -> float:
    """A percentile, in milliseconds."""
    return 1000 * sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))]


def row(name: str, seconds: Sequence[float], per_second: float, ratio: float | None) -> None:
    """Print one line of the table."""
    shown = "" if ratio is None else f"{ratio:.2f}"
    print(
        f"| {name} | {at(seconds, 0.5):.2f} | {at(seconds, 0.99):.2f} |"
        f" {per_second:,.0f} | {shown} |",
        flush=True,
    )


async def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--url", default="", help="an empty database; default: a SQLite file")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = itertools.count()

        def url() -> str:
            return options.url or f"sqlite:///{folder}/ours{next(files)}.db"

        bares: list[float] = []
        ours: dict[str, list[tuple[list[float], float]]] = {}
        for number in range(options.rounds):
            bares += bare(folder / f"bare{number}.db", 1000)
            for concurrent in (1, 16, 128):
                messages = 500 if concurrent == 1 else 2560
                measured = await accepts(url(), concurrent, messages)
                ours.setdefault(f"accept, {concurrent} at once", []).append(measured)
            for concurrent in (1, 16):
                measured = await lives(url(), concurrent, 480)
                ours.setdefault(f"question to reply, {concurrent} at once", []).append(measured)
        print("| | p50 ms | p99 ms | messages/s | ratio |\n|---|---|---|---|---|")
        row("bare insert + commit, one after the other", bares, len(bares) / sum(bares), None)
        for title, rounds in ours.items():
            seconds = [one for own, _ in rounds for one in own]
            per_second = statistics.median(len(own) / total for own, total in rounds)
            if title.endswith(" 1 at once"):
                ratio = at(seconds, 0.5) / at(bares, 0.5)
            else:
                ratio = per_second * sum(bares) / len(bares)
            row(title, seconds, per_second, ratio)
        print("\nratio: p50 ÷ bare p50 for one at a time; messages/s ÷ bare messages/s for more.\n")
        found = await load(url(), options.messages, options.seconds)
    print(
        f"{options.messages:,} messages in {options.seconds:.0f} s, answers take 20 ms:"
        f" accept p50 {at(found.accepts, 0.5):.1f} ms, p99 {at(found.accepts, 0.99):.1f} ms,"
        f" max {1000 * max(found.accepts):.0f} ms; {found.shown:,} answered, {found.twice} twice,"
        f" {found.disordered} conversations out of order; last reply {found.last_reply:.2f} s after"
        f" the last message; memory {found.rss_before >> 20} to {found.rss_most >> 20} MiB;"
        f" event-loop lag p99 {at(found.lags, 0.99):.1f} ms, max {1000 * max(found.lags):.0f} ms"
    )


if __name__ == "__main__":
    asyncio.run(main())
