"""The Socket Mode line: opened, watched, and opened again when it has died without a word.

Knows the SDK's client. The client reopens what Slack closes; this notices when it did not,
or when the line is open and nothing passes any more, and then starts with a new client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import ClientError, WSMessage
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

PINGS_PER_SILENCE = 3
_CONNECT_S = 30.0
_LONGEST_PAUSE_S = 60.0

log = structlog.get_logger(__name__)


async def hold(app: AsyncApp, token: str, client: AsyncWebClient, silence_s: float) -> None:
    """Keep the line open until cancelled. `silence_s`: no pong for this long means dead."""
    pause = 1.0
    while True:
        handler = AsyncSocketModeHandler(
            app, token, web_client=client, ping_interval=silence_s / PINGS_PER_SILENCE
        )
        try:
            async with asyncio.timeout(_CONNECT_S):
                await handler.connect_async()  # type: ignore[no-untyped-call] # Bolt's, untyped
            pause = 1.0
            await _until_silent(handler, silence_s)
            log.warning("the connection to Slack is silent; opening another")
        except (TimeoutError, ClientError, SlackClientError, OSError) as problem:
            log.warning("no connection to Slack", error=type(problem).__name__, pause_s=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        finally:
            await _close(handler.close_async)


async def _until_silent(handler: AsyncSocketModeHandler, silence_s: float) -> None:
    """Return when nothing has come over the line for too long.

    The client pings and Slack pongs, so a line that lives is never silent. The SDK counts
    pongs too, but on a task that dies with the connection it watches.
    """
    client = handler.client
    heard = time.monotonic()

    async def hear(_: WSMessage) -> None:
        nonlocal heard
        heard = time.monotonic()

    client.on_message_listeners.append(hear)
    pong = client.last_ping_pong_time
    while time.monotonic() - heard < silence_s:
        await asyncio.sleep(silence_s / 20)
        if client.last_ping_pong_time != pong:
            pong, heard = client.last_ping_pong_time, time.monotonic()


async def _close(close: Callable[[], Awaitable[None]]) -> None:
    """Close a client, even one whose connection does not answer."""
    try:
        async with asyncio.timeout(2.0):
            await close()
    except (TimeoutError, ClientError, OSError) as problem:
        log.info("an old connection was left to itself", error=type(problem).__name__)
