"""A scripted answerer and a recording channel: both ends of the dispatcher, in memory."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from bot.types import Accept, Actor, Address, Event, Outcome, Question, Reply, Sink
from knowledge.types import Audience

Script = Callable[[Question, Sink], Awaitable[Reply]]

MOMENT = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)


def event(
    number: str | int,
    text: str = "How do I return a parcel?",
    *,
    conversation: str = "c1",
    actor: str = "ann",
    channel: str = "fake",
    audience: Audience = Audience.CUSTOMER,
) -> Event:
    """One message; equal numbers are the same platform event."""
    address = Address(channel, conversation, {"thread": f"t{number}"})
    return Event(f"{channel}:{number}", address, Actor(actor, "Ann", audience), text, MOMENT)


class ScriptedAnswerer:
    """Answers "re: <text>" unless a script says otherwise; remembers what it was asked."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script
        self.asked: list[Question] = []
        self.running = 0
        self.most_running = 0

    async def answer(self, question: Question, sink: Sink) -> Reply:
        self.asked.append(question)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if self.script is not None:
                return await self.script(question, sink)
            return Reply(f"re: {question.text}", Outcome.ANSWERED)
        finally:
            self.running -= 1


class RecordingDelivery:
    """Keeps what it is told on its channel's record."""

    def __init__(self, channel: RecordingChannel, to: Address, event_id: str) -> None:
        self._channel = channel
        self._to = to
        self._event_id = event_id

    async def status(self, text: str) -> None:
        await self._channel.fault("status")
        self._channel.statuses[self._event_id].append(text)

    async def append(self, delta: str) -> None:
        await self._channel.fault("append")
        self._channel.appended[self._event_id].append(delta)

    async def finish(self, reply: Reply, answer_id: str) -> str:
        await self._channel.fault("finish")
        platform_id = f"p{next(self._channel.numbers)}"
        self._channel.shown.append((self._event_id, reply))
        self._channel.platform_ids[answer_id] = platform_id
        await self._channel.fault("finished")
        return platform_id


class RecordingChannel:
    """A door that shows replies to nobody. `faults[step]` is awaited at that step."""

    def __init__(self, name: str = "fake", *, looks_up: bool = True) -> None:
        self.name = name
        self.looks_up = looks_up
        self.numbers = itertools.count(1)
        self.shown: list[tuple[str, Reply]] = []
        self.platform_ids: dict[str, str] = {}
        self.statuses: dict[str, list[str]] = defaultdict(list)
        self.appended: dict[str, list[str]] = defaultdict(list)
        self.opened: list[tuple[Address, str]] = []
        self.faults: dict[str, Callable[[], Awaitable[None]]] = {}

    async def fault(self, step: str) -> None:
        if step in self.faults:
            await self.faults[step]()

    async def run(self, accept: Accept) -> None:
        del accept
        await asyncio.Event().wait()

    async def open(self, to: Address, event_id: str) -> RecordingDelivery:
        await self.fault("open")
        self.opened.append((to, event_id))
        return RecordingDelivery(self, to, event_id)

    async def delivered(self, to: Address, answer_id: str) -> str | None:
        del to
        await self.fault("delivered")
        return self.platform_ids.get(answer_id) if self.looks_up else None

    def replies(self, event_id: str) -> list[Reply]:
        return [reply for shown, reply in self.shown if shown == event_id]
