"""The bot's face in Telegram: commands, descriptions and the menu button, in every language.

Knows the calls that set them. They are set when they change, not at every start: Telegram limits
how often that may be done.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from typing import Any

import structlog
from aiogram.methods import (
    SetChatMenuButton,
    SetMyCommands,
    SetMyDescription,
    SetMyShortDescription,
    TelegramMethod,
)
from aiogram.types import BotCommand, MenuButtonCommands

from adapters.telegram.api import Api, TelegramError
from adapters.telegram.texts import COMMANDS, LANGUAGES
from bot.notes import Notes

TRIES = 5
_LONGEST_PAUSE_S = 600.0

log = structlog.get_logger(__name__)


def calls() -> Iterator[TelegramMethod[bool]]:
    """Everything that is set; English stands for every language without texts of its own."""
    for language, told in LANGUAGES.items():
        code = None if language == "en" else language
        commands = [
            BotCommand(command=name, description=what)
            for name, what in zip(COMMANDS, told.commands, strict=True)
        ]
        yield SetMyCommands(commands=commands, language_code=code)
        yield SetMyDescription(description=told.description, language_code=code)
        yield SetMyShortDescription(short_description=told.short, language_code=code)
    yield SetChatMenuButton(menu_button=MenuButtonCommands())


async def publish(api: Api, notes: Notes, bot: int) -> None:
    """Set what is not set yet. What fails is logged, and tried again at the next start."""
    wanted = _digest(bot)
    note = await notes.get("menu")
    if note is not None and note.get("digest") == wanted:
        return
    for call in calls():
        if not await _insist(api, call):
            return
    await notes.put("menu", {"digest": wanted})


async def _insist(api: Api, call: TelegramMethod[Any]) -> bool:
    for attempt in range(TRIES):
        try:
            await api.call(call)
        except TelegramError as problem:
            log.warning("the menu was not set", error=problem.message)
            if problem.final:
                return False
            await asyncio.sleep(min(max(2.0**attempt, problem.retry_after), _LONGEST_PAUSE_S))
        else:
            return True
    return False


def _digest(bot: int) -> str:
    made = "\n".join(call.model_dump_json() for call in calls())
    return hashlib.sha256(f"{bot}\n{made}".encode()).hexdigest()
