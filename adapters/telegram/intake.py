"""What arrives from Telegram, taken in: which updates matter, and as what.

Knows update shapes and when to be silent. Returns only when whatever it was has been committed;
raises `NotKept` when it could not be, and the caller does not confirm the update then, so that
Telegram brings it again. In a group the bot answers who mentions it, replies to it or gives it a
command; in a business chat, whoever is not the owner.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog
from aiogram.methods import GetBusinessConnection
from aiogram.types import (
    BusinessConnection,
    BusinessMessagesDeleted,
    CallbackQuery,
    ChatMemberUpdated,
    Message,
    MessageGenerationStopped,
    Update,
)

from adapters.telegram.albums import Albums
from adapters.telegram.api import Api, TelegramError
from adapters.telegram.commands import Commands
from adapters.telegram.places import (
    NAME,
    Identity,
    Moves,
    Said,
    Spot,
    answers_me,
    command,
    mentions,
    said,
)
from adapters.telegram.speak import Speaker
from adapters.telegram.staff import StaffDesk
from adapters.telegram.talks import Talks
from adapters.telegram.texts import texts
from adapters.telegram.votes import ERASE, REASON, STOP, TALK, VOTE, WORDS, Votes
from bot.config import TelegramPlace, TelegramSettings
from bot.dispatching import notices
from bot.errors import Busy, Refused, StoreError, TooLarge
from bot.notes import Notes
from bot.store import Store
from bot.types import Accept, Event
from bot.writing.commands import is_command

ALLOWED_UPDATES = (
    "message",
    "edited_message",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "message_reaction",
    "message_reaction_count",
    "callback_query",
    "my_chat_member",
    "chat_member",
    "stopped_message_generation",
)
"""Always given in full: what is left out keeps its last setting, or is not sent at all."""
_WAIT = frozenset(
    {
        notices.REFUSED_RESTART[0],
        notices.REFUSED_FULL[0],
        notices.REFUSED_CHANNEL[0].format(channel=NAME),
    }
)
"""Refusals that are the server's affair: Telegram keeps the update meanwhile, for a day."""
_SPOKEN = {"voice", "audio", "video_note"}
_SHOWN = {"photo", "video", "animation", "document", "sticker", "paid_media", "story"}
_OTHER = {"location", "venue", "contact", "poll", "dice", "game", "checklist"}
_PRESENT = {"member", "administrator", "creator", "restricted"}
_MOST_REMEMBERED = 2_000

Hear = Callable[[Message], Awaitable[str]]
"""Turns a voice message into words; the seam for a transcriber."""
log = structlog.get_logger(__name__)


class NotKept(Exception):
    """The update could not be committed: do not confirm it."""


class Running(Protocol):
    """The answers being made now."""

    async def stop_event(self, event_id: str, *, quiet: bool) -> bool:
        """Stop the answer to one message; `quiet` leaves nothing behind. False if none is made."""
        ...

    async def stop_draft(self, chat: int, draft_id: int, user: int | None) -> bool:
        """Stop the answer of a draft, if it is `user`'s; anybody's for None. False if not."""
        ...

    async def stop_user(self, user: int) -> None:
        """Stop every answer that is being made for somebody, leaving nothing behind."""
        ...

    async def gone(self, chat: int) -> None:
        """Somebody blocked the bot, or a group removed it."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What the intake works with."""

    me: Identity
    settings: TelegramSettings
    store: Store
    notes: Notes
    api: Api
    speaker: Speaker
    votes: Votes
    talks: Talks
    commands: Commands
    staff: StaffDesk | None
    moves: Moves
    hear: Hear | None


class Intake:
    """Takes updates in. `accept` is the bot's."""

    def __init__(self, accept: Accept, running: Running, parts: Parts) -> None:
        self._accept = accept
        self._running = running
        self._parts = parts
        self._me = parts.me
        self._notes = parts.notes
        self._albums = Albums(self._album)
        self._refused: OrderedDict[str, None] = OrderedDict()
        self._texts: OrderedDict[str, str] = OrderedDict()  # lately taken in, to see real edits
        self._handlers: dict[str, Callable[[Any], Awaitable[asyncio.Future[None] | None]]] = {
            "message": self._message,
            "edited_message": self._edited,
            "business_connection": self._connected,
            "business_message": self._business,
            "edited_business_message": self._edited_business,
            "deleted_business_messages": self._deleted,
            "message_reaction": parts.votes.reacted,
            "callback_query": self._pressed,
            "my_chat_member": self._membership,
            "stopped_message_generation": self._stopped,
        }
        parts.commands.connect(self.take_in, running)

    async def update(self, update: Update) -> asyncio.Future[None] | None:
        """Take one update in. Raises `NotKept`; returns a future for what is kept a moment later.

        Such a future may raise `NotKept` too.
        """
        for kind, handler in self._handlers.items():
            content = getattr(update, kind)
            if content is not None:
                try:
                    return await handler(content)
                except StoreError as problem:
                    raise NotKept from problem
        return None

    # Messages

    async def _message(self, message: Message) -> asyncio.Future[None] | None:
        if message.migrate_to_chat_id is not None:
            await self._parts.api.migrated(message.chat.id, message.migrate_to_chat_id)
        elif message.migrate_from_chat_id is not None:
            await self._parts.api.migrated(message.migrate_from_chat_id, message.chat.id)
        elif _by_a_person(message) and not await self._by_staff(message):
            return await self._person(message)
        return None

    async def _by_staff(self, message: Message) -> bool:
        staff = self._parts.staff
        return staff is not None and staff.is_its(message) and await staff.took(message)

    async def _person(self, message: Message) -> asyncio.Future[None] | None:
        one = said(message, self._me, self._parts.moves)
        given = command(message, self._me)
        if given is not None:
            if await self._parts.commands.run(*given, one):
                return None
            if is_command(one.text):  # the bot's own, which is a question to it
                await self._ask(one)
                return None
            if not one.private:
                return None
        return await self._spoken(message, one)

    async def _spoken(self, message: Message, one: Said) -> asyncio.Future[None] | None:
        if not (one.private or self._addressed(message, one)):
            return None
        if await self._parts.votes.corrected(message, one.text):
            await self._parts.speaker.say(Spot.of(one.address("")), texts(one.lang).thanks)
            return None
        if await self._copied(message, one) and not one.text:
            return None
        if one.album:
            return self._albums.add(one)
        if not one.text and self._parts.hear is not None and message.content_type in _SPOKEN:
            one = replace(one, text=(await self._parts.hear(message)).strip())
        under = message.reply_to_message
        if not one.text and under is not None and mentions(message, self._me):
            # Nothing but the bot's name under a message: that message is the question.
            one = replace(one, text=(under.text or under.caption or "").strip())
        if one.text:
            await self._ask(one)
        else:
            await self._unreadable(message, one)
        return None

    async def _copied(self, message: Message, one: Said) -> bool:
        """Whether staff who have the conversation were shown something that is no text."""
        staff = self._parts.staff
        if staff is None or message.content_type not in _SPOKEN | _SHOWN | _OTHER:
            return False
        return await staff.copied(message, await self._parts.talks.of(one))

    def _addressed(self, message: Message, one: Said) -> bool:
        return (
            mentions(message, self._me)
            or answers_me(message, self._me)
            or self.place(one).mode == "always"
        )

    def place(self, one: Said) -> TelegramPlace:
        """The settings of a chat, by its present or its first id."""
        chats = self._parts.settings.chats
        return chats.get(str(one.chat)) or chats.get(str(one.origin)) or TelegramPlace()

    async def _ask(self, one: Said, event_id: str = "") -> None:
        self._remember(one)
        talk = await self._parts.talks.of(one)
        await self.take_in(
            Event(
                id=event_id or one.event_id,
                address=one.address(talk),
                actor=one.actor(self.place(one)),
                text=one.text,
                at=one.at,
            )
        )

    async def _unreadable(self, message: Message, one: Said) -> None:
        """Say politely what can be read."""
        told, kind = texts(one.lang), message.content_type
        said_back = ""
        if kind == "text":  # nothing but the bot's name
            said_back = told.greeting.format(name=one.name)
        elif kind in _SPOKEN:
            said_back = told.voice
        elif kind in _SHOWN:
            said_back = told.picture
        elif kind in _OTHER:
            said_back = told.other
        if said_back:  # or it is a notice of Telegram's own
            await self._parts.speaker.say(Spot.of(one.address("")), said_back)

    async def _album(self, one: Said) -> None:
        """Pictures that were sent together, as one message."""
        try:
            if one.text:
                await self._ask(one)
            else:
                told = texts(one.lang)
                await self._parts.speaker.say(Spot.of(one.address("")), told.picture)
        except StoreError as problem:
            raise NotKept from problem

    async def take_in(self, event: Event) -> None:
        """Commit a question. One that is refused for good is told so, and is dealt with."""
        try:
            await self._accept(event)
        except (Busy, TooLarge) as refused:
            if refused.message in _WAIT:
                raise NotKept from refused
            if event.id not in self._refused:
                _limited(self._refused)[event.id] = None
                spot = Spot.of(event.address)
                told = texts(spot.lang)
                text = told.too_long if isinstance(refused, TooLarge) else told.waiting
                await self._parts.speaker.say(spot, text)
        except Refused as refused:
            raise NotKept from refused

    def _remember(self, one: Said) -> None:
        _limited(self._texts)[one.event_id] = one.text

    # Changes

    async def _edited(self, message: Message) -> None:
        """Answer what the message says now, if its answer was still being made."""
        if not _by_a_person(message):
            return
        one = said(message, self._me, self._parts.moves)
        if not (one.private or self._addressed(message, one)) or command(message, self._me):
            return
        if not one.text or self._texts.get(one.event_id) == one.text:
            return
        if not await self._parts.store.amend(one.event_id, one.text):
            if mentions(message, self._me):  # named only now
                await self._spoken(message, one)
            return
        self._remember(one)
        if await self._running.stop_event(one.event_id, quiet=True):
            await self._ask(one, f"{one.event_id}:{message.edit_date}")

    # Business chats

    async def _connected(self, connection: BusinessConnection) -> None:
        can = connection.rights is not None and bool(connection.rights.can_reply)
        note = {"owner": connection.user.id, "answers": connection.is_enabled and can}
        await self._notes.put(f"business/{connection.id}", note)

    async def _connection(self, business: str) -> tuple[int, bool]:
        """Who owns a connection, and whether the bot may write there."""
        note = await self._notes.get(f"business/{business}")
        if note is None:
            try:
                found = await self._parts.api.call(
                    GetBusinessConnection(business_connection_id=business)
                )
            except TelegramError as problem:
                if not problem.final:
                    raise NotKept from problem
                return 0, False
            await self._connected(found)
            note = await self._notes.get(f"business/{business}") or {}
        return int(note["owner"]), bool(note["answers"])

    async def _business(self, message: Message) -> asyncio.Future[None] | None:
        owner, answers = await self._connection(message.business_connection_id or "")
        if not answers or not _by_a_person(message) or message.sender_business_bot is not None:
            return None
        if message.from_user is None or message.from_user.id == owner:
            return None
        return await self._spoken(message, said(message, self._me, self._parts.moves))

    async def _edited_business(self, message: Message) -> None:
        owner, answers = await self._connection(message.business_connection_id or "")
        if answers and message.from_user is not None and message.from_user.id != owner:
            await self._edited(message)

    async def _deleted(self, deleted: BusinessMessagesDeleted) -> None:
        """Forget the words, and stop answering them."""
        origin = self._parts.moves.origin(deleted.chat.id)
        for message in deleted.message_ids:
            key = f"{NAME}:{self._me.id}:b{deleted.business_connection_id}:{origin}:{message}"
            if await self._parts.store.amend(key, ""):
                await self._running.stop_event(key, quiet=True)

    # The rest

    async def _pressed(self, query: CallbackQuery) -> None:
        kind, _, rest = (query.data or "").partition(":")
        if kind in {VOTE, REASON, WORDS}:
            await self._parts.votes.pressed(query, kind, rest)
        elif kind in {TALK, ERASE}:
            await self._parts.commands.pressed(query, kind, rest)
        elif kind == STOP and query.message is not None and rest.isdigit():
            told = texts(query.from_user.language_code or "en")
            chat, user = query.message.chat.id, query.from_user.id
            stopped = await self._running.stop_draft(chat, int(rest), user)
            await self._parts.votes.answer(query, told.stopping if stopped else told.not_yours)
        else:
            await self._parts.votes.answer(query, "")

    async def _stopped(self, stopped: MessageGenerationStopped) -> None:
        await self._running.stop_draft(stopped.chat.id, stopped.draft_id, None)

    async def _membership(self, change: ChatMemberUpdated) -> None:
        chat, now = change.chat.id, change.new_chat_member.status
        if now not in _PRESENT:
            await self._running.gone(chat)
            return
        await self._notes.drop(f"gone/{chat}")
        if change.chat.type != "private" and change.old_chat_member.status not in _PRESENT:
            told = texts(change.from_user.language_code or "en")
            await self._parts.speaker.say(Spot(chat), told.help)


def _by_a_person(message: Message) -> bool:
    """Somebody wrote it, who may be a group's anonymous administrator; no bot, no channel."""
    user, behind = message.from_user, message.sender_chat
    if user is None or message.is_automatic_forward or message.chat.type == "channel":
        return False
    if behind is not None:
        return behind.id == message.chat.id
    return not user.is_bot


def _limited(memory: OrderedDict[str, Any]) -> OrderedDict[str, Any]:
    """Make room for one more."""
    if len(memory) >= _MOST_REMEMBERED:
        memory.popitem(last=False)
    return memory
