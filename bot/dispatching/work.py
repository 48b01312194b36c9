"""One message in memory, why work on it ended, and how much there is of it.

Knows counts and reasons; `dispatch.py` decides what follows from them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto

from bot import metrics
from bot.tables import SendState
from bot.types import Address, Reply

Person = tuple[str, str]  # channel, actor id
Talk = tuple[str, str]  # channel, conversation


class End(Enum):
    """Why an answer was cancelled."""

    STOP = auto()  # the person pressed stop
    DEADLINE = auto()
    RELEASE = auto()  # the server stops; the next one will answer


@dataclass(slots=True, eq=False)
class Item:
    """One message in memory, from its commit until its reply is shown."""

    message_id: int
    event_id: str
    address: Address
    person: Person
    due: float  # on the loop's clock, which never steps
    since: float
    attempts: int = 0
    answer_id: str | None = None
    send: SendState = SendState.READY
    end: End | None = None
    begun: bool = False  # it has a slot
    alone: bool = False  # it holds the place of the one suspect
    work: asyncio.Task[Reply | None] | None = None
    ended: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def talk(self) -> Talk:
        """The conversation it belongs to."""
        return self.address.channel, self.address.conversation

    def cancel(self, end: End) -> None:
        """Stop answering. The first reason counts."""
        if self.end is None:
            self.end = end
            self.ended.set_result(None)
        if self.work is not None:
            self.work.cancel()


@dataclass(slots=True)
class Load:
    """What is in memory, counted as the limits count it."""

    people: Counter[Person] = field(default_factory=Counter)  # unanswered messages
    channels: Counter[str] = field(default_factory=Counter)  # undelivered replies
    everybody: int = 0  # the sum of `people`, which is asked for with every message

    def add(self, person: Person) -> None:
        """A message of theirs waits."""
        self.people[person] += 1
        self.everybody += 1
        metrics.WAITING.inc()

    def remove(self, person: Person) -> None:
        """One of their messages waits no more."""
        self.people[person] -= 1
        self.everybody -= 1
        if not self.people[person]:
            del self.people[person]
        metrics.WAITING.dec()
