"""A whole Slack door: the fake workspace, the real channel, dispatcher and store."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from adapters.slack.channel import SlackChannel
from adapters.slack.installs import Many, Vault
from adapters.slack.oauth import Install
from adapters.slack.places import PATH
from bot.config import LimitSettings, Settings, SlackSettings
from bot.dispatching.courier import Patience
from bot.dispatching.dispatch import Dispatcher
from bot.installs import Installs
from bot.store import Store
from bot.types import Answerer
from tests.fakes.scripted import ScriptedAnswerer
from tests.fakes.slack.server import FakeSlack
from tests.fakes.slack.world import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET, Message

LIMITS = LimitSettings(drain_s=2.0, waiting_per_actor=1000, waiting=5000)


@dataclass
class Desk:
    """The running door and everything behind it."""

    slack: FakeSlack
    store: Store
    dispatcher: Dispatcher
    channel: SlackChannel
    answerer: Any
    http: str = ""

    async def answers(self, channel: str, thread: str = "", count: int = 1) -> list[Message]:
        """The complete answers of a thread, once there are `count`."""

        def complete() -> list[Message]:
            found = [one for one in self.slack.answers(channel, thread) if one.metadata]
            return found if len(found) >= count else []

        try:
            found: list[Message] = await self.slack.until(complete)
        except TimeoutError:
            calls = [(call.method, call.status, call.error) for call in self.slack.calls[-12:]]
            raise AssertionError(f"{self.slack.transcript()}\n{calls}") from None
        return found

    async def quiet(self, asked: int) -> None:
        """Everything Slack handed over is dealt with, and the bot was asked this often."""
        await self.slack.delivery.settled()
        await self.slack.until(lambda: len(self.answerer.asked) >= asked)
        await asyncio.sleep(0.05)
        assert len(self.answerer.asked) == asked, [one.text for one in self.answerer.asked]


def settings(slack: FakeSlack, **more: Any) -> SlackSettings:
    """Settings that lead to the fake."""
    values: dict[str, Any] = {
        "bot_token": BOT_TOKEN,
        "app_token": APP_TOKEN,
        "signing_secret": SIGNING_SECRET,
        "api_url": slack.url,
    }
    return SlackSettings.model_validate(values | more)


async def starters(limit: int) -> Sequence[str]:
    return ["How do I return a parcel?", "When do you open?"][:limit]


@asynccontextmanager
async def opened(
    slack: FakeSlack,
    folder: Path,
    answerer: Answerer | None = None,
    *,
    limits: LimitSettings = LIMITS,
    patience: Patience | None = None,
    key: str = "",
    now: Callable[[], float] = time.monotonic,
    **more: Any,
) -> AsyncIterator[Desk]:
    """Open the door on the database in `folder`, as the server does; over HTTP if told to.

    With a `key` it is a door for many workspaces, whose tokens the key seals.
    """
    over_http = more.get("app_token") == ""
    store = Store.open(Settings(home=folder).database_url, exclusive=True)
    chosen = settings(slack, **more)
    many = Many(chosen, Installs(store.database), Vault([key])) if key else None
    public = "https://bot.example.com"
    install = Install(chosen, public, Installs(store.database), many) if many else None
    channel = SlackChannel(chosen, store, starters, spaces=many, install=install, now=now)
    made = answerer or ScriptedAnswerer()
    dispatcher = Dispatcher(store, made, {channel.name: channel}, limits, patience)
    channel.attach(dispatcher.cancel)
    for desk in channel.desks(dispatcher.handovers):
        dispatcher.handovers.attach(desk)
    await dispatcher.start()
    running = asyncio.create_task(channel.run(dispatcher.accept))
    async with contextlib.AsyncExitStack() as stack:
        desk = Desk(slack, store, dispatcher, channel, made)
        if over_http:
            desk.http = await stack.enter_async_context(_server(channel))
            slack.delivery.http_url = desk.http
            await slack.until(lambda: channel.ready)
        else:
            slack.delivery.http_url = ""
            await slack.connected()
        try:
            yield desk
        finally:
            running.cancel()
            await asyncio.wait({running})
            await dispatcher.drain()
            await channel.close()
            await store.close()


@asynccontextmanager
async def _server(channel: SlackChannel) -> AsyncIterator[str]:
    app = Starlette(routes=channel.routes())
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
    )
    serving = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}{PATH}"
    finally:
        server.should_exit = True
        await serving
