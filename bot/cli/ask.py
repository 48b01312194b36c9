"""Commands that ask: one question, or a conversation in the terminal."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Annotated

import typer

from bot.cli import wiring
from bot.cli.console import Json, out, print_json, print_line, settings
from bot.config import Settings
from bot.types import Actor, Question, Reply
from knowledge.types import Audience

AudienceOption = Annotated[Audience, typer.Option(help="Whose knowledge to draw on.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(ask)
    app.command()(chat)


def ask(
    question: Annotated[str, typer.Argument(help="The question, in plain words.")],
    audience: AudienceOption = Audience.CUSTOMER,
    as_json: Json = False,  # noqa: FBT002 - typer makes a flag of it
) -> None:
    """Ask one question and print the answer with its sources. Nothing is recorded.

    Example: `deskhand ask "can I send it back?" --json`
    """
    reply = asyncio.run(_ask(settings(), question, audience))
    if as_json:
        print_json(reply)
        return
    from adapters.terminal import sources

    print_line(reply.text + "\n")
    print_line(sources(reply.citations))


class _Quiet:
    """A sink that shows nothing: the whole reply is printed at the end."""

    async def status(self, text: str) -> None:
        pass

    async def append(self, delta: str) -> None:
        pass


async def _ask(current: Settings, text: str, audience: Audience) -> Reply:
    async with wiring.answering(current) as answering:
        await wiring.engine_ready(answering.engine)
        return await answering.answerer.answer(Question("ask", text, audience), _Quiet())


def chat(audience: AudienceOption = Audience.CUSTOMER) -> None:
    """Talk to the bot in the terminal; the conversation is recorded like any other.

    Example: `deskhand chat --audience internal`
    """
    asyncio.run(_chat(settings(), audience))


async def _chat(current: Settings, audience: Audience) -> None:
    from adapters.terminal import TerminalChannel

    async with wiring.answering(current) as answering, wiring.store(current) as store:
        channel = TerminalChannel(
            Actor("local", audience=audience), read=_read, write=_write, vote=store.vote
        )
        async with wiring.dispatching(current, store, answering, {channel.name: channel}) as bot:
            loop = asyncio.get_running_loop()
            talk = asyncio.create_task(channel.run(bot.accept))
            stopping: set[asyncio.Task[None]] = set()

            async def stop() -> None:
                """Ctrl-C stops the answer in the making; without one it ends the chat."""
                if not await bot.cancel(channel.name, channel.conversation):
                    talk.cancel()

            def on_interrupt() -> None:
                task = loop.create_task(stop())
                stopping.add(task)
                task.add_done_callback(stopping.discard)

            loop.add_signal_handler(signal.SIGINT, on_interrupt)
            try:
                await talk
            except asyncio.CancelledError:
                print_line("")


def _read() -> str:
    return input("> ")


def _write(text: str) -> None:
    out.file.write(text)
    sys.stdout.flush()
