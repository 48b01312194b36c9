"""The door's own messages: greetings, confirmations, refusals.

Knows how to say something in a chat and to wait when Telegram says so. Such a message is sent
once or, if it cannot be told whether it was, not again; answers go through `delivery` instead.
"""

from __future__ import annotations

import asyncio
import html

import structlog
from aiogram.methods import SendMessage
from aiogram.types import ForceReply, InlineKeyboardMarkup, Message, ReplyParameters

from adapters.telegram.api import Api, TelegramError
from adapters.telegram.later import Later
from adapters.telegram.places import Spot
from adapters.telegram.render import NO_PREVIEW

TRIES = 5
LONGEST_PAUSE_S = 120.0
PATIENCE_S = 3.0  # how long whoever wants something said waits for it

log = structlog.get_logger(__name__)


class Speaker:
    """Says things."""

    def __init__(self, api: Api, later: Later) -> None:
        self._api = api
        self._later = later

    async def say(
        self,
        spot: Spot,
        text: str,
        markup: InlineKeyboardMarkup | ForceReply | None = None,
    ) -> Message | None:
        """Say plain words; returns the message once it is sent, None if that takes long or fails.

        When the update that asked for it is not confirmed before this returns, a death before
        the words are sent only means that they are asked for again.
        """
        task = self._later.do(self._insist(spot, text, markup))
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        sent: Message | None = task.result() if done else None
        return sent

    async def _insist(
        self, spot: Spot, text: str, markup: InlineKeyboardMarkup | ForceReply | None
    ) -> Message | None:
        message = SendMessage(
            chat_id=spot.chat,
            message_thread_id=spot.thread,
            business_connection_id=spot.business,
            text=html.escape(text, quote=False),
            parse_mode="HTML",
            link_preview_options=NO_PREVIEW,
            reply_markup=markup,
            reply_parameters=None
            if spot.private or spot.message is None
            else ReplyParameters(message_id=spot.message, allow_sending_without_reply=True),
        )
        for _ in range(TRIES):
            try:
                return await self._api.call(message)
            except TelegramError as problem:
                if problem.final or problem.maybe_shown:
                    log.warning("something was not said", error=problem.message)
                    return None
                await asyncio.sleep(min(max(1.0, problem.retry_after), LONGEST_PAUSE_S))
        log.warning("something was not said: tried too often")
        return None
