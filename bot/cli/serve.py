"""Commands that serve: the bot with its chat page, and the engine alone."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from bot.cli import demo, review, slack, telegram, wiring
from bot.cli.console import err, progress, settings
from bot.config import Settings
from bot.types import Channel
from knowledge.errors import KnowledgeError
from knowledge.types import Audience

if TYPE_CHECKING:
    from adapters.web.server import WebServer
    from adapters.web.types import Readiness
    from bot.dispatching.dispatch import Dispatcher
    from bot.store import Store
    from knowledge.search import HybridRetriever

REFRESH_S = 2.0  # how soon a running server takes up a new version of the index

log = structlog.get_logger(__name__)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(serve)
    app.command()(engine)


def serve(
    sample: Annotated[  # noqa: FBT002 - typer makes a flag of it
        bool, typer.Option("--sample", help="Without an index yet, build the sample company's.")
    ] = False,
    with_demo: Annotated[  # noqa: FBT002 - typer makes a flag of it
        bool,
        typer.Option(
            "--demo",
            help="The sample company with a month of made-up conversations, in a data folder of "
            "its own, so that every page of the console has something to show.",
        ),
    ] = False,
) -> None:
    """Run the bot: chat page, console, API, health and metrics, in one process.

    Stop it with Ctrl-C or SIGTERM: questions in work are finished first.

    Example: `deskhand serve --sample`
    """
    current = settings(serving=True)
    if with_demo:
        current = demo.apart(current)
    if sample or with_demo:
        _build_sample(current)
    asyncio.run(_serve(current, with_demo=with_demo))


def _build_sample(current: Settings) -> None:
    if wiring.index_folder(current).current_version() is not None:
        return
    err.print("No index yet: reading the sample company's documents.")
    with progress("Embedding") as step:
        built = wiring.build_index(current, [wiring.sample_folder()], Audience.CUSTOMER, step)
    err.print(f"{built.report.passages} passages from {built.files} files.")


async def _serve(current: Settings, *, with_demo: bool = False) -> None:
    from adapters.web.app import create_app
    from adapters.web.channel import WebChannel
    from adapters.web.library import IndexLibrary
    from adapters.web.server import WebServer

    audience = current.server.audience
    channel = WebChannel()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(wiring.store(current))
        made = await stack.enter_async_context(wiring.answering(current, store))
        if with_demo:
            await demo.fill(store, made)
        library = IndexLibrary(lambda: made.retriever.index.view(audience).passages)
        slacks = slack.channels(current, store, lambda limit: library.questions(limit, "en"))
        telegrams = telegram.channels(current, store)
        doors: dict[str, Channel] = {channel.name: channel, **slacks, **telegrams}
        bot = await stack.enter_async_context(
            wiring.dispatching(
                current,
                store,
                made,
                doors,
                lambda handovers: [
                    *slack.desks(slacks)(handovers),
                    *telegram.desks(telegrams)(handovers),
                    *review.desks(current),
                ],
            )
        )
        app = create_app(
            store=store,
            dispatcher=bot,
            channel=channel,
            library=library,
            settings=current,
            key=wiring.cookie_key(current),
            readiness=lambda: _readiness(store, bot, made),
        )
        desk = await stack.enter_async_context(review.reviewing(current, store, made, bot))
        review.mount(app, desk)
        server = WebServer(
            app,
            channel,
            host=current.server.host,
            port=current.server.port,
            trusted_proxies=current.server.trusted_proxies,
        )
        address = await server.start()
        # Beside serving: starting need not wait for it, nor the first person to ask.
        warming = asyncio.create_task(made.answerer.warm(), name="warming")
        err.print(f"Deskhand is at {address}  (Ctrl-C stops it)")
        await review.tell(desk, address)
        async with slack.serving(slacks, bot, app), telegram.serving(telegrams, bot, app):
            async with _refreshing(made.retriever):
                await _until_told(server)
            log.info("draining")
            # Pages and channels must still listen while their answers are finished.
            await bot.drain()
        await warming
        await server.stop()


async def _until_told(server: WebServer) -> None:
    """Return at SIGTERM or SIGINT, or when the web server ended by itself."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, told.set)
    waits = [asyncio.create_task(told.wait()), asyncio.create_task(server.wait())]
    done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


@asynccontextmanager
async def _refreshing(retriever: HybridRetriever) -> AsyncIterator[None]:
    """Take up new versions of the index while the block runs."""

    async def watch() -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                if await asyncio.to_thread(retriever.refresh):
                    log.info("index taken up", version=retriever.version)
            except KnowledgeError as error:
                # The version in use goes on serving; `deskhand doctor` says what is wrong.
                log.warning("new index refused", problem=error.message, remedy=error.remedy)

    task = asyncio.create_task(watch(), name="index watch")
    try:
        yield
    finally:
        task.cancel()


async def _readiness(store: Store, bot: Dispatcher, made: wiring.Answering) -> Readiness:
    from adapters.web.types import Readiness

    problems = []
    if not await store.healthy():
        problems.append("the database takes no writes")
    if not bot.running:
        problems.append("the server is starting or stopping")
    detail = {"index": made.retriever.version, "engine": made.engine.state.value}
    return Readiness(tuple(problems), detail)


def engine() -> None:
    """Run the engine alone, for a machine with a GPU; point `engine.url` of the bot at it.

    Example: `deskhand engine` (with `engine.model` and `engine.key` set)
    """
    raise typer.Exit(wiring.run_engine(settings(serving=True)))
