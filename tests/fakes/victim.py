"""A server that gets killed: the real store and dispatcher in processes of their own.

Run as `python -m tests.fakes.victim MODE URL FOLDER`. It forks one server after the other (a
fork starts in milliseconds, a fresh interpreter in seconds) and kills each as MODE says. What
the person was shown is appended to FOLDER/shown, one line per reply: the channel's memory,
which survives the process as a platform's would. FOLDER/acked has what was acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

import sqlalchemy as sa
import structlog

from bot.config import LimitSettings
from bot.dispatching.dispatch import Dispatcher
from bot.store import Store
from bot.tables import SendState
from bot.types import Accept, Address, Outcome, Question, Reply, Sink
from tests.fakes.dialogue import event

MESSAGES = 200
KILLS = 50
TALKS = 20
LIMITS = LimitSettings(waiting_per_actor=1000, drain_s=5)


def die() -> NoReturn:
    """What `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("survived SIGKILL")


class Paper:
    """A channel that writes on paper."""

    name = "fake"

    def __init__(self, folder: Path, *, dies: str = "") -> None:
        self.folder = folder
        self.dies = dies

    async def run(self, accept: Accept) -> None:
        raise NotImplementedError

    async def open(self, to: Address, event_id: str) -> PaperDelivery:
        return PaperDelivery(self, to, event_id)

    async def delivered(self, to: Address, answer_id: str) -> str | None:
        del to
        return next(
            (line[1] for line in lines(self.folder / "shown") if line[1] == answer_id), None
        )


class PaperDelivery:
    def __init__(self, channel: Paper, to: Address, event_id: str) -> None:
        self._channel = channel
        self._to = to
        self._event_id = event_id

    async def status(self, text: str) -> None:
        del text

    async def append(self, delta: str) -> None:
        del delta

    async def finish(self, reply: Reply, answer_id: str) -> str:
        if self._channel.dies == "before showing":
            die()
        write(self._channel.folder / "shown", self._event_id, answer_id, reply.outcome)
        if self._channel.dies == "after showing":
            die()
        return answer_id


def write(file: Path, *words: str) -> None:
    """Append a line, whole or not at all."""
    paper = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(paper, (" ".join(words) + "\n").encode())
    os.close(paper)


def lines(file: Path) -> list[list[str]]:
    """The words of every line."""
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


class Answerer:
    """Takes its time; a message that says "poison" takes the process along."""

    async def answer(self, question: Question, sink: Sink) -> Reply:
        await sink.append("well, ")
        if question.text == "poison":
            die()
        await asyncio.sleep(random.uniform(0, 0.04))
        return Reply(f"re: {question.text}", Outcome.ANSWERED)


async def server(
    url: str, channel: Paper, intake: Callable[[Dispatcher], Coroutine[Any, Any, None]]
) -> None:
    """Serve until the intake ends and everything is sent, or until SIGTERM."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    store = Store.open(url, exclusive=True)
    dispatcher = Dispatcher(store, Answerer(), {"fake": channel}, LIMITS)
    await dispatcher.start()
    work = asyncio.create_task(finish(store, dispatcher, intake))
    ended = asyncio.create_task(told.wait())
    await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
    await dispatcher.drain()
    for task in (work, ended):
        task.cancel()
    await store.close()


async def finish(
    store: Store, dispatcher: Dispatcher, intake: Callable[[Dispatcher], Coroutine[Any, Any, None]]
) -> None:
    await intake(dispatcher)
    while True:
        counts = await store.counts()
        if counts.sends[SendState.SENT] == sum(counts.messages.values()):
            return
        await asyncio.sleep(0.01)


def feed(
    folder: Path, upto: int, *, stays: bool = False
) -> Callable[[Dispatcher], Coroutine[Any, Any, None]]:
    """A platform that delivers again what was not acknowledged; if it `stays`, nothing ends."""

    async def intake(dispatcher: Dispatcher) -> None:
        acked = {line[0] for line in lines(folder / "acked")}
        for number in range(upto):
            if f"fake:{number}" in acked:
                continue
            message = event(number, f"q{number}", conversation=f"c{number % TALKS}")
            await dispatcher.accept(message)
            write(folder / "acked", message.id)
        if stays:
            await asyncio.Event().wait()

    return intake


def fork(run: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Start a server; its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        asyncio.run(run())
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)  # not through the parent's clean-up, of which this is a copy


def status(pid: int) -> int:
    """How a server ended: 0, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def at_random(url: str, folder: Path) -> None:
    """Kill servers at random moments while messages keep coming, then let one finish."""
    deaths = 0
    for life in range(1, KILLS + 1):
        upto = life * MESSAGES // KILLS
        coming = feed(folder, upto, stays=True)
        pid = fork(lambda coming=coming: server(url, Paper(folder), coming))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        time.sleep(random.uniform(0.01, 0.35))
        os.kill(pid, signal.SIGKILL)
        deaths += status(pid) == -signal.SIGKILL
    write(folder / "deaths", str(deaths))
    assert status(fork(lambda: server(url, Paper(folder), feed(folder, MESSAGES)))) == 0


def at_each_commit(url: str, folder: Path) -> None:
    """Kill a server just before its first commit, its second, … until one survives."""
    for number in range(100):
        ended = status(fork(lambda n=number: server_dying_at(url, folder, n)))  # type: ignore[misc]  # as above
        if ended == 0:
            write(folder / "deaths", str(number))
            return
        assert ended == -signal.SIGKILL, ended
        assert status(fork(lambda n=number: server(url, Paper(folder), feed(folder, n + 1)))) == 0  # type: ignore[misc]  # as above
    raise AssertionError("never survived")


async def server_dying_at(url: str, folder: Path, number: int) -> None:
    left = number

    def count(connection: sa.Connection) -> None:
        nonlocal left
        del connection
        left -= 1
        if left < 0:
            die()

    sa.event.listen(sa.Engine, "commit", count)
    await server(url, Paper(folder), feed(folder, number + 1))


def in_the_send(url: str, folder: Path) -> None:
    """Kill a server inside the channel: before the reply is shown, and after."""
    for number, dies in enumerate(("before showing", "after showing")):
        pid = fork(lambda d=dies, n=number: server(url, Paper(folder, dies=d), feed(folder, n + 1)))  # type: ignore[misc]  # as above
        assert status(pid) == -signal.SIGKILL
        assert status(fork(lambda: server(url, Paper(folder), feed(folder, 0)))) == 0


def by_poison(url: str, folder: Path) -> None:
    """Let a message kill every server that touches it, with others at work beside it."""

    async def intake(dispatcher: Dispatcher) -> None:
        for number in range(12):
            text = "poison" if number == 5 else f"q{number}"
            await dispatcher.accept(event(number, text, conversation=f"c{number}"))

    deaths = 0
    while (ended := status(fork(lambda: server(url, Paper(folder), intake)))) != 0:
        assert ended == -signal.SIGKILL, ended
        deaths += 1
    write(folder / "deaths", str(deaths))


def by_request(url: str, folder: Path) -> None:
    """Ask servers to stop, under load; each has to go in time and in peace."""
    for life in range(1, 9):
        pid = fork(lambda n=life: server(url, Paper(folder), feed(folder, n * MESSAGES // 8)))  # type: ignore[misc]  # as above
        time.sleep(random.uniform(0.1, 0.4))
        os.kill(pid, signal.SIGTERM)
        asked = time.monotonic()
        ended = status(pid)
        # A signal may arrive before the handler is there; that death is a plain one.
        assert ended in {0, -signal.SIGTERM}, ended
        assert time.monotonic() - asked < LIMITS.drain_s + 2
    assert status(fork(lambda: server(url, Paper(folder), feed(folder, MESSAGES)))) == 0


MODES = {
    mode.__name__: mode for mode in (at_random, at_each_commit, in_the_send, by_poison, by_request)
}

if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    MODES[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
