"""How Slack hands events over: Socket Mode with acknowledgements, or signed HTTP. Redelivers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import WSMsgType, web

from tests.fakes.slack.world import APP, SIGNING_SECRET

MOST_CONNECTIONS = 10


@dataclass
class Handed:
    """One thing handed over: an event, a click, a command. `answer` is what came back with it."""

    kind: str
    payload: dict[str, Any]
    attempts: int = 0
    acked: bool = False
    late: int = 0
    answer: Any = None
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Delivery:
    """Delivers until acknowledged, three more times at most."""

    def __init__(self) -> None:
        self.ack_s = 3.0
        self.retry_s: Iterable[float] = (0.05, 0.2, 0.5)  # Slack: at once, a minute, five minutes
        self.copies = 1  # every event this often, at the same time
        self.http_url = ""  # else Socket Mode
        self.http_secret = SIGNING_SECRET
        self.handed: list[Handed] = []
        self.connections: list[web.WebSocketResponse] = []
        self.opened = 0  # connections ever made
        self.silent = False  # connections stay open, and nothing comes through
        self._silenced: set[int] = set()
        self._tickets: set[str] = set()
        self._waiting: dict[str, Handed] = {}
        self._open: dict[str, asyncio.Event] = {}
        self._numbers = itertools.count(1)
        self._turn = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()

    # Socket Mode

    def ticket(self) -> str:
        key = f"ticket-{next(self._numbers)}"
        self._tickets.add(key)
        return key

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, from hello to its end."""
        if request.query.get("ticket") not in self._tickets:
            raise web.HTTPForbidden
        self._tickets.discard(request.query["ticket"])
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        if len(self.connections) >= MOST_CONNECTIONS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return socket
        self.opened += 1
        self.connections.append(socket)
        hello = {"type": "hello", "num_connections": len(self.connections)}
        await socket.send_json({**hello, "connection_info": {"app_id": APP}})
        try:
            async for message in socket:
                if id(socket) in self._silenced:
                    continue
                if message.type is WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    self._acknowledged(json.loads(message.data))
        finally:
            if socket in self.connections:
                self.connections.remove(socket)
        return socket

    def _acknowledged(self, message: dict[str, Any]) -> None:
        envelope = message.get("envelope_id", "")
        handed, arrived = self._waiting.get(envelope), self._open.get(envelope)
        if handed is None:
            return
        if arrived is None:
            handed.late += 1
            return
        handed.answer = message.get("payload")
        arrived.set()

    def silence(self) -> None:
        """The present connections stop answering without being closed."""
        self._silenced |= {id(one) for one in self.connections}

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Ask every client to come back on a new connection."""
        for socket in [*self.connections]:
            with contextlib.suppress(ConnectionError):
                await socket.send_json({"type": "disconnect", "reason": reason})

    async def cut(self) -> None:
        """Close every connection without a word."""
        for socket in [*self.connections]:
            await socket.close()

    # Handing over

    def hand_over(self, kind: str, payload: dict[str, Any]) -> Handed:
        """Deliver something in the background, `copies` times."""
        for _ in range(self.copies if kind == "events_api" else 1):
            handed = Handed(kind, payload)
            self.handed.append(handed)
            task = asyncio.create_task(self._deliver(handed))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return handed

    async def _deliver(self, handed: Handed) -> None:
        retried = handed.kind == "events_api"
        for attempt, pause in enumerate((0.0, *self.retry_s) if retried else (0.0,)):
            await asyncio.sleep(pause)
            handed.attempts = attempt + 1
            if await (self._by_http if self.http_url else self._by_socket)(handed, attempt):
                handed.acked = True
                break
        handed.done.set()

    async def _by_socket(self, handed: Handed, attempt: int) -> bool:
        envelope_id = f"envelope-{next(self._numbers)}"
        arrived = asyncio.Event()
        self._waiting[envelope_id] = handed
        self._open[envelope_id] = arrived
        envelope = {
            "type": handed.kind,
            "envelope_id": envelope_id,
            "payload": handed.payload,
            "accepts_response_payload": handed.kind != "events_api",
        }
        if handed.kind == "events_api":
            envelope |= {"retry_attempt": attempt, "retry_reason": "timeout" if attempt else ""}
        try:
            async with asyncio.timeout(self.ack_s):
                while True:
                    socket = await self._some_connection()
                    with contextlib.suppress(ConnectionError):
                        await socket.send_json(envelope)
                        break
                await arrived.wait()
        except TimeoutError:
            return False
        finally:
            del self._open[envelope_id]
        return True

    async def _some_connection(self) -> web.WebSocketResponse:
        """Each goes to one connection, a silent one too: Slack does not know."""
        while not (live := [one for one in self.connections if not one.closed]):  # noqa: ASYNC110 - connections come and go in many places
            await asyncio.sleep(0.01)
        return live[next(self._turn) % len(live)]

    async def _by_http(self, handed: Handed, attempt: int) -> bool:
        if handed.kind == "events_api":
            body, kind = json.dumps(handed.payload), "application/json"
        else:
            fields = (
                handed.payload
                if handed.kind == "slash_commands"
                else {"payload": json.dumps(handed.payload)}
            )
            body, kind = urlencode(fields), "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind, **self.signed(body)}
        if attempt:
            headers |= {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": "http_timeout"}
        try:
            async with (
                asyncio.timeout(self.ack_s),
                aiohttp.ClientSession() as http,
                http.post(self.http_url, data=body, headers=headers) as response,
            ):
                handed.answer = await response.text()
                return response.status == 200
        except (TimeoutError, aiohttp.ClientError):
            return False

    def signed(self, body: str, *, at: float | None = None) -> dict[str, str]:
        """The two headers Slack signs a request with."""
        stamp = str(int(time.time() if at is None else at))
        base = f"v0:{stamp}:{body}".encode()
        digest = hmac.new(self.http_secret.encode(), base, hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}

    async def settled(self) -> None:
        """Everything handed over is acknowledged or given up."""
        while self._tasks:
            await asyncio.wait({*self._tasks})

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.cut()
