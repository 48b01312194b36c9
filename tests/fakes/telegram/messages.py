"""Methods that write, change and remove messages, and the drafts before them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.fakes.telegram import rich
from tests.fakes.telegram.checks import Args, Floods, caption_of, markup_of, text_of
from tests.fakes.telegram.places import Places
from tests.fakes.telegram.world import BOT_ID, Chat, Draft, Message, World, bad

NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same "
    "as a current content and reply markup of the message"
)
_FILES = {
    "sendPhoto": "photo",
    "sendVoice": "voice",
    "sendDocument": "document",
    "sendAudio": "audio",
    "sendVideo": "video",
}


class Messages:
    """The methods, by their names."""

    def __init__(self, world: World, places: Places, floods: Floods) -> None:
        self._world = world
        self._places = places
        self._floods = floods
        self.methods: dict[str, Callable[[Args], Any]] = {
            "sendMessage": self._send,
            "sendRichMessage": self._send_rich,
            "sendMessageDraft": self._draft,
            "sendRichMessageDraft": self._draft_rich,
            "sendMediaGroup": self._album,
            "editMessageText": self._edit_text,
            "editMessageCaption": self._edit_caption,
            "editMessageReplyMarkup": self._edit_markup,
            "deleteMessage": self._delete,
            "deleteMessages": self._delete_many,
            "copyMessage": self._copy,
            "copyMessages": self._copy_many,
            "forwardMessage": self._forward,
            "forwardMessages": self._forward_many,
        }
        for method, kind in _FILES.items():
            self.methods[method] = partial(self._file, kind)

    # Sending

    def _where(self, args: Args, *, weight: int = 1) -> tuple[Chat, dict[str, Any]]:
        """The chat and what every message sent there has. Counts against the flood limits."""
        chat = self._places.writable(args)
        thread = self._places.thread(chat, args.get("message_thread_id") or 0)
        what: dict[str, Any] = {
            "thread": thread,
            "in_topic": bool(thread),
            "silent": bool(args.get("disable_notification")),
            **self._reply(chat, args.get("reply_parameters"), thread),
        }
        what["preview"] = not (args.get("link_preview_options") or {}).get("is_disabled", False)
        if ephemeral := args.get("ephemeral_message_parameters"):
            if chat.kind == "private" or ephemeral["receiver_user_id"] not in chat.members:
                raise bad("ephemeral messages go to members of groups only")
            what["only_for"] = ephemeral["receiver_user_id"]
        self._floods.take(chat, weight)
        return chat, what

    def _reply(self, chat: Chat, to: Args | None, thread: int) -> dict[str, Any]:
        if not to:
            return {}
        message = chat.every.get(to.get("message_id", 0)) if "chat_id" not in to else None
        if message is None or message.deleted:
            if to.get("allow_sending_without_reply"):
                return {}
            raise bad("message to be replied not found")
        quote = to.get("quote", "")
        if quote and quote not in message.text:
            raise bad("QUOTE_TEXT_INVALID")
        if chat.forum and not thread and message.thread:
            # A reply goes where the message is; a bot that relies on this is asked to be plain.
            raise bad("message_thread_id is missing in a reply within a topic")
        return {"reply_to": message.id, "quote": quote}

    def _seen(self, message: Message) -> Args:
        return self._world.seen(message)

    def _send(self, args: Args) -> Args:
        text, entities = text_of(args)
        markup = markup_of(args)
        chat, what = self._where(args)
        made = self._world.post(chat, BOT_ID, text=text, entities=entities, markup=markup, **what)
        return self._seen(made)

    def _send_rich(self, args: Args) -> Args:
        shown = rich.shown(args["rich_message"], self._world)
        markup = markup_of(args)
        chat, what = self._where(args)
        text = rich.plain(shown)
        return self._seen(
            self._world.post(chat, BOT_ID, text=text, rich=shown, markup=markup, **what)
        )

    def _file(self, kind: str, args: Args) -> Args:
        text, entities = caption_of(args)
        markup = markup_of(args)
        content = {kind: self._places.file(kind, args[kind])}
        chat, what = self._where(args)
        made = self._world.post(
            chat, BOT_ID, text=text, entities=entities, content=content, markup=markup, **what
        )
        return self._seen(made)

    def _album(self, args: Args) -> list[Args]:
        media = args["media"]
        if not 2 <= len(media) <= 10:
            raise bad("an album has 2 to 10 files")
        parts = [(caption_of(one), self._places.file(one["type"], one["media"])) for one in media]
        chat, what = self._where(args, weight=len(media))
        album = str(self._world.number())
        return [
            self._seen(
                self._world.post(
                    chat,
                    BOT_ID,
                    text=caption[0],
                    entities=caption[1],
                    content={one["type"]: file},
                    album=album,
                    **what,
                )
            )
            for one, (caption, file) in zip(media, parts, strict=True)
        ]

    # Drafts

    def _draft(self, args: Args) -> bool:
        text, entities = text_of(args, empty=True)
        return self._show(args, text, entities, None)

    def _draft_rich(self, args: Args) -> bool:
        shown = rich.shown(args["rich_message"], self._world, draft=True)
        return self._show(args, rich.plain(shown), [], shown)

    def _show(self, args: Args, text: str, entities: list[Args], content: Args | None) -> bool:
        if args["draft_id"] == 0:
            raise bad("RANDOM_ID_INVALID")
        chat = self._places.writable(args)
        if chat.kind != "private" or not self._world.drafts_enabled:
            raise bad("TEXTDRAFT_PEER_INVALID")
        thread = self._places.thread(chat, args.get("message_thread_id") or 0)
        self._floods.take(chat, draft=True)
        draft = Draft(
            chat.id,
            args["draft_id"],
            thread,
            text,
            entities,
            self._world.clock.now(),
            bool(args.get("can_stop")),
            bool(args.get("keep_on_stop")),
            content,
            after_stop=args["draft_id"] in chat.stopped,
        )
        chat.drafts.append(draft)
        if not draft.after_stop:
            chat.live = draft
        return True

    # Changing

    def _own(self, args: Args) -> tuple[Chat, Message]:
        if "inline_message_id" in args or "chat_id" not in args or "message_id" not in args:
            raise bad("chat_id and message_id are needed: the bot sends no inline messages")
        chat = self._places.writable(args)
        message = chat.every.get(args["message_id"])
        if message is None or message.deleted:
            raise bad("message to edit not found")
        if not message.by_bot:
            raise bad("message can't be edited")
        self._floods.take(chat)
        return chat, message

    def _edit_text(self, args: Args) -> Args:
        content = args.get("rich_message")
        if (content is None) == (args.get("text") is None):
            raise bad("exactly one of text and rich_message is needed")
        if content is not None:
            shown = rich.shown(content, self._world)
            to: tuple[Any, ...] = (rich.plain(shown), [], shown)
        else:
            to = (*text_of(args), None)
        markup = markup_of(args)
        _, message = self._own(args)
        if message.content:
            raise bad("there is no text in the message to edit")
        return self._change(message, (*to, markup))

    def _edit_caption(self, args: Args) -> Args:
        text, entities = caption_of(args)
        markup = markup_of(args)
        _, message = self._own(args)
        if not message.content:
            raise bad("there is no caption in the message to edit")
        return self._change(message, (text, entities, None, markup))

    def _edit_markup(self, args: Args) -> Args:
        markup = markup_of(args)
        _, message = self._own(args)
        return self._change(message, (message.text, message.entities, message.rich, markup))

    def _change(self, message: Message, to: tuple[Any, ...]) -> Args:
        before = (message.text, message.entities, message.rich, message.markup)
        if before[:3] == to[:3] and (before[3] or {}) == (to[3] or {}):
            raise bad(NOT_MODIFIED)
        if to[:3] != before[:3]:
            message.edits.append(message.text)
            message.edited_at = self._world.clock.now()
        message.text, message.entities, message.rich, message.markup = to
        return self._seen(message)

    # Removing

    def _delete(self, args: Args) -> bool:
        chat = self._places.writable(args)
        message = chat.every.get(args["message_id"])
        if message is None or message.deleted:
            raise bad("message to delete not found")
        old = self._world.clock.now() - message.at > 48 * 3600
        mine = message.by_bot or chat.kind == "private"
        if old or not (mine or "can_delete_messages" in chat.rights):
            raise bad("message can't be deleted")
        message.deleted = True
        return True

    def _delete_many(self, args: Args) -> bool:
        for number in self._many(args):
            self._delete(args | {"message_id": number})
        return True

    # Copying

    def _many(self, args: Args) -> list[int]:
        numbers: list[int] = args["message_ids"]
        if not 1 <= len(numbers) <= 100 or (numbers != sorted(set(numbers))):
            raise bad("message identifiers must be 1 to 100, increasing")
        return numbers

    def _source(self, args: Args, verb: str) -> Message:
        chat = self._places.known(args["from_chat_id"])
        message = chat.every.get(args["message_id"])
        if message is None or message.deleted:
            raise bad(f"message to {verb} not found")
        return message

    def _copy(self, args: Args) -> Args:
        source = self._source(args, "copy")
        if source.service:
            raise bad("message can't be copied")
        markup = markup_of(args)
        chat, what = self._where(args)
        text, entities = source.text, source.entities
        if "caption" in args and source.content:
            text, entities = caption_of(args)
        made = self._world.post(
            chat,
            BOT_ID,
            text=text,
            entities=entities,
            content=source.content,
            rich=source.rich,
            markup=markup,
            **what,
        )
        return {"message_id": made.id}

    def _copy_many(self, args: Args) -> list[Args]:
        return [self._copy(args | {"message_id": number}) for number in self._many(args)]

    def _forward(self, args: Args) -> Args:
        source = self._source(args, "forward")
        chat, what = self._where(args)
        origin = {
            "type": "user",
            "date": int(source.at),
            "sender_user": self._world.users[source.sender].shown(),
        }
        made = self._world.post(
            chat,
            BOT_ID,
            text=source.text,
            entities=source.entities,
            content=source.content,
            rich=source.rich,
            origin=source.origin or origin,
            **what,
        )
        return self._seen(made)

    def _forward_many(self, args: Args) -> list[Args]:
        return [
            {"message_id": self._forward(args | {"message_id": number})["message_id"]}
            for number in self._many(args)
        ]
