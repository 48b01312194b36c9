"""Who speaks where in Telegram: keys of chats, topics, conversations and people.

Knows aiogram's message type and which message is meant for the bot. A message id is unique within
its chat; within a business account it is the owner's, so the connection is part of the key.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from aiogram.types import Message, MessageEntity

from adapters.telegram.render import utf16
from bot.config import TelegramPlace
from bot.types import Actor, Address

NAME = "telegram"


@dataclass(frozen=True, slots=True)
class Identity:
    """The bot itself."""

    id: int
    username: str
    name: str


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a person, with everything its keys are made of."""

    bot: int
    chat: int
    origin: int  # the chat's first id, before it became a supergroup
    private: bool
    thread: int  # the topic; 0 for none
    message: int
    user: int
    name: str
    lang: str
    business: str  # the business connection it came through, or nothing
    text: str
    at: datetime
    album: str = ""
    press: str = ""  # the press of a button that stands for a message

    @property
    def event_id(self) -> str:
        """The same however often the update arrives; one for a whole album."""
        what = f"press-{self.press}" if self.press else str(self.message)
        what = f"album-{self.album}" if self.album else what
        return f"{NAME}:{self.bot}:{_connection(self.business)}{self.origin}:{what}"

    @property
    def place(self) -> str:
        """Where a conversation is kept apart: the chat, its topic, and in groups the person."""
        parts = [str(self.bot), f"{_connection(self.business)}{self.origin}"]
        parts += [f"t{self.thread}"] if self.thread else []
        parts += [] if self.private else [f"u{self.user}"]
        return "/".join(parts)

    @property
    def actor_id(self) -> str:
        """The person."""
        return actor_id(self.user)

    def actor(self, place: TelegramPlace) -> Actor:
        """The person, with the audience that this chat gives."""
        return Actor(self.actor_id, self.name, place.audience)

    def address(self, conversation: str) -> Address:
        """Where the reply goes."""
        detail = {
            "chat": str(self.chat),
            "thread": str(self.thread or ""),
            "message": str(self.message),
            "user": str(self.user),
            "lang": self.lang,
            "business": self.business,
        }
        return Address(NAME, conversation, {key: value for key, value in detail.items() if value})


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something can be sent, read from an address' detail."""

    chat: int
    thread: int | None = None
    message: int | None = None
    user: int = 0
    lang: str = "en"
    business: str | None = None

    @classmethod
    def of(cls, to: Address) -> Spot:
        """The place of an address."""
        at = to.detail
        return cls(
            chat=int(at["chat"]),
            thread=int(at["thread"]) if "thread" in at else None,
            message=int(at["message"]) if "message" in at else None,
            user=int(at.get("user", "0")),
            lang=at.get("lang", "en"),
            business=at.get("business"),
        )

    @property
    def private(self) -> bool:
        """A chat with one person; groups have negative ids."""
        return self.chat > 0


@dataclass(slots=True)
class Moves:
    """Groups that became supergroups keep the conversations of their first id."""

    first: dict[int, int] = field(default_factory=dict)  # new id -> first id

    def origin(self, chat: int) -> int:
        """The id under which a chat was first known."""
        return self.first.get(chat, chat)

    def note(self, old: int, new: int) -> None:
        """A group has a new id."""
        self.first[new] = self.origin(old)


def actor_id(user: int) -> str:
    """A person's id within the channel."""
    return str(user)


def said(message: Message, me: Identity, moves: Moves) -> Said:
    """Read a message. `text` is without the mention of the bot."""
    user = message.from_user
    writer = message.sender_chat if message.sender_chat is not None else user
    private = message.chat.type == "private"
    topic = message.message_thread_id if message.is_topic_message else None
    name = " ".join((user.full_name if user is not None else message.chat.full_name).split())
    return Said(
        bot=me.id,
        chat=message.chat.id,
        origin=moves.origin(message.chat.id),
        private=private,
        thread=topic or 0,
        message=message.message_id,
        user=writer.id if writer is not None else message.chat.id,
        name=name[:100],
        lang=(user.language_code if user is not None else None) or "en",
        business=message.business_connection_id or "",
        text=words(message, me),
        at=_moment(message),
        album=message.media_group_id or "",
    )


def of_album(parts: list[Said]) -> Said:
    """Pictures sent together, as the one message they are."""
    first = min(parts, key=lambda one: one.message)
    return replace(first, text="\n".join(one.text for one in parts if one.text))


def words(message: Message, me: Identity) -> str:
    """What a person wrote, or wrote under a picture, without the name of the bot."""
    text = message.text or message.caption or ""
    kept, at = "", 0
    encoded = text.encode("utf-16-le", "surrogatepass")
    for entity in _entities(message):
        if _is_me(entity, text, me):
            shown = entity.extract_from(text) if entity.type == "bot_command" else ""
            named = utf16(shown.partition("@")[0])  # of a command its own name stays
            kept += encoded[2 * at : 2 * (entity.offset + named)].decode("utf-16-le", "replace")
            at = entity.offset + entity.length
    kept += encoded[2 * at :].decode("utf-16-le", "replace")
    return kept.strip()


def mentions(message: Message, me: Identity) -> bool:
    """True if the bot is named."""
    text = message.text or message.caption or ""
    return any(_is_me(entity, text, me) for entity in _entities(message))


def answers_me(message: Message, me: Identity) -> bool:
    """True for a reply to something the bot wrote."""
    to = message.reply_to_message
    # Every message in a topic "replies" to the notice that made the topic.
    if to is None or to.forum_topic_created is not None or to.from_user is None:
        return False
    return to.from_user.id == me.id


def command(message: Message, me: Identity) -> tuple[str, str] | None:
    """A command for this bot, as (name, the rest); None for other bots' commands too."""
    text = message.text or ""
    for entity in message.entities or ():
        if entity.type == "bot_command" and entity.offset == 0:
            name, _, whom = entity.extract_from(text).removeprefix("/").partition("@")
            if whom and whom.lower() != me.username.lower():
                return None
            encoded = text.encode("utf-16-le", "surrogatepass")[2 * entity.length :]
            return name.lower(), encoded.decode("utf-16-le", "replace").strip()
    return None


def _entities(message: Message) -> list[MessageEntity]:
    return sorted(
        message.entities or message.caption_entities or (), key=lambda entity: entity.offset
    )


def _is_me(entity: MessageEntity, text: str, me: Identity) -> bool:
    if entity.type == "text_mention":
        return entity.user is not None and entity.user.id == me.id
    if entity.offset + entity.length > utf16(text):
        return False
    named = entity.extract_from(text).lower()
    if entity.type == "bot_command":
        return named.endswith(f"@{me.username.lower()}")
    return entity.type == "mention" and named == f"@{me.username.lower()}"


def _connection(business: str) -> str:
    return f"b{business}:" if business else ""


def _moment(message: Message) -> datetime:
    at = message.date if isinstance(message.date, datetime) else datetime.now(UTC)
    return at.astimezone(UTC)
