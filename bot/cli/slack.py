"""Commands and wiring of Slack: manifest, a workspace to try it in, the channel itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer
from pydantic import SecretStr

from bot.cli import wiring
from bot.cli.console import out, print_json, print_line, settings
from bot.config import Settings, SlackSettings
from bot.errors import ConfigError

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from adapters.slack.channel import SlackChannel
    from bot.dispatching.dispatch import Dispatcher
    from bot.handover import Desk, Handovers
    from bot.store import Store

Starters = Callable[[int], Awaitable[Sequence[str]]]

log = structlog.get_logger(__name__)

commands = typer.Typer(help="Slack: the app's manifest, and a workspace to try it in.")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(commands, name="slack")


def channels(current: Settings, opened: Store, starters: Starters) -> dict[str, SlackChannel]:
    """The Slack channel by its name, or nothing when it is not set up. Raises `ConfigError`."""
    if not (current.slack.bot_token.get_secret_value() or current.slack.client_id):
        return {}
    from adapters.slack.channel import SlackChannel, check

    check(current.slack)
    if not current.slack.client_id:
        door = SlackChannel(current.slack, opened, starters)
        return {door.name: door}
    from adapters.slack.installs import Many, Vault
    from adapters.slack.oauth import Install
    from bot.installs import Installs

    installs = Installs(opened.database)
    many = Many(current.slack, installs, Vault(wiring.slack_keys(current)))
    install = Install(current.slack, current.server.public_url, installs, many)
    door = SlackChannel(current.slack, opened, starters, spaces=many, install=install)
    return {door.name: door}


def desks(doors: Mapping[str, SlackChannel]) -> Callable[[Handovers], Iterable[Desk]]:
    """The queue channel, where one is set: given the handovers before the dispatcher starts."""
    return lambda handovers: [one for door in doors.values() for one in door.desks(handovers)]


@asynccontextmanager
async def serving(
    doors: Mapping[str, SlackChannel], dispatcher: Dispatcher, web: Starlette | None = None
) -> AsyncIterator[None]:
    """Take events in while the block runs; drain the dispatcher before leaving it.

    `web` is where events arrive by HTTP, at `/slack/events`.
    """
    tasks = []
    for door in doors.values():
        if web is not None:
            web.router.routes.extend(door.routes())
        door.attach(dispatcher.cancel)
        task = asyncio.create_task(door.run(dispatcher.accept), name="slack")
        task.add_done_callback(_look_at)
        tasks.append(task)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for door in doors.values():
            await door.close()


def _look_at(task: asyncio.Task[None]) -> None:
    """A channel that ends by itself is a fault; the other doors stay open."""
    if not task.cancelled() and (problem := task.exception()) is not None:
        log.error("Slack is closed until the next start", exc_info=problem)


@commands.command()
def manifest(
    many: Annotated[  # noqa: FBT002 - typer makes a flag of it
        bool, typer.Option("--many", help="For an app that is installed in many workspaces.")
    ] = False,
) -> None:
    """Print the manifest to create the Slack app with.

    Paste it at api.slack.com/apps, under Create New App, From a manifest.

    Example: `deskhand slack manifest`
    """
    from adapters.slack.manifest import manifest as made

    current = settings()
    print_json(made(current.slack, current.server.public_url, many=many))


@commands.command()
def simulate() -> None:
    """Chat with the bot through a workspace on this machine; no Slack account is needed.

    Every line goes through the whole Slack path: socket, intake, database, answer, stream. Needs
    a source checkout, since the simulated workspace belongs to the tests.

    Example: `deskhand slack simulate`
    """
    asyncio.run(_simulate(settings()))


async def _simulate(current: Settings) -> None:
    try:
        from tests.fakes.slack import APP_TOKEN, BOT_TOKEN, FakeSlack
    except ImportError:
        raise ConfigError(
            "The simulated workspace is not installed.",
            "Run this in the folder of a source checkout.",
        ) from None
    async with FakeSlack() as fake, wiring.answering(current) as made:
        tokens = {"bot_token": SecretStr(BOT_TOKEN), "app_token": SecretStr(APP_TOKEN)}
        place = current.slack.model_copy(update={**tokens, "api_url": fake.url})
        home = current.home / "simulated"
        inside = current.model_copy(
            update={"home": home, "slack": place, "database": type(current.database)()}
        )
        home.mkdir(parents=True, exist_ok=True)
        async with wiring.store(inside) as store:
            doors = channels(inside, store, _no_starters)
            async with (
                wiring.dispatching(inside, store, made, doors, desks(doors)) as bot,
                serving(doors, bot),
            ):
                await fake.connected()
                await _chat(fake, place)
                await bot.drain()


async def _no_starters(_: int) -> Sequence[str]:
    return ()


async def _chat(fake: Any, place: SlackSettings) -> None:  # noqa: ANN401 - the tests' workspace
    """Read lines until the end of input; each is a direct message in one thread."""
    user = fake.world.user("you")
    print_line(
        f"You write to {place.name} directly. /new begins a thread, /up and /down vote on the "
        "last answer, /quit leaves."
    )
    thread, answer = "", None
    while True:
        try:
            text = (await asyncio.to_thread(input, "you> ")).strip()
        except EOFError:
            return
        if text == "/quit":
            return
        if text == "/new":
            thread = ""
        elif text in {"/up", "/down"} and answer is not None:
            label = "Helpful" if text == "/up" else "Not helpful"
            await fake.people.click(user, answer, label).done.wait()
            print_line(f"  ({place.name} was told: {label})")
        elif text:
            asked = fake.people.ask(user, text, thread)
            thread = thread or asked.ts
            answer = await _follow(fake, asked, thread)


async def _follow(fake: Any, asked: Any, thread: str) -> Any:  # noqa: ANN401 - the tests' workspace
    """Print an answer as it appears; returns its message."""
    shown = ""
    while True:
        await asyncio.sleep(0.1)
        for status in [one for one in fake.world.statuses if one[1] == thread]:
            fake.world.statuses.remove(status)
            print_line(f"  … {status[2]}")
        for message in fake.answers(asked.channel, thread):
            if float(message.ts) <= float(asked.ts):
                continue
            if message.shown.startswith(shown) and not message.metadata:
                if message.shown != shown:
                    out.print(message.shown[len(shown) :], end="", markup=False, soft_wrap=True)
                    shown = message.shown
            elif message.metadata:
                rest = message.shown.removeprefix(shown)
                print_line(rest if shown and rest != message.shown else f"\n{rest}".lstrip())
                return message
