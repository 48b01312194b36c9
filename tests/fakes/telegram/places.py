"""Methods about chats: where the bot may write, topics, members, reactions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiogram.enums import ChatAction

from tests.fakes.telegram.checks import Args
from tests.fakes.telegram.schema import Upload
from tests.fakes.telegram.world import (
    BOT_ID,
    CALLBACK_SECONDS,
    GENERAL_TOPIC,
    ApiError,
    Business,
    Chat,
    Topic,
    World,
    bad,
)

# Every emoji that can be a reaction (core.telegram.org/bots/api#reactiontypeemoji).
_EMOJI = (
    "❤ 👍 👎 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 "
    "❤‍🔥 🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨‍💻 👀 🎃 🙈 "
    "😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷‍♂ 🤷 🤷‍♀ "
    "😡"
)
REACTIONS = frozenset(_EMOJI.split())
_ICONS = {7322096, 16766590, 13338331, 9367192, 16749490, 16478047}
_RIGHTS = (
    "can_be_edited is_anonymous can_manage_chat can_delete_messages can_manage_video_chats "
    "can_restrict_members can_promote_members can_change_info can_invite_users can_post_stories "
    "can_edit_stories can_delete_stories can_send_welcome_messages"
)
RIGHTS = frozenset(_RIGHTS.split())  # what every administrator has or has not


class Places:
    """The methods, by their names, and the checks that other methods share."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.methods: dict[str, Callable[[Args], Any]] = {
            "getMe": self._me,
            "getChat": self._chat,
            "getChatMember": self._member,
            "getChatAdministrators": self._administrators,
            "getChatMemberCount": lambda args: len(self.known(args["chat_id"]).members),
            "leaveChat": self._leave,
            "sendChatAction": self._action,
            "setMessageReaction": self._react,
            "answerCallbackQuery": self._answer,
            "createForumTopic": self._create_topic,
            "editForumTopic": self._edit_topic,
            "closeForumTopic": lambda args: self._shut(args, closed=True),
            "reopenForumTopic": lambda args: self._shut(args, closed=False),
            "deleteForumTopic": self._delete_topic,
            "getBusinessConnection": self._business,
            "getFile": self._file,
        }

    # Where the bot may be

    def known(self, chat_id: int | str, business: str = "") -> Chat:
        """A chat that the bot has met. Raises `ApiError`."""
        if business:
            return self._business_chat(business, chat_id)
        chat = self._world.chats.get(chat_id) if isinstance(chat_id, int) else None
        if chat is None:
            user = self._world.users.get(chat_id) if isinstance(chat_id, int) else None
            if user is not None:
                raise ApiError(403, "bot can't initiate conversation with a user")
            raise bad("chat not found")
        if chat.migrated_to:
            raise bad(
                "group chat was upgraded to a supergroup chat", migrate_to_chat_id=chat.migrated_to
            )
        return chat

    def _business_chat(self, name: str, chat_id: int | str) -> Chat:
        connection = self._world.businesses.get(name)
        if connection is None or not connection.enabled:
            raise bad("business connection not found")
        if chat_id not in connection.chats:
            raise bad("BUSINESS_PEER_INVALID")
        if not connection.can_reply:
            raise bad("BUSINESS_CONNECTION_NOT_ALLOWED")
        return connection.chats[int(chat_id)]

    def writable(self, args: Args) -> Chat:
        """The chat of a call, if the bot may write there now."""
        chat = self.known(args["chat_id"], args.get("business_connection_id") or "")
        if chat.kind == "private":
            user = self._world.users[chat.id]
            if user.gone:
                raise ApiError(403, "user is deactivated")
            if user.blocked and not chat.business:
                raise ApiError(403, "bot was blocked by the user")
            return chat
        if chat.bot_status == "kicked":
            raise ApiError(403, f"bot was kicked from the {chat.kind} chat")
        if chat.bot_status == "left":
            raise ApiError(403, f"bot is not a member of the {chat.kind} chat")
        return chat

    def thread(self, chat: Chat, thread: int, *, general: bool = False) -> int:
        """The topic of a call, if it can be written to. `general`: the method knows topic 1."""
        if not thread:
            return 0
        if thread == GENERAL_TOPIC and chat.forum and general:
            return thread
        topic = chat.topics.get(thread)
        if topic is None or topic.deleted:
            raise bad("message thread not found")
        if topic.closed and chat.bot_status != "administrator":
            raise bad("TOPIC_CLOSED")
        return thread

    # Chats and members

    def _me(self, _: Args) -> Args:
        me = {
            "can_join_groups": True,
            "can_read_all_group_messages": not self._world.privacy,
            "supports_inline_queries": False,
            "can_connect_to_business": True,
            "has_main_web_app": False,
            "has_topics_enabled": self._world.topics_enabled,
        }
        return self._world.bot.shown() | me

    def _chat(self, args: Args) -> Args:
        chat = self.known(args["chat_id"])
        seen = chat.shown(self._world.users.get(chat.id))
        gifts = dict.fromkeys(
            (
                "unlimited_gifts",
                "limited_gifts",
                "unique_gifts",
                "premium_subscription",
                "gifts_from_channels",
            ),
            False,
        )
        return seen | {
            "accent_color_id": 0,
            "max_reaction_count": 11,
            "accepted_gift_types": gifts,
        }

    def _membership(self, chat: Chat, user: int) -> Args:
        status = chat.members.get(user, "left")
        seen: Args = {"status": status, "user": self._world.users[user].shown()}
        match status:
            case "administrator":
                rights = chat.rights if user == BOT_ID else set()
                known = RIGHTS | rights
                seen |= {name: name in rights | {"can_manage_chat"} for name in known}
            case "creator":
                seen["is_anonymous"] = False
            case "kicked":
                seen["until_date"] = 0
        return seen

    def membership(self, chat: Chat, user: int) -> Args:
        """A member as the Bot API returns it."""
        return self._membership(chat, user)

    def _member(self, args: Args) -> Args:
        chat = self.known(args["chat_id"])
        if args["user_id"] not in self._world.users:
            raise bad("PARTICIPANT_ID_INVALID")
        return self._membership(chat, args["user_id"])

    def _administrators(self, args: Args) -> list[Args]:
        chat = self.known(args["chat_id"])
        if chat.kind == "private":
            raise bad("there are no administrators in the private chat")
        return [
            self._membership(chat, user)
            for user, status in chat.members.items()
            if status in {"administrator", "creator"}
            if user == BOT_ID or not self._world.users[user].is_bot
        ]

    def _leave(self, args: Args) -> bool:
        self.writable(args).members[BOT_ID] = "left"
        return True

    def _action(self, args: Args) -> bool:
        chat = self.writable(args)
        thread = self.thread(chat, args.get("message_thread_id") or 0, general=True)
        if args["action"] not in {one.value for one in ChatAction}:
            raise bad("wrong parameter action in request")
        chat.actions.append((self._world.clock.now(), args["action"], thread))
        return True

    def _react(self, args: Args) -> bool:
        chat = self.writable(args)
        message = chat.every.get(args["message_id"])
        if message is None or message.deleted:
            raise bad("message to react not found")
        reactions = args.get("reaction") or []
        if len(reactions) > 1:
            raise bad("REACTIONS_TOO_MANY")
        if any(one["type"] != "emoji" or one["emoji"] not in REACTIONS for one in reactions):
            raise bad("REACTION_INVALID")
        message.reactions[BOT_ID] = [one["emoji"] for one in reactions]
        return True

    def _answer(self, args: Args) -> bool:
        callback = self._world.callbacks.get(args["callback_query_id"])
        now = self._world.clock.now()
        if callback is None or callback.answered or now - callback.at > CALLBACK_SECONDS:
            raise bad("query is too old and response timeout expired or query ID is invalid")
        if len(args.get("text") or "") > 200:
            raise bad("MESSAGE_TOO_LONG")
        callback.answered = True
        callback.text = args.get("text") or ""
        callback.alert = bool(args.get("show_alert"))
        callback.url = args.get("url") or ""
        return True

    # Topics

    def _forum(self, args: Args) -> Chat:
        chat = self.writable(args)
        if chat.kind == "private" and self._world.topics_enabled:
            return chat
        if not chat.forum:
            raise bad("the chat is not a forum")
        if "can_manage_topics" not in chat.rights or chat.bot_status != "administrator":
            raise bad("not enough rights to manage topics in the chat")
        return chat

    def _topic(self, args: Args) -> tuple[Chat, Topic]:
        chat = self._forum(args)
        topic = chat.topics.get(args["message_thread_id"])
        if topic is None or topic.deleted:
            raise bad("TOPIC_ID_INVALID")
        return chat, topic

    def _create_topic(self, args: Args) -> Args:
        chat = self._forum(args)
        if not 1 <= len(args["name"]) <= 128:
            raise bad("TOPIC_TITLE_EMPTY" if not args["name"] else "topic name is too long")
        color = args.get("icon_color", 7322096)
        if color not in _ICONS:
            raise bad("wrong icon color")
        topic = self._world.topic(chat, args["name"])
        return {"message_thread_id": topic.id, "name": topic.name, "icon_color": color}

    def _service(self, chat: Chat, topic: Topic, **content: Args) -> None:
        """Telegram says in the topic what the bot did; the bot hears nothing of it."""
        made = self._world.post(chat, BOT_ID, content=content, thread=topic.id)
        made.in_topic = True

    def _edit_topic(self, args: Args) -> bool:
        chat, topic = self._topic(args)
        name = args.get("name") or topic.name
        if name == topic.name and "icon_custom_emoji_id" not in args:
            raise bad("TOPIC_NOT_MODIFIED")
        if len(name) > 128:
            raise bad("topic name is too long")
        topic.name = name
        self._service(chat, topic, forum_topic_edited={"name": name})
        return True

    def _shut(self, args: Args, *, closed: bool) -> bool:
        chat, topic = self._topic(args)
        if topic.closed == closed:
            raise bad("TOPIC_NOT_MODIFIED")
        topic.closed = closed
        self._service(chat, topic, **{f"forum_topic_{'closed' if closed else 'reopened'}": {}})
        return True

    def _delete_topic(self, args: Args) -> bool:
        chat, topic = self._topic(args)
        topic.deleted = True
        for message in chat.every.values():
            message.deleted = message.deleted or message.thread == topic.id
        return True

    # Business accounts and files

    def _business(self, args: Args) -> Args:
        connection = self._world.businesses.get(args["business_connection_id"])
        if connection is None:
            raise bad("business connection not found")
        return self.connection(connection)

    def connection(self, one: Business) -> Args:
        """A business connection as the Bot API returns it."""
        return {
            "id": one.id,
            "user": self._world.users[one.owner].shown(),
            "user_chat_id": one.owner,
            "date": int(one.at),
            "is_enabled": one.enabled,
            "rights": {"can_reply": True} if one.can_reply else {},
        }

    def file(self, kind: str, given: str | Upload) -> Any:
        """A sent file's description: uploaded now, or known from before."""
        key = given
        if isinstance(given, Upload):
            key = f"file-{self._world.number()}"
            self._world.files[key] = given.content
        if key not in self._world.files:
            raise bad("wrong file identifier/HTTP URL specified")
        return described(kind, str(key), len(self._world.files[str(key)]))

    def _file(self, args: Args) -> Args:
        key = args["file_id"]
        if key not in self._world.files:
            raise bad("invalid file_id")
        return {
            "file_id": key,
            "file_unique_id": f"u{key}",
            "file_size": len(self._world.files[key]),
            "file_path": f"files/{key}",
        }


def described(kind: str, key: str, size: int) -> Any:
    """A file of a kind as it stands in a message."""
    one: dict[str, Any] = {"file_id": key, "file_unique_id": f"u{key}", "file_size": size}
    match kind:
        case "photo":
            return [one | {"width": 640, "height": 480}]
        case "voice":
            return one | {"duration": 3, "mime_type": "audio/ogg"}
        case "audio":
            return one | {"duration": 3}
        case "video":
            return one | {"duration": 3, "width": 640, "height": 480}
    return one | {"file_name": "a file"}
