"""Real, tiny models and one engine process for the whole session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.engine.client import EngineClient
from tests.fakes.engine_process import EngineProcess
from tests.fakes.models import make_adapter, make_model, teach


@dataclass(frozen=True)
class Models:
    taught: Path  # answers the lessons word for word
    endless: Path  # never ends an answer by itself
    adapter: Path  # a LoRA for `taught` that garbles it


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    taught = teach(make_model(folder / "taught"))
    return Models(
        taught=taught,
        endless=make_model(folder / "endless", endless=True, seed=3),
        adapter=make_adapter(folder / "adapter-v1", taught),
    )


@pytest.fixture(scope="session")
def engine_process(models: Models) -> Iterator[EngineProcess]:
    """An engine with two slots that serves the taught model."""
    with EngineProcess(models.taught, slots=8) as process:
        process.wait_healthy()
        yield process


@pytest.fixture
async def client(engine_process: EngineProcess) -> AsyncIterator[EngineClient]:
    async with EngineClient(engine_process.url, engine_process.key) as client:
        yield client
