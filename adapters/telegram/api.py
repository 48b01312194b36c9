"""Calls to the Bot API: one try each, errors by name, the platform's pauses kept.

Knows aiogram's client, Telegram's error texts and its flood limits. Never repeats a call that may
have been carried out: whether something is sent again is decided by who can tell
(`bot/dispatching/courier.py`).

Limits (https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this): about
one message a second in a chat, 20 a minute in a group, 30 a second to everybody. Edits count.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import aiohttp
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    AiogramError,
    ClientDecodeError,
    TelegramAPIError,
    TelegramBadRequest,
    TelegramConflictError,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.methods import (
    CopyMessage,
    EditMessageReplyMarkup,
    EditMessageText,
    SendMessage,
    SendMessageDraft,
    SendRichMessage,
    SendRichMessageDraft,
    TelegramMethod,
)

from adapters.pace import Pace
from bot.errors import DeliveryError

PRIVATE_PER_MINUTE = 57.0
GROUP_PER_MINUTE = 19.0
ALL_PER_MINUTE = 28.0 * 60
BURST = 3  # "short bursts" are allowed, and no number is given
GROUP_BURST = 5
ALL_BURST = 10  # what a stall delayed must not arrive together with a full burst
PATIENCE_S = 20.0
TIMEOUT_S = 20
_PACED = (SendMessage, SendRichMessage, EditMessageText, EditMessageReplyMarkup, CopyMessage)
_DRAFTS = (SendMessageDraft, SendRichMessageDraft)
_CONNECTIONS = 200

_BY_TEXT = (
    ("message is not modified", "not_modified"),
    ("can't parse", "markup"),
    ("query is too old", "query_old"),
    ("query id is invalid", "query_old"),
    ("message thread not found", "topic_gone"),
    ("topic_deleted", "topic_gone"),
    ("topic_id_invalid", "topic_gone"),
    ("topic_closed", "topic_closed"),
    ("topic_not_modified", "not_modified"),
    ("message to edit not found", "message_gone"),
    ("message can't be edited", "message_gone"),
    ("message to delete not found", "message_gone"),
    ("message can't be deleted", "message_gone"),
    ("message_id_invalid", "message_gone"),
    ("draft_peer_invalid", "no_drafts"),
    ("chat not found", "chat_gone"),
    ("peer_id_invalid", "chat_gone"),
    ("business_connection", "chat_gone"),
    ("business_peer", "chat_gone"),
    ("not enough rights", "no_rights"),
    ("have no rights", "no_rights"),
    ("chat_write_forbidden", "no_rights"),
    ("is too long", "too_long"),
)
_FINAL = {"forbidden", "unauthorized", "chat_gone", "no_rights", "bad_request", "markup"}
_MAYBE = {"server", "decode"}

T = TypeVar("T")
Moved = Callable[[int, int], Awaitable[None]]  # a group's old and new id


class TelegramError(DeliveryError):
    """A call failed. `code` is our name for why; `detail` is Telegram's text, not for the log."""

    def __init__(
        self,
        method: str,
        code: str,
        detail: str = "",
        *,
        maybe_shown: bool = False,
        after: float = 0.0,
    ) -> None:
        super().__init__(
            f"Telegram's {method} failed: {code}.",
            f"See https://core.telegram.org/bots/api#{method.lower()}",
            maybe_shown=maybe_shown,
            final=code in _FINAL,
            retry_after=after,
        )
        self.code = code
        self.detail = detail


class _Session(AiohttpSession):
    """aiogram's client without its quarter of a second of waiting after the last call."""

    async def close(self) -> None:
        """Close the connections; aiohttp sees to TLS."""
        if self._session is not None:
            await self._session.close()


class Api:
    """One bot's API. `moved` knows groups that became supergroups, by their old ids."""

    def __init__(self, token: str, api_url: str) -> None:
        session = _Session(
            api=TelegramAPIServer.from_base(api_url), timeout=TIMEOUT_S, limit=_CONNECTIONS
        )
        self.bot = Bot(token, session)
        self.moved: dict[int, int] = {}
        self.on_moved: Moved | None = None
        self.latched: set[str] = set()  # features that turned out not to be there
        self._private = Pace(PRIVATE_PER_MINUTE, BURST)
        self._groups = Pace(GROUP_PER_MINUTE, GROUP_BURST)
        self._all = Pace(ALL_PER_MINUTE, ALL_BURST)
        self._drafts = Pace(ALL_PER_MINUTE, ALL_BURST)
        self._until: dict[tuple[str, int], float] = {}
        self._closed = False

    async def call(
        self,
        method: TelegramMethod[T],
        *,
        patience_s: float = PATIENCE_S,
        timeout_s: int | None = None,
    ) -> T:
        """Call once. Raises `TelegramError`; without calling while Telegram asked us to wait.

        Messages and edits wait in line for their turn in their chat, unless it is farther off
        than `patience_s`.
        """
        name = type(method).__api_method__
        if self._closed:  # aiogram would open its connections again, and nobody would close them
            raise TelegramError(name, "closed")
        chat = self._chat(method)
        if chat in self.moved:
            chat = self.moved[chat]
            method = method.model_copy(update={"chat_id": chat})
        await self._turn(method, name, chat, patience_s)
        try:
            return await self.bot(method, request_timeout=timeout_s)
        except TelegramMigrateToChat as problem:  # nothing was done there: the same, once more
            await self.migrated(chat, problem.migrate_to_chat_id)
            again = method.model_copy(update={"chat_id": problem.migrate_to_chat_id})
        except AiogramError as problem:
            raise self._named(name, chat, problem, paced=isinstance(method, _PACED)) from problem
        try:
            return await self.bot(again, request_timeout=timeout_s)
        except AiogramError as problem:
            raise self._named(name, chat, problem, paced=True) from problem

    async def migrated(self, old: int, new: int) -> None:
        """A group became a supergroup: from now on calls for it go to its new id."""
        if old == new or self.moved.get(old) == new:
            return
        self.moved[old] = new
        if self.on_moved is not None:
            await self.on_moved(old, new)

    async def close(self) -> None:
        """Close the connections; later calls fail without being made."""
        self._closed = True
        await self.bot.session.close()

    @staticmethod
    def _chat(method: TelegramMethod[Any]) -> int:
        chat = getattr(method, "chat_id", None)
        return chat if isinstance(chat, int) else 0

    async def _turn(
        self, method: TelegramMethod[Any], name: str, chat: int, patience_s: float
    ) -> None:
        left = self._until.pop((name, chat), 0.0) - time.monotonic()
        if left > 0:
            self._until[name, chat] = time.monotonic() + left
        elif isinstance(method, _PACED):
            left = await self._pace(chat).turn(str(chat), patience_s)
            if left <= 0:
                left = await self._all.turn("", patience_s)
        elif isinstance(method, _DRAFTS):
            left = max(0.0, self._drafts.take("", 0.0))
        if left > 0:
            raise TelegramError(name, "flood", after=left)

    def _pace(self, chat: int) -> Pace:
        return self._groups if chat < 0 else self._private

    def _named(self, name: str, chat: int, problem: AiogramError, *, paced: bool) -> TelegramError:
        if isinstance(problem, TelegramRetryAfter):
            after = float(problem.retry_after)
            if paced:
                self._pace(chat).hold(str(chat), after)
            else:
                self._until[name, chat] = time.monotonic() + after
            return TelegramError(name, "flood", after=after)
        if isinstance(problem, ClientDecodeError):
            return TelegramError(name, "decode", maybe_shown=True)
        detail = cast("TelegramAPIError", problem).message
        code = _code(problem, detail)
        unsent = isinstance(problem.__cause__, aiohttp.ClientConnectorError)
        maybe = code in _MAYBE or (code == "connection" and not unsent)
        return TelegramError(name, code, detail, maybe_shown=maybe)


_BY_KIND: tuple[tuple[type[AiogramError], str], ...] = (
    (TelegramForbiddenError, "forbidden"),
    (TelegramUnauthorizedError, "unauthorized"),
    (TelegramNotFound, "not_found"),
    (TelegramConflictError, "conflict"),
    (TelegramEntityTooLarge, "bad_request"),
    (TelegramNetworkError, "connection"),
    (TelegramServerError, "server"),
)


def _code(problem: AiogramError, detail: str) -> str:
    if isinstance(problem, TelegramBadRequest):
        said = detail.lower()
        return next((code for text, code in _BY_TEXT if text in said), "bad_request")
    return next((code for kind, code in _BY_KIND if isinstance(problem, kind)), "bad_request")
