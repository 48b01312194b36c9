"""Commands and wiring of Telegram: links, a Telegram to try it in, the channel itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer
from pydantic import SecretStr

from bot.cli import wiring
from bot.cli.console import out, print_line, settings
from bot.config import Settings
from bot.errors import ConfigError

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from adapters.telegram.channel import TelegramChannel
    from bot.dispatching.dispatch import Dispatcher
    from bot.handover import Desk, Handovers
    from bot.store import Store

log = structlog.get_logger(__name__)

commands = typer.Typer(help="Telegram: links into the chat, and a Telegram to try it in.")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(commands, name="telegram")


def channels(current: Settings, opened: Store) -> dict[str, TelegramChannel]:
    """The Telegram channel by its name, or nothing when no token is set. Raises `ConfigError`."""
    if not current.telegram.token.get_secret_value():
        return {}
    from adapters.telegram.channel import TelegramChannel

    door = TelegramChannel(current.telegram, opened, current.server.public_url)
    return {door.name: door}


def desks(doors: Mapping[str, TelegramChannel]) -> Callable[[Handovers], Iterable[Desk]]:
    """The staff group, where one is set: given the handovers before the dispatcher starts."""
    return lambda handovers: [one for door in doors.values() for one in door.desks(handovers)]


@asynccontextmanager
async def serving(
    doors: Mapping[str, TelegramChannel], dispatcher: Dispatcher, web: Starlette | None = None
) -> AsyncIterator[None]:
    """Take updates in while the block runs; drain the dispatcher before leaving it.

    `web` is where updates arrive by webhook, at `/telegram/updates`.
    """
    tasks = []
    for door in doors.values():
        from adapters.telegram.channel import PATH

        if web is not None:
            web.add_route(PATH, door.http, methods=["POST"])
        door.attach(dispatcher)
        task = asyncio.create_task(door.run(dispatcher.accept), name="telegram")
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
        log.error("Telegram is closed until the next start", exc_info=problem)


@commands.command()
def link(
    name: Annotated[str, typer.Argument(help="The bot's name in Telegram, such as my_help_bot.")],
    question: Annotated[str, typer.Argument(help="The question; about 45 letters fit.")],
) -> None:
    """Print an address that opens a chat with the bot and asks a question.

    Example: `deskhand telegram link my_help_bot "How do I return a bike?"`
    """
    from adapters.telegram.commands import link as made

    print_line(made(name.removeprefix("@"), question))


@commands.command()
def simulate() -> None:
    """Chat with the bot through a Telegram on this machine; no account is needed.

    Every line goes through the whole Telegram path: polling, intake, database, answer, drafts.
    Needs a source checkout, since the simulated Telegram belongs to the tests.

    Example: `deskhand telegram simulate`
    """
    asyncio.run(_simulate(settings()))


async def _simulate(current: Settings) -> None:
    try:
        from tests.fakes.telegram import TOKEN, FakeTelegram
    except ImportError:
        raise ConfigError(
            "The simulated Telegram is not installed.",
            "Run this in the folder of a source checkout.",
        ) from None
    async with FakeTelegram() as fake, wiring.answering(current) as made:
        place = current.telegram.model_copy(
            update={
                "token": SecretStr(TOKEN),
                "api_url": fake.url,
                "mode": "polling",
                "staff_chat": 0,
            }
        )
        home = current.home / "simulated"
        inside = current.model_copy(
            update={"home": home, "telegram": place, "database": type(current.database)()}
        )
        home.mkdir(parents=True, exist_ok=True)
        async with wiring.store(inside) as store:
            doors = channels(inside, store)
            async with wiring.dispatching(inside, store, made, doors) as bot, serving(doors, bot):
                await fake.connected()
                await _chat(fake)
                await bot.drain()


async def _chat(fake: Any) -> None:  # noqa: ANN401 - the tests' Telegram
    """Read lines until the end of input; each is a message in one private chat."""
    user = fake.world.user("you")
    chat = fake.world.chat(user)
    print_line(
        "You write to the bot directly. /up and /down press the buttons of the last answer, /help "
        "and the other commands go to the bot, /quit leaves."
    )
    while True:
        try:
            text = (await asyncio.to_thread(input, "you> ")).strip()
        except EOFError:
            return
        if text == "/quit":
            return
        rateable = [one for one in chat.by_bot if one.buttons]
        if text in {"/up", "/down"}:
            if rateable:
                press = fake.people.press(user, rateable[-1], "👍" if text == "/up" else "👎")
                await fake.until(lambda press=press: press.answered)
                print_line(f"  ({press.text})")
        elif text:
            await _follow(fake, chat, fake.people.ask(user, text))


async def _follow(fake: Any, chat: Any, asked: Any) -> None:  # noqa: ANN401 - the tests' Telegram
    """Print an answer as it appears."""
    shown, seen = "", len(chat.drafts)
    while True:
        await asyncio.sleep(0.1)
        for draft in chat.drafts[seen:]:
            if not draft.text.startswith(shown):
                print_line("")
                shown = ""
            out.print(draft.text[len(shown) :], end="", markup=False, soft_wrap=True)
            shown = draft.text
        seen = len(chat.drafts)
        answers = [one for one in chat.by_bot if one.id > asked.id]
        if answers and not fake.updates.pending():
            whole = "\n\n".join(one.text for one in answers)
            rest = whole.removeprefix(shown)
            print_line(rest if shown and rest != whole else f"\n{whole}".lstrip())
            return
