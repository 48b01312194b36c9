"""A conversation in the hands of people: asked for, claimed, spoken in, and given back.

Knows the states of a handover and what each step commits. Does not know how its lines travel
(`bot/handover/relay.py`).

While a handover is not resolved the bot is silent in its conversation. What the person writes is
taken in as ever, ends as `Outcome.HANDED`, and goes to every desk; what staff write goes to the
person through the channel they came by, and is kept as a possible correction. Every step is one
committed transaction together with the lines that tell of it, so nothing is lost on the way.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy.engine import Connection
from sqlmodel import Session

from bot.database import Database
from bot.dispatching.courier import Patience
from bot.dispatching.journal import settle
from bot.errors import NotAllowed, NotFound
from bot.handover import rows
from bot.handover.nouns import Desk, Handover, StaffMessage, Suggestion
from bot.handover.relay import STAFF, Relay, to_person
from bot.tables import HandoverState, LineKind, SendState, SuggestionState
from bot.types import Actor, Channel, Outcome, Reply, Turn
from bot.words.phrases import SPOKEN
from bot.words.smalltalk import Talk, peel, wants_human_now

T = TypeVar("T")

TALK_TURNS = 8
"""Turns that staff are shown of what was said before."""


def wish(text: str, last_answer: str) -> str:
    """The language somebody asks for a person in; empty if they ask for something else."""
    said = peel(text)
    if said.talk is Talk.HUMAN:
        return said.lang or "en"
    if wants_human_now(text, last_answer):
        return next(lang for lang, words in SPOKEN.items() if words.offer in last_answer)
    return ""


class Handovers:
    """The handovers of one database. One per server: it holds in memory who is spoken for."""

    def __init__(
        self, database: Database, channels: Mapping[str, Channel], patience: Patience
    ) -> None:
        self._database = database
        self._relay = Relay(database, channels, patience, self.get)
        self._silent: dict[tuple[str, str], tuple[str, str]] = {}  # handover, event of the wish

    # Life

    async def start(self) -> None:
        """Take up what an earlier process left."""
        self._silent |= await self._database.read(rows.unresolved)
        await self._relay.start()

    def attach(self, desk: Desk) -> None:
        """Add a place where staff sit, before `start`: only places that are known are told."""
        self._relay.attach(desk)

    @property
    def staffed(self) -> bool:
        """True if there is any place where staff would see a handover."""
        return bool(self._relay.desks)

    async def stop(self, seconds: float) -> None:
        """End telling; what is left is told after the next start."""
        await self._relay.stop(seconds)

    # What the dispatcher asks

    def silent(self, channel: str, conversation: str, event_id: str = "") -> bool:
        """True while people have the conversation; not for the very message that asked for it."""
        held = self._silent.get((channel, conversation))
        return held is not None and held[1] != (event_id or None)

    async def hand(self, channel: str, conversation: str, message_id: int) -> str | None:
        """End a message as handed on, and tell every desk; returns its answer's id.

        None if the conversation is the bot's again.
        """
        desks = self._relay.desks

        def write(connection: Connection) -> str | None:
            found = rows.unresolved_of(connection, channel, conversation)
            if found is None:
                return None
            reply = Reply("", Outcome.HANDED)
            answer_id = settle(connection, message_id, reply, uuid.uuid4().hex, SendState.SENT)
            for desk in desks:
                rows.add_line(connection, found, desk, kind=LineKind.PERSON, message_id=message_id)
            return answer_id

        return await self._told(write)

    # What people do

    async def open(
        self, channel: str, conversation: str, event_id: str, reason: str, by: Actor
    ) -> Handover:
        """Hand a conversation to people; returns the handover that is open, if there is one.

        `event_id` is the message that asked for it; empty when staff step in. Raises `NotFound`
        for a conversation in which nothing was said.
        """
        desks = self._relay.desks

        def write(connection: Connection) -> str:
            found = rows.unresolved_of(connection, channel, conversation)
            if found is not None:
                return found
            new = rows.add_handover(connection, channel, conversation, event_id, reason, by.id)
            rows.add_cards(connection, new, desks)
            return new

        handover = await self.get(await self._told(write))
        self._silent.setdefault((channel, conversation), (handover.id, event_id))
        return handover

    async def claim(self, handover_id: str, by: Actor, *, take_over: bool = False) -> Handover:
        """Take a handover on. Raises `NotAllowed` if it is over, or somebody else has it.

        `take_over` takes it from them.
        """
        desks = self._relay.desks

        def write(connection: Connection) -> None:
            row = _open_row(connection, handover_id)
            if row.claimed_by == by.id:
                return
            if row.claimed_by and not take_over:
                name = row.claimed_name or "Somebody"
                raise NotAllowed(f"{name} has this conversation already.", "Take it over instead.")
            rows.set_claimed(connection, handover_id, by)
            rows.add_cards(connection, handover_id, desks)

        await self._told(write)
        return await self.get(handover_id)

    async def say(
        self, handover_id: str, by: Actor, text: str, key: str = "", desk: str = ""
    ) -> StaffMessage:
        """Answer the person. Who answers an unclaimed handover claims it.

        `key` is the platform's id of the message: the same one counts once. `desk` is where it
        was written; only the others are told. Raises `NotAllowed` once the handover is over.
        """
        desks = self._relay.desks
        staff_id = uuid.uuid4().hex

        def write(connection: Connection) -> str:
            known = rows.staff_of(connection, key) if key else None
            if known is not None:
                return known
            row = _open_row(connection, handover_id)
            if not row.claimed_by:
                rows.set_claimed(connection, handover_id, by)
                rows.add_cards(connection, handover_id, desks)
            rows.add_staff(connection, staff_id, key or staff_id, row, by, text, _is_wish)
            for target in ("", *(one for one in desks if one != desk)):
                rows.add_line(
                    connection, handover_id, target, kind=LineKind.STAFF, staff_id=staff_id
                )
            return staff_id

        written = await self._told(write)
        return next(one for one in await self.said(handover_id) if one.id == written)

    async def resolve(self, handover_id: str, by: Actor) -> Handover:
        """Give the conversation back to the bot, and tell the person so. Once is enough."""
        desks = self._relay.desks

        def write(connection: Connection) -> None:
            row = rows.handover_row(connection, handover_id)
            if row is None:
                raise _unknown(handover_id)
            if row.state is HandoverState.RESOLVED:
                return
            rows.set_resolved(connection, handover_id, by.id)
            rows.add_cards(connection, handover_id, desks)
            rows.add_line(connection, handover_id, "", kind=LineKind.NOTICE)

        await self._told(write)
        handover = await self.get(handover_id)
        talk = (handover.channel, handover.conversation)
        if self._silent.get(talk, ("", ""))[0] == handover_id:
            del self._silent[talk]
        return handover

    # What desks ask

    async def of(self, channel: str, conversation: str) -> Handover | None:
        """The handover in which a conversation is now, or None."""
        held = self._silent.get((channel, conversation))
        return None if held is None else await self.get(held[0])

    async def get(self, handover_id: str) -> Handover:
        """A handover. Raises `NotFound`."""
        found = await self._database.read(lambda session: _read(session, handover_id))
        if found is None:
            raise _unknown(handover_id)
        return found

    async def pending(self) -> list[Handover]:
        """Every handover that is not resolved, the oldest first."""
        ids = [handover_id for handover_id, _ in self._silent.values()]
        found = [await self.get(one) for one in ids]
        return sorted(found, key=lambda one: one.opened)

    async def said(self, handover_id: str) -> list[StaffMessage]:
        """What staff wrote in a handover, oldest first."""

        def read(session: Session) -> list[StaffMessage]:
            return [
                StaffMessage(
                    one.id, one.handover_id, Actor(one.author, one.name), one.text, one.at, one.send
                )
                for one in rows.staff_messages(session.connection(), handover_id)
            ]

        return await self._database.read(read)

    async def told(self, channel: str, conversation: str) -> list[tuple[str, datetime, Reply]]:
        """What staff told a person, as their channel was given it: its id, when, the text.

        For a channel whose pages are drawn anew, such as the chat page.
        """

        def read(session: Session) -> list[tuple[str, datetime, Reply]]:
            lines = rows.lines_to_person(session.connection(), channel, conversation)
            return [(f"{STAFF}{one.id}", one.at or one.changed, to_person(one)) for one in lines]

        return await self._database.read(read)

    async def put_card(self, handover_id: str, desk: str, place: str) -> None:
        """Remember where a desk shows a handover, in the desk's own words."""
        await self._database.write(
            lambda connection: rows.set_card(connection, handover_id, desk, place)
        )

    async def card(self, handover_id: str, desk: str) -> str | None:
        """Where a desk shows a handover, or None."""
        return await self._database.read(
            lambda session: rows.card(session.connection(), handover_id, desk)
        )

    async def carded(self, desk: str, place: str) -> Handover | None:
        """The handover that a desk shows in a place, or None."""
        found = await self._database.read(
            lambda session: rows.carded(session.connection(), desk, place)
        )
        return None if found is None else await self.get(found)

    # What reviewers ask

    async def suggestions(
        self, state: SuggestionState = SuggestionState.NEW, limit: int = 200
    ) -> list[Suggestion]:
        """Staff messages as possible corrections, the newest first."""

        def read(session: Session) -> list[Suggestion]:
            found = rows.suggestions(session.connection(), state, limit)
            return [Suggestion(*tuple(row)) for row in found]

        return await self._database.read(read)

    async def decide(self, suggestion_id: int, state: SuggestionState, by: str) -> None:
        """Note what a reviewer made of a suggestion. Raises `NotFound`."""

        def write(connection: Connection) -> None:
            if not rows.decide(connection, suggestion_id, state, by):
                raise NotFound(f"There is no suggestion {suggestion_id}.", "Reload the list.")

        await self._database.write(write)

    # Below

    async def _told(self, write: Callable[[Connection], T]) -> T:
        """Commit, then tell whom the new lines are for."""

        def counted(connection: Connection) -> tuple[T, Sequence[rows.Unsent]]:
            before = rows.newest_line(connection)
            return write(connection), rows.unsent(connection, after=before)

        result, lines = await self._database.write(counted)
        self._relay.tell(lines)
        return result


def _is_wish(text: str) -> bool:
    return peel(text).talk is Talk.HUMAN


def _open_row(connection: Connection, handover_id: str) -> rows.Row:
    row = rows.handover_row(connection, handover_id)
    if row is None:
        raise _unknown(handover_id)
    if row.state is HandoverState.RESOLVED:
        raise NotAllowed("This conversation is the bot's again.", "Step in anew to answer there.")
    return row


def _unknown(handover_id: str) -> NotFound:
    return NotFound(f"There is no handover {handover_id}.", "Reload the list.")


def _read(session: Session, handover_id: str) -> Handover | None:
    connection = session.connection()
    row = rows.handover_row(connection, handover_id)
    if row is None:
        return None
    turns: list[Turn] = []
    for text, answer in rows.talk(connection, row.conversation_id, row.message_id, TALK_TURNS // 2):
        turns += [Turn("user", text)] + ([Turn("assistant", answer)] if answer else [])
    return Handover(
        id=row.id,
        channel=row.channel,
        conversation=row.key,
        state=row.state,
        person=Actor(row.actor_id, row.actor_name, row.audience),
        reason=row.reason,
        talk=tuple(turns),
        opened_by=row.opened_by,
        claimed_by=Actor(row.claimed_by, row.claimed_name) if row.claimed_by else None,
        resolved_by=row.resolved_by,
        opened=row.opened,
        changed=row.changed,
    )
