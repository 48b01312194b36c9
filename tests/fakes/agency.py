"""The whole server with its console on a real socket: real index, store, dispatcher, answerer.

Only the embedder is a fake: texts that share words are near.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from adapters.console.access import cookie_name
from adapters.console.app import create_console
from adapters.console.desk import Office
from adapters.web.app import create_app
from adapters.web.channel import WebChannel
from adapters.web.server import WebServer
from adapters.web.types import Readiness
from bot.answering.answer import GroundedAnswerer
from bot.cli import review
from bot.cli.wiring import Answering
from bot.config import ConsoleSettings, LimitSettings, ServerSettings, Settings
from bot.dispatching.dispatch import Dispatcher
from bot.dispatching.journal import Journal
from bot.reviewing.accounts import Login
from bot.reviewing.curated import CuratedAnswers
from bot.reviewing.redact import redact
from bot.store import Store
from bot.tables import Role
from bot.types import Actor, Address, Event, Outcome, Reply, Vote
from knowledge.index import IndexFolder
from knowledge.search import HybridRetriever
from knowledge.types import Audience, Passage
from tests.fakes.desk import Shelf
from tests.fakes.embedder import WordEmbedder

PASSWORD = "a long enough password"
PASSAGES = [
    Passage("You have 30 days to return it.", "faq.csv", question="How long to return a bike?"),
    Passage("The frame has ten years.", "faq.csv", question="How long is the warranty?"),
    Passage("Bells are free.", "shop/bells.md", ("Shop", "Bells")),
    Passage(
        "The door code is 4711.", "internal/doors.csv", question="What is the door code?",
        audience=Audience.INTERNAL,
    ),
]  # fmt: skip


class NoEngine:
    """A keeper without a model."""

    engine = None
    model = ""


@dataclass
class Agency:
    """The running server, and everything behind it."""

    url: str
    office: Office
    console: FastAPI
    store: Store
    dispatcher: Dispatcher
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def answered(
        self,
        text: str,
        reply: Reply | None = None,
        *,
        audience: Audience = Audience.CUSTOMER,
        down: str | None = None,
    ) -> str:
        """A question with its answer, as if it had been asked on the web; returns its id.

        `down` is the reason of a vote against it.
        """
        number = next(self._numbers)
        visitor = f"{number:032x}"
        event = Event(
            f"web:{visitor}:key-{number}",
            Address("web", f"{visitor}.{number:016x}"),
            Actor(visitor, audience=audience),
            text,
            datetime.now(UTC),
        )
        journal = Journal(self.store.database)
        taken = await journal.take_in(event)
        made = reply or Reply(f"Answer to: {text}", Outcome.ANSWERED, confidence=0.9)
        answer_id = await journal.settle(taken.message_id, made)
        await journal.sent(answer_id, answer_id)
        if down is not None:
            await self.store.vote(Vote(answer_id, f"web:{visitor}", -1, down))
        await self.office.filing.catch_up()
        return answer_id

    async def login(self, role: Role, audience: Audience = Audience.INTERNAL) -> Login:
        """A login with a role, without typing a password."""
        name = f"{role.value}-{audience.value}"
        known = {one.name for one in await self.office.accounts.everybody()}
        if name not in known:
            await self.office.accounts.add(name, "", role, audience, "test")
        entered = await self.office.accounts.admit(name, "127.0.0.1", "test")
        assert entered is not None
        return entered

    async def member(self, role: Role, audience: Audience = Audience.INTERNAL) -> Caller:
        """Somebody at the console."""
        return Caller(self.url, await self.login(role, audience))


class Caller(httpx.AsyncClient):
    """A browser without a screen that is logged in, and sends forms as the pages do."""

    def __init__(self, url: str, login: Login | None = None) -> None:
        cookies = {cookie_name(secure=False): login.token} if login else {}
        super().__init__(base_url=f"{url}console/", cookies=cookies, trust_env=False, verify=False)
        self.csrf = login.member.csrf if login else ""

    async def send_form(self, path: str, **values: str) -> httpx.Response:
        return await self.post(path, data={"csrf": self.csrf, **values})


@asynccontextmanager
async def agency(folder: Path, *, live: bool = False) -> AsyncIterator[Agency]:
    """Open the server over the database and index in `folder`."""
    settings = Settings(
        home=folder,
        server=ServerSettings(rate_per_minute=10_000),
        limits=LimitSettings(drain_s=1.0),
        console=ConsoleSettings(live=live),
    )
    embedder = WordEmbedder()
    index = IndexFolder(settings.index_folder)
    index.build(PASSAGES, embedder)
    retriever = HybridRetriever(index, embedder)
    store = Store.open(settings.database_url, exclusive=True, clean=redact)
    curated = CuratedAnswers(store.database, embedder)
    await curated.load()
    answerer = GroundedAnswerer(retriever, embedder, threshold=0.01, curated=curated)
    made = Answering(answerer, retriever, NoEngine(), embedder, curated)  # type: ignore[arg-type] # no engine here
    channel = WebChannel()
    dispatcher = Dispatcher(store, answerer, {channel.name: channel}, settings.limits)
    for desk in review.desks(settings):
        dispatcher.handovers.attach(desk)
    await dispatcher.start()

    async def readiness() -> Readiness:
        return Readiness()

    app = create_app(
        store=store,
        dispatcher=dispatcher,
        channel=channel,
        library=Shelf(),
        settings=settings,
        key="a key for tests only, long enough",
        readiness=readiness,
    )
    async with AsyncExitStack() as stack:
        office = await stack.enter_async_context(
            review.reviewing(settings, store, made, dispatcher)
        )
        console = create_console(office)
        app.mount("/console", console)
        server = WebServer(app, channel, host="127.0.0.1", port=0)
        url = await server.start()
        try:
            yield Agency(url, office, console, store, dispatcher)
        finally:
            await dispatcher.drain()
            await server.stop()
    await store.close()
