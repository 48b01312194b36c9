"""The commands, the buttons that act like commands, and links that begin a chat.

Knows what each command does and says. `/human` and links that carry a question become ordinary
questions; the bot decides what follows.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import structlog
from aiogram.methods import EditMessageText
from aiogram.types import CallbackQuery, MaybeInaccessibleMessageUnion, Message

from adapters.telegram.api import Api, TelegramError
from adapters.telegram.places import NAME, Moves, Said, Spot
from adapters.telegram.render import asks_for_votes, button, keyboard
from adapters.telegram.speak import Speaker
from adapters.telegram.staff import StaffDesk
from adapters.telegram.talks import Talks
from adapters.telegram.texts import texts
from adapters.telegram.votes import ERASE, TALK, Votes, vote_keyboard
from bot.config import TelegramPlace, TelegramSettings
from bot.errors import ConfigError
from bot.handover import Handovers
from bot.reviewing.erase import Eraser, person_of
from bot.store import Exchange, Store
from bot.types import Actor, Event

PAYLOAD_CHARS = 64  # of a link; Telegram takes no more
_ASK = "q_"
_HUMAN = "human"
_QUESTION_SHOWN = 200
_LOOK_BACK = 10

TakeIn = Callable[[Event], Awaitable[None]]
log = structlog.get_logger(__name__)


class Stopper(Protocol):
    """Whoever can stop answers."""

    async def stop_user(self, user: int) -> None:
        """Stop every answer that is being made for somebody, leaving nothing behind."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """What the commands work with."""

    settings: TelegramSettings
    store: Store
    api: Api
    speaker: Speaker
    votes: Votes
    talks: Talks
    moves: Moves
    bot_id: int
    handovers: Handovers | None
    staff: StaffDesk | None


class Commands:
    """Runs commands."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._eraser = Eraser(means.store.database)
        self._take_in: TakeIn | None = None
        self._running: Stopper | None = None
        self._verbs: dict[str, Callable[[str, Said], Awaitable[None]]] = {
            "start": self._start,
            "help": self._help,
            "new": self._new,
            "human": self._human,
            "feedback": self._feedback,
            "privacy": self._privacy,
            "delete_my_data": self._delete,
        }

    def connect(self, take_in: TakeIn, running: Stopper) -> None:
        """Give it the way in for questions, and who can stop answers."""
        self._take_in = take_in
        self._running = running

    async def run(self, name: str, rest: str, one: Said) -> bool:
        """Carry a command out; False for one that is not ours. `rest` is what follows it."""
        verb = self._verbs.get(name)
        if verb is None:
            return False
        await verb(rest, one)
        return True

    async def pressed(self, query: CallbackQuery, kind: str, rest: str) -> None:
        """Carry out a button that acts like a command."""
        message, user = query.message, query.from_user
        told = texts(user.language_code or "en")
        if message is None:
            await self._means.votes.answer(query, "")
        elif kind == TALK:
            await self._means.votes.answer(query, "")
            await self._human("", self._presser(query, message))
        elif kind == ERASE:
            answer, _, whose = rest.partition(":")
            if whose != str(user.id):
                await self._means.votes.answer(query, told.not_yours)
                return
            await self._means.votes.answer(query, "")
            if answer == "yes":
                await self._erase(user.id)
            await self._replace(query, told.deleted if answer == "yes" else told.kept)

    # What the commands do

    async def _say(self, one: Said, text: str) -> None:
        await self._means.speaker.say(Spot.of(one.address("")), text)

    async def _start(self, rest: str, one: Said) -> None:
        await self._say(one, texts(one.lang).greeting.format(name=one.name))
        if rest == _HUMAN:
            await self._human("", one)
        elif question := question_of(rest):
            await self._ask(replace(one, text=question))

    async def _help(self, _: str, one: Said) -> None:
        await self._say(one, texts(one.lang).help)

    async def _new(self, _: str, one: Said) -> None:
        handovers = self._means.handovers
        if handovers is not None:
            held = await handovers.of(NAME, await self._means.talks.of(one))
            if held is not None:
                by = Actor(person_of(NAME, one.actor_id), one.name)
                await handovers.resolve(held.id, by)
        await self._means.talks.renew(one)
        await self._say(one, texts(one.lang).fresh)

    async def _human(self, _: str, one: Said) -> None:
        await self._ask(replace(one, text=texts(one.lang).wish))

    async def _privacy(self, _: str, one: Said) -> None:
        await self._say(one, texts(one.lang).privacy)

    async def _feedback(self, _: str, one: Said) -> None:
        """Offer the buttons of the last answer again."""
        told = texts(one.lang)
        talk = await self._means.talks.of(one)
        thread = await self._means.store.thread(NAME, talk, _LOOK_BACK)
        last = next((exchange for exchange in reversed(thread) if _rateable(exchange)), None)
        if last is None or last.answer_id is None:
            await self._say(one, told.feedback_none)
            return
        voter = person_of(NAME, one.actor_id) if one.private else ""
        votes = {key: vote for key, vote in last.votes.items() if not voter or key == voter}
        markup = vote_keyboard(last.answer_id, told, votes, voter)
        asked = " ".join(last.text.split())[:_QUESTION_SHOWN]
        text = told.feedback.format(question=asked)
        await self._means.speaker.say(Spot.of(one.address("")), text, markup)

    async def _delete(self, _: str, one: Said) -> None:
        told = texts(one.lang)
        buttons = keyboard(
            [
                button(told.delete_yes, f"{ERASE}:yes:{one.user}"),
                button(told.delete_no, f"{ERASE}:no:{one.user}"),
            ]
        )
        await self._means.speaker.say(Spot.of(one.address("")), told.delete_ask, buttons)

    async def _erase(self, user: int) -> None:
        if self._running is not None:
            await self._running.stop_user(user)
        by = Actor(person_of(NAME, str(user)))
        handovers = self._means.handovers
        for held in await handovers.pending() if handovers is not None else ():
            if handovers is not None and (held.channel, held.person.id) == (NAME, str(user)):
                await handovers.resolve(held.id, by)
        await self._eraser.delete(NAME, str(user), by.id)
        await self._means.votes.forget(user)
        if self._means.staff is not None:
            await self._means.staff.forget(user)

    async def _ask(self, one: Said) -> None:
        if self._take_in is None:
            raise AssertionError("commands are connected before they run")
        chats = self._means.settings.chats
        place = chats.get(str(one.chat)) or chats.get(str(one.origin)) or TelegramPlace()
        talk = await self._means.talks.of(one)
        await self._take_in(
            Event(one.event_id, one.address(talk), one.actor(place), one.text, one.at)
        )

    def _presser(self, query: CallbackQuery, shown: MaybeInaccessibleMessageUnion) -> Said:
        """A press as if it were a message; its id is the press', which arrives again unchanged."""
        topic = shown.message_thread_id if isinstance(shown, Message) else None
        in_topic = isinstance(shown, Message) and bool(shown.is_topic_message)
        return Said(
            bot=self._means.bot_id,
            chat=shown.chat.id,
            origin=self._means.moves.origin(shown.chat.id),
            private=shown.chat.type == "private",
            thread=(topic or 0) if in_topic else 0,
            message=shown.message_id,
            user=query.from_user.id,
            name=query.from_user.full_name[:100],
            lang=query.from_user.language_code or "en",
            business=(shown.business_connection_id or "") if isinstance(shown, Message) else "",
            text="",
            at=datetime.now(UTC),
            press=query.id,
        )

    async def _replace(self, query: CallbackQuery, text: str) -> None:
        """Put words in the place of a question that was answered by a button."""
        message = query.message
        if message is None:
            return
        change = EditMessageText(
            chat_id=message.chat.id, message_id=message.message_id, text=text, reply_markup=None
        )
        try:
            await self._means.api.call(change)
        except TelegramError as problem:
            log.info("a question was not replaced by its answer", error=problem.message)


def _rateable(exchange: Exchange) -> bool:
    return exchange.reply is not None and asks_for_votes(exchange.reply)


# Links


def link(username: str, question: str) -> str:
    """An address that opens a chat with the bot and asks `question`.

    Raises `ConfigError` if the question is too long for a link: about 45 letters fit.
    """
    payload = _ASK + base64.urlsafe_b64encode(question.encode()).decode().rstrip("=")
    if len(payload) > PAYLOAD_CHARS:
        raise ConfigError(
            f"The question is too long for a link: {len(payload)} characters of {PAYLOAD_CHARS}.",
            "Shorten it.",
        )
    return f"https://t.me/{username}?start={payload}"


def question_of(payload: str) -> str:
    """The question in a link's payload; nothing for any other payload."""
    if not payload.startswith(_ASK):
        return ""
    coded = payload.removeprefix(_ASK)
    try:
        return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode().strip()
    except (binascii.Error, ValueError):
        return ""
