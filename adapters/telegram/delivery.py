"""One reply in one Telegram chat: typing, text while it is made, then the whole of it.

Knows the three ways a reply can appear: a draft that only lives while it is made (private chats),
a message that is edited (groups), a single post. Text is shown in the background, at Telegram's
pace; only `finish` reports errors, because only then must something be on the screen.

Telegram cannot be asked whether a message was sent. A message that is edited is noted in the
database, so that the next process completes it; of a reply in several messages, those that are
sent are noted. What remains is a death inside one send: that message may come twice, and the
courier marks it.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiogram.methods import (
    DeleteMessage,
    EditMessageText,
    SendChatAction,
    SendMessage,
    SendMessageDraft,
    SendRichMessage,
    TelegramMethod,
)
from aiogram.types import InlineKeyboardMarkup, ReplyParameters

from adapters.telegram.api import Api, TelegramError
from adapters.telegram.places import Spot
from adapters.telegram.render import (
    NO_PREVIEW,
    Piece,
    asks_for_votes,
    button,
    keyboard,
    partial,
    pieces,
    renderer,
)
from adapters.telegram.rich import rich, worth_it
from adapters.telegram.texts import texts
from adapters.telegram.votes import STOP, TALK, vote_row
from bot.notes import Notes
from bot.types import Address, Outcome, Reply

TYPING_S = 4.5  # Telegram shows it for 5 s
MOST_TYPING_S = 900.0
FIRST_S = 0.3  # an answer that is quicker needs no draft
FLUSH_S = 1.05
KEEP_S = 20.0  # a draft vanishes after 30 s
EDIT_PRIVATE_S = 1.1
EDIT_GROUP_S = 3.1
LAST_CALL_S = 5.0
_NO_DRAFTS = {"no_drafts", "bad_request", "not_found", "forbidden"}
_PASSING = {"connection", "server", "decode"}
_UNREADABLE = {"markup", "bad_request", "too_long"}

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Workshop:
    """What every delivery of a channel needs."""

    api: Api
    notes: Notes
    gone: Callable[[int], Awaitable[None]]  # somebody blocked the bot
    stream: str  # draft, edit or off
    rich: bool
    staffed: bool = False  # there is somebody to talk to
    no_drafts: set[int] = field(default_factory=set)  # chats that take none
    parts: dict[str, dict[int, int]] = field(default_factory=dict)  # sent before, by answer


class TelegramDelivery:
    """See `bot.types.Delivery`. `quiet` shows nothing instead of the reply."""

    def __init__(
        self,
        shop: Workshop,
        to: Address,
        event_id: str,
        done: Callable[[], object],
        *,
        silent: bool = False,
    ) -> None:
        self._shop = shop
        self._spot = Spot.of(to)
        self._key = f"draft/{event_id}"
        self._done = done
        self._silent = silent  # no signs of life: nothing is being made
        self.draft_id = zlib.crc32(event_id.encode()) & 0x7FFFFFFF or 1
        self.quiet = False
        self._text = ""
        self._said = ""
        self._news = asyncio.Event()
        self._ending = asyncio.Event()
        self._seen = False  # some of the text is on the screen
        self._message = 0  # the message that is edited
        self._noted = False
        self._tasks: list[asyncio.Task[None]] = []
        self._posted: dict[int, int] = {}

    @property
    def user(self) -> int:
        """Who asked."""
        return self._spot.user

    # While the answer is made

    async def begin(self, left: int) -> None:
        """Give the first sign of life; `left` is the message that an earlier process began."""
        if left:
            self._message, self._noted = left, True
        if self._silent:
            return
        self._tasks.append(asyncio.create_task(self._keep_typing()))
        if self._shop.stream != "off" and not self._spot.business:
            self._tasks.append(asyncio.create_task(self._show()))

    async def status(self, text: str) -> None:
        """Say what is being done; a draft shows it until there is text."""
        self._said = text
        self._news.set()

    async def append(self, delta: str) -> None:
        """Hand over more text; it appears when its turn comes."""
        self._text += delta
        self._news.set()

    async def _keep_typing(self) -> None:
        began = time.monotonic()
        while not self._seen and time.monotonic() - began < MOST_TYPING_S:
            spot = self._spot
            typing = SendChatAction(
                chat_id=spot.chat,
                action="typing",
                message_thread_id=spot.thread,
                business_connection_id=spot.business,
            )
            try:
                await self._shop.api.call(typing)
            except TelegramError as problem:
                log.info("typing was not shown", error=problem.message)
            if await self._ended_within(TYPING_S):
                return

    async def _ended_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        return self._ending.is_set()

    async def _show(self) -> None:
        """Bring text to the screen as it comes, until told to end."""
        if await self._ended_within(FIRST_S):
            return
        try:
            if self._drafts:
                await self._draft()
            if not self._drafts:
                await self._edit()
        except TelegramError as problem:
            # What is on the screen now is completed, or replaced, by `finish`.
            log.info("the answer is not shown while it is made", error=problem.message)

    @property
    def _drafts(self) -> bool:
        spot, shop = self._spot, self._shop
        return shop.stream == "draft" and spot.private and spot.chat not in shop.no_drafts

    async def _draft(self) -> None:
        """Show drafts, and each again before it vanishes."""
        shown, at = "", 0.0
        while not self._ending.is_set():
            words = partial(self._text) or html.escape(self._said, quote=False)
            if words and (words != shown or time.monotonic() - at > KEEP_S):
                try:
                    await self._draft_once(words)
                except TelegramError as problem:
                    if problem.code in _NO_DRAFTS:
                        self._shop.no_drafts.add(self._spot.chat)
                        return
                    if problem.code not in _PASSING | {"flood"}:
                        raise
                    await self._ended_within(max(FLUSH_S, problem.retry_after))
                    continue
                shown, at = words, time.monotonic()
                self._seen = bool(self._text)
            if shown:
                await self._ended_within(FLUSH_S)
            with contextlib.suppress(TimeoutError):
                left = at + KEEP_S - time.monotonic() if shown else KEEP_S
                async with asyncio.timeout(max(0.0, left)):
                    await self._news.wait()
            self._news.clear()

    async def _draft_once(self, words: str) -> None:
        await self._shop.api.call(
            SendMessageDraft(
                chat_id=self._spot.chat,
                draft_id=self.draft_id,
                message_thread_id=self._spot.thread,
                text=words,
                parse_mode="HTML",
                can_stop=True,
                keep_on_stop=True,
            )
        )

    async def _edit(self) -> None:
        """Without drafts: post what there is, then edit it."""
        pause = EDIT_PRIVATE_S if self._spot.private else EDIT_GROUP_S
        shown = ""
        while not self._ending.is_set():
            words = partial(self._text)
            if words and words != shown:
                try:
                    await self._edit_once(f"{words} …")
                    shown = words
                except TelegramError as problem:
                    if problem.code not in {"flood", "not_modified"}:
                        raise
                    await self._ended_within(problem.retry_after)
            await self._ended_within(pause)
            await self._news.wait()
            self._news.clear()

    async def _edit_once(self, words: str) -> None:
        spot = self._spot
        stop = keyboard([button(f"■ {texts(spot.lang).stop}", f"{STOP}:{self.draft_id}")])
        if self._message:
            await self._shop.api.call(self._changed(words, "HTML", stop), patience_s=0.0)
            return
        sent = await self._shop.api.call(self._new(words, "HTML", stop, first=True), patience_s=0.0)
        self._message = sent.message_id
        self._seen = self._noted = True
        await self._shop.notes.put(self._key, {"chat": spot.chat, "message": self._message})

    async def close(self) -> None:
        """End what runs in the background; calls in flight may end by themselves first."""
        self._ending.set()
        self._news.set()
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return
        _, pending = await asyncio.wait(tasks, timeout=LAST_CALL_S)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)

    # When it is made

    async def finish(self, reply: Reply, answer_id: str) -> str:
        """Show the whole reply; may be called again after it failed."""
        await self.close()
        if self.quiet:
            return await self._withdraw()
        self._posted |= self._shop.parts.pop(answer_id, {})
        made = await asyncio.to_thread(pieces, reply, self._spot.lang)
        try:
            for piece in made:
                if piece.number not in self._posted:
                    await self._put(piece, reply, answer_id)
        except TelegramError as problem:
            if problem.code == "forbidden":
                await self._shop.gone(self._spot.chat)
            raise
        await self.settle(answer_id if len(made) > 1 else "")
        return platform_id(self._spot, self._posted[len(made) - 1], self._shop.api)

    async def _put(self, piece: Piece, reply: Reply, answer_id: str) -> None:
        markup = self._buttons(reply, answer_id) if piece.last else None
        first = piece.number == 0
        if first and self._message:
            self._posted[0] = await self._change(piece, reply, markup)
        else:
            self._posted[piece.number] = await self._send(piece, reply, markup, first=first)
        if piece.count > 1:
            sent = {str(number): message for number, message in self._posted.items()}
            await self._shop.notes.put(f"parts/{answer_id}", sent)
            message = self._posted[piece.number]
            if not piece.last:  # reactions to it count too
                key = platform_id(self._spot, message, self._shop.api)
                await self._shop.notes.put(f"part/{key}", {"answer": answer_id})

    def _buttons(self, reply: Reply, answer_id: str) -> InlineKeyboardMarkup | None:
        if not asks_for_votes(reply):
            return None
        told = texts(self._spot.lang)
        talk = reply.outcome is Outcome.ABSTAINED and self._shop.staffed
        return keyboard(
            vote_row(answer_id, told), [button(f"🙋 {told.talk}", TALK)] if talk else []
        )

    async def _send(
        self, piece: Piece, reply: Reply, markup: InlineKeyboardMarkup | None, *, first: bool
    ) -> int:
        """Post a message: rich where that says more, else as HTML, else bare."""
        call = self._shop.api.call
        if self._richly(piece):
            try:
                return (await call(self._new_rich(piece, reply, markup, first=first))).message_id
            except TelegramError as problem:
                self._not_rich(problem)
        try:
            return (await call(self._new(piece.html, "HTML", markup, first=first))).message_id
        except TelegramError as problem:
            if problem.code not in _UNREADABLE:
                raise
            log.warning("Telegram does not take the markup of an answer", error=problem.message)
            return (await call(self._new(piece.text, None, markup, first=first))).message_id

    async def _change(self, piece: Piece, reply: Reply, markup: InlineKeyboardMarkup | None) -> int:
        """Bring the message in the making to its final text; post it if that is gone."""
        if self._richly(piece):
            made = renderer(reply)
            whole = rich(piece.document, made.follow, made.urls)
            change = self._changed("", None, markup).model_copy(
                update={"text": None, "rich_message": whole}
            )
            try:
                await self._edit_to(change)
            except TelegramError as problem:
                if problem.code == "message_gone":
                    return await self._send(piece, reply, markup, first=True)
                self._not_rich(problem)
            else:
                return self._message
        try:
            await self._edit_to(self._changed(piece.html, "HTML", markup))
        except TelegramError as problem:
            if problem.code == "message_gone":
                return await self._send(piece, reply, markup, first=True)
            if problem.code not in _UNREADABLE:
                raise
            await self._edit_to(self._changed(piece.text, None, markup))
        return self._message

    async def _edit_to(self, change: TelegramMethod[Any]) -> None:
        try:
            await self._shop.api.call(change)
        except TelegramError as problem:
            if problem.code != "not_modified":
                raise

    def _richly(self, piece: Piece) -> bool:
        shop = self._shop
        return shop.rich and "rich" not in shop.api.latched and worth_it(piece.document)

    def _not_rich(self, problem: TelegramError) -> None:
        """Go on with HTML if rich messages are what was refused; else raise."""
        if problem.code not in _UNREADABLE | {"not_found", "no_rights"}:
            raise problem
        if problem.code == "not_found":
            self._shop.api.latched.add("rich")
        log.info("no rich message here", error=problem.message)

    def _new(
        self, words: str, mode: str | None, markup: InlineKeyboardMarkup | None, *, first: bool
    ) -> SendMessage:
        return SendMessage(
            text=words,
            parse_mode=mode,
            link_preview_options=NO_PREVIEW,
            **self._where(first, markup),
        )

    def _new_rich(
        self, piece: Piece, reply: Reply, markup: InlineKeyboardMarkup | None, *, first: bool
    ) -> SendRichMessage:
        made = renderer(reply)
        whole = rich(piece.document, made.follow, made.urls)
        return SendRichMessage(rich_message=whole, **self._where(first, markup))

    def _where(self, first: bool, markup: InlineKeyboardMarkup | None) -> dict[str, Any]:  # noqa: FBT001 - of two private callers
        spot = self._spot
        answers = first and not spot.private and spot.message is not None
        return {
            "chat_id": spot.chat,
            "message_thread_id": spot.thread,
            "business_connection_id": spot.business,
            "reply_markup": markup,
            "reply_parameters": ReplyParameters(
                message_id=spot.message, allow_sending_without_reply=True
            )
            if answers
            else None,
        }

    def _changed(
        self, words: str, mode: str | None, markup: InlineKeyboardMarkup | None
    ) -> EditMessageText:
        return EditMessageText(
            chat_id=self._spot.chat,
            message_id=self._message,
            business_connection_id=self._spot.business,
            text=words,
            parse_mode=mode,
            link_preview_options=NO_PREVIEW,
            reply_markup=markup,
        )

    async def _withdraw(self) -> str:
        """The question is gone, and so is what was shown of its answer."""
        if self._message:
            try:
                gone = DeleteMessage(chat_id=self._spot.chat, message_id=self._message)
                await self._shop.api.call(gone)
            except TelegramError as problem:
                log.info("an answer in the making was not taken back", error=problem.message)
        await self.settle("")
        return ""

    async def settle(self, answer_id: str) -> None:
        """Tidy up: the reply is on the screen, or shall not be."""
        await self.close()
        if self._noted:
            await self._shop.notes.drop(self._key)
            self._noted = False
        if answer_id:
            await self._shop.notes.drop(f"parts/{answer_id}")
        self._done()


def platform_id(spot: Spot, message: int, api: Api) -> str:
    """A message's key among all chats of the bot."""
    return shown_key(api.moved.get(spot.chat, spot.chat), message, spot.business or "")


def shown_key(chat: int, message: int, business: str = "") -> str:
    """The same from an update."""
    return f"b{business}:{chat}:{message}" if business else f"{chat}:{message}"
