"""The client, against every manner of server: one kind of error, and no waiting for ever."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from bot.engine.client import EngineClient
from bot.errors import EngineDown
from bot.types import Limits, Token, Turn
from tests.fakes.chat_server import DONE, ChatServer, Script, delta, event

HELLO = [Turn("system", "Be brief."), Turn("user", "Hi")]
LIMITS = Limits(max_tokens=50, temperature=0.3, deadline_s=20)
ROLE = event({"model": "served-v2", "choices": [{"delta": {"role": "assistant"}}]})
USAGE = event({"model": "served-v2", "choices": [], "usage": {"completion_tokens": 7}})


async def answer(
    server: ChatServer, limits: Limits = LIMITS, model: str = "support-v2", **patience: float
) -> list[Token]:
    async with EngineClient(f"{server.url}/v1/", "secret", **patience) as client:
        return [token async for token in client.stream(HELLO, model, limits)]


async def test_a_stream_of_every_odd_but_legal_event_is_read() -> None:
    parts = [
        b": keep-alive\n\n",
        ROLE,
        delta("Hé")[:30],  # cut in the middle of a line and of a character
        delta("Hé")[30:],
        b"event: ping\ndata:\n\n",
        b'data: {"model": "served-v2", "choices": [{"delta": {"content": null}}]}\r\n\r\n',
        delta("llo 🎉"),
        delta("", "stop"),
        USAGE,
        DONE,
        delta("after the end"),
    ]
    async with ChatServer(Script(parts)) as server:
        tokens = await answer(server)
        asked = server.asked[0]

    assert tokens == [Token("Hé", "served-v2"), Token("llo 🎉", "served-v2")]
    assert asked.line == "POST /v1/chat/completions HTTP/1.1"
    assert asked.headers["authorization"] == "Bearer secret"
    assert asked.body == {
        "model": "support-v2",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ],
        "max_tokens": 50,
        "temperature": 0.3,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_a_stream_may_end_without_done_once_it_gave_its_reason() -> None:
    async with ChatServer(Script([delta("a"), delta("", "length")])) as server:
        assert [token.text for token in await answer(server)] == ["a"]


async def test_without_a_name_the_first_model_is_asked() -> None:
    models = b'{"object": "list", "data": [{"id": "only"}, {"id": "adapter"}]}'
    async with ChatServer(
        Script([models], content_type="application/json"), Script([delta("a", "stop"), DONE])
    ) as server:
        await answer(server, model="")

        assert server.asked[1].body["model"] == "only"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (Script([delta("a"), None]), "stopped answering"),
        (Script([delta("a")]), "in the middle of an answer"),
        (Script([]), "in the middle of an answer"),
        (Script([delta("a"), event({"error": {"message": "CUDA error"}})]), "CUDA error"),
        (Script([delta("a"), b"data: {half\n\n"]), "not JSON"),
        (Script([b"data: [1]\n\n"]), "unknown shape"),
        (Script([b"<html>"], content_type="text/html"), "unknown format"),
        (
            Script([b'{"error": {"message": "too long"}}'], 400, "application/json"),
            r"refused \(400\): too long",
        ),
        (Script([b'{"message": "no such model"}'], 404, "application/json"), "no such model"),
        (Script([b"nginx"], 502, "text/html"), r"refused \(502\)"),
    ],
)
async def test_every_failure_is_engine_down_and_says_what_happened(
    script: Script, said: str
) -> None:
    async with ChatServer(script) as server:
        with pytest.raises(EngineDown, match=said):
            await answer(server)


async def test_text_that_came_before_a_failure_is_not_lost() -> None:
    async with (
        ChatServer(Script([delta("one"), delta("two"), None])) as server,
        EngineClient(server.url) as client,
    ):
        stream = client.stream(HELLO, "m", LIMITS)
        assert [(await anext(stream)).text for _ in range(2)] == ["one", "two"]
        with pytest.raises(EngineDown):
            await anext(stream)


@pytest.mark.parametrize(
    ("parts", "patience", "said"),
    [
        ([60.0], {"first_token_s": 0.2}, "fell silent"),
        ([ROLE, 60.0], {"first_token_s": 0.2}, "fell silent"),
        ([delta("a"), 60.0], {"idle_s": 0.2}, "fell silent"),
        ([delta("a"), *[0.1, b": ping\n\n"] * 600], {"idle_s": 0.5}, "fell silent"),
    ],
)
async def test_an_engine_that_falls_silent_is_given_up(
    parts: list[bytes | float | None], patience: dict[str, float], said: str
) -> None:
    async with asyncio.timeout(20), ChatServer(Script(parts)) as server:
        with pytest.raises(EngineDown, match=said):
            await answer(server, **patience)


async def test_an_engine_that_is_only_slow_is_held_to_the_deadline() -> None:
    drip = [part for _ in range(600) for part in (delta("a"), 0.05)]
    async with asyncio.timeout(20), ChatServer(Script(drip)) as server:
        with pytest.raises(EngineDown, match="deadline"):
            await answer(server, Limits(deadline_s=0.5))


async def test_closing_the_iterator_hangs_up() -> None:
    parts = [part for _ in range(600) for part in (delta("a"), 0.05)]
    async with (
        asyncio.timeout(20),
        ChatServer(Script(parts)) as server,
        EngineClient(server.url) as client,
    ):
        async with aclosing(client.stream(HELLO, "m", LIMITS)) as stream:
            await anext(stream)
        await server.asked[0].hung_up.wait()


async def test_an_engine_that_is_not_there_is_down() -> None:
    async with ChatServer() as server:
        url = server.url
    async with EngineClient(url) as client:
        assert not await client.health()
        with pytest.raises(EngineDown, match="cannot be reached"):
            await client.models()
        with pytest.raises(EngineDown, match="stopped answering"):
            async for _ in client.stream(HELLO, "m", LIMITS):
                pass


async def test_the_key_is_never_part_of_an_error() -> None:
    async with ChatServer(Script([b'{"error": "denied"}'], 401, "application/json")) as server:
        with pytest.raises(EngineDown) as caught:
            await answer(server)

    assert "secret" not in f"{caught.value!s} {caught.value!r}"
