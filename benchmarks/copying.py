"""What helping a model to copy brings: the same questions, with the help and without.

    python -m benchmarks.copying --model FOLDER --examples test.jsonl [--count 200]

The model is one tuned to answer from passages, the examples are held-out ones as
`deskhand train tune` writes them; those that the passages do not answer are left out, and so are
prompts that the model cannot hold. Everything is decoded greedily by the engine's own decoding.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bot import models
from bot.answering.prompt import FORMS
from bot.engine import checkpoint, llama
from bot.engine.batching import Batcher
from bot.engine.checkpoint import Checkpoint
from bot.engine.copying import STRENGTH, CopySource, Spelling
from bot.engine.prompt_ids import encode
from bot.engine.sampling import Sampling
from training import generation_metrics, grounded
from training.grounded import Example

TOKENS = 96
SLOTS = 8


@dataclass(frozen=True)
class Asked:
    """One example, as the model reads it."""

    example: Example
    ids: list[int]
    text: str  # of the last message


def prepare(loaded: Checkpoint, folder: Path, path: Path, count: int) -> list[Asked]:
    """The first examples that have an answer and fit."""
    manifest = models.read(folder)
    form = FORMS[manifest.prompt if manifest else "full"]
    found: list[Asked] = []
    for one in grounded.read(path):
        turns = one.turns(form)
        ids = encode(loaded.tokenizer, turns)
        if not one.refuses and len(ids) + TOKENS <= loaded.context and len(found) < count:
            found.append(Asked(one, ids, turns[-1].content))
    return found


async def answers(loaded: Checkpoint, asked: Sequence[Asked], strength: float) -> list[str]:
    """What the model says; strength 0 is without help."""
    tokenizer = loaded.tokenizer
    spelling = Spelling.of(tokenizer, int(loaded.model.config.vocab_size))
    batcher = Batcher(
        loaded.model,
        stop_ids=loaded.stop_ids,
        slots=SLOTS,
        context=loaded.context,
        queue=len(asked),
        network=llama.build(loaded.model),
    )
    batcher.start()

    async def answer(one: Asked) -> str:
        source = CopySource.of(one.text, spelling, tokenizer, strength) if strength else None
        generation = batcher.submit(one.ids, TOKENS, Sampling(), copying=source)
        made = [token async for new in generation for token in new]
        return str(tokenizer.decode(made, skip_special_tokens=True)).strip()

    texts = await asyncio.gather(*(answer(one) for one in asked))
    await batcher.stop()
    return texts


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--examples", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.0, STRENGTH])
    parser.add_argument("--show", type=int, default=0, help="Answers to print that differ.")
    args = parser.parse_args()
    torch.set_num_threads(1)
    loaded = checkpoint.load(checkpoint.find(str(args.model)), dtype=torch.float32)
    asked = prepare(loaded, args.model, args.examples, args.count)
    examples = [one.example for one in asked]
    told: list[list[str]] = []
    print(generation_metrics.HEAD)
    for strength in args.strengths:
        began = time.process_time()
        texts = asyncio.run(answers(loaded, asked, strength))
        spent = time.process_time() - began
        name = f"help of {strength:g} nats, {spent:.0f} CPU s" if strength else f"none, {spent:.0f}"
        print(generation_metrics.measure(examples, texts).row(name), flush=True)
        told.append(texts)
    differing = [rows for rows in zip(examples, *told, strict=True) if len(set(rows[1:])) > 1]
    for example, *said in differing[: args.show]:
        print("\n".join(["", f"wanted: {example.answer}", *said]))


if __name__ == "__main__":
    main()
