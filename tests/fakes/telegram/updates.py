"""How Telegram hands updates over: long polling that confirms by offset, or a webhook."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiogram.types import Update

from tests.fakes.telegram.schema import check
from tests.fakes.telegram.world import ApiError, Clock

KEPT_SECONDS = 24 * 3600.0
ON_REQUEST = {"chat_member", "message_reaction", "message_reaction_count"}
KINDS = set(Update.model_fields) - {"update_id"}

Perform = Callable[[str, dict[str, Any]], Awaitable[None]]


@dataclass
class Handed:
    """One update: given out how often, and confirmed or not."""

    id: int
    kind: str
    payload: dict[str, Any]
    key: str  # updates with the same key go to a webhook one after the other
    at: float
    attempts: int = 0
    confirmed: bool = False

    @property
    def body(self) -> dict[str, Any]:
        """As it goes over the wire."""
        return {"update_id": self.id, self.kind: self.payload}


@dataclass
class Webhook:
    """Where updates are sent, and what became of the last attempts."""

    url: str
    secret: str
    most: int
    error: str = ""
    error_at: float = 0.0


class Updates:
    """The bot's updates."""

    def __init__(self, clock: Clock) -> None:
        self.handed: list[Handed] = []  # everything, for assertions
        self.missed: list[tuple[str, dict[str, Any]]] = []  # what was not allowed
        self.allowed = KINDS - ON_REQUEST
        self.hook: Webhook | None = None
        self.retry_s = 0.05  # between attempts; Telegram waits longer each time
        self.copies = 1  # every webhook request this often, at the same time
        self.polls = 0  # getUpdates calls that are waiting now
        self.polled = 0  # getUpdates calls ever
        self.when_confirmed: Callable[[], None] | None = None  # called with each confirmation
        self.perform: Perform | None = None  # methods given in a webhook's answer
        self._clock = clock
        self._next = random.Random(4242).randrange(10**8, 10**9)
        self._pending: deque[Handed] = deque()
        self._again: deque[Handed] = deque()  # given once more by polling, whatever the offset
        self._poll: asyncio.Future[None] | None = None
        self._news = asyncio.Event()
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(40)
        clock.moved.append(self._news.set)

    # In

    def add(self, kind: str, payload: dict[str, Any], key: str) -> Handed | None:
        """Something happened. The bot hears of it only if it asked for this kind."""
        check(Update.model_fields[kind].annotation)(payload, kind)
        if kind not in self.allowed:
            self.missed.append((kind, payload))
            return None
        update = Handed(self._next, kind, json.loads(json.dumps(payload)), key, self._clock.now())
        self._next += 1
        self.handed.append(update)
        self._pending.append(update)
        self._news.set()
        if self.hook is not None:
            self._drive(update.key)
        return update

    def allow(self, kinds: list[str] | None) -> None:
        """What `allowed_updates` of a call asks for; None keeps the setting."""
        if kinds is None:
            return
        unknown = set(kinds) - KINDS
        if unknown:
            raise ApiError(400, f'can\'t parse "allowed_updates": unknown "{min(unknown)}"')
        self.allowed = set(kinds) or KINDS - ON_REQUEST

    def pending(self) -> list[Handed]:
        """What nobody has confirmed, without what is too old."""
        oldest = self._clock.now() - KEPT_SECONDS
        while self._pending and self._pending[0].at < oldest:
            self._pending.popleft()
        return list(self._pending)

    def again(self, update: Handed) -> None:
        """Hand an update over once more although it was confirmed."""
        if self.hook is not None:
            self._pending.appendleft(update)
            self._drive(update.key)
        else:
            self._again.append(update)
            self._news.set()

    # Polling

    async def poll(
        self, offset: int, limit: int, seconds: int, allowed: list[str] | None
    ) -> list[dict[str, Any]]:
        """One getUpdates call."""
        if self.hook is not None:
            raise ApiError(
                409,
                "can't use getUpdates method while webhook is active; "
                "use deleteWebhook to delete the webhook first",
            )
        if not 1 <= limit <= 100:
            limit = 100
        if self._poll is not None and not self._poll.done():
            self._poll.set_exception(
                ApiError(
                    409,
                    "terminated by other getUpdates request; "
                    "make sure that only one bot instance is running",
                )
            )
        self.allow(allowed)
        self._confirm(offset)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._poll = ended
        self.polls += 1
        self.polled += 1
        try:
            return await self._wait(ended, limit, seconds)
        finally:
            self.polls -= 1
            if ended.done():
                ended.exception()  # looked at
            if self._poll is ended:
                self._poll = None

    def _confirm(self, offset: int) -> None:
        if offset < 0:
            offset = self._next + offset
        before = len(self._pending)
        while self._pending and self._pending[0].id < offset:
            self._pending.popleft().confirmed = True
        if self.when_confirmed is not None and len(self._pending) < before:
            self.when_confirmed()

    async def _wait(
        self, ended: asyncio.Future[None], limit: int, seconds: int
    ) -> list[dict[str, Any]]:
        until = asyncio.get_running_loop().time() + seconds
        while True:
            found = [*self._again, *self.pending()][:limit]
            self._again.clear()
            left = until - asyncio.get_running_loop().time()
            if found or left <= 0:
                for one in found:
                    one.attempts += 1
                return [one.body for one in found]
            self._news.clear()
            news = asyncio.create_task(self._news.wait())
            either: set[asyncio.Future[Any]] = {news, ended}
            try:
                await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                news.cancel()
            if ended.done():
                ended.result()

    # Webhook

    def set_hook(self, hook: Webhook | None, *, drop: bool) -> None:
        """Send updates there from now on, or nowhere."""
        self.hook = hook
        if drop:
            self._pending.clear()
        for lane in self._lanes.values():
            lane.cancel()
        self._lanes.clear()
        if hook is not None:
            self._slots = asyncio.Semaphore(hook.most)
            for key in {one.key for one in self._pending}:
                self._drive(key)

    def _drive(self, key: str) -> None:
        lane = self._lanes.get(key)
        if lane is None or lane.done():
            self._lanes[key] = asyncio.create_task(self._lane(key))

    async def _lane(self, key: str) -> None:
        """Send one chat's updates in order, each until it is taken."""
        while self.hook is not None:
            update = next((one for one in self.pending() if one.key == key), None)
            if update is None:
                return
            async with self._slots:
                sent = [self._send(self.hook, update) for _ in range(self.copies)]
                taken = await asyncio.gather(*sent)
            if any(taken):
                update.confirmed = True
                with contextlib.suppress(ValueError):
                    self._pending.remove(update)
            else:
                await asyncio.sleep(self.retry_s)

    async def _send(self, hook: Webhook, update: Handed) -> bool:
        update.attempts += 1
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        headers = {"X-Telegram-Bot-Api-Secret-Token": hook.secret} if hook.secret else {}
        try:
            async with self._session.post(hook.url, json=update.body, headers=headers) as answer:
                body = await answer.read()
                if not 200 <= answer.status < 300:
                    self._failed(hook, f"Wrong response from the webhook: {answer.status}")
                    return False
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            self._failed(hook, f"Connection failed: {problem}")
            return False
        await self._reply(body)
        return True

    def _failed(self, hook: Webhook, error: str) -> None:
        hook.error, hook.error_at = error, self._clock.now()

    async def _reply(self, body: bytes) -> None:
        """A webhook may answer with a method to call; what that returns nobody learns."""
        if not body.strip() or self.perform is None:
            return
        with contextlib.suppress(json.JSONDecodeError):
            given = json.loads(body)
            if isinstance(given, dict) and isinstance(given.get("method"), str):
                await self.perform(given.pop("method"), given)

    async def close(self) -> None:
        """Stop sending."""
        lanes = [*self._lanes.values()]
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
