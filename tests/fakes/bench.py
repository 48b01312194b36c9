"""A dispatcher on a test bench: scripted answers, a recording channel, a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from bot.config import LimitSettings
from bot.dispatching.courier import Patience
from bot.dispatching.dispatch import Dispatcher
from bot.store import Store
from bot.tables import SendState
from bot.types import Outcome, Question, Reply, Sink
from tests.fakes.dialogue import RecordingChannel, ScriptedAnswerer

QUICK = Patience(show_s=0.05, longest_pause_s=0.01, cancel_s=0.05)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has to happen."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - seen from outside there is nothing to await
            await asyncio.sleep(0.002)


class Bench:
    """A dispatcher with both ends in hand."""

    def __init__(self, store: Store, **limits: Any) -> None:
        self.store = store
        self.answerer = ScriptedAnswerer()
        self.channel = RecordingChannel()
        self.limits = LimitSettings(**limits)
        self.gate = asyncio.Event()
        self.dispatcher = self.another()

    def another(self) -> Dispatcher:
        """What a restarted process would build."""
        channels = {self.channel.name: self.channel}
        self.dispatcher = Dispatcher(self.store, self.answerer, channels, self.limits, QUICK)
        return self.dispatcher

    async def held(self, question: Question, sink: Sink) -> Reply:
        """A script that says something and then waits for the gate."""
        await sink.append("so far")
        await self.gate.wait()
        return Reply(f"re: {question.text}", Outcome.ANSWERED)

    async def shown(self, number: int) -> list[str]:
        """Wait for that many replies; whose they were, in order."""
        await until(lambda: len(self.channel.shown) >= number)
        return [event_id for event_id, _ in self.channel.shown]

    async def reached(self, state: SendState, number: int) -> None:
        """Wait until that many replies are committed in a state."""
        async with asyncio.timeout(30):
            while (await self.store.counts()).sends[state] < number:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.005)

    async def sent(self, number: int) -> None:
        await self.reached(SendState.SENT, number)


@asynccontextmanager
async def bench(store: Store, **limits: Any) -> AsyncIterator[Bench]:
    made = Bench(store, **limits)
    await made.dispatcher.start()
    try:
        yield made
    finally:
        made.gate.set()
        await made.dispatcher.drain()


class failing:  # noqa: N801 - reads as a phrase where it is used
    """Raises an error some times, then lets everything pass."""

    def __init__(self, error: Exception, *, times: int) -> None:
        self.error = error
        self.left = times
        self.calls = 0

    async def __call__(self) -> None:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
