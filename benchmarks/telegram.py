"""What Telegram's door costs: taking updates in durably, first signs of life, calls per answer.

    python -m benchmarks.telegram [--updates 2000] [--rounds 5] [--waiting 5000] [--answers 15]

Taking in, one by one: the same updates go as JSON through our webhook, which commits each to
SQLite (`synchronous=FULL`) before it answers 200, and through a bare aiogram dispatcher whose
handler does nothing; in one process, 64 under way at any time. Of people who have a question
waiting, an update is only taken in; where each is of somebody new, our side also begins the work
that follows, typing signs over sockets to the fake included. Rounds are interleaved, the ratio is
the median of the rounds' ratios.

Taking in what waited: updates wait at the fake Bot API; from the first getUpdates to the last one
confirmed, over sockets, against aiogram's own polling, which confirms what nobody has handled.
The fake's own work is in both.

Signs of life: from a person's message to the typing sign and to the first text, on the fake over
real sockets, with an answerer that writes a sentence every tenth of a second for two seconds. So
this is our share; a model's and Telegram's own come on top.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import logging
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from aiogram import Bot, Dispatcher
from aiogram.types import Message as AiogramMessage
from starlette.requests import Request

from adapters.telegram.channel import PATH
from bot.config import LimitSettings
from bot.types import Outcome, Question, Reply, Sink
from tests.fakes.telegram import TOKEN, Chat, FakeTelegram, User
from tests.fakes.telegram.client import client
from tests.fakes.telegram.desk import SECRET, opened

AT_ONCE = 64
TEXT = "I ordered a lamp last Tuesday and it has not arrived yet. Can you tell me where it is?"
LIMITS = LimitSettings(waiting=1_000_000, waiting_per_actor=1_000_000, drain_s=0.5, workers=1)
NUMBERS = itertools.count(1)
PIECES = tuple(f"Sentence number {number} of the answer. " for number in range(20))

Take = Callable[[bytes], Awaitable[None]]


def body(*, known: bool) -> bytes:
    """A private message as Telegram brings it: of somebody new, or of one of 64 people."""
    number = next(NUMBERS)
    person = 1_000_000 + (number % AT_ONCE if known else number)
    user = {"id": person, "is_bot": False, "first_name": "Ann", "language_code": "en"}
    message = {
        "message_id": number,
        "date": int(time.time()),
        "chat": {"id": person, "type": "private", "first_name": "Ann"},
        "from": user,
        "text": TEXT,
    }
    return json.dumps({"update_id": number, "message": message}).encode()


@dataclass
class Pass:
    """One way to take updates in, over all rounds."""

    speeds: list[float] = field(default_factory=list)  # updates a second
    cpu: list[float] = field(default_factory=list)  # milliseconds of processor an update
    took: list[float] = field(default_factory=list)  # milliseconds until acknowledged


async def through(take: Take, updates: int, kept: Pass, *, known: bool) -> None:
    """Send updates in."""
    left = iter([body(known=known) for _ in range(updates)])

    async def worker() -> None:
        for one in left:
            began = time.perf_counter()
            await take(one)
            kept.took.append(1000 * (time.perf_counter() - began))

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    kept.speeds.append(updates / (time.perf_counter() - began))
    kept.cpu.append(1000 * (time.process_time() - used) / updates)


@asynccontextmanager
async def bare() -> AsyncIterator[Take]:
    """The smallest aiogram dispatcher that has a handler."""
    dispatcher, bot = _nothing_happens(), Bot(TOKEN)

    async def take(raw: bytes) -> None:
        await dispatcher.feed_raw_update(bot, json.loads(raw))

    yield take


def _nothing_happens() -> Dispatcher:
    dispatcher = Dispatcher()

    @dispatcher.message()
    async def nothing(_: AiogramMessage) -> None: ...

    return dispatcher


class NeverDone:
    """Answers nothing, so that only taking in is measured."""

    async def answer(self, _question: Question, _sink: Sink) -> Reply:
        """Wait for ever."""
        await asyncio.Event().wait()
        raise AssertionError


@asynccontextmanager
async def durable() -> AsyncIterator[Take]:
    """Our webhook on a real database."""
    headers = [(b"x-telegram-bot-api-secret-token", SECRET.encode())]
    scope: Mapping[str, Any] = {"type": "http", "method": "POST", "path": PATH, "query_string": b""}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            FakeTelegram() as telegram,
            opened(telegram, Path(folder), NeverDone(), limits=LIMITS, mode="webhook") as desk,
        ):

            async def take(raw: bytes) -> None:
                async def receive() -> dict[str, Any]:
                    return {"type": "http.request", "body": raw, "more_body": False}

                answer = await desk.channel.http(Request({**scope, "headers": headers}, receive))
                if answer.status_code != 200:
                    raise RuntimeError(f"an update was answered {answer.status_code}")

            yield take


async def taking_in(updates: int, rounds: int) -> None:
    """Print what durability costs at the door."""
    ways = {
        "durable, each of somebody new": (durable, Pass(), False),
        "durable, of 64 people": (durable, Pass(), True),
        "bare aiogram": (bare, Pass(), False),
    }
    for _ in range(rounds):
        for opener, kept, known in ways.values():
            async with opener() as take:
                await through(take, AT_ONCE, Pass(), known=known)  # not counted
                await asyncio.sleep(1)
                await through(take, updates, kept, known=known)
    against = ways["bare aiogram"][1]
    print("| taking in | updates/s | CPU ms/update | p50 ms | p99 ms | updates/s against bare |")
    print("|---|---|---|---|---|---|")
    for name, (_, kept, _) in ways.items():
        ratios = [ours / bare for ours, bare in zip(kept.speeds, against.speeds, strict=True)]
        p99 = statistics.quantiles(kept.took, n=100)[98]
        print(
            f"| {name} | {statistics.median(kept.speeds):.0f} | {statistics.median(kept.cpu):.2f} "
            f"| {statistics.median(kept.took):.1f} | {p99:.1f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
        )


# What waited


@asynccontextmanager
async def _ours(telegram: FakeTelegram) -> AsyncIterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        async with opened(telegram, Path(folder), NeverDone(), limits=LIMITS):
            yield


@asynccontextmanager
async def _aiograms(telegram: FakeTelegram) -> AsyncIterator[None]:
    async with client(telegram.url) as bot:
        dispatcher = _nothing_happens()
        polling = asyncio.create_task(
            dispatcher.start_polling(bot, handle_signals=False, close_bot_session=False)
        )
        try:
            yield
        finally:
            await dispatcher.stop_polling()
            await polling


async def what_waited(waiting: int, rounds: int) -> None:
    """Print how fast a backlog is taken in."""
    speeds: dict[str, list[float]] = {"ours, durable": [], "aiogram's own polling": []}
    for _ in range(rounds):
        for kept, opener in zip(speeds.values(), (_ours, _aiograms), strict=True):
            async with FakeTelegram() as telegram:
                people = [telegram.world.user(f"p{number}") for number in range(200)]
                for number in range(waiting):
                    telegram.people.ask(people[number % len(people)], TEXT)
                async with opener(telegram):
                    await telegram.settled(600)
                    took = telegram.world.clock.now() - telegram.called("getUpdates")[0].at
                    kept.append(waiting / took)
    ours, theirs = speeds.values()
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    print(f"\n| {waiting} updates that waited | updates/s | against aiogram |\n|---|---|---|")
    print(
        f"| ours, durable | {statistics.median(ours):.0f} | {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}) |"
    )
    print(f"| aiogram's own polling | {statistics.median(theirs):.0f} | 1.00 |")


# Signs of life


class Steady:
    """A sentence every tenth of a second; nothing but one for "Quick?"."""

    async def answer(self, question: Question, sink: Sink) -> Reply:
        """Write."""
        if "Quick?" in question.text:
            return Reply(PIECES[0], Outcome.ANSWERED)
        for piece in PIECES:
            await asyncio.sleep(0.1)
            await sink.append(piece)
        return Reply("".join(PIECES), Outcome.ANSWERED)


async def _answered(
    telegram: FakeTelegram, chat: Chat, ask: Callable[[], Any]
) -> tuple[dict[str, float], int]:
    """Milliseconds to each method's first call, and how many calls the answer took."""
    before, shown = len(telegram.calls), len(chat.by_bot)
    began = telegram.world.clock.now()
    ask()
    await telegram.until(lambda: len(chat.by_bot) > shown and chat.by_bot[-1].buttons, 60)
    await telegram.until(lambda: "Helpful" in str(chat.by_bot[-1].buttons), 60)
    await asyncio.sleep(0.1)
    made = [one for one in telegram.calls[before:] if one.method != "getUpdates"]
    first: dict[str, float] = {}
    for call in made:
        first.setdefault(call.method, 1000 * (call.at - began))
    return first, len(made)


async def signs_of_life(answers: int) -> None:
    """Print how soon something is seen, and what it costs in calls."""
    seen: dict[str, list[float]] = {}
    calls: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            FakeTelegram() as telegram,
            opened(telegram, Path(folder), Steady()),  # type: ignore[arg-type] # an answerer
        ):
            await telegram.until(lambda: telegram.called("setChatMenuButton"))
            await asyncio.sleep(1)
            for number in range(answers):
                user = telegram.world.user(f"p{number}")
                group = telegram.world.group(f"g{number}", user)
                for kind, chat, ask in _ways(telegram, user, group):
                    first, made = await _answered(telegram, chat, ask)
                    calls.setdefault(kind, []).append(made)
                    for method, at in first.items():
                        seen.setdefault(f"{kind}: {method}", []).append(at)
    print("\n| from a message to the first | p50 ms | worst ms | n |\n|---|---|---|---|")
    for name, kept in seen.items():
        print(f"| {name} | {statistics.median(kept):.0f} | {max(kept):.0f} | {len(kept)} |")
    print("\n| calls per answer | median | most |\n|---|---|---|")
    for name, counts in calls.items():
        print(f"| {name} | {statistics.median(counts):.0f} | {max(counts)} |")


def _ways(
    telegram: FakeTelegram, user: User, group: Chat
) -> list[tuple[str, Chat, Callable[[], Any]]]:
    private, people = telegram.world.chat(user), telegram.people
    return [
        ("private, 2 s", private, lambda: people.ask(user, "Long?")),
        ("private, at once", private, lambda: people.ask(user, "Quick?")),
        ("group, 2 s", group, lambda: people.mention(user, group, "Long?")),
    ]


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--waiting", type=int, default=5000)
    parser.add_argument("--answers", type=int, default=15)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.WARNING)  # aiogram says that nothing was handled
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(taking_in(args.updates, args.rounds))
        asyncio.run(what_waited(args.waiting, args.rounds))
        asyncio.run(signs_of_life(args.answers))


if __name__ == "__main__":
    main()
