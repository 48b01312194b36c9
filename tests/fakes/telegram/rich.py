"""Rich messages: what a text in Markdown or HTML, or a list of blocks, becomes; its limits."""

from __future__ import annotations

from typing import Any

from tests.fakes.telegram.world import ApiError, World, bad

CHARACTERS, BLOCKS, DEPTH, COLUMNS = 32_768, 500, 16, 20


def shown(given: dict[str, Any], world: World, *, draft: bool = False) -> dict[str, Any]:
    """The message as people see it. Raises `ApiError`."""
    if not world.rich_enabled:
        raise ApiError(404, "method not found")
    raise bad("rich messages are not simulated yet")


def plain(message: dict[str, Any]) -> str:
    """The text of a rich message, a block a line."""
    return str(message)
