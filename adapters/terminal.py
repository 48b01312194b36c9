"""The terminal as a channel: a person types, the answer streams underneath.

Translates lines to events and replies to text. Knows nothing of how an answer is made; what a
line is read from and written to is given to it, so it runs on pipes as well as on a terminal.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Literal

from bot.errors import Refused
from bot.types import Accept, Actor, Address, Citation, Delivery, Event, Reply, Vote
from bot.writing.commands import is_command

NAME = "terminal"
HELP = (
    "Ask in your own words. /new starts over, /good and /bad REASON judge the last answer, "
    "/quit leaves; Ctrl-C stops an answer. For staff: /draft, /summarize, /translate, /code."
)

ReadLine = Callable[[], str]  # blocks; raises EOFError at the end
Write = Callable[[str], None]
SaveVote = Callable[[Vote], Awaitable[None]]


class TerminalChannel:
    """One person at one terminal: one conversation at a time, one question at a time."""

    name = NAME

    def __init__(self, actor: Actor, read: ReadLine, write: Write, vote: SaveVote) -> None:
        self.actor = actor
        self._read = read
        self._write = write
        self._vote = vote
        self._answered = asyncio.Event()
        self._last_answer = ""
        self.conversation = uuid.uuid4().hex

    async def run(self, accept: Accept) -> None:
        """Read lines until the end of input or /quit; each waits for its answer."""
        self._write(HELP + "\n")
        while (line := await self._next_line()) is not None:
            text = line.strip()
            if text == "/quit":
                return
            if text.startswith("/") and not is_command(text):
                await self._command(text)
            elif text:
                await self._ask(text, accept)

    async def _ask(self, text: str, accept: Accept) -> None:
        self._answered.clear()
        event = Event(
            id=f"{NAME}:{uuid.uuid4().hex}",
            address=Address(NAME, self.conversation),
            actor=self.actor,
            text=text,
            at=datetime.now(UTC),
        )
        try:
            await accept(event)
        except Refused as refused:
            self._write(f"{refused}\n")
            return
        await self._answered.wait()

    async def _command(self, text: str) -> None:
        word, _, rest = text.partition(" ")
        if word == "/new":
            self.conversation = uuid.uuid4().hex
            self._write("A new conversation.\n")
        elif word in {"/good", "/bad"} and self._last_answer:
            value: Literal[-1, 1] = 1 if word == "/good" else -1
            voter = f"{NAME}:{self.actor.id}"
            await self._vote(Vote(self._last_answer, voter, value, reason=rest.strip()))
            self._write("Thank you, noted.\n")
        else:
            self._write(HELP + "\n")

    async def open(self, to: Address, event_id: str) -> Delivery:
        """Start showing a reply. Replies to conversations of earlier runs are shown too."""
        del to, event_id  # there is one terminal, and it shows everything in order
        return _TerminalDelivery(self._write, self._finished)

    async def delivered(self, to: Address, answer_id: str) -> str | None:
        """Return None: what a terminal showed before a crash cannot be looked up."""
        del to, answer_id
        return None

    def _finished(self, answer_id: str) -> None:
        self._last_answer = answer_id
        self._answered.set()

    async def _next_line(self) -> str | None:
        """Read one line without blocking the loop; None at the end of input.

        A daemon thread, not the loop's executor: leaving must not wait for a line that
        nobody is going to type.
        """
        loop = asyncio.get_running_loop()
        line: asyncio.Future[str | None] = loop.create_future()

        def settle(value: str | None) -> None:
            if not line.done():
                line.set_result(value)

        def read() -> None:
            try:
                value: str | None = self._read()
            except (EOFError, OSError):
                value = None
            loop.call_soon_threadsafe(settle, value)

        threading.Thread(target=read, name="terminal-input", daemon=True).start()
        return await line


class _TerminalDelivery:
    """One reply as it appears under the question."""

    def __init__(self, write: Write, finished: Callable[[str], None]) -> None:
        self._write = write
        self._finished = finished
        self._shown = ""

    async def status(self, text: str) -> None:
        """Show nothing: text that later vanishes needs a real terminal, and answers are quick."""

    async def append(self, delta: str) -> None:
        self._shown += delta
        self._write(delta)

    async def finish(self, reply: Reply, answer_id: str) -> str:
        """Show what the stream did not: the rest, or the checked text where it differs."""
        if reply.text.startswith(self._shown):
            self._write(reply.text[len(self._shown) :])
        else:
            self._write(f"\n\n[checked]\n{reply.text}")
        self._write("\n" + sources(reply.citations) + "\n")
        self._finished(answer_id)
        return answer_id


def sources(citations: Sequence[Citation]) -> str:
    """Render the list under an answer: one line per citation; empty without any."""
    lines = []
    for one in citations:
        where = one.url or one.source + (f"#{one.anchor}" if one.anchor else "")
        lines.append(f"  [{one.number}] {one.title} ({where})")
    return "\n".join(lines) + ("\n" if lines else "")
