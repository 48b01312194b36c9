"""Speaks the OpenAI chat API to an engine: the embedded one, vLLM, SGLang or another machine.

Knows HTTP and server-sent events; does not know who runs the engine or what is asked of it.
Wire format: https://platform.openai.com/docs/api-reference/chat and, for adapters,
https://docs.vllm.ai/en/latest/features/lora/.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx
import httpx_sse

from bot.errors import EngineDown
from bot.metrics import ENGINE_TOKENS
from bot.types import Limits, Token, Turn

REMEDY = "Run `deskhand doctor`, or look at the engine's log."
OWNER = "deskhand"  # what our engine's list of models says
SHOWN = 300  # characters of a foreign error message worth repeating


class EngineClient:
    """Implements `bot.types.Engine` over HTTP. One per engine; safe for concurrent use.

    A failure of any kind, before or in the middle of an answer, is an `EngineDown` that says
    what happened. Environment proxies are ignored: an engine's address is meant literally.
    """

    def __init__(
        self,
        base_url: str,
        key: str = "",
        *,
        connect_s: float = 5.0,
        first_token_s: float = 60.0,
        idle_s: float = 30.0,
    ) -> None:
        """`first_token_s` bounds the wait for the first token, `idle_s` that between two."""
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        self._connect_s = connect_s
        self._first_token_s = first_token_s
        self._idle_s = idle_s
        self._default_model = ""
        self._ours: bool | None = None  # whether it is Deskhand's engine; None: not asked yet
        self._http = httpx.AsyncClient(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(30.0, connect=connect_s),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; answers under way end in `EngineDown`."""
        await self._http.aclose()

    async def health(self, timeout_s: float = 5.0) -> bool:
        """Whether the engine answers and says that its model may serve. Never raises."""
        try:
            response = await self._http.get("/health", timeout=timeout_s)
        except (httpx.HTTPError, RuntimeError):  # RuntimeError: the client is closed already
            return False
        return response.status_code == httpx.codes.OK

    async def models(self) -> list[str]:
        """Names that `stream` takes: the model, then its adapters. Raises `EngineDown`."""
        listed = await self._request("GET", "/v1/models")
        found = [one for one in listed.get("data", []) if "id" in one]
        self._ours = any(one.get("owned_by") == OWNER for one in found)
        return [str(one["id"]) for one in found]

    async def load_adapter(self, name: str, folder: str) -> None:
        """Make the PEFT adapter in `folder` (on the engine's machine) answer as `name`."""
        await self._request(
            "POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": folder}
        )

    async def unload_adapter(self, name: str) -> None:
        """Forget an adapter; answers it is giving end first."""
        await self._request("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    async def stream(
        self, turns: Sequence[Turn], model: str, limits: Limits
    ) -> AsyncGenerator[Token, None]:
        """Generate; closing the iterator closes the connection, which stops decoding.

        An empty `model` means the first one the engine lists. Raises `EngineDown`.
        """
        deadline = time.monotonic() + limits.deadline_s
        body = {
            "model": model or await self._first_model(),
            "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
            "max_tokens": limits.max_tokens,
            "temperature": limits.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if limits.copying and await self._takes_our_fields():
            body["copying"] = True
        counted = pieces = 0
        served = str(body["model"])
        ended = False
        try:
            async with self._http.stream(
                "POST", "/v1/chat/completions", json=body, timeout=self._timeout(deadline)
            ) as response:
                if response.status_code != httpx.codes.OK:
                    await response.aread()
                    raise _refused(response)
                events = httpx_sse.EventSource(response).aiter_sse()
                while (event := await self._next(events, deadline, first=pieces == 0)) is not None:
                    if event.data.strip() == "[DONE]":
                        ended = True
                        break
                    if not event.data.strip():
                        continue
                    chunk = _chunk(event.data)
                    served = str(chunk.get("model") or served)
                    counted = _completion_tokens(chunk) or counted
                    text, finished = _delta(chunk)
                    ended = ended or finished
                    if text:
                        pieces += 1
                        yield Token(text, served)
        except httpx_sse.SSEError as error:
            raise EngineDown("The engine answered in an unknown format.", REMEDY) from error
        except httpx.HTTPError as error:
            raise EngineDown(f"The engine stopped answering ({_name(error)}).", REMEDY) from error
        finally:
            ENGINE_TOKENS.labels(served).inc(counted or pieces)
        if not ended:
            raise EngineDown("The engine closed the connection in the middle of an answer.", REMEDY)

    async def _next(
        self, events: AsyncIterator[httpx_sse.ServerSentEvent], deadline: float, *, first: bool
    ) -> httpx_sse.ServerSentEvent | None:
        """The next event, or None at the end of the stream.

        Keep-alives and comments reset httpx's read timeout but not this one.
        """
        patience = self._first_token_s if first else self._idle_s
        left = deadline - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, min(patience, left))):
                return await anext(events, None)
        except TimeoutError:
            said = "is too slow: the deadline passed" if left < patience else "fell silent"
            raise EngineDown(f"The engine {said}.", REMEDY) from None

    def _timeout(self, deadline: float) -> httpx.Timeout:
        """Let the response's head take as long as the first token may."""
        left = max(0.1, deadline - time.monotonic())
        return httpx.Timeout(30.0, connect=self._connect_s, read=min(self._first_token_s, left))

    async def _first_model(self) -> str:
        if not self._default_model:
            names = await self.models()
            if not names:
                raise EngineDown("The engine serves no model.", "Start it with one.")
            self._default_model = names[0]
        return self._default_model

    async def _takes_our_fields(self) -> bool:
        """Whether the engine knows fields that OpenAI's API has not; others may refuse them."""
        if self._ours is None:
            await self.models()
        return bool(self._ours)

    async def _request(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        try:
            response = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise EngineDown(f"The engine cannot be reached ({_name(error)}).", REMEDY) from error
        if not response.is_success:
            raise _refused(response)
        try:
            answer = response.json()
        except ValueError:  # vLLM confirms an adapter in plain text
            return {}
        return answer if isinstance(answer, dict) else {}


def _name(error: Exception) -> str:
    return type(error).__name__


def _refused(response: httpx.Response) -> EngineDown:
    """Say what an error response said, in the shape OpenAI's servers give it or any other."""
    said = response.reason_phrase
    try:
        body = response.json()
        found = body.get("error", body) if isinstance(body, dict) else {}
        said = str(found.get("message", said)) if isinstance(found, dict) else str(found)
    except ValueError:
        pass  # not JSON: the status has to do
    return EngineDown(f"The engine refused ({response.status_code}): {said[:SHOWN]}", REMEDY)


def _chunk(data: str) -> dict[str, Any]:
    try:
        chunk = json.loads(data)
    except ValueError as error:
        raise EngineDown("The engine sent something that is not JSON.", REMEDY) from error
    if not isinstance(chunk, dict):
        raise EngineDown("The engine sent a chunk of an unknown shape.", REMEDY)
    if chunk.get("error"):
        found = chunk["error"]
        said = str(found.get("message", found) if isinstance(found, dict) else found)
        raise EngineDown(f"The engine failed in the middle of an answer: {said[:SHOWN]}", REMEDY)
    return chunk


def _delta(chunk: Mapping[str, Any]) -> tuple[str, bool]:
    """The new text of a chunk, and whether it says that the answer is over.

    Usage chunks have no choices; a first chunk may carry only a role, a last one only a reason.
    """
    choices = chunk.get("choices") or []
    if not choices:
        return "", False
    choice = choices[0]
    return (choice.get("delta") or {}).get("content") or "", bool(choice.get("finish_reason"))


def _completion_tokens(chunk: Mapping[str, Any]) -> int:
    return int((chunk.get("usage") or {}).get("completion_tokens") or 0)
