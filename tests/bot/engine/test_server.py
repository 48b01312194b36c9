"""The engine's HTTP API, on a real process with a real model."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bot.engine.client import EngineClient
from bot.engine.process import EngineOptions, serve
from bot.errors import ConfigError, EngineDown
from bot.types import Limits, Turn
from tests.bot.engine.conftest import Models
from tests.fakes.engine_process import ROOT, EngineProcess
from tests.fakes.models import LESSONS

QUESTION, ANSWER = LESSONS[0]
CHAT = "/v1/chat/completions"
LIMITS = Limits(max_tokens=64, temperature=0.0)


@pytest.fixture
async def http(engine_process: EngineProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=engine_process.url,
        headers={"Authorization": f"Bearer {engine_process.key}"},
        timeout=60,
        trust_env=False,
    ) as http:
        yield http


def body(question: str = QUESTION, **more: object) -> dict[str, object]:
    messages = [{"role": "user", "content": question}]
    return {"model": "taught", "messages": messages, "temperature": 0, "max_tokens": 64, **more}


async def figures(http: httpx.AsyncClient) -> dict[str, float]:
    lines = (await http.get("/metrics")).text.splitlines()
    return {
        name.removeprefix("deskhand_engine_"): float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
    }


async def text_of(client: EngineClient, question: str, model: str = "taught") -> str:
    stream = client.stream([Turn("user", question)], model, LIMITS)
    return "".join([token.text async for token in stream])


@pytest.mark.parametrize(("question", "answer"), LESSONS)
async def test_answers_stream_whole_in_every_script(
    client: EngineClient, question: str, answer: str
) -> None:
    assert await text_of(client, question) == answer


async def test_an_answer_in_one_piece_has_its_reason_and_counts(http: httpx.AsyncClient) -> None:
    made = (await http.post(CHAT, json=body())).json()

    assert made["object"] == "chat.completion"
    assert made["model"] == "taught"
    assert made["choices"][0]["message"] == {"role": "assistant", "content": ANSWER}
    assert made["choices"][0]["finish_reason"] == "stop"
    usage = made["usage"]
    assert usage["prompt_tokens"] > 5 < usage["completion_tokens"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_a_stream_is_the_openai_format_to_the_letter(http: httpx.AsyncClient) -> None:
    asked = body(stream=True, stream_options={"include_usage": True})
    response = await http.post(CHAT, json=asked)
    events = response.text.split("\n\n")

    assert response.headers["content-type"].startswith("text/event-stream")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(one.removeprefix("data: ")) for one in events[:-2]]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1])
    assert text == ANSWER
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [
        *[None] * (len(chunks) - 2),
        "stop",
    ]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] > 5


@pytest.mark.parametrize("stop", ["thirty", ["zzz", "thirty"]])
async def test_a_stop_string_ends_the_answer_before_it(
    http: httpx.AsyncClient, stop: object
) -> None:
    choice = (await http.post(CHAT, json=body(stop=stop))).json()["choices"][0]

    assert choice["message"]["content"] == ANSWER.partition("thirty")[0]
    assert choice["finish_reason"] == "stop"


async def test_the_limit_of_tokens_is_kept_and_named(http: httpx.AsyncClient) -> None:
    made = (await http.post(CHAT, json=body(max_tokens=None, max_completion_tokens=5))).json()

    assert made["usage"]["completion_tokens"] == 5
    assert made["choices"][0]["finish_reason"] == "length"
    assert ANSWER.startswith(made["choices"][0]["message"]["content"])


async def test_a_seed_repeats_an_answer_also_in_a_crowd(http: httpx.AsyncClient) -> None:
    async def sampled(seed: int) -> str:
        asked = body(temperature=2.0, top_p=0.95, seed=seed, max_tokens=24)
        made = (await http.post(CHAT, json=asked)).json()
        return str(made["choices"][0]["message"]["content"])

    alone = await sampled(7)
    crowd = await asyncio.gather(*(sampled(seed) for seed in (1, 7, 2, 3, 7)))

    assert crowd[1] == crowd[4] == alone
    assert len(set(crowd)) > 2


async def test_eight_streams_at_once_are_each_what_they_are_alone(client: EngineClient) -> None:
    questions = [f"{QUESTION} {n} 商店几点开门？ Say thanks" for n in range(8)]
    alone = [await text_of(client, question) for question in questions]

    assert await asyncio.gather(*(text_of(client, one) for one in questions)) == alone


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"tools": []}, "tools"),
        ({"logprobs": True}, "logprobs"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": ""}, "stop.0"),
    ],
)
async def test_what_it_cannot_do_is_refused_by_name(
    http: httpx.AsyncClient, change: dict[str, object], param: str
) -> None:
    response = await http.post(CHAT, json=body(**change))
    error = response.json()["error"]

    assert response.status_code == 400
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert f"`{param}`" in error["message"]


async def test_messages_may_come_in_parts(http: httpx.AsyncClient) -> None:
    half = len(QUESTION) // 2
    parts = [{"type": "text", "text": one} for one in (QUESTION[:half], QUESTION[half:])]
    made = await http.post(CHAT, json=body(messages=[{"role": "user", "content": parts}]))

    assert made.json()["choices"][0]["message"]["content"] == ANSWER


async def test_more_than_the_context_is_refused_with_the_limits(http: httpx.AsyncClient) -> None:
    too_long = await http.post(CHAT, json=body("word " * 2000))
    too_much = await http.post(CHAT, json=body(max_tokens=510))

    for response in (too_long, too_much):
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "context_length_exceeded"
        assert "512" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{broken", {"content-type": "application/json"}, 400),
        (b"\xff\xfe", {"content-type": "application/json"}, 400),
        (b"[]", {"content-type": "application/json"}, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b" " * (5 << 20), {"content-type": "application/json"}, 413),
    ],
    ids=["broken", "binary", "list", "plain", "huge"],
)
async def test_bodies_that_will_not_do_get_an_openai_error(
    http: httpx.AsyncClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    response = await http.post(CHAT, content=content, headers=headers)

    assert response.status_code == status
    assert response.json()["error"]["message"]


async def test_an_unknown_route_is_an_openai_error_too(http: httpx.AsyncClient) -> None:
    for response in (await http.get("/v1/embeddings"), await http.get(CHAT)):
        assert response.status_code in {404, 405}
        assert response.json()["error"]["message"]


async def test_an_unknown_model_is_named_and_the_known_ones_too(http: httpx.AsyncClient) -> None:
    response = await http.post(CHAT, json=body(model="gpt-9"))

    assert response.status_code == 404
    assert "`gpt-9`" in response.json()["error"]["message"]
    assert "taught" in response.json()["error"]["message"]


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "é"}])
async def test_without_the_key_only_health_is_told(
    engine_process: EngineProcess, header: dict[str, str]
) -> None:
    encoded = {name: value.encode("latin-1") for name, value in header.items()}
    async with httpx.AsyncClient(base_url=engine_process.url, trust_env=False) as http:
        for path in ("/v1/models", "/metrics"):
            assert (await http.get(path, headers=encoded)).status_code == 401
        assert (await http.post(CHAT, json=body(), headers=encoded)).status_code == 401
        assert (await http.get("/health", headers=encoded)).json() == {"status": "ok"}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_stops_its_decoding(
    http: httpx.AsyncClient, *, stream: bool
) -> None:
    async def busy() -> bool:
        return (await figures(http))["running"] > 0

    asked = body("x y z", temperature=2.0, max_tokens=450, stream=stream)
    for _ in range(50):  # some answers end before they are noticed
        made = (await figures(http))['tokens_total{kind="generated"}']
        leaving = asyncio.create_task(http.post(CHAT, json=asked))
        while not (noticed := await busy()) and not leaving.done():  # noqa: ASYNC110 - the same
            await asyncio.sleep(0)
        if noticed and not leaving.done():
            break
    assert leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    async with asyncio.timeout(10):
        while await busy():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.01)

    assert leaving.cancelled()
    assert (await figures(http))['tokens_total{kind="generated"}'] - made < 450


async def test_adapters_come_and_go_under_names_that_do_not_change(
    client: EngineClient, http: httpx.AsyncClient, models: Models
) -> None:
    await client.load_adapter("support-v2", str(models.adapter))
    assert await client.models() == ["taught", "support-v2"]
    listed = (await http.get("/v1/models")).json()["data"]
    assert [one["parent"] for one in listed] == [None, "taught"]

    with pytest.raises(EngineDown, match="loaded already"):
        await client.load_adapter("support-v2", str(models.adapter))
    with pytest.raises(EngineDown, match="loaded already"):
        await client.load_adapter("taught", str(models.adapter))
    other = await text_of(client, QUESTION, "support-v2")
    assert other != ANSWER
    assert await text_of(client, QUESTION) == ANSWER
    mixed = await asyncio.gather(
        *(text_of(client, QUESTION, "support-v2" if n % 2 else "taught") for n in range(6))
    )
    assert mixed == [other if n % 2 else ANSWER for n in range(6)]

    await client.unload_adapter("support-v2")
    assert await client.models() == ["taught"]
    with pytest.raises(EngineDown, match="no model `support-v2`"):
        await text_of(client, QUESTION, "support-v2")
    with pytest.raises(EngineDown, match="no adapter"):
        await client.unload_adapter("support-v2")


async def test_a_spoiled_adapter_is_refused_and_the_model_is_as_before(
    client: EngineClient, models: Models, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(models.adapter / "adapter_model.safetensors")
    config = json.loads((models.adapter / "adapter_config.json").read_text())
    first = min(weights)
    spoiled = {
        "NaN": (config, {**weights, first: weights[first] * float("nan")}),
        "does not fit": (config, {**weights, first: weights[first].repeat(2, 2)}),
        "disagree about": (config, {key: weights[key] for key in weights if key != first}),
        "modules_to_save": ({**config, "modules_to_save": ["lm_head"]}, weights),
        "'IA3'": ({**config, "peft_type": "IA3"}, weights),
        "safetensors only": (config, None),
    }
    for said, (settings, tensors) in spoiled.items():
        folder = tmp_path / said.replace(" ", "-")
        folder.mkdir()
        (folder / "adapter_config.json").write_text(json.dumps(settings))
        if tensors is not None:
            save_file(tensors, folder / "adapter_model.safetensors")
        with pytest.raises(EngineDown, match=said):
            await client.load_adapter("bad", str(folder))

    assert await client.models() == ["taught"]
    assert await text_of(client, QUESTION) == ANSWER
    await client.load_adapter("good", str(models.adapter))
    assert await text_of(client, QUESTION, "good") != ANSWER
    await client.unload_adapter("good")


async def test_metrics_count_tokens_and_times(
    client: EngineClient, http: httpx.AsyncClient
) -> None:
    before = await figures(http)
    await text_of(client, QUESTION)
    after = await figures(http)

    assert after['tokens_total{kind="generated"}'] > before['tokens_total{kind="generated"}']
    assert after['tokens_total{kind="prompt"}'] > before['tokens_total{kind="prompt"}']
    assert after["first_token_seconds_count"] == before["first_token_seconds_count"] + 1
    assert after["tokens_per_second_count"] == before["tokens_per_second_count"] + 1
    assert (after["running"], after["waiting"]) == (0, 0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "engine.example"])
def test_beyond_this_machine_a_key_is_demanded(host: str) -> None:
    with pytest.raises(ConfigError, match=r"without a key.*engine\.key"):
        serve(EngineOptions(model="/nowhere", host=host))


def test_the_client_side_imports_no_heavy_library() -> None:
    check = (
        "import sys, bot.engine.client, bot.engine.supervisor;"
        "heavy = {'torch', 'transformers', 'peft', 'uvicorn', 'starlette'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "[]"
