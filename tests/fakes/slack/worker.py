"""Slack doors in processes of their own, to be killed. One process imports, and forks each door.

`python -m tests.fakes.slack.worker` reads lines `URL FOLDER POINT`, and answers each with the
process id of a door that runs until it is killed. POINT is `before-accept` or
`after-accept`, the moment of its first event at which it kills itself; `quick`, for answers
without pauses; or `-`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from adapters.slack.channel import SlackChannel
from bot.config import Settings, SlackSettings
from bot.dispatching.dispatch import Dispatcher
from bot.store import Store
from bot.types import Accepted, Event, Outcome, Question, Reply, Sink
from tests.fakes.slack.desk import LIMITS
from tests.fakes.slack.world import APP_TOKEN, BOT_TOKEN

PIECES = tuple(f"This is sentence number {number} of the answer. " for number in range(4))
QUEUE = "C0QUEUEXX"  # the channel "queue", if a test has one
TEXT = "".join(PIECES).strip()


class SlowAnswerer:
    """Says `PIECES` with pauses that make Slack's stream begin, go on and end; or at once."""

    def __init__(self, *, quick: bool) -> None:
        self._quick = quick

    async def answer(self, question: Question, sink: Sink) -> Reply:
        if self._quick or question.text == "Quick?":
            return Reply(TEXT, Outcome.ANSWERED)
        await sink.append(PIECES[0] + PIECES[1])
        await asyncio.sleep(1.2)
        await sink.append(PIECES[2] + PIECES[3])
        await asyncio.sleep(1.2)
        return Reply(TEXT, Outcome.ANSWERED)


async def door(url: str, folder: Path, point: str) -> None:
    """Answer until killed."""
    values = {"bot_token": BOT_TOKEN, "app_token": APP_TOKEN, "api_url": url, "queue": QUEUE}
    store = Store.open(Settings(home=folder).database_url, exclusive=True)
    channel = SlackChannel(SlackSettings.model_validate(values), store)
    dispatcher = Dispatcher(
        store, SlowAnswerer(quick=point == "quick"), {channel.name: channel}, LIMITS
    )
    channel.attach(dispatcher.cancel)
    for desk in channel.desks(dispatcher.handovers):
        dispatcher.handovers.attach(desk)

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


class Doors:
    """The other end: `open` starts a door, `kill` ends it."""

    def __init__(self, module: str = __name__) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.upper().endswith("_PROXY")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        )
        self._open: set[int] = set()

    def __enter__(self) -> Doors:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill_all()
        self._process.communicate()

    def kill_all(self) -> None:
        for door in [*self._open]:
            self.kill(door)

    def open(self, url: str, folder: Path, point: str = "-") -> int:
        """Start a door; returns its process id. Blocks for the first one's imports."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(url, folder, point, file=self._process.stdin, flush=True)
        door = int(self._process.stdout.readline())
        self._open.add(door)
        return door

    def kill(self, door: int) -> None:
        """`kill -9`, if it is still there."""
        self._open.discard(door)
        try:
            os.kill(door, signal.SIGKILL)
        except ProcessLookupError:
            return

    @staticmethod
    def alive(door: int) -> bool:
        try:
            os.kill(door, 0)
        except ProcessLookupError:
            return False
        return True


if __name__ == "__main__":
    main()
