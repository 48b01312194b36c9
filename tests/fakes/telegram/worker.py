"""Telegram doors in processes of their own, to be killed. One process imports, and forks each door.

`python -m tests.fakes.telegram.worker` reads lines `URL FOLDER POINT`, and answers each with the
process id of a door that runs until it is killed. POINT is `before-accept` or `after-accept`, the
moment of its first event at which it kills itself; `quick`, for answers without pauses; or `-`.
`tests.fakes.slack.worker.Doors` is the other end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from adapters.telegram.channel import TelegramChannel
from bot.config import Settings, TelegramSettings
from bot.dispatching.dispatch import Dispatcher
from bot.store import Store
from bot.types import Accepted, Event, Outcome, Question, Reply, Sink
from tests.fakes.telegram.desk import LIMITS
from tests.fakes.telegram.world import TOKEN

PIECES = tuple(f"This is sentence number {number} of the answer. " for number in range(4))
TEXT = "".join(PIECES).strip()
PARTS = tuple(f"{letter} " * 1900 for letter in "ab")  # a message each


class SlowAnswerer:
    """Says half of `PIECES`, and the rest once a file `go` is there; or all at once; or `PARTS`."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self._go = folder / "go"
        self._quick = quick

    async def answer(self, question: Question, sink: Sink) -> Reply:
        if question.text == "Long?":
            return Reply("\n\n".join(PARTS), Outcome.ANSWERED)
        if self._quick or question.text == "Quick?":
            return Reply(TEXT, Outcome.ANSWERED)
        await sink.append(PIECES[0] + PIECES[1])
        while not self._go.exists():  # noqa: ASYNC110 - the test is another process
            await asyncio.sleep(0.05)
        await sink.append(PIECES[2] + PIECES[3])
        return Reply(TEXT, Outcome.ANSWERED)


async def door(url: str, folder: Path, point: str) -> None:
    """Answer until killed."""
    store = Store.open(Settings(home=folder).database_url, exclusive=True)
    settings = TelegramSettings.model_validate({"token": TOKEN, "api_url": url})
    channel = TelegramChannel(settings, store)
    answerer = SlowAnswerer(folder, quick=point == "quick")
    dispatcher = Dispatcher(store, answerer, {channel.name: channel}, LIMITS)
    channel.attach(dispatcher)

    async def accept(event: Event) -> Accepted:
        if point == "before-accept":
            os.kill(os.getpid(), signal.SIGKILL)
        accepted = await dispatcher.accept(event)
        if point == "after-accept":
            os.kill(os.getpid(), signal.SIGKILL)
        return accepted

    await dispatcher.start()
    await channel.run(accept)


def main() -> None:
    """Fork a door for every line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        url, folder, point = line.split()
        child = os.fork()
        if not child:
            os.dup2(os.open(f"{folder}/door.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY), 1)
            os.dup2(1, 2)
            asyncio.run(door(url, Path(folder), point))
            os._exit(0)
        print(child, flush=True)  # noqa: T201 - the protocol


if __name__ == "__main__":
    main()
