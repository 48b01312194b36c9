"""Where staff talk with people: a group with topics, one topic for each person.

Knows forum topics (https://core.telegram.org/bots/api#createforumtopic) and what staff write in
them. What the bot is to do with it is decided by `bot.handover`. A topic that somebody deleted is
made again; one that is closed is opened when there is something to say. What a person sends that
is no text is copied as it is, and so are the pictures of staff.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import structlog
from aiogram.methods import (
    CloseForumTopic,
    CopyMessage,
    CreateForumTopic,
    DeleteForumTopic,
    EditMessageText,
    ReopenForumTopic,
    SendMessage,
    TelegramMethod,
)
from aiogram.types import Message

from adapters.markdown import Break, Document, Inline, Paragraph, Strong, Text, split
from adapters.telegram.api import Api, TelegramError
from adapters.telegram.places import NAME, Spot
from adapters.telegram.render import NO_PREVIEW, PIECE, Html, followed
from adapters.telegram.speak import Speaker
from adapters.telegram.talks import chat_of, thread_of
from bot.errors import NotAllowed, NotFound
from bot.handover import Handover, Handovers, HandoverState, Line, LineKind
from bot.notes import Notes
from bot.types import Actor

_NAME_CHARS = 100  # of a topic; Telegram takes 128
_TURN_CHARS = 400  # of each turn on a card
_TURNS = 6
_STATES = {
    HandoverState.OPEN: "🟡 waiting",
    HandoverState.CLAIMED: "🔵 with {name}",
    HandoverState.RESOLVED: "✅ closed",
}

log = structlog.get_logger(__name__)


class StaffDesk:
    """See `bot.handover.Desk`."""

    name = NAME

    def __init__(
        self, chat: int, handovers: Handovers, notes: Notes, api: Api, speaker: Speaker
    ) -> None:
        self._group = chat
        self._handovers = handovers
        self._notes = notes
        self._api = api
        self._speaker = speaker

    # What staff are told

    async def show(self, handover: Handover, line: Line) -> str:
        """Tell it in the person's topic."""
        if line.kind is LineKind.CARD:
            return await self._card(handover)
        name = " ".join(line.by.name.split()) if line.by is not None else ""
        sign = "🧑‍💼" if line.kind is LineKind.STAFF else "👤"
        sent = 0
        for words in _pieces(f"{sign} {name or 'Somebody'}", line.text):
            sent = await self._say(handover, words)
        return f"{self._group}:{sent}"

    async def shown(self, handover: Handover, line: Line) -> str | None:
        """None: Telegram cannot be asked. A card is edited, which may be repeated."""
        del handover, line
        return None

    async def _card(self, handover: Handover) -> str:
        """Put the card up, or bring it up to date; a closed conversation closes its topic."""
        thread = await self._topic(handover)
        place = await self._handovers.card(handover.id, NAME)
        words = _card_text(handover)
        message = int(place.partition(":")[2]) if place and place.startswith(f"{thread}:") else 0
        if message:
            message = await self._edited(message, words)
        if not message:
            message = await self._say(handover, words)
            thread = await self._topic(handover)  # another one, if the first was gone
            await self._handovers.put_card(handover.id, NAME, f"{thread}:{message}")
        await self._shut(handover, thread, closed=handover.state is HandoverState.RESOLVED)
        return f"{self._group}:{message}"

    async def _shut(self, handover: Handover, thread: int, *, closed: bool) -> None:
        """Close a topic or open it again, unless it is so already."""
        note = await self._notes.get(_person(handover)) or {}
        if bool(note.get("closed")) == closed:
            return
        kind = CloseForumTopic if closed else ReopenForumTopic
        await self._tolerant(kind(chat_id=self._group, message_thread_id=thread))
        await self._notes.put(_person(handover), {"thread": thread, "closed": closed})

    async def _edited(self, message: int, words: str) -> int:
        change = EditMessageText(
            chat_id=self._group,
            message_id=message,
            text=words,
            parse_mode="HTML",
            link_preview_options=NO_PREVIEW,
        )
        try:
            await self._api.call(change)
        except TelegramError as problem:
            if problem.code in {"message_gone", "topic_gone"}:
                return 0
            if problem.code != "not_modified":
                raise
        return message

    async def _say(self, handover: Handover, words: str) -> int:
        """Say it in the person's topic, which is there and open afterwards."""
        thread = await self._topic(handover)
        try:
            return await self._send(thread, words)
        except TelegramError as problem:
            if problem.code == "topic_closed":
                await self._tolerant(
                    ReopenForumTopic(chat_id=self._group, message_thread_id=thread)
                )
            elif problem.code == "topic_gone":
                await self._notes.drop(_person(handover))
                await self._notes.drop(_desk(thread))
                log.info("a topic of the staff group is gone and is made again")
                thread = await self._topic(handover)
            else:
                raise
        return await self._send(thread, words)

    async def _send(self, thread: int, words: str) -> int:
        message = SendMessage(
            chat_id=self._group,
            message_thread_id=thread,
            text=words,
            parse_mode="HTML",
            link_preview_options=NO_PREVIEW,
        )
        return (await self._api.call(message)).message_id

    async def _topic(self, handover: Handover) -> int:
        """The person's topic, made if there is none."""
        note = await self._notes.get(_person(handover))
        where = {"channel": handover.channel, "conversation": handover.conversation}
        if note is not None:
            thread = int(note["thread"])
            if await self._notes.get(_desk(thread)) != where:
                await self._notes.put(_desk(thread), where)
            return thread
        name = " ".join(handover.person.name.split()) or "Somebody"
        title = f"{name[:_NAME_CHARS]} · {handover.channel}"
        made = await self._api.call(CreateForumTopic(chat_id=self._group, name=title))
        thread = made.message_thread_id
        await self._notes.put(_desk(thread), where)
        await self._notes.put(_person(handover), {"thread": thread})
        return thread

    async def _tolerant(self, method: TelegramMethod[Any]) -> None:
        """Make a call that may have been made already."""
        try:
            await self._api.call(method)
        except TelegramError as problem:
            if problem.code == "flood" or problem.maybe_shown:
                raise
            log.info("a topic stays as it is", error=problem.message)

    # What staff write

    def is_its(self, message: Message) -> bool:
        """True for what is written in the staff group."""
        return message.chat.id == self._api.moved.get(self._group, self._group)

    async def took(self, message: Message) -> bool:
        """Deal with a message in somebody's topic; False for what is none."""
        thread = message.message_thread_id if message.is_topic_message else None
        note = await self._notes.get(_desk(thread)) if thread is not None else None
        if note is None or thread is None:
            return False
        channel, conversation = str(note["channel"]), str(note["conversation"])
        word = (message.text or "").split("@")[0].split(" ")[0].strip().lower()
        try:
            if word == "/close" or message.forum_topic_closed is not None:
                found = await self._handovers.of(channel, conversation)
                if found is not None:
                    await self._handovers.resolve(found.id, _by(message))
            elif word == "/claim":
                found = await self._in_hand(channel, conversation, message)
                await self._handovers.claim(found.id, _by(message), take_over=True)
            elif message.text and not word.startswith("/"):
                await self._answer(channel, conversation, message)
            elif not message.text:
                await self._picture(channel, conversation, message)
        except (NotAllowed, NotFound) as refused:
            await self._reply(message, f"{refused.message} {refused.remedy}")
        return True

    async def _in_hand(self, channel: str, conversation: str, message: Message) -> Handover:
        """The handover of a conversation; whoever writes in a closed one steps in anew."""
        found = await self._handovers.of(channel, conversation)
        if found is not None:
            return found
        return await self._handovers.open(channel, conversation, "", "staff wrote", _by(message))

    async def _answer(self, channel: str, conversation: str, message: Message) -> None:
        found = await self._in_hand(channel, conversation, message)
        key = f"{NAME}:staff:{message.chat.id}:{message.message_id}"
        await self._handovers.say(found.id, _by(message), message.text or "", key, NAME)
        if channel == NAME and await self._notes.get(f"gone/{chat_of(conversation)}") is not None:
            await self._reply(message, "This person has blocked the bot and cannot be reached.")

    async def _picture(self, channel: str, conversation: str, message: Message) -> None:
        """Pass on what is no text, as it is; only within Telegram."""
        if message.forum_topic_created or message.forum_topic_reopened:
            return
        if message.forum_topic_edited or message.pinned_message:
            return
        if channel != NAME:
            await self._reply(message, "Only text can be passed on to this person.")
            return
        copy = CopyMessage(
            chat_id=int(chat_of(conversation)),
            message_thread_id=thread_of(conversation),
            from_chat_id=message.chat.id,
            message_id=message.message_id,
        )
        try:
            await self._api.call(copy)
        except TelegramError as problem:
            log.warning("something of the staff was not passed on", error=problem.message)
            await self._reply(message, "This could not be passed on.")

    async def copied(self, message: Message, conversation: str) -> bool:
        """Show staff what a person sent that is no text, if staff have the conversation."""
        found = await self._handovers.of(NAME, conversation)
        if found is None:
            return False
        copy = CopyMessage(
            chat_id=self._group,
            message_thread_id=await self._topic(found),
            from_chat_id=message.chat.id,
            message_id=message.message_id,
        )
        try:
            await self._api.call(copy)
        except TelegramError as problem:
            log.warning("something of a person was not passed on", error=problem.message)
            return False
        return True

    async def forget(self, user: int) -> None:
        """Delete somebody's topic, and with it what they wrote."""
        key = f"topic/{NAME}/{user}"
        note = await self._notes.get(key)
        if note is None:
            return
        thread = int(note["thread"])
        await self._tolerant(DeleteForumTopic(chat_id=self._group, message_thread_id=thread))
        await self._notes.drop(key)
        await self._notes.drop(_desk(thread))

    async def _reply(self, message: Message, words: str) -> None:
        spot = Spot(message.chat.id, message.message_thread_id, message.message_id)
        await self._speaker.say(spot, words)


def _person(handover: Handover) -> str:
    return f"topic/{handover.channel}/{handover.person.id}"


def _desk(thread: int) -> str:
    return f"desk/{thread}"


def _by(message: Message) -> Actor:
    """Who of the staff wrote it; a group's anonymous administrator is the group."""
    if message.sender_chat is not None or message.from_user is None:
        return Actor(f"{NAME}:{message.chat.id}", message.author_signature or "Support")
    return Actor(f"{NAME}:{message.from_user.id}", message.from_user.first_name)


def _card_text(handover: Handover) -> str:
    claimed = handover.claimed_by.name if handover.claimed_by is not None else "somebody"
    state = _STATES[handover.state].format(name=claimed)
    name = " ".join(handover.person.name.split()) or handover.person.id
    lines = [
        f"<b>{_safe(name)}</b> · {_safe(handover.channel)} · {_safe(state)}",
        _safe(handover.reason),
    ]
    for turn in handover.talk[-_TURNS:]:
        sign = "👤" if turn.role == "user" else "🤖"
        words = " ".join(turn.content.split())
        short = words[:_TURN_CHARS] + ("…" if len(words) > _TURN_CHARS else "")
        lines.append(f"{sign} <i>{_safe(short)}</i>")
    if handover.state is not HandoverState.RESOLVED:
        lines.append("Write here to answer. /claim takes it, /close gives it back to the bot.")
    return "\n".join(line for line in lines if line)


def _safe(text: str) -> str:
    return html.escape(text, quote=False)


def _pieces(head: str, text: str) -> Iterator[str]:
    """What somebody said under their name, in as many messages as it takes."""
    line: list[Inline] = [Strong((Text(head),))]
    for part in text.split("\n"):
        line += [Break(), Text(part)]
    made = Html(followed(()), {})
    for piece in split(Document((Paragraph(tuple(line)),)), PIECE, made.length):
        yield made.document(piece)
