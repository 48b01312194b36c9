"""Keeps an engine running: starts it, watches it, starts it again, falls back.

Knows processes, patience and the order of things to try; does not know models or answers. The
bot asks `engine` for a client before each answer and quotes when there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import sys
import time
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import structlog

import bot
from bot.config import EngineSettings, child_environment
from bot.engine.client import EngineClient
from bot.engine.process import EngineOptions
from bot.errors import EngineDown, ModelRejected
from bot.metrics import ENGINE_RESTARTS
from knowledge.errors import DeskhandError

LOG_LINE = 1 << 20  # bytes of one log line before it is cut
LEVELS = frozenset({"debug", "info", "warning", "error", "critical"})

log = structlog.get_logger(__name__)


class EngineState(StrEnum):
    """What the engine is doing, in words for `doctor` and `/ready`."""

    OFF = "off"  # no engine is configured: answers are quotes
    STARTING = "starting"  # not serving yet: answers are quotes until it is
    SERVING = "serving"
    RESTARTING = "restarting"  # it died and comes back
    FAILED = "failed"  # everything was tried: answers are quotes
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, in seconds, and how often to try."""

    failures: int = 3  # in a row, before the next model is tried
    start_s: float = 900.0  # loading may take minutes
    probe_every_s: float = 1.0  # while starting, and between looks at one elsewhere
    watch_every_s: float = 10.0  # while serving
    probe_s: float = 10.0  # for one answer to `/health`; a busy engine may be slow
    deaf: int = 3  # unanswered probes in a row that count as hanging
    stable_s: float = 120.0  # serving this long wipes out earlier failures
    first_delay_s: float = 0.5  # doubles with every failure, plus or minus a quarter
    longest_delay_s: float = 30.0
    stop_s: float = 10.0  # to end by itself after being asked to


class EngineSupervisor:
    """Owns the engine the settings ask for: a child process, or one at `engine.url`.

    `previous` is the model to fall back to. Each state it reports is true at that moment:
    `engine` is None unless the engine said that it may serve.
    """

    def __init__(
        self,
        settings: EngineSettings,
        *,
        previous: str = "",
        patience: Patience | None = None,
    ) -> None:
        """Relative model folders are taken from the working folder."""
        self.state = EngineState.OFF
        self.last_error = ""
        self.restarts = 0
        self._settings = settings
        self._models = [one for one in (settings.model, previous) if one]
        self._patience = patience or Patience()
        self._client: EngineClient | None = None
        self._model = ""
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def engine(self) -> EngineClient | None:
        """A client of the serving engine, or None: quote."""
        return self._client if self.state is EngineState.SERVING else None

    @property
    def model(self) -> str:
        """The name of the serving model, for requests and for the record; else empty."""
        return self._model if self.state is EngineState.SERVING else ""

    async def start(self) -> None:
        """Begin; returns at once. `wait` waits until the engine serves or will not."""
        if self._settings.url:
            self._set(EngineState.STARTING)
            self._task = asyncio.create_task(self._watch_elsewhere())
        elif self._models:
            self._set(EngineState.STARTING)
            self._task = asyncio.create_task(self._keep_running())

    async def wait(self, timeout_s: float) -> EngineState:
        """The first state that is neither starting nor restarting, or what it is by then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.state in {EngineState.STARTING, EngineState.RESTARTING}:
                    self._changed.clear()
                    await self._changed.wait()
        return self.state

    async def stop(self) -> None:
        """End the engine; safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
            self._set(EngineState.STOPPED)
        await self._drop_client()

    # --- an engine elsewhere -------------------------------------------------------------------

    async def _watch_elsewhere(self) -> None:
        client = self._client = EngineClient(
            self._settings.url, self._settings.key.get_secret_value()
        )
        while True:
            try:
                self._model = await self._model_elsewhere(client)
                self._set(EngineState.SERVING)
            except EngineDown as error:
                if self.state is EngineState.SERVING:
                    log.warning("engine_lost", url=client.base_url, error=str(error))
                self.last_error = str(error)
                self._set(EngineState.RESTARTING)
            serving = self.state is EngineState.SERVING
            await asyncio.sleep(
                self._patience.watch_every_s if serving else self._patience.probe_every_s
            )

    async def _model_elsewhere(self, client: EngineClient) -> str:
        """The model to ask for. `/v1/models` is what every such server has, and asks the key."""
        names = await client.models()
        wanted = self._settings.model or (names[0] if names else "")
        if wanted not in names:
            raise EngineDown(
                f"The engine at {client.base_url} does not serve {wanted or 'any model'}.",
                f"It serves: {', '.join(names) or 'nothing'}.",
            )
        return wanted

    # --- an engine of our own ------------------------------------------------------------------

    async def _keep_running(self) -> None:
        """Try each model until it fails too often in a row; then give up, and quote."""
        for model in self._models:
            failures = 0
            while failures < self._patience.failures:
                if failures:
                    self._set(EngineState.RESTARTING)
                    self.restarts += 1
                    ENGINE_RESTARTS.inc()
                    await asyncio.sleep(self._delay(failures))
                began = time.monotonic()
                try:
                    await self._run_once(model)
                except ModelRejected as error:
                    self.last_error = str(error)
                    log.error("model_rejected", model=model, error=self.last_error)  # noqa: TRY400 - the message says it all
                    break  # the same folder will not do better the next time
                except (EngineDown, OSError) as error:
                    self.last_error = str(error)
                    lasted = time.monotonic() - began
                    failures = 1 if lasted > self._patience.stable_s else failures + 1
                    log.warning(
                        "engine_died", model=model, failures=failures, error=self.last_error
                    )
        self._set(EngineState.FAILED)
        log.error("engine_given_up", error=self.last_error)

    def _delay(self, failures: int) -> float:
        delay = self._patience.first_delay_s * 2.0 ** (failures - 1)
        return min(delay, self._patience.longest_delay_s) * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing

    async def _run_once(self, model: str) -> None:
        """One life of a child. Raises how it ended: `ModelRejected` or `EngineDown`."""
        key = secrets.token_urlsafe(32)
        child = await _Child.spawn(self._options(model, key))
        readers = [
            asyncio.create_task(child.read_news()),
            asyncio.create_task(child.forward_log()),
        ]
        try:
            await self._serve_until_death(child, key)
        finally:
            if self.state is EngineState.SERVING:
                self._set(EngineState.RESTARTING)
            await child.end(self._patience.stop_s)
            await self._drop_client()
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def _serve_until_death(self, child: _Child, key: str) -> None:
        """Wait for the child to be healthy, then for it to die or hang."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience.start_s):
                await child.told.wait()
                self._client = EngineClient(child.url, key) if child.url else None
                while child.alive and not (self._client and await self._healthy()):
                    await child.wait(self._patience.probe_every_s)
        if not child.alive:
            raise await child.verdict()
        if self._client is None or not await self._healthy():
            raise EngineDown(f"The engine did not start within {self._patience.start_s:g} s.")
        self._model = (await self._client.models())[0]
        self._set(EngineState.SERVING)
        log.info("engine_serving", model=self._model, url=child.url)
        deaf = 0
        while child.alive:
            if await child.wait(self._patience.watch_every_s):
                break
            deaf = 0 if await self._healthy() else deaf + 1
            if deaf >= self._patience.deaf:
                raise EngineDown("The engine is alive but does not answer; it is restarted.")
        raise await child.verdict()

    async def _healthy(self) -> bool:
        return self._client is not None and await self._client.health(self._patience.probe_s)

    def _options(self, model: str, key: str) -> EngineOptions:
        folder = Path(model).expanduser()
        # A child is for this bot alone, wherever an engine that runs alone would listen.
        return replace(
            EngineOptions.of(self._settings),
            model=str(folder.absolute()) if folder.is_dir() else model,
            key=key,
            host="127.0.0.1",
            port=0,
        )

    async def _drop_client(self) -> None:
        client, self._client, self._model = self._client, None, ""
        if client is not None:
            await client.aclose()

    def _set(self, state: EngineState) -> None:
        if state is not self.state:
            self.state = state
            self._changed.set()
        if state is EngineState.SERVING:
            self.last_error = ""


class _Child:
    """One engine process: its pipes, its news, its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.url = ""
        self.told = asyncio.Event()  # it said where it listens, or that it is over
        self._process = process
        self._rejected: ModelRejected | None = None
        self._news_read = asyncio.Event()

    @classmethod
    async def spawn(cls, options: EngineOptions) -> _Child:
        """Start a process. Its options go through a pipe that it also watches for our end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot.engine",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=Path(bot.__file__).parents[1],  # where `bot` can be imported from
            env=child_environment(),
            limit=LOG_LINE,
        )
        child = cls(process)
        if process.stdin is not None:
            process.stdin.write(json.dumps(asdict(options)).encode() + b"\n")
            with contextlib.suppress(ConnectionError):  # it died at once: the verdict says so
                await process.stdin.drain()
        return child

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def wait(self, seconds: float) -> bool:
        """Whether it ended within this time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._process.wait()
        return not self.alive

    async def verdict(self) -> DeskhandError:
        """Why it ended, once it has."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self._news_read.wait()
        if self._rejected is not None:
            return self._rejected
        code = self._process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"status {code}"
        return EngineDown(f"The engine process ended with {how}.", "Its log says more.")

    async def end(self, patience_s: float) -> None:
        """Ask it to stop, then make it."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            if not await self.wait(patience_s):
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()

    async def read_news(self) -> None:
        """Take in what the child says about itself."""
        try:
            async for line in _lines(self._process.stdout):
                news = _fields(line)
                if news.get("event") == "listening":
                    self.url = str(news.get("url", ""))
                    self.told.set()
                elif news.get("event") == "rejected":
                    self._rejected = ModelRejected(
                        str(news.get("message", "")), str(news.get("remedy", ""))
                    )
        finally:
            self._news_read.set()
            self.told.set()

    async def forward_log(self) -> None:
        """Write the child's log lines into ours."""
        async for line in _lines(self._process.stderr):
            fields = _fields(line)
            event = str(fields.pop("event", "") or line[:500])
            level = str(fields.pop("level", "info"))
            for gone in ("timestamp", "logger"):
                fields.pop(gone, None)
            write = getattr(log, level if level in LEVELS else "info")
            write(event, **{f"engine_{key}": value for key, value in fields.items()})


async def _lines(stream: asyncio.StreamReader | None) -> Any:  # noqa: ANN401 - an async generator of str
    while stream is not None:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the limit: the rest of it follows as another line
            continue
        if not line:
            return
        if text := line.decode("utf-8", "replace").strip():
            yield text


def _fields(line: str) -> dict[str, Any]:
    if not line.startswith("{"):
        return {}
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
