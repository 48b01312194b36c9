"""A fresh Telegram for each test, and no proxy on the way to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiogram import Bot

from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.client import client


@pytest.fixture
async def telegram(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeTelegram]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    # Nearly as much at once as the server takes, so that chats with many messages wait less.
    monkeypatch.setattr("adapters.telegram.api.BURST", 4)
    monkeypatch.setattr("adapters.telegram.api.GROUP_BURST", 15)
    async with FakeTelegram() as fake:
        yield fake


@pytest.fixture
async def bot(telegram: FakeTelegram) -> AsyncIterator[Bot]:
    """The unmodified client."""
    async with client(telegram.url) as bot:
        yield bot
