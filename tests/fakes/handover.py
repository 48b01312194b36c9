"""A desk on which everything is written down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bot.handover import Handover, Line, LineKind


async def _nothing() -> None: ...


class RecordingDesk:
    """Keeps what it is told. `fault` is awaited before, `after` when it was told already."""

    def __init__(self, name: str = "desk") -> None:
        self.name = name
        self.told: list[tuple[Handover, Line]] = []
        self.looked_up = 0
        self.fault: Callable[[], Awaitable[None]] = _nothing
        self.after: Callable[[], Awaitable[None]] = _nothing

    async def show(self, handover: Handover, line: Line) -> str:
        await self.fault()
        self.told.append((handover, line))
        await self.after()
        return f"told-{line.id}"

    async def shown(self, handover: Handover, line: Line) -> str | None:
        del handover
        self.looked_up += 1
        return f"told-{line.id}" if line.id in {one.id for _, one in self.told} else None

    def texts(self, kind: LineKind) -> list[str]:
        """What it was told, of one kind."""
        return [line.text for _, line in self.told if line.kind is kind]
