"""The unmodified aiogram client, pointed at the fake, and what tests say with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import TelegramAPIError
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup

from tests.fakes.telegram.world import TOKEN


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Bot]:
    """A bot that speaks to the fake at `url`."""
    session = AiohttpSession(api=TelegramAPIServer.from_base(url))
    yield Bot(TOKEN, session=session)
    # The client's own close waits a quarter of a second for TLS that is not there.
    await (await session.create_session()).close()


async def error_of(call: Awaitable[Any]) -> str:
    with pytest.raises(TelegramAPIError) as caught:
        await call
    return str(caught.value.message)


def keyboard(**button: Any) -> InlineKeyboardMarkup:
    row = [InlineKeyboardButton(**({"text": "Yes"} | button))]
    return InlineKeyboardMarkup(inline_keyboard=[row])
