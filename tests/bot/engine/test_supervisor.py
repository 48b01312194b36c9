"""The engine's keeper, with real child processes that are really killed."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio
from pydantic import SecretStr

from bot.config import EngineSettings
from bot.engine.supervisor import EngineState, EngineSupervisor, Patience
from bot.errors import EngineDown
from bot.types import Limits, Token, Turn
from tests.bot.engine.conftest import Models
from tests.fakes.chat_server import ChatServer, Script
from tests.fakes.engine_process import ROOT, EngineProcess
from tests.fakes.models import LESSONS

QUESTION, ANSWER = LESSONS[0]
QUICK = Patience(
    probe_every_s=0.05,
    watch_every_s=0.2,
    probe_s=2,
    deaf=2,
    first_delay_s=0.05,
    longest_delay_s=0.1,
    stop_s=2,
)
WAIT_S = 120


def settings(**more: object) -> EngineSettings:
    return EngineSettings(**{"dtype": "float32", "device": "cpu", "slots": 2, **more})


@asynccontextmanager
async def supervised(
    asked: EngineSettings, *, previous: str = "", patience: Patience = QUICK
) -> AsyncIterator[EngineSupervisor]:
    supervisor = EngineSupervisor(asked, previous=previous, patience=patience)
    await supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()


def children() -> list[psutil.Process]:
    """Engine processes of this one."""
    return [
        one
        for one in psutil.Process().children()
        if one.status() != psutil.STATUS_ZOMBIE and "bot.engine" in one.cmdline()
    ]


async def collect(stream: AsyncIterator[Token]) -> str:
    return "".join([token.text async for token in stream])


async def answer(supervisor: EngineSupervisor) -> str:
    assert supervisor.engine is not None
    return await collect(
        supervisor.engine.stream([Turn("user", QUESTION)], supervisor.model, Limits())
    )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def kept(
    models: Models, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EngineSupervisor]:
    """One supervisor for the tests that cost an engine's start each; the first model is bad."""
    spoiled = tmp_path_factory.mktemp("models") / "support-v3"
    spoiled.mkdir()
    (spoiled / "config.json").write_text("{}")
    (spoiled / "tokenizer.json").write_text("{}")
    (spoiled / "pytorch_model.bin").write_bytes(b"pickle")
    async with supervised(settings(model=str(spoiled)), previous=str(models.taught)) as supervisor:
        yield supervisor


@pytest.fixture
def child(kept: EngineSupervisor) -> psutil.Process:
    """The engine process that serves; those of other tests have no supervisor."""
    assert kept.engine is not None
    port = httpx.URL(kept.engine.base_url).port
    [found] = [
        one
        for one in children()
        if any(at.laddr.port == port for at in one.net_connections("tcp") if not at.raddr)
    ]
    return found


async def until_down(supervisor: EngineSupervisor) -> None:
    async with asyncio.timeout(30):
        while supervisor.engine is not None:  # noqa: ASYNC110 - polled on purpose: as the bot does
            await asyncio.sleep(0.01)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_rejected_model_gives_way_to_the_previous_one_at_once(
    kept: EngineSupervisor,
) -> None:
    assert await kept.wait(WAIT_S) is EngineState.SERVING
    assert kept.model == "taught"
    assert kept.restarts == 0
    assert await answer(kept) == ANSWER


@pytest.mark.asyncio(loop_scope="module")
async def test_a_kill_in_the_middle_of_an_answer_is_noticed_and_mended(
    kept: EngineSupervisor, child: psutil.Process
) -> None:
    restarts = kept.restarts
    assert kept.engine is not None
    stream = kept.engine.stream([Turn("user", "x y z")], kept.model, Limits(400, 2.0))
    await anext(stream)
    child.kill()
    async with asyncio.timeout(10):
        with pytest.raises(EngineDown):
            await collect(stream)
    await until_down(kept)
    async with asyncio.timeout(10):  # the process may be missed before its end is known
        while "signal 9" not in kept.last_error:  # noqa: ASYNC110 - polled as the bot does
            await asyncio.sleep(0.01)

    assert await kept.wait(WAIT_S) is EngineState.SERVING
    assert kept.restarts == restarts + 1
    assert kept.last_error == ""
    assert await answer(kept) == ANSWER


@pytest.mark.asyncio(loop_scope="module")
async def test_an_engine_that_hangs_is_replaced(
    kept: EngineSupervisor, child: psutil.Process
) -> None:
    child.suspend()
    await until_down(kept)

    assert await kept.wait(WAIT_S) is EngineState.SERVING
    assert not child.is_running()
    assert await answer(kept) == ANSWER


@pytest.mark.asyncio(loop_scope="module")
async def test_stopping_leaves_no_process_behind(
    kept: EngineSupervisor, child: psutil.Process
) -> None:
    await kept.stop()

    assert kept.state is EngineState.STOPPED
    assert kept.engine is None
    assert not child.is_running()


async def test_with_nothing_left_to_try_it_says_why_and_the_bot_quotes(tmp_path: Path) -> None:
    async with supervised(settings(model=str(tmp_path / "nowhere"))) as supervisor:
        assert await supervisor.wait(WAIT_S) is EngineState.FAILED
        assert supervisor.engine is None
        assert "nowhere" in supervisor.last_error


async def test_three_failures_in_a_row_are_enough(models: Models) -> None:
    hasty = Patience(
        start_s=0.05, probe_every_s=0.01, first_delay_s=0.01, longest_delay_s=0.02, stop_s=5
    )
    async with supervised(settings(model=str(models.taught)), patience=hasty) as supervisor:
        assert await supervisor.wait(WAIT_S) is EngineState.FAILED
        assert supervisor.restarts == 2
        assert "did not start" in supervisor.last_error


async def test_no_model_and_no_address_is_no_engine() -> None:
    async with supervised(settings()) as supervisor:
        assert supervisor.state is EngineState.OFF
        assert supervisor.engine is None


async def test_an_engine_elsewhere_is_used_watched_and_never_started(
    engine_process: EngineProcess,
) -> None:
    before = {one.pid for one in children()}
    asked = settings(url=engine_process.url, key=SecretStr(engine_process.key))
    async with supervised(asked) as supervisor:
        assert await supervisor.wait(WAIT_S) is EngineState.SERVING
        assert supervisor.model == "taught"
        assert await answer(supervisor) == ANSWER
        assert {one.pid for one in children()} == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"key": SecretStr("wrong")}, "401"),
        ({"model": "gpt-9"}, r"does not serve gpt-9\. It serves: taught"),
    ],
)
async def test_an_engine_elsewhere_that_will_not_do_is_explained(
    engine_process: EngineProcess, more: dict[str, object], said: str
) -> None:
    asked = settings(**{"url": engine_process.url, "key": SecretStr(engine_process.key), **more})
    async with supervised(asked) as supervisor:
        async with asyncio.timeout(20):
            while not supervisor.last_error:  # noqa: ASYNC110 - polled on purpose: as doctor does
                await asyncio.sleep(0.01)
        assert supervisor.engine is None
        assert re.search(said, supervisor.last_error)


async def test_an_engine_elsewhere_that_comes_back_is_used_again() -> None:
    models = Script([b'{"data": [{"id": "m"}]}'], content_type="application/json")
    gone = Script([b"{}"], 503, "application/json")
    async with ChatServer(models, gone, *[models] * 5000) as server:
        slow = Patience(probe_every_s=0.01, watch_every_s=0.01)
        async with supervised(settings(url=server.url), patience=slow) as supervisor:
            async with asyncio.timeout(20):
                while len(server.asked) < 3 or supervisor.state is not EngineState.SERVING:  # noqa: ASYNC110 - as the bot does
                    await asyncio.sleep(0.001)


def test_no_engine_outlives_a_bot_that_was_killed(models: Models) -> None:
    """A bot in a process of its own starts an engine and is killed with SIGKILL."""
    script = (
        "import asyncio, json, sys, psutil\n"
        "from bot.config import EngineSettings\n"
        "from bot.engine.supervisor import EngineSupervisor\n"
        "async def main():\n"
        "    keeper = EngineSupervisor(EngineSettings(model=sys.argv[1], device='cpu'))\n"
        "    await keeper.start()\n"
        "    while not (found := psutil.Process().children(recursive=True)):\n"
        "        await asyncio.sleep(0.01)\n"
        "    await asyncio.sleep(1)\n"
        "    print(json.dumps([one.pid for one in found]), flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    bot = subprocess.Popen(
        [sys.executable, "-c", script, str(models.taught)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with bot:
        assert bot.stdout is not None
        said = next(line for line in bot.stdout if line.startswith("["))  # the rest is log
        engines = [psutil.Process(pid) for pid in json.loads(said)]
        bot.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(engines, timeout=15)

    assert engines
    assert alive == []


def test_no_secret_is_on_the_engines_command_line(engine_process: EngineProcess) -> None:
    command = " ".join(psutil.Process(engine_process.process.pid).cmdline())

    assert engine_process.key not in command
