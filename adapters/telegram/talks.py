"""Which conversation a person is in: a place has one after another, as they begin anew.

Knows places and notes. A conversation's key is its place, with a number from the second one on.
"""

from __future__ import annotations

import asyncio

from adapters.telegram.places import Said
from bot.notes import Notes, Value

_NOTE = "talk/"
_FIRST: Value = {"number": 0}


class Talks:
    """The present conversation of every place. Only those that began anew are held in memory."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._reading = asyncio.Lock()
        self._known: dict[str, Value] | None = None

    async def of(self, one: Said) -> str:
        """The key of the conversation that a message belongs to."""
        known = await self._all()
        number = int(known.get(one.place, _FIRST)["number"])
        return f"{one.place}#{number}" if number else one.place

    async def renew(self, one: Said) -> None:
        """Begin another conversation; the same message begins only one."""
        known = await self._all()
        now = known.get(one.place, _FIRST)
        if now.get("message") != one.message:
            note = {"number": int(now["number"]) + 1, "message": one.message}
            await self._notes.put(_NOTE + one.place, note)
            known[one.place] = note

    async def _all(self) -> dict[str, Value]:
        """Read once: asking the database for every newcomer would cost more than all else."""
        async with self._reading:
            if self._known is None:
                notes = await self._notes.under(_NOTE)
                self._known = {key.removeprefix(_NOTE): note for key, note in notes.items()}
            return self._known


def chat_of(conversation: str) -> str:
    """The first id of the chat that a conversation is held in."""
    return conversation.split("/")[1].partition("#")[0].rpartition(":")[2]


def thread_of(conversation: str) -> int | None:
    """The topic that a conversation is held in, if any."""
    parts = [part.partition("#")[0] for part in conversation.split("/")[2:]]
    found = next((part for part in parts if part.startswith("t")), "")
    return int(found[1:]) if found else None
