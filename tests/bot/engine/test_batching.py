"""Many answers at once: each as if it were alone, whatever happens to the others.

Every test runs on our own decoding and on the library's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from bot.engine import checkpoint
from bot.engine.batching import Batcher
from bot.engine.checkpoint import Checkpoint
from bot.engine.llama import Cache, Llama, Piece
from bot.engine.lora import Adapters
from bot.engine.sampling import Sampling
from bot.errors import Busy, EngineDown
from tests.bot.engine.conftest import Models
from tests.fakes.models import load_with_adapter

GREEDY = Sampling()
LONG = 400  # tokens: an answer that is still going on when a test is done with it

Hook = Callable[[int, torch.Tensor], torch.Tensor | None]
"""Gets the rows of a step and their logits; may give others."""


class Watched(Llama):
    """Our own pass, with something between it and its caller."""

    hook: Hook | None = None

    def __call__(self, pieces: Sequence[Piece], cache: Cache) -> torch.Tensor:
        scores = super().__call__(pieces, cache)
        changed = self.hook(len(scores), scores) if self.hook else None
        return scores if changed is None else changed


@dataclass(frozen=True)
class Loaded:
    """A model, and our own pass over it where that is what decodes."""

    checkpoint: Checkpoint
    network: Watched | None

    @property
    def model(self) -> Any:
        return self.checkpoint.model


def load(folder: Path, kind: str) -> Loaded:
    torch.set_num_threads(1)
    found = checkpoint.load(checkpoint.find(str(folder)))
    return Loaded(found, Watched(found.model) if kind == "own" else None)


@pytest.fixture(scope="module", params=["own", "library"])
def endless(request: pytest.FixtureRequest, models: Models) -> Loaded:
    return load(models.endless, request.param)


@asynccontextmanager
async def batching(
    loaded: Loaded,
    *,
    slots: int = 8,
    queue: int = 64,
    activate: Callable[[str], None] = lambda _name: None,
) -> AsyncIterator[Batcher]:
    batcher = Batcher(
        loaded.model,
        stop_ids=loaded.checkpoint.stop_ids,
        slots=slots,
        context=512,
        queue=queue,
        activate=activate,
        network=loaded.network,
    )
    batcher.start()
    try:
        yield batcher
    finally:
        await batcher.stop()


def prompt(number: int, length: int = 40) -> list[int]:
    return [3 + (number * 31 + at * 7) % 250 for at in range(length)]


async def run(batcher: Batcher, ids: list[int], tokens: int = 24, adapter: str = "") -> list[int]:
    return [token async for new in batcher.submit(ids, tokens, GREEDY, adapter) for token in new]


def alone(model: torch.nn.Module, ids: list[int], tokens: int = 24) -> list[int]:
    """What `generate` says to a prompt by itself.

    Never while a batcher decodes: transformers models are not for two threads at once.
    """
    inputs = torch.tensor([ids])
    with torch.inference_mode():
        made = model.generate(  # type: ignore[operator] # untyped in transformers
            inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
        )
    return [int(one) for one in made[0, len(ids) :]]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def test_eight_at_once_say_what_each_says_alone(endless: Loaded) -> None:
    prompts = [prompt(number, 8 + 37 * number) for number in range(8)]  # the longest: two steps
    async with batching(endless) as batcher:
        together = await asyncio.gather(*(run(batcher, ids) for ids in prompts))

    assert together == [alone(endless.model, ids) for ids in prompts]


async def test_a_shared_prefix_changes_nothing(endless: Loaded) -> None:
    shared = prompt(1, 100)
    async with batching(endless, slots=2) as batcher:
        answers = [await run(batcher, [*shared, *prompt(n, 5)]) for n in range(3)]

    assert answers == [alone(endless.model, [*shared, *prompt(n, 5)]) for n in range(3)]


@pytest.mark.parametrize("kind", ["own", "library"])
async def test_an_answer_ends_with_its_end_token(models: Models, kind: str) -> None:
    loaded = load(models.taught, kind)
    tokenizer = loaded.checkpoint.tokenizer
    ids = tokenizer.encode("<|im_start|>user\nCan I return it?<|im_end|>\n<|im_start|>assistant\n")
    async with batching(loaded) as batcher:
        made = await run(batcher, ids, 100)

    assert made[-1] == 2
    assert tokenizer.decode(made[:-1]) == "Yes: returns are free within thirty days."


async def test_cancelling_frees_the_slot_and_harms_nobody(endless: Loaded) -> None:
    short, long = alone(endless.model, prompt(3)), alone(endless.model, prompt(1), 60)
    async with batching(endless, slots=2) as batcher:
        stays = asyncio.create_task(run(batcher, prompt(1), 60))
        goes = batcher.submit(prompt(2), LONG, GREEDY)
        waits = asyncio.create_task(run(batcher, prompt(3)))
        await until(lambda: len(goes.tokens) >= 3)
        assert (batcher.running, batcher.waiting) == (2, 1)
        goes.cancel()
        goes.cancel()

        assert await waits == short
        assert await stays == long
        assert (batcher.running, batcher.waiting) == (0, 0)
        assert len(goes.tokens) < LONG


async def test_a_cancelled_request_is_decoded_no_further(
    endless: Loaded, spoil: Callable[[Hook], None]
) -> None:
    rows: list[int] = []
    spoil(lambda count, _scores: rows.append(count))
    async with batching(endless, slots=2) as batcher:
        goes = batcher.submit(prompt(1), LONG, GREEDY)
        stays = asyncio.create_task(run(batcher, prompt(2), 60))
        await until(lambda: len(goes.tokens) >= 3)
        goes.cancel()
        await stays

    assert max(rows) == 2
    assert rows[-1] == 1


async def test_a_request_may_be_cancelled_while_it_waits(endless: Loaded) -> None:
    expected = alone(endless.model, prompt(3))
    async with batching(endless, slots=1) as batcher:
        first = batcher.submit(prompt(1), LONG, GREEDY)
        second = batcher.submit(prompt(2), LONG, GREEDY)
        second.cancel()
        assert batcher.waiting == 0
        first.cancel()

        assert await run(batcher, prompt(3)) == expected
        assert second.tokens == []


async def test_the_queue_is_bounded(endless: Loaded) -> None:
    async with batching(endless, slots=1, queue=2) as batcher:
        started = [batcher.submit(prompt(n), LONG, GREEDY) for n in range(3)]
        with pytest.raises(Busy):
            batcher.submit(prompt(4), 4, GREEDY)
        for one in started:
            one.cancel()

        assert len(await run(batcher, prompt(4), 4)) == 4


@pytest.fixture
def spoil(endless: Loaded) -> Iterator[Callable[[Hook], None]]:
    """Hooks code in where logits come out, and takes it out again."""
    handles = []

    def install(hook: Hook) -> None:
        if endless.network is not None:
            endless.network.hook = hook
            return
        last = endless.model.get_output_embeddings()
        handles.append(
            last.register_forward_hook(lambda _layer, args, out: hook(args[0].shape[1], out))
        )

    yield install
    for handle in handles:
        handle.remove()
    if endless.network is not None:
        endless.network.hook = None


async def test_when_memory_runs_out_the_batch_is_halved_and_nothing_is_lost(
    endless: Loaded, spoil: Callable[[Hook], None]
) -> None:
    expected = [alone(endless.model, prompt(number)) for number in range(8)]

    def no_memory_for_more_than_two(rows: int, _scores: torch.Tensor) -> None:
        if rows > 2:
            raise torch.OutOfMemoryError("out of memory")

    spoil(no_memory_for_more_than_two)
    async with batching(endless) as batcher:
        made = await asyncio.gather(*(run(batcher, prompt(number)) for number in range(8)))

        assert made == expected
        assert batcher.slots == 2
        assert not batcher.broken.is_set()


async def test_without_memory_for_even_one_the_engine_is_broken(
    endless: Loaded, spoil: Callable[[Hook], None]
) -> None:
    def no_memory(*_args: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    async with batching(endless, slots=2) as batcher:
        spoil(no_memory)
        with pytest.raises(EngineDown, match="out of memory"):
            await run(batcher, prompt(1))

        assert batcher.broken.is_set()
        with pytest.raises(EngineDown):
            batcher.submit(prompt(1), 4, GREEDY)


async def test_logits_that_turn_nan_end_every_answer_at_once(
    endless: Loaded, spoil: Callable[[Hook], None]
) -> None:
    async with batching(endless, slots=2) as batcher:
        running = [batcher.submit(prompt(n), LONG, GREEDY) for n in range(3)]
        await until(lambda: len(running[0].tokens) >= 3)
        spoil(lambda _rows, scores: scores * float("nan"))
        for one in running:
            with pytest.raises(EngineDown, match="not finite"):
                async for _ in one:
                    pass

        assert batcher.broken.is_set()


@pytest.mark.parametrize("kind", ["own", "library"])
async def test_an_adapter_speaks_only_when_asked_and_leaves_no_trace(
    models: Models, kind: str
) -> None:
    ids = prompt(5, 96)  # three whole cache pages: a stale prefix would be reused
    loaded = load(models.taught, kind)
    plain = alone(loaded.model, ids)
    garbled = alone(load_with_adapter(models.taught, models.adapter), ids)
    assert plain != garbled
    adapters = Adapters(loaded.model)
    async with batching(loaded, slots=4, activate=adapters.activate) as batcher:
        assert await run(batcher, ids) == plain
        running = batcher.submit(ids, 100, GREEDY)
        await batcher.change_model(lambda: adapters.add("v1", Path(models.adapter)))
        running.cancel()
        assert await run(batcher, ids, adapter="v1") == garbled
        assert await run(batcher, ids) == plain

        mixed = await asyncio.gather(
            *(run(batcher, ids, adapter="v1" if n % 2 else "") for n in range(6))
        )
        assert mixed == [garbled if n % 2 else plain for n in range(6)]

        await run(batcher, ids, adapter="v1")
        adapters.retire("v1")
        await batcher.change_model(lambda: adapters.remove("v1"), removes="v1")
        assert await run(batcher, ids) == plain
        await batcher.change_model(lambda: adapters.add("v1", Path(models.adapter)))
        assert await run(batcher, ids, adapter="v1") == garbled
