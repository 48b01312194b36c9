"""Methods about the bot itself: its commands, descriptions and menu button, by language."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.fakes.telegram.checks import Args
from tests.fakes.telegram.world import World, bad

_TEXTS = {"Description": 512, "ShortDescription": 120, "Name": 64}


class Own:
    """The methods, by their names."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.methods: dict[str, Callable[[Args], Any]] = {
            "setMyCommands": self._set_commands,
            "getMyCommands": self._get_commands,
            "deleteMyCommands": self._delete_commands,
            "setChatMenuButton": self._set_menu,
            "getChatMenuButton": lambda args: self._world.menus.get(
                args.get("chat_id", 0), {"type": "commands"}
            ),
        }
        for name in _TEXTS:
            self.methods[f"setMy{name}"] = partial(self._set_text, name)
            self.methods[f"getMy{name}"] = partial(self._get_text, name)

    def _scope(self, args: Args) -> tuple[str, str]:
        scope = args.get("scope") or {"type": "default"}
        rest = "".join(f":{scope[name]}" for name in ("chat_id", "user_id") if name in scope)
        language = args.get("language_code") or ""
        if language and not re.fullmatch(r"[a-z]{2}", language):
            raise bad("invalid language code specified")
        return scope["type"] + rest, language

    def _set_commands(self, args: Args) -> bool:
        if len(args["commands"]) > 100:
            raise bad("too many bot commands")
        for one in args["commands"]:
            if not re.fullmatch(r"[a-z0-9_]{1,32}", one["command"]):
                raise bad("BOT_COMMAND_INVALID")
            if not 1 <= len(one["description"]) <= 256:
                raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
        self._world.commands[self._scope(args)] = args["commands"]
        return True

    def _get_commands(self, args: Args) -> list[Args]:
        return self._world.commands.get(self._scope(args), [])

    def _delete_commands(self, args: Args) -> bool:
        self._world.commands.pop(self._scope(args), None)
        return True

    def _set_menu(self, args: Args) -> bool:
        chat = args.get("chat_id", 0)
        if chat and chat not in self._world.chats:
            raise bad("chat not found")
        self._world.menus[chat] = args.get("menu_button") or {"type": "default"}
        return True

    def _field(self, name: str) -> str:
        return "".join(f"_{one.lower()}" if one.isupper() else one for one in name).lstrip("_")

    def _set_text(self, name: str, args: Args) -> bool:
        text = args.get(self._field(name)) or ""
        if len(text) > _TEXTS[name]:
            raise bad(f"bot {self._field(name)} is too long")
        self._world.texts[name, self._scope(args)[1]] = text
        return True

    def _get_text(self, name: str, args: Args) -> Args:
        every = self._world.texts
        language = self._scope(args)[1]
        text = every.get((name, language)) or every.get((name, ""), "")
        return {self._field(name): text}
