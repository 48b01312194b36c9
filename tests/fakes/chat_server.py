"""A strict server of the OpenAI chat API over real sockets, scripted byte by byte.

For what a client has to survive: it answers each request with the next script of a list, one
part after the other, and notes what it was asked and whether the client hung up.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass
class Script:
    """One response. `parts` are bytes to send, seconds to wait, or None: hang up."""

    parts: Sequence[bytes | float | None] = ()
    status: int = 200
    content_type: str = "text/event-stream"


@dataclass
class Asked:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: Any
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)


def event(body: object) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n".encode()


def delta(text: str, finish: str | None = None) -> bytes:
    """A piece of an answer, as OpenAI's servers send it."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return event({"object": "chat.completion.chunk", "model": "served-v2", "choices": [choice]})


DONE = b"data: [DONE]\n\n"


class ChatServer:
    """Listens on a free port; a context manager."""

    def __init__(self, *scripts: Script) -> None:
        self.asked: list[Asked] = []
        self._scripts = list(scripts)
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._converse(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self._serving.discard(task)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            raw = await reader.readexactly(int(headers.get("content-length", "0")))
            asked = Asked(head[0], headers, json.loads(raw) if raw else None)
            self.asked.append(asked)
            script = self._scripts.pop(0)
            watch = asyncio.create_task(self._notice_hang_up(reader, asked))
            try:
                await self._answer(script, writer)
            finally:
                watch.cancel()

    async def _answer(self, script: Script, writer: asyncio.StreamWriter) -> None:
        writer.write(
            f"HTTP/1.1 {script.status} Whatever\r\nContent-Type: {script.content_type}\r\n"
            "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
        )
        for part in script.parts:
            if part is None:
                writer.transport.abort()
                return
            if isinstance(part, bytes):
                writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                await writer.drain()
            else:
                await asyncio.sleep(part)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    @staticmethod
    async def _notice_hang_up(reader: asyncio.StreamReader, asked: Asked) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        asked.hung_up.set()
