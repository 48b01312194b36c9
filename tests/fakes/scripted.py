"""An answerer that says what a test wrote down, piece by piece, and waits when told to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bot.types import Outcome, Question, Reply, Sink


@dataclass
class Script:
    """What happens for one question.

    `pieces` are shown one by one; before the piece with the index `hold_at` the script waits
    for `gate`. `reply` is what the pieces become; without it, their text.
    """

    pieces: tuple[str, ...] = ()
    reply: Reply | None = None
    status: str = "Searching…"
    hold_at: int | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None


class ScriptedAnswerer:
    """Answers from `scripts`, by the question's text; anything else is repeated back."""

    def __init__(self, scripts: dict[str, Script] | None = None) -> None:
        self.scripts = scripts if scripts is not None else {}
        self.asked: list[Question] = []

    async def answer(self, question: Question, sink: Sink) -> Reply:
        self.asked.append(question)
        script = self.scripts.get(question.text) or Script((f"You said: {question.text}",))
        await sink.status(script.status)
        for index, piece in enumerate(script.pieces):
            if index == script.hold_at:
                await script.gate.wait()
            await sink.append(piece)
        if script.hold_at == len(script.pieces):
            await script.gate.wait()
        if script.error is not None:
            raise script.error
        return script.reply or Reply("".join(script.pieces), Outcome.ANSWERED)
