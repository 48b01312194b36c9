"""Which conversation a person is in: a place has one after another, as they begin anew.

Knows places and notes. A conversation's key is its place, with a number from the second one on.
"""

from __future__ import annotations

from adapters.telegram.places import Said
from bot.notes import Notes

_MOST_KNOWN = 10_000


class Talks:
    """The present conversation of every place."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._known: dict[str, int] = {}

    async def of(self, one: Said) -> str:
        """The key of the conversation that a message belongs to."""
        place = one.place
        number = self._known.get(place)
        if number is None:
            note = await self._notes.get(f"talk/{place}")
            number = int(note["number"]) if note is not None else 0
            self._know(place, number)
        return f"{place}#{number}" if number else place

    async def renew(self, one: Said) -> str:
        """Begin another conversation; the same message begins only one."""
        place, key = one.place, f"talk/{one.place}"
        note = await self._notes.get(key) or {"number": 0}
        if note.get("message") != one.message:
            number = int(note["number"]) + 1
            await self._notes.put(key, {"number": number, "message": one.message})
            self._know(place, number)
        return await self.of(one)

    def _know(self, place: str, number: int) -> None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[place] = number


def chat_of(conversation: str) -> str:
    """The first id of the chat that a conversation is held in."""
    return conversation.split("/")[1].partition("#")[0].rpartition(":")[2]


def thread_of(conversation: str) -> int | None:
    """The topic that a conversation is held in, if any."""
    parts = [part.partition("#")[0] for part in conversation.split("/")[2:]]
    found = next((part for part in parts if part.startswith("t")), "")
    return int(found[1:]) if found else None
