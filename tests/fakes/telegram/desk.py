"""A whole Telegram door: the strict Bot API server, the real channel, dispatcher and store."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from adapters.telegram.channel import PATH, TelegramChannel
from bot.config import LimitSettings, Settings, TelegramSettings
from bot.dispatching.courier import Patience
from bot.dispatching.dispatch import Dispatcher
from bot.store import Store
from bot.types import Answerer
from tests.fakes.scripted import ScriptedAnswerer
from tests.fakes.telegram.server import FakeTelegram
from tests.fakes.telegram.world import TOKEN, Chat, Message, User

LIMITS = LimitSettings(drain_s=2.0, waiting_per_actor=1000, waiting=5000)
SECRET = "a-secret-for-tests-0123"


@dataclass
class Desk:
    """The running door and everything behind it."""

    telegram: FakeTelegram
    store: Store
    dispatcher: Dispatcher
    channel: TelegramChannel
    answerer: Any
    http: str = ""

    async def said(self, where: User | Chat, count: int = 1) -> list[Message]:
        """What the bot shows in a chat, once that is `count` messages and nothing is in work."""
        chat = self.telegram.world.chat(where)

        def enough() -> list[Message]:
            found = [one for one in chat.by_bot if not one.text.endswith(" …")]
            waiting = [item for queue in self.dispatcher._queues.values() for item in queue]
            busy = [one for one in waiting if one.address.detail.get("chat") == str(chat.id)]
            return found if len(found) >= count and not busy else []

        try:
            found: list[Message] = await self.telegram.until(enough)
        except TimeoutError:
            calls = [(one.method, one.status, one.error) for one in self.telegram.calls[-15:]]
            raise AssertionError(f"{self.telegram.transcript()}\n{calls}") from None
        return found

    async def quiet(self, asked: int) -> None:
        """Everything Telegram handed over is dealt with, and the bot was asked this often."""
        await self.telegram.settled()
        await self.telegram.until(lambda: len(self.answerer.asked) >= asked)
        await asyncio.sleep(0.05)
        assert len(self.answerer.asked) == asked, [one.text for one in self.answerer.asked]


def settings(telegram: FakeTelegram, **more: Any) -> TelegramSettings:
    """Settings that lead to the fake."""
    return TelegramSettings.model_validate({"token": TOKEN, "api_url": telegram.url} | more)


@functools.cache
def _new_database() -> bytes:
    """An empty database, made once: the migrations take longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Settings(home=Path(folder)).database_url)
        store.database.abandon()
        return (Path(folder) / "deskhand.db").read_bytes()


@asynccontextmanager
async def opened(
    telegram: FakeTelegram,
    folder: Path,
    answerer: Answerer | None = None,
    *,
    limits: LimitSettings = LIMITS,
    patience: Patience | None = None,
    hear: Any = None,
    **more: Any,
) -> AsyncIterator[Desk]:
    """Open the door on the database in `folder`, as the server does; over HTTP if told to."""
    database = folder / "deskhand.db"
    if not database.exists():
        database.write_bytes(_new_database())
    over_http = more.get("mode") == "webhook"
    more |= {"webhook_secret": SECRET} if over_http else {}
    store = Store.open(Settings(home=folder).database_url, exclusive=True)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        server, made = _Server(), answerer or ScriptedAnswerer()
        public = await stack.enter_async_context(server.listening()) if over_http else ""
        channel = TelegramChannel(settings(telegram, **more), store, public, hear)
        server.channel = channel
        dispatcher = Dispatcher(store, made, {channel.name: channel}, limits, patience)
        for one in channel.desks(dispatcher.handovers):
            dispatcher.handovers.attach(one)
        channel.attach(dispatcher)
        await dispatcher.start()
        running = asyncio.create_task(channel.run(dispatcher.accept))
        try:
            await telegram.connected()
            yield Desk(telegram, store, dispatcher, channel, made, public + PATH)
        finally:
            running.cancel()
            await asyncio.wait({running})
            await dispatcher.drain()
            await channel.close()


class _Server:
    """The web server's part: one route."""

    def __init__(self) -> None:
        self.channel: TelegramChannel | None = None

    async def _http(self, request: Any) -> Any:
        assert self.channel is not None
        return await self.channel.http(request)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        app = Starlette(routes=[Route(PATH, self._http, methods=["POST"])])
        server = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
        )
        serving = asyncio.create_task(server._serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            await serving
