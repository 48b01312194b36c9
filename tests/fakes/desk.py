"""A whole web door on a real socket: real store, dispatcher and server, scripted answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import aconnect_sse

from adapters.web.app import create_app
from adapters.web.channel import WebChannel
from adapters.web.server import WebServer
from adapters.web.types import Readiness
from bot.config import LimitSettings, ServerSettings, Settings
from bot.dispatching.dispatch import Dispatcher
from bot.store import Store
from knowledge.types import Passage
from tests.fakes.scripted import ScriptedAnswerer


@dataclass
class Shelf:
    """A library with a few books. A `fault` is raised by everything."""

    starters: list[str] = field(default_factory=list)
    passages: dict[str, Passage] = field(default_factory=dict)
    fault: Exception | None = None

    async def questions(self, limit: int, lang: str) -> Sequence[str]:
        if self.fault:
            raise self.fault
        return self.starters[:limit]

    async def passage(self, passage_id: str) -> Passage | None:
        return self.passages.get(passage_id)


@dataclass
class Desk:
    """The running door and everything behind it."""

    url: str
    store: Store
    dispatcher: Dispatcher
    channel: WebChannel
    server: WebServer
    answerer: ScriptedAnswerer
    shelf: Shelf
    problems: list[str]


@asynccontextmanager
async def desk(
    folder: Path,
    answerer: ScriptedAnswerer | None = None,
    shelf: Shelf | None = None,
    *,
    server: ServerSettings | None = None,
    limits: LimitSettings | None = None,
    port: int = 0,
    trusted_proxies: str = "127.0.0.1",
) -> AsyncIterator[Desk]:
    """Open the door over the database in `folder`; close it as the real server does."""
    settings = Settings(
        server=server or ServerSettings(rate_per_minute=1000),
        limits=limits or LimitSettings(drain_s=1.0),
    )
    answerer = answerer or ScriptedAnswerer()
    shelf = shelf or Shelf()
    problems: list[str] = []
    store = Store.open(Settings(home=folder).database_url, exclusive=True)
    channel = WebChannel()
    dispatcher = Dispatcher(store, answerer, {channel.name: channel}, settings.limits)

    async def readiness() -> Readiness:
        return Readiness(tuple(problems), {"engine": "quoting"})

    app = create_app(
        store=store,
        dispatcher=dispatcher,
        channel=channel,
        library=shelf,
        settings=settings,
        key="a key for tests only, long enough",
        readiness=readiness,
    )
    web = WebServer(app, channel, host="127.0.0.1", port=port, trusted_proxies=trusted_proxies)
    await dispatcher.start()
    try:
        url = await web.start()
        yield Desk(url, store, dispatcher, channel, web, answerer, shelf, problems)
    finally:
        await dispatcher.drain()
        await web.stop()
        await store.close()


class Visitor:
    """A browser without a screen: keeps its cookie and speaks the page's API."""

    def __init__(self, desk: Desk, **headers: str) -> None:
        self.http = httpx.AsyncClient(
            base_url=desk.url, headers=headers, trust_env=False, verify=False
        )
        self._sent = 0

    async def __aenter__(self) -> Visitor:
        await self.http.get("/")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def post(self, path: str, body: object | None = None, **headers: str) -> httpx.Response:
        return await self.http.post(path, json=body if body is not None else {}, headers=headers)

    async def ask(self, text: str, key: str = "") -> httpx.Response:
        self._sent += 1
        return await self.post("/api/messages", {"text": text, "id": key or f"key-{self._sent:05}"})

    async def conversation(self) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.http.get("/api/conversation")).json()
        return shown

    async def answered(self, text: str) -> dict[str, Any]:
        """Ask, wait for the whole reply and return it."""
        async with self.events() as events:
            response = await self.ask(text)
            assert response.status_code == 202, response.text
            return (await events.until("final"))["reply"]

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Events]:
        """The stream of this visitor's conversation, after its snapshot."""
        async with aconnect_sse(self.http, "GET", "/api/events") as source:
            source.response.raise_for_status()
            events = Events((sse.event, json.loads(sse.data)) async for sse in source.aiter_sse())
            events.snapshot = await events.until("snapshot")
            yield events


class Events:
    """What a page is told, in order."""

    def __init__(self, source: AsyncIterator[tuple[str, Any]]) -> None:
        self._source = source
        self.snapshot: dict[str, Any] = {}
        self.seen: list[tuple[str, Any]] = []

    async def until(self, kind: str) -> dict[str, Any]:
        """Read on to the next event of a kind."""
        async for name, data in self._source:
            self.seen.append((name, data))
            if name == kind:
                return dict(data)
        raise AssertionError(f"the stream ended without {kind}: {[name for name, _ in self.seen]}")
