"""What a handover is, to whoever deals with one: staff's desks, the console, the channels.

Knows shapes only. A `Desk` is a place where staff sit, such as a Slack channel or the console.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.tables import HandoverState, LineKind, SendState, SuggestionState
from bot.types import Actor, Turn
from knowledge.types import Audience


@dataclass(frozen=True, slots=True)
class Handover:
    """One conversation in the hands of people, as it is now."""

    id: str
    channel: str
    conversation: str
    state: HandoverState
    person: Actor
    reason: str
    talk: tuple[Turn, ...]  # what was said until it was opened, oldest first
    opened_by: str
    claimed_by: Actor | None
    resolved_by: str
    opened: datetime
    changed: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that a desk is told. `id` is unique and stays the same when it is told again."""

    id: str
    kind: LineKind
    text: str  # empty for a card
    by: Actor | None  # who said it; None for a card
    event_id: str  # of the person's message; empty for other kinds
    at: datetime


@dataclass(frozen=True, slots=True)
class StaffMessage:
    """What somebody of the staff wrote to the person."""

    id: str
    handover_id: str
    by: Actor
    text: str
    at: datetime
    send: SendState = SendState.READY  # how far it has come on its way to the person


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A staff message as a possible correction, for a reviewer to judge."""

    id: int
    question: str
    text: str
    author: str
    audience: Audience  # whom it was said to
    state: SuggestionState
    at: datetime
    handover_id: str


class Desk(Protocol):
    """Where staff see handovers and answer them."""

    name: str

    async def show(self, handover: Handover, line: Line) -> str:
        """Tell staff; returns the platform's id for it. Raises `DeliveryError`.

        A `CARD` is put up where there is none and brought up to date where there is one.
        """
        ...

    async def shown(self, handover: Handover, line: Line) -> str | None:
        """The platform's id of a line that may have been told before a crash, else None."""
        ...
