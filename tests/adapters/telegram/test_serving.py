"""The door as `deskhand serve` joins it: from the settings to an answer, by webhook."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from bot.cli import telegram as joined
from bot.config import Settings
from bot.dispatching.dispatch import Dispatcher
from bot.errors import ConfigError
from bot.store import Store
from tests.fakes.scripted import ScriptedAnswerer
from tests.fakes.telegram import TOKEN, FakeTelegram
from tests.fakes.telegram.desk import LIMITS, SECRET


def settings(folder: Path, **telegram: object) -> Settings:
    return Settings.model_validate(
        {
            "home": folder,
            "server": {"public_url": "https://help.example.com"},
            "telegram": {"token": TOKEN, **telegram},
        }
    )


async def test_the_server_joins_channel_desk_and_route(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    current = settings(
        tmp_path,
        api_url=telegram.url,
        mode="webhook",
        webhook_secret=SECRET,
        staff_chat=-1001234567890,
    )
    store = Store.open(current.database_url, exclusive=True)
    doors = joined.channels(current, store)
    dispatcher = Dispatcher(store, ScriptedAnswerer(), {**doors}, LIMITS)
    for desk in joined.desks(doors)(dispatcher.handovers):
        dispatcher.handovers.attach(desk)
    assert dispatcher.handovers.staffed
    await dispatcher.start()
    web = Starlette()
    async with joined.serving(doors, dispatcher, web):
        await telegram.until(lambda: telegram.updates.hook)
        assert telegram.updates.hook is not None
        assert telegram.updates.hook.url == "https://help.example.com/telegram/updates"
        message = {
            "message_id": 1,
            "date": 1_795_000_000,
            "chat": {"id": ann.id, "type": "private", "first_name": "ann"},
            "from": {"id": ann.id, "is_bot": False, "first_name": "ann"},
            "text": "Hi",
        }
        transport = httpx.ASGITransport(app=web)
        async with httpx.AsyncClient(transport=transport, base_url="http://inside") as client:
            answer = await client.post(
                "/telegram/updates",
                json={"update_id": 1, "message": message},
                headers={"X-Telegram-Bot-Api-Secret-Token": SECRET},
            )
        assert answer.status_code == 200
        await telegram.until(lambda: telegram.world.chat(ann).by_bot)
        await dispatcher.drain()
    await store.close()
    assert [one.text for one in telegram.world.chat(ann).by_bot] == ["You said: Hi"]


async def test_without_a_token_there_is_no_door_and_without_a_secret_no_webhook(
    tmp_path: Path,
) -> None:
    store = Store.open(Settings(home=tmp_path).database_url)
    assert joined.channels(Settings(home=tmp_path), store) == {}
    with pytest.raises(ConfigError, match="webhook_secret"):
        joined.channels(settings(tmp_path, mode="webhook"), store)
    await asyncio.wait_for(store.close(), 5)
