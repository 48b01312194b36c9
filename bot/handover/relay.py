"""The lines of handovers on their way: to the person, and to every desk where staff sit.

Knows the outbox of handovers and its targets. Retrying, looking up and giving up are the
courier's, as for the bot's own replies; here lines are kept in order, each target of each
handover for itself, so a desk that fails holds nobody else up.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog
from sqlalchemy.engine import Connection

from bot.database import Database
from bot.dispatching import notices
from bot.dispatching.courier import Courier, Parcel, Patience, insist
from bot.handover import rows
from bot.handover.nouns import Desk, Handover, Line
from bot.tables import LineKind, SendState
from bot.types import Actor, Address, Channel, Delivery, Outcome, Reply

STAFF = "staff-"
"""What the event and answer ids of lines to a person begin with."""
_MARKUP = re.compile(r"[*_`~\[\]<>\\#|]")

Queue = tuple[str, str]  # handover, target
Get = Callable[[str], Awaitable[Handover]]
log = structlog.get_logger(__name__)


def from_staff(event_id: str) -> bool:
    """True for what `Channel.open` is asked to show without anybody having asked the bot."""
    return event_id.startswith(STAFF)


class Relay:
    """Tells lines. Lines of a desk that is not attached wait until it is."""

    def __init__(
        self,
        database: Database,
        channels: Mapping[str, Channel],
        patience: Patience,
        get: Get,
    ) -> None:
        self._database = database
        self._get = get
        self._channels = channels
        self._places: dict[str, _DeskPlace] = {}
        self._lines = _Lines(database)
        self._to_people = Courier(self._lines, channels, patience)
        self._to_desks = Courier(self._lines, self._places, patience)
        self._queues: dict[Queue, deque[rows.Unsent]] = {}
        self._running: dict[Queue, asyncio.Task[None]] = {}
        self._stopped = False

    @property
    def desks(self) -> tuple[str, ...]:
        """The names of the desks that are told of everything."""
        return tuple(self._places)

    async def start(self) -> None:
        """Take up what an earlier process left."""
        self.tell(await self._database.read(lambda session: rows.unsent(session.connection())))

    def attach(self, desk: Desk) -> None:
        """Add a desk, and tell it what waits."""
        self._places[desk.name] = _DeskPlace(desk, self._get, self._lines)
        for queue in [one for one in self._queues if one[1] == desk.name]:
            self._run(queue)

    def tell(self, lines: Iterable[rows.Unsent]) -> None:
        """Queue committed lines, in their order."""
        for line in lines:
            queue = (line.handover_id, line.target)
            self._queues.setdefault(queue, deque()).append(line)
            self._run(queue)

    async def stop(self, seconds: float) -> None:
        """End within so many seconds; what is left waits for the next start."""
        self._stopped = True
        self._to_people.stop()
        self._to_desks.stop()
        tasks = [*self._running.values()]
        if not tasks:
            return
        _, pending = await asyncio.wait(tasks, timeout=seconds)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)

    def _run(self, queue: Queue) -> None:
        target = queue[1]
        if self._stopped or queue in self._running or (target and target not in self._places):
            return
        self._running[queue] = asyncio.create_task(self._pump(queue), name="handover")

    async def _pump(self, queue: Queue) -> None:
        lines = self._queues[queue]
        try:
            while lines and not self._stopped:
                await self._one(lines[0])
                lines.popleft()
        except Exception:  # a boundary: one handover's fault must not end the server's others
            log.exception("a handover is put aside until the next start", handover=queue[0])
        finally:
            del self._running[queue]
            if not lines:
                del self._queues[queue]

    async def _one(self, line: rows.Unsent) -> None:
        key = f"{STAFF}{line.id}"
        if line.target:
            to = Address(line.target, line.handover_id)
            parcel = Parcel(key, key, to, Reply("", Outcome.HANDED), line.state)
            await self._to_desks.deliver(parcel)
            return
        handover = await insist(self._get, line.handover_id)
        if handover.channel not in self._channels:
            log.warning("a person waits for a channel that is not configured")
            return
        detail, row = await insist(self._lines.to_person, line)
        to = Address(handover.channel, handover.conversation, detail)
        await self._to_people.deliver(Parcel(key, key, to, to_person(row), line.state))


def to_person(row: rows.Row) -> Reply:
    """What the person is shown."""
    if row.kind is LineKind.NOTICE:
        return Reply(notices.RESOLVED, Outcome.HANDED)
    name = " ".join(_MARKUP.sub("", row.name).split())
    text = f"**{name}:** {row.staff_text}" if name else row.staff_text
    return Reply(text, Outcome.HANDED, composer="staff")


class _Lines:
    """The outbox that couriers work with (`bot.dispatching.courier.Outbox`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin_send(self, answer_id: str, *, again: bool = False) -> int | None:
        """Count an attempt; None if it was told already."""
        del again
        number = _number(answer_id)
        return await self._database.write(lambda connection: rows.begin_line(connection, number))

    async def sent(self, answer_id: str, platform_id: str) -> None:
        """It was told."""
        await self._end(answer_id, SendState.SENT, platform_id, "", 0)

    async def unsent(
        self, answer_id: str, state: SendState, error: str, *, counts: bool = True
    ) -> None:
        """It was not, or not for sure."""
        await self._end(answer_id, state, "", error, int(not counts))

    async def line(self, answer_id: str) -> rows.Row:
        """A line with what was said in it."""
        number = _number(answer_id)
        return await self._database.read(lambda session: rows.line(session.connection(), number))

    async def to_person(self, line: rows.Unsent) -> tuple[dict[str, str], rows.Row]:
        """Where the person wrote last, and what is to be told there."""
        return await self._database.read(
            lambda session: (
                rows.newest_detail(session.connection(), line.handover_id),
                rows.line(session.connection(), line.id),
            )
        )

    async def _end(
        self, answer_id: str, state: SendState, shown_as: str, error: str, back: int
    ) -> None:
        def write(connection: Connection) -> None:
            number = _number(answer_id)
            rows.end_line(connection, number, state, shown_as=shown_as, error=error, back=back)

        await self._database.write(write)


class _DeskPlace:
    """A desk as a place to show things (`bot.types.Showplace`); conversations are handovers."""

    def __init__(self, desk: Desk, get: Get, lines: _Lines) -> None:
        self._desk = desk
        self._get = get
        self._lines = lines

    async def open(self, to: Address, event_id: str) -> Delivery:
        """Begin to tell a line."""
        return _DeskDelivery(self._desk, *await self._told(to.conversation, event_id))

    async def delivered(self, to: Address, answer_id: str) -> str | None:
        """Look for it where it may have been told."""
        return await self._desk.shown(*await self._told(to.conversation, answer_id))

    async def _told(self, handover_id: str, line_id: str) -> tuple[Handover, Line]:
        return await self._get(handover_id), _line(await self._lines.line(line_id))


@dataclass(frozen=True, slots=True)
class _DeskDelivery:
    """One line on its way to one desk (`bot.types.Delivery`)."""

    desk: Desk
    handover: Handover
    line: Line

    async def status(self, text: str) -> None:
        """Nothing: staff need no sign of life."""

    async def append(self, delta: str) -> None:
        """Nothing: lines are whole."""

    async def finish(self, reply: Reply, answer_id: str) -> str:
        """Tell it."""
        del reply, answer_id
        return await self.desk.show(self.handover, self.line)


def _line(row: rows.Row) -> Line:
    if row.kind is LineKind.PERSON:
        by = Actor(row.actor_id, row.actor_name)
        return Line(str(row.id), row.kind, row.person_text, by, row.event_id, row.person_at)
    if row.kind is LineKind.STAFF:
        by = Actor(row.author, row.name)
        return Line(str(row.id), row.kind, row.staff_text, by, "", row.staff_at)
    return Line(str(row.id), row.kind, "", None, "", row.changed)


def _number(line_id: str) -> int:
    return int(line_id.removeprefix(STAFF))
