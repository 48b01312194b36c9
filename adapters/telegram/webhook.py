"""Updates that Telegram brings by itself: one route of the web server.

Knows HTTP and Telegram's secret header (https://core.telegram.org/bots/api#setwebhook). An update
is answered with 200 when it is committed and not before; Telegram brings anything else again.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiogram.methods import SetWebhook
from aiogram.types import Update
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from adapters.telegram.api import Api, TelegramError
from adapters.telegram.intake import ALLOWED_UPDATES, NotKept
from adapters.telegram.polling import NOTE_S, Take, Watch, lane
from bot.config import TelegramSettings
from bot.errors import ConfigError

PATH = "/telegram/updates"
SECRET = re.compile(r"[A-Za-z0-9_-]{16,256}")
_HEADER = "x-telegram-bot-api-secret-token"
_CONNECTIONS = 40
_MOST_BYTES = 1_000_000
_LONGEST_PAUSE_S = 60.0

log = structlog.get_logger(__name__)


def check(settings: TelegramSettings, public_url: str) -> None:
    """Raise `ConfigError` for settings with which a webhook cannot work, or not safely."""
    if not SECRET.fullmatch(settings.webhook_secret.get_secret_value()):
        raise ConfigError(
            "`telegram.webhook_secret` is missing or not usable: without it anybody could write "
            "to the bot.",
            "Set it to 16 to 256 letters, digits, `_` and `-`: `openssl rand -hex 32` makes one.",
        )
    if not public_url.startswith(("https://", "http://")):
        raise ConfigError(
            "Telegram cannot reach this server: `server.public_url` is not set.",
            "Set it to the address people reach the server at, or use polling.",
        )


class Webhook:
    """The route. `open` it with what takes updates in."""

    def __init__(self, api: Api, settings: TelegramSettings, public_url: str, watch: Watch) -> None:
        self._api = api
        self._secret = settings.webhook_secret.get_secret_value()
        self._url = public_url.rstrip("/") + PATH
        self._watch = watch
        self._take: Take | None = None
        self._lanes: dict[int, tuple[asyncio.Lock, int]] = {}

    async def run(self, take: Take) -> None:
        """Register with Telegram, then stay until cancelled."""
        self._take = take
        try:
            await self._register()
            while True:
                await self._watch.alive()
                await asyncio.sleep(NOTE_S)
        finally:
            self._take = None

    async def _register(self) -> None:
        pause = 1.0
        register = SetWebhook(
            url=self._url,
            secret_token=self._secret,
            allowed_updates=list(ALLOWED_UPDATES),
            max_connections=_CONNECTIONS,
        )
        while True:
            try:
                await self._api.call(register)
            except TelegramError as problem:
                log.warning("Telegram does not take the webhook", error=problem.message)
                await asyncio.sleep(max(pause, problem.retry_after))
            else:
                return
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def http(self, request: Request) -> Response:
        """Take in one update; any status but 200 makes Telegram bring it again."""
        given = request.headers.get(_HEADER, "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, self._secret.encode()):
            return Response(status_code=401)
        if self._take is None:
            return Response(status_code=503)
        update = await self._update(request)
        if update is None:
            return Response(status_code=400)
        try:
            async with self._in_lane(lane(update)):
                following = await self._take(update)
            if following is not None:
                await following
        except NotKept as problem:
            log.warning("an update was not kept; Telegram will bring it again", why=str(problem))
            return Response(status_code=503)
        except Exception:  # one update must not end the request with a trace
            log.exception("an update failed", update_id=update.update_id)
            return Response(status_code=503)
        return Response(status_code=200)

    async def _update(self, request: Request) -> Update | None:
        try:
            if int(request.headers.get("content-length") or 0) > _MOST_BYTES:
                return None
            body = await request.body()
            if len(body) > _MOST_BYTES:
                return None
            return Update.model_validate(json.loads(body), context={"bot": self._api.bot})
        except (ValueError, RecursionError, ValidationError):
            return None

    @asynccontextmanager
    async def _in_lane(self, key: int) -> AsyncIterator[None]:
        """One update of a chat after the other, in the order they came."""
        lock, users = self._lanes.get(key, (asyncio.Lock(), 0))
        self._lanes[key] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            users = self._lanes[key][1] - 1
            if users:
                self._lanes[key] = lock, users
            else:
                del self._lanes[key]
