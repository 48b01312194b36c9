"""What people do, and the updates Telegram makes of it."""

from __future__ import annotations

from typing import Any

from tests.fakes.telegram.entities import cut, detect
from tests.fakes.telegram.places import Places, described
from tests.fakes.telegram.updates import Handed, Updates
from tests.fakes.telegram.world import (
    BOT_ID,
    BOT_NAME,
    Business,
    Callback,
    Chat,
    Message,
    Topic,
    User,
    World,
)

Content = dict[str, Any]


class People:
    """Everybody but the bot."""

    def __init__(self, world: World, updates: Updates, places: Places) -> None:
        self._world = world
        self._updates = updates
        self._places = places

    # Messages

    def ask(self, user: User, text: str, **more: Any) -> Message:
        """Write to the bot directly. `more`: as for `say`."""
        return self.say(user, self._world.private(user), text, **more)

    def say(
        self,
        user: User,
        chat: Chat,
        text: str,
        *,
        thread: Topic | int = 0,
        reply_to: Message | None = None,
        quote: str = "",
        content: Content | None = None,
        album: str = "",
        **extra: Any,
    ) -> Message:
        """Write a message. `extra`: raw fields of the Bot API's Message, for what is rare."""
        topic = thread.id if isinstance(thread, Topic) else thread
        if reply_to is not None and not topic:
            topic = reply_to.thread if reply_to.in_topic else 0
        message = self._world.post(
            chat,
            user.id,
            text=text,
            entities=extra.pop("entities", None) or detect(text),
            thread=topic,
            in_topic=bool(topic),
            reply_to=reply_to.id if reply_to else 0,
            quote=quote,
            content=content or {},
            album=album,
            extra=extra,
        )
        if reply_to is not None and not topic and chat.kind == "supergroup":
            # Replies form threads outside forums too; those are not topics.
            message.thread = reply_to.thread or reply_to.id
        self._tell(chat, message)
        return message

    def mention(self, user: User, chat: Chat, text: str, **more: Any) -> Message:
        """Ask the bot in a group, by its name."""
        return self.say(user, chat, f"@{BOT_NAME} {text}", **more)

    def reply(self, user: User, to: Message, text: str, **more: Any) -> Message:
        """Answer a message."""
        return self.say(user, self.home(to), text, reply_to=to, **more)

    def start(self, user: User, payload: str = "") -> Message:
        """Open the bot, maybe through a link with a payload, and press Start."""
        self._world.private(user)
        user.started = True
        if user.blocked:
            self.block(user, blocked=False)
        return self.ask(user, f"/start {payload}".strip())

    def edit(self, message: Message, text: str) -> Handed | None:
        """Change one's own message."""
        message.edits.append(message.text)
        message.text, message.entities = text, detect(text)
        message.edited_at = self._world.clock.now()
        return self._tell(self.home(message), message, "edited_")

    def voice(self, user: User, chat: Chat | None = None, **more: Any) -> Message:
        """Send a voice message."""
        return self._file(user, chat, "voice", "", more)

    def photo(
        self, user: User, caption: str = "", chat: Chat | None = None, **more: Any
    ) -> Message:
        """Send a photo."""
        return self._file(user, chat, "photo", caption, more)

    def document(
        self, user: User, caption: str = "", chat: Chat | None = None, **more: Any
    ) -> Message:
        """Send a file."""
        return self._file(user, chat, "document", caption, more)

    def album(
        self, user: User, caption: str, count: int = 3, chat: Chat | None = None, **more: Any
    ) -> list[Message]:
        """Send photos that belong together; the first carries the caption."""
        name = f"1{self._world.number():08d}"
        return [
            self.photo(user, caption if not number else "", chat, album=name, **more)
            for number in range(count)
        ]

    def _file(
        self, user: User, chat: Chat | None, kind: str, caption: str, more: Content
    ) -> Message:
        key = f"{kind}-{self._world.number()}"
        self._world.files[key] = f"the {kind} of {user.name}".encode()
        content = {kind: described(kind, key, len(self._world.files[key]))}
        return self.say(user, chat or self._world.private(user), caption, content=content, **more)

    def home(self, message: Message) -> Chat:
        """The chat of a message."""
        if message.business:
            return self._world.businesses[message.business].chats[message.chat]
        return self._world.chats[message.chat]

    def _tell(self, chat: Chat, message: Message, prefix: str = "") -> Handed | None:
        if chat.business:
            kind = f"{prefix}business_message"
        elif self._hears(chat, message):
            kind = f"{prefix}message"
        else:
            return None
        return self._updates.add(kind, self._world.seen(message), str(chat.id))

    def _hears(self, chat: Chat, message: Message) -> bool:
        """Whether Telegram shows this message to the bot at all."""
        if chat.kind == "private":
            return not self._world.users[chat.id].blocked
        if chat.bot_status in {"left", "kicked"} or chat.migrated_to:
            return False
        sender = self._world.users[message.sender]
        if sender.is_bot:
            return False
        if not self._world.privacy or chat.bot_status == "administrator" or message.service:
            return True
        answered = chat.every.get(message.reply_to)
        if answered is not None and answered.by_bot:
            return True
        return any(self._meant(message, one) for one in message.entities)

    def _meant(self, message: Message, entity: Content) -> bool:
        covered = cut(message.text, entity["offset"], entity["length"]).lower()
        name = f"@{BOT_NAME}".lower()
        match entity["type"]:
            case "mention":
                return covered == name
            case "text_mention":
                return bool(entity["user"]["id"] == BOT_ID)
            case "bot_command":
                return "@" not in covered or covered.endswith(name)
        return False

    # Buttons and reactions

    def press(
        self, user: User, message: Message, label: str, *, inaccessible: bool = False
    ) -> Callback:
        """Press the button with this callback data, label or part of a label.

        `inaccessible`: the message is too old for Telegram to show it to the bot.
        """
        data = message.button(label)["callback_data"]
        made = Callback(
            str(10**17 + self._world.number()), user.id, message, data, self._world.clock.now()
        )
        self._world.callbacks[made.id] = made
        chat = self.home(message)
        seen = self._world.seen(message)
        if inaccessible:
            seen = {"chat": seen["chat"], "message_id": message.id, "date": 0}
        payload = {
            "id": made.id,
            "from": user.shown(),
            "message": seen,
            "chat_instance": str(abs(chat.id) * 7),
            "data": data,
        }
        self._updates.add("callback_query", payload, str(chat.id))
        return made

    def react(self, user: User, message: Message, *emoji: str) -> Handed | None:
        """Set one's reactions to a message; none takes them away."""
        chat = self.home(message)
        before = message.reactions.get(user.id, [])
        message.reactions[user.id] = list(emoji)
        if chat.kind != "private" and chat.bot_status != "administrator":
            return None
        payload = {
            "chat": chat.shown(self._world.users.get(chat.id)),
            "message_id": message.id,
            "user": user.shown(),
            "date": int(self._world.clock.now()),
            "old_reaction": [_emoji(one) for one in before],
            "new_reaction": [_emoji(one) for one in emoji],
        }
        return self._updates.add("message_reaction", payload, str(chat.id))

    def react_anonymously(self, message: Message, counts: dict[str, int]) -> Handed | None:
        """Reactions in a chat that does not show who they are from."""
        chat = self.home(message)
        if chat.bot_status != "administrator":
            return None
        payload = {
            "chat": chat.shown(),
            "message_id": message.id,
            "date": int(self._world.clock.now()),
            "reactions": [
                {"type": _emoji(one), "total_count": count} for one, count in counts.items()
            ],
        }
        return self._updates.add("message_reaction_count", payload, str(chat.id))

    def stop(self, user: User) -> Handed | None:
        """Press Stop under the draft that can be seen; nothing where there is no such button."""
        chat = self._world.private(user)
        draft = self._world.draft(chat)
        if draft is None or not draft.can_stop:
            raise LookupError(f"{user.name} sees no Stop button")
        chat.stopped.add(draft.id)
        if not draft.keep_on_stop:
            chat.live = None
        payload: Content = {"chat": chat.shown(user), "draft_id": draft.id}
        if draft.thread:
            payload["message_thread_id"] = draft.thread
        return self._updates.add("stopped_message_generation", payload, str(chat.id))

    # Membership

    def block(self, user: User, *, blocked: bool = True) -> Handed | None:
        """Block the bot, or let it write again."""
        chat = self._world.private(user)
        before = self._places.membership(chat, BOT_ID) | {}
        user.blocked = blocked
        chat.members[BOT_ID] = "kicked" if blocked else "member"
        return self._member(user, chat, before)

    def put(self, user: User, chat: Chat, status: str, **rights: bool) -> Handed | None:
        """Change what the bot is in a group: member, administrator (with rights), left, kicked."""
        before = self._places.membership(chat, BOT_ID)
        chat.members[BOT_ID] = status
        chat.rights = {name for name, given in rights.items() if given}
        return self._member(user, chat, before)

    def _member(self, user: User, chat: Chat, before: Content) -> Handed | None:
        payload = {
            "chat": chat.shown(self._world.users.get(chat.id)),
            "from": user.shown(),
            "date": int(self._world.clock.now()),
            "old_chat_member": before,
            "new_chat_member": self._places.membership(chat, BOT_ID),
        }
        return self._updates.add("my_chat_member", payload, str(chat.id))

    def join(self, user: User, chat: Chat) -> Message:
        """Enter a group."""
        return self._moves(user, chat, "member", {"new_chat_members": [user.shown()]})

    def leave(self, user: User, chat: Chat) -> Message:
        """Leave a group."""
        return self._moves(user, chat, "left", {"left_chat_member": user.shown()})

    def _moves(self, user: User, chat: Chat, status: str, content: Content) -> Message:
        before = self._places.membership(chat, user.id)
        chat.members[user.id] = status
        message = self._world.post(chat, user.id, content=content)
        self._tell(chat, message)
        if chat.bot_status == "administrator":
            payload = {
                "chat": chat.shown(),
                "from": user.shown(),
                "date": int(self._world.clock.now()),
                "old_chat_member": before,
                "new_chat_member": self._places.membership(chat, user.id),
            }
            self._updates.add("chat_member", payload, str(chat.id))
        return message

    # Topics and groups

    def open_topic(self, user: User, chat: Chat, name: str) -> Topic:
        """Make a topic in a forum."""
        topic = self._world.topic(chat, name, user.id)
        self._tell(chat, chat.every[topic.id])
        return topic

    def close_topic(self, user: User, chat: Chat, topic: Topic, *, closed: bool = True) -> Message:
        """Close a topic by Telegram's own means, or open it again."""
        topic.closed = closed
        return self._topic_said(user, chat, topic, "closed" if closed else "reopened")

    def delete_topic(self, chat: Chat, topic: Topic) -> None:
        """A topic and its messages go; the bot hears nothing of it."""
        topic.deleted = True
        for message in chat.every.values():
            message.deleted = message.deleted or message.thread == topic.id

    def _topic_said(self, user: User, chat: Chat, topic: Topic, what: str) -> Message:
        made = self._world.post(chat, user.id, content={f"forum_topic_{what}": {}})
        made.thread, made.in_topic = topic.id, True
        self._tell(chat, made)
        return made

    def migrate(self, user: User, chat: Chat) -> Chat:
        """A basic group becomes a supergroup; both chats say so."""
        gone = self._world.post(chat, user.id)
        new = self._world.migrate(chat)
        gone.content = {"migrate_to_chat_id": new.id}
        here = self._world.post(new, user.id, content={"migrate_from_chat_id": chat.id})
        for message in (gone, here):
            self._updates.add("message", self._world.seen(message), str(message.chat))
        return new

    # Business accounts

    def connect(self, owner: User, *, can_reply: bool = True) -> Business:
        """Let the bot answer in one's business chats."""
        made = Business(f"bc{self._world.number()}", owner.id, self._world.clock.now())
        made.can_reply = can_reply
        self._world.businesses[made.id] = made
        self._connection(made)
        return made

    def disconnect(self, business: Business) -> None:
        """Take that back."""
        business.enabled = False
        self._connection(business)

    def _connection(self, business: Business) -> None:
        payload = self._places.connection(business)
        self._updates.add("business_connection", payload, business.id)

    def business_chat(self, business: Business, customer: User) -> Chat:
        """The chat of a business account with a customer."""
        made = Chat(
            customer.id,
            "private",
            members={customer.id: "member", business.owner: "member"},
            business=business.id,
        )
        return business.chats.setdefault(customer.id, made)

    def ask_business(self, business: Business, customer: User, text: str, **more: Any) -> Message:
        """A customer writes to the business account."""
        return self.say(customer, self.business_chat(business, customer), text, **more)

    def owner_says(self, business: Business, customer: User, text: str, **more: Any) -> Message:
        """The owner of the business account writes to a customer."""
        owner = self._world.users[business.owner]
        return self.say(owner, self.business_chat(business, customer), text, **more)


def _emoji(one: str) -> Content:
    return {"type": "emoji", "emoji": one}
