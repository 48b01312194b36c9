"""Our own decoding: what it reads, when, and that it picks as `generate` does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import torch

from bot.engine import checkpoint
from bot.engine.batching import Batcher
from bot.engine.checkpoint import Checkpoint
from bot.engine.decoding import PROMPT_BESIDE
from bot.engine.llama import Cache, Llama, Piece
from bot.engine.lora import Adapters
from bot.engine.sampling import Sampling
from tests.bot.engine.conftest import Models

GREEDY = Sampling()
SLOTS = 4


class Noted(Llama):
    """Our pass, and what each of its steps was given."""

    steps: list[list[Piece]]

    def __call__(self, pieces: Sequence[Piece], cache: Cache) -> torch.Tensor:
        self.steps.append(list(pieces))
        return super().__call__(pieces, cache)


@pytest.fixture(scope="module")
def endless(models: Models) -> Checkpoint:
    torch.set_num_threads(1)
    return checkpoint.load(checkpoint.find(str(models.endless)))


@asynccontextmanager
async def decoding(loaded: Checkpoint) -> AsyncIterator[tuple[Batcher, Noted]]:
    network = Noted(loaded.model)
    network.steps = []
    batcher = Batcher(
        loaded.model, stop_ids=loaded.stop_ids, slots=SLOTS, context=512, network=network
    )
    batcher.start()
    try:
        yield batcher, network
    finally:
        await batcher.stop()


def prompt(number: int, length: int = 40) -> list[int]:
    return [3 + (number * 31 + at * 7) % 250 for at in range(length)]


async def run(batcher: Batcher, ids: list[int], tokens: int = 24) -> list[int]:
    return [one async for new in batcher.submit(ids, tokens, GREEDY) for one in new]


def read(network: Noted) -> int:
    """Tokens that went through the model so far."""
    return sum(len(piece.ids) for step in network.steps for piece in step)


@pytest.mark.parametrize("penalty", [1.0, 1.3, 2.0])
async def test_greedy_answers_are_generates_with_its_repetition_penalty_too(
    endless: Checkpoint, penalty: float
) -> None:
    prompts = [prompt(number, 8 + 29 * number) for number in range(3)]
    sampling = Sampling(repetition_penalty=penalty)
    async with decoding(endless) as (batcher, _):
        asked = [batcher.submit(ids, 40, sampling) for ids in prompts]
        made = [[one async for new in answer for one in new] for answer in asked]

    for ids, answer in zip(prompts, made, strict=True):
        inputs = torch.tensor([ids])
        with torch.inference_mode():
            expected = endless.model.generate(  # type: ignore[operator] # untyped
                inputs,
                attention_mask=torch.ones_like(inputs),
                max_new_tokens=40,
                do_sample=False,
                repetition_penalty=penalty,
                pad_token_id=0,
            )
        assert answer == expected[0, len(ids) :].tolist()


async def test_a_long_prompt_is_read_in_parts_beside_running_answers(endless: Checkpoint) -> None:
    async with decoding(endless) as (batcher, network):
        running = batcher.submit(prompt(1), 400, GREEDY)
        async for _ in running:
            break
        network.steps.clear()
        await run(batcher, prompt(2, 300), 2)
        running.cancel()
        steps = list(network.steps)

    reading = [step for step in steps if any(len(piece.ids) > 1 for piece in step)]
    assert len(reading) >= 300 // PROMPT_BESIDE
    for step in reading:
        assert any(len(piece.ids) == 1 for piece in step)  # the running answer goes on
        assert sum(len(piece.ids) for piece in step) <= PROMPT_BESIDE + SLOTS


async def test_what_prompts_share_is_read_once(endless: Checkpoint) -> None:
    shared = prompt(1, 100)
    async with decoding(endless) as (batcher, network):
        first = await run(batcher, [*shared, 5, 6, 7])
        before = read(network)
        second = await run(batcher, [*shared, 8, 9])
        assert read(network) - before == 2 + 23
        again = await run(batcher, [*shared, 5, 6, 7])

    assert again == first
    assert second != first


async def test_a_running_answer_lends_its_beginning(endless: Checkpoint) -> None:
    shared = prompt(1, 100)
    async with decoding(endless) as (batcher, network):
        alone = await run(batcher, [*shared, 8, 9])
        running = batcher.submit([*shared, 5, 6, 7], 400, GREEDY)
        async for _ in running:
            break
        network.steps.clear()
        beside = await run(batcher, [*shared, 8, 9])
        running.cancel()
        longest = max(len(piece.ids) for step in network.steps for piece in step)

    assert beside == alone
    assert longest < 100


async def test_answers_of_different_adapters_are_made_in_the_same_steps(models: Models) -> None:
    loaded = checkpoint.load(checkpoint.find(str(models.taught)))
    adapters = Adapters(loaded.model)
    async with decoding(loaded) as (batcher, network):
        await batcher.change_model(lambda: adapters.add("v1", models.adapter))
        asked = [batcher.submit(prompt(1), 30, GREEDY, name) for name in ("", "v1", "", "v1")]
        await asyncio.gather(*(anext(aiter(one)) for one in asked))
        together = {frozenset(piece.adapter for piece in step) for step in network.steps}

    assert frozenset({"", "v1"}) in together


async def test_an_adapter_never_starts_from_another_ones_cache(models: Models) -> None:
    loaded = checkpoint.load(checkpoint.find(str(models.taught)))
    adapters = Adapters(loaded.model)
    ids = prompt(2, 60)
    async with decoding(loaded) as (batcher, network):
        await batcher.change_model(lambda: adapters.add("v1", models.adapter))
        await run(batcher, ids, 2)
        network.steps.clear()
        asked = batcher.submit(ids, 2, GREEDY, "v1")
        async for _ in asked:
            break

    assert sum(len(piece.ids) for piece in network.steps[0]) == 60
