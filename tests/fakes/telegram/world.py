"""What Telegram holds: people, chats, messages, drafts, topics, the bot's own settings. No HTTP."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TOKEN = "4242:a-token-for-tests"
BOT_ID = 4242
BOT_NAME = "deskhand_bot"
DRAFT_SECONDS = 30.0  # "a temporary 30-second preview"
CALLBACK_SECONDS = 15.0  # users' reports; Telegram names no figure
ACTION_SECONDS = 5.0
GENERAL_TOPIC = 1


class ApiError(Exception):
    """`{"ok": false, "error_code": code, "description": text, "parameters": parameters}`."""

    def __init__(self, code: int, text: str, **parameters: Any) -> None:
        super().__init__(code, text, parameters)
        self.code = code
        self.parameters = parameters
        names = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
        names |= {409: "Conflict", 429: "Too Many Requests"}
        self.text = f"{names.get(code, 'Internal Server Error')}: {text}"


def bad(text: str, **parameters: Any) -> ApiError:
    """A bad request."""
    return ApiError(400, text, **parameters)


class Clock:
    """The server's clock: real time, and whatever a test adds to it."""

    def __init__(self) -> None:
        self._added = 0.0
        self._stopped = 0.0
        self.moved: list[Callable[[], None]] = []

    def now(self) -> float:
        """Seconds since 1970."""
        return (self._stopped or time.time()) + self._added

    def stop(self) -> None:
        """Let time pass only by `advance` from now on."""
        self._stopped = time.time()

    def advance(self, seconds: float) -> None:
        """Let so much time pass at once."""
        self._added += seconds
        for tell in self.moved:
            tell()


@dataclass
class User:
    """A person, or a bot."""

    id: int
    name: str
    lang: str = "en"
    is_bot: bool = False
    started: bool = False  # has pressed Start: the bot may write
    blocked: bool = False
    gone: bool = False  # deactivated

    @property
    def username(self) -> str:
        """Without the @."""
        return self.name if self.is_bot else f"{self.name.lower()}_here"

    def shown(self) -> dict[str, Any]:
        """As the Bot API returns it."""
        seen: dict[str, Any] = {"id": self.id, "is_bot": self.is_bot, "first_name": self.name}
        seen["username"] = self.username
        if not self.is_bot:
            seen["language_code"] = self.lang
        return seen


@dataclass
class Draft:
    """One call that showed a partial message: a frame of what the person saw."""

    chat: int
    id: int
    thread: int
    text: str
    entities: list[dict[str, Any]]
    at: float
    can_stop: bool = False
    keep_on_stop: bool = False
    rich: dict[str, Any] | None = None
    after_stop: bool = False  # sent although the person had pressed Stop


@dataclass
class Message:
    """A message as everybody in the chat sees it."""

    chat: int
    id: int
    sender: int
    at: float
    text: str = ""
    entities: list[dict[str, Any]] = field(default_factory=list)
    thread: int = 0
    in_topic: bool = False
    reply_to: int = 0
    quote: str = ""
    markup: dict[str, Any] | None = None
    content: dict[str, Any] = field(default_factory=dict)  # photo, voice, new_chat_members, ...
    rich: dict[str, Any] | None = None
    album: str = ""
    business: str = ""
    origin: dict[str, Any] | None = None
    only_for: int = 0  # an ephemeral message's receiver
    silent: bool = False
    preview: bool = True  # link previews are not switched off
    edits: list[str] = field(default_factory=list)  # the texts it had before
    edited_at: float = 0.0
    reactions: dict[int, list[str]] = field(default_factory=dict)  # emoji by user
    deleted: bool = False
    extra: dict[str, Any] = field(default_factory=dict)  # raw fields, for what is rare

    @property
    def by_bot(self) -> bool:
        """Written by the bot under test."""
        return self.sender == BOT_ID

    @property
    def service(self) -> bool:
        """Telegram wrote it: somebody joined, a topic was made, and the like."""
        return any(name.startswith(SERVICE) for name in self.content)

    @property
    def buttons(self) -> list[list[dict[str, Any]]]:
        """The inline keyboard's rows."""
        rows: list[list[dict[str, Any]]] = (self.markup or {}).get("inline_keyboard", [])
        return rows

    def button(self, label: str) -> dict[str, Any]:
        """The button that has this callback data, label or part of a label."""
        every = [one for row in self.buttons for one in row]
        found = [one for one in every if label in {one.get("callback_data"), one["text"]}]
        found += [one for one in every if label in one["text"]]
        if found:
            return found[0]
        raise LookupError(f"no button {label!r} among {[one['text'] for one in every]}")


@dataclass
class Topic:
    """A topic of a forum."""

    id: int
    name: str
    closed: bool = False
    deleted: bool = False


@dataclass
class Chat:
    """`kind`: private, group or supergroup. `members`: user to status."""

    id: int
    kind: str
    title: str = ""
    members: dict[int, str] = field(default_factory=dict)
    rights: set[str] = field(default_factory=set)  # the bot's, as an administrator
    forum: bool = False
    topics: dict[int, Topic] = field(default_factory=dict)
    every: dict[int, Message] = field(default_factory=dict)
    drafts: list[Draft] = field(default_factory=list)  # every frame, oldest first
    stopped: set[int] = field(default_factory=set)  # drafts on which Stop was pressed
    live: Draft | None = None
    actions: list[tuple[float, str, int]] = field(default_factory=list)  # when, what, thread
    migrated_to: int = 0
    business: str = ""
    topics_in_private: bool = False

    @property
    def messages(self) -> list[Message]:
        """What is there to see, oldest first."""
        return [one for one in self.every.values() if not one.deleted]

    @property
    def by_bot(self) -> list[Message]:
        """The bot's visible messages, without those that Telegram writes about topics."""
        return [one for one in self.messages if one.by_bot and not one.service]

    @property
    def bot_status(self) -> str:
        """The bot's membership."""
        return self.members.get(BOT_ID, "left")

    def shown(self, user: User | None = None) -> dict[str, Any]:
        """As the Bot API returns it within a message."""
        seen: dict[str, Any] = {"id": self.id, "type": self.kind}
        if self.kind == "private":
            assert user is not None
            return seen | {"first_name": user.name, "username": user.username}
        seen["title"] = self.title
        return seen | ({"is_forum": True} if self.forum else {})


@dataclass
class Callback:
    """A press of a button, and what the bot answered."""

    id: str
    user: int
    message: Message
    data: str
    at: float
    answered: bool = False
    text: str = ""
    alert: bool = False
    url: str = ""


@dataclass
class Business:
    """A business account that lets the bot answer in its chats."""

    id: str
    owner: int
    at: float
    enabled: bool = True
    can_reply: bool = True
    chats: dict[int, Chat] = field(default_factory=dict)  # by customer


class World:
    """Everything there is."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.bot = User(BOT_ID, BOT_NAME, is_bot=True, started=True)
        self.users: dict[int, User] = {BOT_ID: self.bot}
        self.chats: dict[int, Chat] = {}
        self.businesses: dict[str, Business] = {}
        self.callbacks: dict[str, Callback] = {}
        self.commands: dict[tuple[str, str], list[dict[str, Any]]] = {}  # (scope, language)
        self.texts: dict[tuple[str, str], str] = {}  # (description and others, language)
        self.menus: dict[int, dict[str, Any]] = {}  # by chat; 0: everywhere
        self.files: dict[str, bytes] = {}
        self.privacy = True  # groups show the bot only what is meant for it
        self.topics_enabled = False  # topics in private chats
        self.drafts_enabled = True  # False: every peer refuses drafts
        self.rich_enabled = True  # False: a server from before rich messages
        self._numbers = itertools.count(1)
        self._people = itertools.count(1001)

    def number(self) -> int:
        """The next free number."""
        return next(self._numbers)

    # People and places

    def user(self, name: str, *, lang: str = "en", started: bool = True, bot: bool = False) -> User:
        """Add a person, who has pressed Start unless told otherwise."""
        user = User(next(self._people), name, lang, bot, started=started)
        self.users[user.id] = user
        if started and not bot:
            self.private(user)
        return user

    def private(self, user: User) -> Chat:
        """The person's chat with the bot."""
        made = Chat(user.id, "private", members={user.id: "member", BOT_ID: "member"})
        return self.chats.setdefault(user.id, made)

    def group(
        self,
        title: str,
        *members: User,
        forum: bool = False,
        admin: bool = False,
        basic: bool = False,
    ) -> Chat:
        """Add a supergroup with the bot in it, or a basic group.

        `admin`: the bot is an administrator with every right.
        """
        number = 2000 + self.number()
        chat = Chat(
            -number if basic else -1_000_000_000_000 - number,
            "group" if basic else "supergroup",
            title,
            {BOT_ID: "administrator" if admin else "member"}
            | {one.id: "member" for one in members},
            {"can_manage_topics", "can_delete_messages", "can_pin_messages"} if admin else set(),
            forum,
        )
        self.chats[chat.id] = chat
        return chat

    def topic(self, chat: Chat, name: str, by: int = BOT_ID) -> Topic:
        """Add a topic. Its id is that of the message which says so; every other message of the
        topic that answers nothing else counts as an answer to that one.
        """
        made = {"name": name, "icon_color": 7322096}
        message = self.post(chat, by, content={"forum_topic_created": made})
        message.thread, message.in_topic = message.id, True
        chat.topics[message.id] = Topic(message.id, name)
        return chat.topics[message.id]

    def chat(self, where: int | User | Chat) -> Chat:
        """A chat by its id, or a person's chat with the bot."""
        if isinstance(where, Chat):
            return where
        return self.chats[where.id if isinstance(where, User) else where]

    def migrate(self, chat: Chat) -> Chat:
        """A basic group becomes a supergroup, with a new id."""
        new = Chat(
            -1_000_000_000_000 - 2000 - self.number(),
            "supergroup",
            chat.title,
            dict(chat.members),
            set(chat.rights),
        )
        self.chats[new.id] = new
        chat.migrated_to = new.id
        return new

    # Messages

    def post(self, chat: Chat, sender: int, **what: Any) -> Message:
        """Put a message into a chat."""
        message = Message(chat.id, self.number(), sender, self.clock.now(), **what)
        message.business = message.business or chat.business
        chat.every[message.id] = message
        if sender == BOT_ID:
            chat.live = None  # any message of the bot ends the draft
        return message

    def draft(self, chat: Chat) -> Draft | None:
        """What the person sees being written now."""
        live = chat.live
        if live is not None and self.clock.now() - live.at >= DRAFT_SECONDS:
            return None
        return live

    def all_messages(self) -> list[Message]:
        """Everything that can be seen anywhere, in order."""
        chats = [*self.chats.values()]
        chats += [one for business in self.businesses.values() for one in business.chats.values()]
        return sorted((one for chat in chats for one in chat.messages), key=lambda one: one.id)

    def seen(self, message: Message, *, nested: bool = False) -> dict[str, Any]:
        """A message as the Bot API returns it."""
        chat = self._home(message)
        partner = self.users.get(chat.id)
        made: dict[str, Any] = {
            "message_id": message.id,
            "from": self.users[message.sender].shown(),
            "chat": chat.shown(partner),
            "date": int(message.at),
            **message.content,
        }
        if message.rich is not None:
            made["rich_message"] = message.rich
        elif message.text or not message.content:
            media = any(name in message.content for name in MEDIA)
            made["caption" if media else "text"] = message.text
            if message.entities:
                made["caption_entities" if media else "entities"] = message.entities
        if message.thread:
            made["message_thread_id"] = message.thread
            if message.in_topic:
                made["is_topic_message"] = True
        optional = {
            "edit_date": int(message.edited_at),
            "media_group_id": message.album,
            "business_connection_id": message.business,
            "forward_origin": message.origin,
            "reply_markup": message.markup if message.buttons else None,
        }
        made |= {name: value for name, value in optional.items() if value}
        if message.business and message.by_bot:
            made["sender_business_bot"] = self.bot.shown()
        answered = chat.every.get(message.reply_to)
        if answered is None and message.in_topic and message.thread != message.id:
            answered = chat.every.get(message.thread)
        if answered is not None and not nested and not answered.deleted:
            made["reply_to_message"] = self.seen(answered, nested=True)
            if message.quote:
                at = len(answered.text.partition(message.quote)[0].encode("utf-16-le")) // 2
                made["quote"] = {"text": message.quote, "position": at, "is_manual": True}
        return made | message.extra

    def _home(self, message: Message) -> Chat:
        if message.business:
            return self.businesses[message.business].chats[message.chat]
        return self.chats[message.chat]


SERVICE = ("new_chat_", "left_chat_", "forum_topic_", "migrate_", "group_chat_")
MEDIA = ("photo", "voice", "document", "video", "audio", "animation")
