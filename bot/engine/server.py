"""The engine's HTTP face: the OpenAI chat API over one model and its adapters.

Knows requests, keys and limits; does not know how tokens are made (`batching`) or how a model
is checked (`checkpoint`). `process` starts it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bot.engine.engine_metrics import EngineMetrics
from bot.engine.prompt_ids import Unrenderable, encode
from bot.engine.protocol import (
    ApiError,
    ChatRequest,
    Finish,
    LoadAdapter,
    Shaper,
    UnloadAdapter,
    Usage,
    error_body,
    model_list,
    parse,
)
from bot.engine.text import Detokenizer, StopStrings
from bot.errors import Busy, EngineDown, ModelRejected

if TYPE_CHECKING:
    from bot.engine.batching import Batcher
    from bot.engine.checkpoint import Checkpoint
    from bot.engine.copying import CopySource, Spelling
    from bot.engine.generation import Generation
    from bot.engine.lora import Adapters

BODY_BYTES = 4 * 1024 * 1024
ADAPTERS = 16
RETRY_S = 2

log = structlog.get_logger(__name__)


@dataclass
class Serving:
    """A model that passed its checks, decoding."""

    checkpoint: Checkpoint
    batcher: Batcher
    adapters: Adapters
    default_tokens: int
    context: int
    since: int = field(default_factory=lambda: int(time.time()))
    spelling: Spelling | None = None  # made when first needed

    @property
    def names(self) -> list[str]:
        """What may be asked for: the model, then its adapters."""
        return [self.checkpoint.name, *self.adapters.names]

    def copy_source(self, text: str) -> CopySource:
        """What a text holds that is worth copying exactly. Takes a while; not on the loop."""
        from bot.engine.copying import CopySource, Spelling

        tokenizer = self.checkpoint.tokenizer
        if self.spelling is None:
            size = int(self.checkpoint.model.config.get_text_config().vocab_size)
            self.spelling = Spelling.of(tokenizer, size)
        return CopySource.of(text, self.spelling, tokenizer)


class EngineApp:
    """Holds what the routes share. `serving` is None until the smoke check has passed."""

    def __init__(self, key: str = "") -> None:
        self._key = key
        self.serving: Serving | None = None
        self.metrics = EngineMetrics()
        self._changing = asyncio.Lock()  # one adapter is loaded or unloaded at a time

    def asgi(self) -> Starlette:
        """The application."""
        return Starlette(
            routes=[
                Route("/health", self._health),
                Route("/metrics", self._guard(self._metrics)),
                Route("/v1/models", self._guard(self._models)),
                Route("/v1/chat/completions", self._guard(self._chat), methods=["POST"]),
                Route("/v1/load_lora_adapter", self._guard(self._load), methods=["POST"]),
                Route("/v1/unload_lora_adapter", self._guard(self._unload), methods=["POST"]),
            ],
            exception_handlers={HTTPException: _no_such_route},
        )

    # --- routes ------------------------------------------------------------------------------

    async def _health(self, _request: Request) -> Response:
        """Open to everybody: it says only whether the engine may be used."""
        if self.serving is None:
            return JSONResponse({"status": "loading"}, 503)
        if self.serving.batcher.broken.is_set():
            return JSONResponse({"status": "broken"}, 503)
        return JSONResponse({"status": "ok"})

    async def _metrics(self, _request: Request) -> Response:
        batcher = self.serving.batcher if self.serving else None
        self.metrics.observe_load(
            batcher.running if batcher else 0, batcher.waiting if batcher else 0
        )
        return Response(*self.metrics.page())

    async def _models(self, _request: Request) -> Response:
        serving = self._ready()
        return JSONResponse(
            model_list(serving.names, serving.names[0], serving.since, serving.context)
        )

    async def _chat(self, request: Request) -> Response:
        serving = self._ready()
        asked = parse(ChatRequest, await _body(request))
        answer = await self._begin(serving, asked)
        if asked.stream:
            usage = bool(asked.stream_options and asked.stream_options.include_usage)
            return _EventStream(answer, with_usage=usage)
        return await _whole(answer, request)

    async def _load(self, request: Request) -> Response:
        serving = self._ready()
        asked = parse(LoadAdapter, await _body(request))
        async with self._changing:
            if asked.lora_name in serving.names:
                raise ApiError(
                    400,
                    f"`{asked.lora_name}` is loaded already, and a name never changes its meaning.",
                    param="lora_name",
                    code="name_taken",
                )
            if len(serving.adapters.names) >= ADAPTERS:
                raise ApiError(400, f"{ADAPTERS} adapters are loaded already: unload one first.")
            folder = Path(asked.lora_path)
            await serving.batcher.change_model(
                lambda: serving.adapters.add(asked.lora_name, folder)
            )
        log.info("adapter_loaded", adapter=asked.lora_name)
        return JSONResponse({"status": "ok", "id": asked.lora_name})

    async def _unload(self, request: Request) -> Response:
        serving = self._ready()
        asked = parse(UnloadAdapter, await _body(request))
        async with self._changing:
            if asked.lora_name not in serving.adapters.names:
                raise ApiError(
                    404, f"There is no adapter `{asked.lora_name}`.", code="model_not_found"
                )
            # New requests are refused from here on; those that have begun are finished.
            serving.adapters.retire(asked.lora_name)
            while serving.batcher.uses(asked.lora_name):  # noqa: ASYNC110 - rare, and short
                await asyncio.sleep(0.02)
            await serving.batcher.change_model(
                lambda: serving.adapters.remove(asked.lora_name), removes=asked.lora_name
            )
        log.info("adapter_unloaded", adapter=asked.lora_name)
        return JSONResponse({"status": "ok", "id": asked.lora_name})

    # --- answering -----------------------------------------------------------------------------

    async def _begin(self, serving: Serving, asked: ChatRequest) -> Answer:
        """Check a request against the model and its limits, and queue it."""
        if asked.model not in serving.names:
            raise ApiError(
                404,
                f"There is no model `{asked.model}`; there are: {', '.join(serving.names)}.",
                param="model",
                code="model_not_found",
            )
        prompt = await asyncio.to_thread(encode, serving.checkpoint.tokenizer, asked.turns)
        room = serving.context - len(prompt)
        limit = asked.limit or min(serving.default_tokens, max(room, 1))
        if limit > room:
            raise ApiError(
                400,
                f"The context is {serving.context} tokens; the messages take {len(prompt)} and "
                f"the answer may take {limit}. Shorten the messages or lower `max_tokens`.",
                param="messages",
                code="context_length_exceeded",
            )
        if asked.repetition_penalty not in {None, 1.0} and not serving.batcher.steers:
            raise ApiError(
                400,
                "`repetition_penalty`: this model is decoded by transformers' batching, which "
                "has none.",
                param="repetition_penalty",
                code="invalid_parameter",
            )
        source = None
        if asked.copying and serving.batcher.steers:
            source = await asyncio.to_thread(serving.copy_source, asked.turns[-1].content)
        from bot.engine.sampling import Sampling

        generation = serving.batcher.submit(
            prompt,
            limit,
            Sampling(
                temperature=1.0 if asked.temperature is None else asked.temperature,
                top_p=1.0 if asked.top_p is None else asked.top_p,
                seed=secrets.randbits(62) if asked.seed is None else asked.seed,
                repetition_penalty=asked.repetition_penalty or 1.0,
            ),
            "" if asked.model == serving.names[0] else asked.model,
            source,
        )
        stops = [*asked.stop, *serving.checkpoint.stop_strings]
        return Answer(generation, serving.checkpoint, stops, asked.model, self.metrics)

    # --- the same for every route --------------------------------------------------------------

    def _ready(self) -> Serving:
        if self.serving is None:
            raise ApiError(503, "The model is still being loaded.", retry_after_s=RETRY_S)
        return self.serving

    def _guard(
        self, route: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Ask for the key, and turn what was raised on purpose into OpenAI's error shape."""

        async def guarded(request: Request) -> Response:
            try:
                self._check_key(request)
                return await route(request)
            except ApiError as error:
                return _refusal(error)
            except (ModelRejected, Unrenderable) as error:
                return _refusal(ApiError(400, str(error)))
            except Busy as error:
                return _refusal(ApiError(429, str(error), code="busy", retry_after_s=RETRY_S))
            except EngineDown as error:
                return _refusal(ApiError(503, str(error), retry_after_s=RETRY_S))
            except ClientDisconnect:
                return Response(status_code=499)  # nobody reads it; nginx's code for logs

        return guarded

    def _check_key(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        wanted = f"Bearer {self._key}"
        if self._key and not hmac.compare_digest(given.encode(), wanted.encode()):
            raise ApiError(401, "The engine's key is missing or wrong.", code="invalid_api_key")


class Answer:
    """One answer in the making: text pieces, how it ended, what it used."""

    def __init__(
        self,
        generation: Generation,
        checkpoint: Checkpoint,
        stops: list[str],
        model: str,
        metrics: EngineMetrics,
    ) -> None:
        self.shape = Shaper.make(secrets.token_hex(8), model)
        self.finish: Finish = "length"
        self._generation = generation
        self._stop_ids = frozenset(checkpoint.stop_ids)
        self._stops = StopStrings(stops)
        tokenizer = checkpoint.tokenizer
        self._text = Detokenizer(
            lambda ids: str(tokenizer.decode(list(ids), skip_special_tokens=True))
        )
        self._metrics = metrics

    @property
    def usage(self) -> Usage:
        """Counts so far."""
        return Usage(len(self._generation.prompt), len(self._generation.tokens))

    async def pieces(self) -> AsyncGenerator[str, None]:
        """Text as it grows; decoding stops when this is closed or done."""
        started = time.perf_counter()
        first = 0.0
        try:
            async for new in self._generation:
                first = first or time.perf_counter()
                if text := self._stops.add(self._text.add(self._kept(new))):
                    yield text
                if self._stops.hit:
                    self.finish = "stop"
                    return
            if text := self._stops.add(self._text.finish()) + self._stops.finish():
                yield text
            if self._stops.hit:
                self.finish = "stop"
        finally:
            self.close()
            done = time.perf_counter()
            self._metrics.count_answer(self.usage, first - started, done - first)

    def close(self) -> None:
        """Stop decoding, if it has not ended."""
        self._generation.cancel()

    def _kept(self, ids: list[int]) -> list[int]:
        if ids and ids[-1] in self._stop_ids:
            self.finish = "stop"
            return ids[:-1]
        return ids


class _EventStream(StreamingResponse):
    """An answer as server-sent events; a client that goes away stops its decoding."""

    def __init__(self, answer: Answer, *, with_usage: bool) -> None:
        self._answer = answer
        super().__init__(
            self._events(with_usage=with_usage),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:  # also when the client left before the first event was asked for
            self._answer.close()

    async def _events(self, *, with_usage: bool) -> AsyncIterator[str]:
        shape = self._answer.shape
        yield _event(shape.chunk({"role": "assistant", "content": ""}))
        try:
            async with aclosing(self._answer.pieces()) as pieces:
                async for piece in pieces:
                    yield _event(shape.chunk({"content": piece}))
        except EngineDown as error:
            yield _event(error_body(str(error), kind="server_error", code="engine_down"))
            return
        yield _event(shape.chunk({}, self._answer.finish))
        if with_usage:
            yield _event(shape.usage(self._answer.usage))
        yield "data: [DONE]\n\n"


def _event(body: dict[str, object]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


async def _whole(answer: Answer, request: Request) -> Response:
    """An answer in one piece; a client that goes away stops its decoding."""

    async def collect() -> str:
        async with aclosing(answer.pieces()) as pieces:
            return "".join([piece async for piece in pieces])

    collecting = asyncio.ensure_future(collect())
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({collecting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not collecting.done():
            raise ClientDisconnect
        text = collecting.result()
    finally:
        for task in (collecting, leaving):
            task.cancel()
        answer.close()
    return JSONResponse(answer.shape.whole(text, answer.finish, answer.usage))


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request) -> bytes:
    """The whole body, within limits. Raises `ApiError` 413 or 415.

    Only JSON is taken: a web page can send other types to a local port without being asked.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "Send `Content-Type: application/json`.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES:
            raise ApiError(413, f"The body is larger than {BODY_BYTES} bytes.")
    return body


async def _no_such_route(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _refusal(ApiError(status, "There is no such route or method here."))


def _refusal(error: ApiError) -> Response:
    retry = error.retry_after_s
    headers = {} if retry is None else {"Retry-After": str(retry)}
    return JSONResponse(error.body, error.status, headers)
