"""The HTTP API when the engine is loading, full or broken: honest, and at once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import torch

from bot.engine import checkpoint
from bot.engine.batching import Batcher
from bot.engine.checkpoint import Checkpoint
from bot.engine.lora import Adapters
from bot.engine.sampling import Sampling
from bot.engine.server import EngineApp, Serving
from tests.bot.engine.conftest import Models

CHAT = "/v1/chat/completions"
HELLO = {
    "model": "endless",
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 4,
    "temperature": 0,
}


@pytest.fixture(scope="module")
def endless(models: Models) -> Checkpoint:
    torch.set_num_threads(1)
    return checkpoint.load(checkpoint.find(str(models.endless)))


@pytest.fixture
async def batcher(endless: Checkpoint) -> AsyncIterator[Batcher]:
    """One slot, and room for one more to wait."""
    batcher = Batcher(endless.model, stop_ids=endless.stop_ids, slots=1, context=512, queue=1)
    batcher.start()
    yield batcher
    await batcher.stop()


@pytest.fixture
def app(endless: Checkpoint, batcher: Batcher) -> EngineApp:
    app = EngineApp()
    app.serving = Serving(endless, batcher, Adapters(endless.model), 16, 512)
    return app


def web(app: EngineApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app.asgi()), base_url="http://engine", timeout=30
    )


async def test_until_the_model_may_serve_it_says_that_it_is_loading() -> None:
    async with web(EngineApp()) as http:
        assert (await http.get("/health")).status_code == 503
        response = await http.post(CHAT, json=HELLO)

    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert "being loaded" in response.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_full_engine_says_when_to_try_again(
    app: EngineApp, batcher: Batcher, *, stream: bool
) -> None:
    held = [batcher.submit([5, 6, 7], 400, Sampling()) for _ in range(2)]
    async with web(app) as http:
        response = await http.post(CHAT, json={**HELLO, "stream": stream})
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) > 0
        assert response.json()["error"]["code"] == "busy"
        assert (await http.get("/health")).status_code == 200

        for one in held:
            one.cancel()
        assert (await http.post(CHAT, json={**HELLO, "stream": stream})).status_code == 200


async def test_what_the_librarys_decoding_cannot_do_is_refused_and_help_is_passed_over(
    app: EngineApp,
) -> None:
    async with web(app) as http:
        refused = await http.post(CHAT, json={**HELLO, "repetition_penalty": 1.2})
        helped = await http.post(CHAT, json={**HELLO, "copying": True})

    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "repetition_penalty"
    assert helped.status_code == 200


async def test_a_broken_engine_is_not_healthy_and_ends_its_streams_with_an_error(
    app: EngineApp, batcher: Batcher, endless: Checkpoint
) -> None:
    def nan(_layer: object, _args: object, out: torch.Tensor) -> torch.Tensor:
        return out * float("nan")

    hook = endless.model.get_output_embeddings().register_forward_hook(nan)
    try:
        async with web(app) as http:
            streamed = await http.post(CHAT, json={**HELLO, "stream": True})
            health = await http.get("/health")
            after = await http.post(CHAT, json=HELLO)
    finally:
        hook.remove()

    assert '"error"' in streamed.text
    assert "[DONE]" not in streamed.text
    assert (health.status_code, health.json()) == (503, {"status": "broken"})
    assert after.status_code == 503
    assert batcher.broken.is_set()
