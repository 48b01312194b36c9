"""The web server as an object that starts and stops: uvicorn on one socket.

Knows addresses and how to stop without cutting answers off. Leaves signals to whoever owns
the process, so that draining comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from adapters.web.channel import WebChannel
from bot.errors import ConfigError

_GRACE_S = 5  # for requests in flight, once the streams are closed


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGTERM and SIGINT alone."""
        yield


class WebServer:
    """Serves the app. To stop well: drain the dispatcher first, while pages still listen.

    `trusted_proxies` are the addresses (comma-separated, or networks) whose `X-Forwarded-For`
    and `X-Forwarded-Proto` are believed; from anybody else they are ignored, so that nobody
    can dress up as another address to escape the rate limit.
    """

    def __init__(
        self,
        app: FastAPI,
        channel: WebChannel,
        *,
        host: str,
        port: int,
        trusted_proxies: str = "127.0.0.1",
    ) -> None:
        self._channel = channel
        self._address = (host, port)
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,  # structlog is set up by the process
                access_log=False,
                server_header=False,
                lifespan="off",
                ws="none",
                forwarded_allow_ips=trusted_proxies,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen; return the address people open. Raises `ConfigError` if the port is taken."""
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            listener.close()
            raise ConfigError(
                f"Cannot listen on {host}:{port}: {error.strerror}.",
                "Stop what uses the port, or set server.port to another.",
            ) from None
        port = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="web server")
        await self._server.listening.wait()
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 — compared only
        return f"http://{shown}:{port}/"

    async def wait(self) -> None:
        """Return when the server has stopped; raises what made it stop, if that was a fault."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Close the pages' streams, finish what is in flight and stop listening."""
        self._channel.close()
        self._server.should_exit = True
        await self.wait()
