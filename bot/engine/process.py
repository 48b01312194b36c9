"""The engine's process: binds, loads, checks, serves, and ends when it should.

Knows sockets, signals and the order of starting; does not know requests (`server`) or who
supervises it. Run by `deskhand engine`, and by the bot through `python -m bot.engine`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import structlog

from bot.config import EngineSettings
from bot.errors import ConfigError, EngineError, ModelRejected

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from bot.engine.llama import Llama
    from bot.engine.server import EngineApp, Serving

EXIT_BROKEN = 70  # EX_SOFTWARE of sysexits.h: the model stopped decoding
EXIT_REJECTED = 78  # EX_CONFIG: the model or a setting will not do; trying again is no use
SMOKE_TOKENS = 8
SMOKE_S = 120.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What an engine process needs to know. `key` is never logged or put on a command line."""

    model: str
    key: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    decoder: Literal["auto", "own", "library"] = "auto"
    slots: int = 8
    max_tokens: int = 320  # of an answer whose request names no limit
    context: int = 4096  # tokens of prompt and answer, where the model could take more
    threads: int = 0  # 0: one less than there are cores

    @classmethod
    def of(cls, settings: EngineSettings) -> EngineOptions:
        """Options of an engine that runs alone, as the settings describe it."""
        return cls(
            model=settings.model,
            key=settings.key.get_secret_value(),
            host=settings.host,
            port=settings.port,
            device=settings.device,
            dtype=settings.dtype,
            decoder=settings.decoder,
            slots=settings.slots,
            max_tokens=settings.max_tokens,
        )

    def check(self) -> None:
        """Refuse to run without a model, or beyond this machine without a key.

        Raises `ConfigError`.
        """
        if not self.model:
            raise ConfigError("No model is set.", "Set engine.model to a folder or a name.")
        if not self.key and not _loopback(self.host):
            raise ConfigError(
                f"The engine would listen on {self.host} without a key.",
                "Set engine.key, or listen on 127.0.0.1.",
            )


def serve(options: EngineOptions, *, listening: Callable[[str], None] = lambda _url: None) -> int:
    """Run an engine until it is told to stop; the exit status.

    `listening` gets the URL once the port is bound, before the model is loaded. Raises
    `ConfigError` and `ModelRejected`.
    """
    options.check()
    return asyncio.run(_serve(options, listening))


async def _serve(options: EngineOptions, listening: Callable[[str], None]) -> int:
    import uvicorn

    from bot.engine.server import EngineApp

    app = EngineApp(options.key)
    listener = _bind(options.host, options.port)
    host, port = listener.getsockname()[:2]
    server = uvicorn.Server(
        uvicorn.Config(
            app.asgi(),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=20,
        )
    )
    listening(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    log.info("engine_listening", host=host, port=port)
    web = asyncio.create_task(server.serve(sockets=[listener]))
    bringing_up = asyncio.create_task(_bring_up(app, options))
    try:
        await asyncio.wait({web, bringing_up}, return_when=asyncio.FIRST_COMPLETED)
        if web.done() and not bringing_up.done():
            return 0  # stopped while loading; the thread that loads cannot be waited for
        serving = bringing_up.result()
        app.serving = serving
        log.info("engine_ready", model=serving.checkpoint.name, slots=serving.batcher.slots)
        broken = asyncio.create_task(serving.batcher.broken.wait())
        await asyncio.wait({web, broken}, return_when=asyncio.FIRST_COMPLETED)
        broken.cancel()
        return EXIT_BROKEN if serving.batcher.broken.is_set() else 0
    finally:
        if app.serving is not None:
            await app.serving.batcher.stop()
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await web


async def _bring_up(app: EngineApp, options: EngineOptions) -> Serving:
    """Load, check and smoke-test the model. Raises `ModelRejected`."""
    from bot.engine import checkpoint as checkpoints

    # First, since it is quick to refuse a folder and slow to import torch.
    files = await asyncio.to_thread(checkpoints.find, options.model)
    await asyncio.to_thread(_import_libraries)

    import torch

    from bot.engine.batching import Batcher
    from bot.engine.lora import Adapters
    from bot.engine.server import Serving

    device = pick_device(options.device)
    torch.set_num_threads(options.threads or max(1, len(os.sched_getaffinity(0)) - 1))
    loaded = await asyncio.to_thread(
        checkpoints.load, files, device=device, dtype=pick_dtype(options.dtype, device)
    )
    network = await asyncio.to_thread(pick_network, loaded.model, options, device)
    adapters = Adapters(loaded.model)
    context = min(options.context, loaded.context)
    batcher = Batcher(
        loaded.model,
        stop_ids=loaded.stop_ids,
        slots=options.slots,
        context=context,
        activate=adapters.activate,
        network=network,
    )
    serving = Serving(loaded, batcher, adapters, options.max_tokens, context)
    batcher.start()
    await smoke(serving)
    if network is not None:  # spelling a large vocabulary takes seconds: not the first person's
        await asyncio.to_thread(serving.copy_source, "")
    return serving


def pick_network(model: PreTrainedModel, options: EngineOptions, device: str) -> Llama | None:
    """Our own pass over a model, where it is wanted and runs it. Raises `ConfigError`.

    On a CUDA card the library's is the default: it replays captured graphs there, and ours was
    not measured on one.
    """
    from bot.engine import llama

    wanted = options.decoder
    if wanted == "library" or (wanted == "auto" and device != "cpu"):
        return None
    network = llama.build(model, exact=options.dtype != "auto")
    if network is None and wanted == "own":
        raise ConfigError(
            "engine.decoder is own, but the model is not one that our decoding runs.",
            "Set engine.decoder to auto; the engine's log tells the reason.",
        )
    return network


def _import_libraries() -> None:
    """Import what takes seconds, off the event loop, and keep it from talking."""
    from transformers.utils import logging

    from bot.engine import library

    talk: Any = logging  # not typed
    talk.set_verbosity_warning()
    talk.disable_progress_bar()
    talk.disable_default_handler()
    talk.enable_propagation()
    library.quiet()


async def smoke(serving: Serving) -> None:
    """Generate a few tokens through the real decoding path. Raises `ModelRejected`."""
    from bot.engine.prompt_ids import encode
    from bot.engine.sampling import Sampling
    from bot.types import Turn

    name = serving.checkpoint.name
    prompt = encode(serving.checkpoint.tokenizer, [Turn("user", "Hello")])
    if len(prompt) + SMOKE_TOKENS > serving.context:
        raise ModelRejected(f"{name} takes only {serving.context} tokens, too few to converse.")
    generation = serving.batcher.submit(prompt, SMOKE_TOKENS, Sampling())
    try:
        async with asyncio.timeout(SMOKE_S):
            made = [token async for new in generation for token in new]
    except (EngineError, TimeoutError) as error:
        await serving.batcher.stop()
        raise ModelRejected(
            f"{name} failed its smoke check: {str(error) or 'it generated nothing in time'}",
            "See the engine's log; the engine decodes models with ordinary attention only.",
        ) from error
    if not made:
        raise ModelRejected(f"{name} generated nothing.", "Use an earlier version.")


def pick_device(wanted: Literal["auto", "cpu", "cuda"]) -> str:
    """The device to run on. Raises `ConfigError` when CUDA is asked for and absent."""
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "engine.device is cuda, but torch sees no CUDA device.",
            "Install a CUDA build of torch and a driver, or set engine.device to cpu.",
        )
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def pick_dtype(wanted: Literal["auto", "bfloat16", "float32"], device: str) -> torch.dtype:
    """The number format of arithmetic: bfloat16 where the hardware multiplies it, else float32."""
    import torch

    if wanted != "auto":
        return torch.bfloat16 if wanted == "bfloat16" else torch.float32
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    fast = torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.bfloat16 if fast else torch.float32


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bind(host: str, port: int) -> socket.socket:
    """A bound socket, so that the port is known before anything is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise ConfigError(
            f"The engine cannot listen on {host}:{port} ({error.strerror or error}).",
            "Set engine.port to a free port, or to 0 to let the system pick.",
        ) from error
    return listener
