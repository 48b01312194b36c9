"""The engine against Hugging Face's `generate`: throughput, time to first token, pace.

    python -m benchmarks.engine [--rounds 5] [--dtype float32] [--engine-dtype auto]

Both sides run the same weights with the same number of threads, in the same number format unless
`--engine-dtype` gives the engine another; the rounds are interleaved, so that a busy machine slows
both. The model is a Llama of 30 million
random weights unless a folder is given: speed does not depend on what the weights say. The
engine's side includes HTTP, sampling, detokenising and streaming.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bot.config import EngineSettings
from bot.engine.client import EngineClient
from bot.engine.supervisor import EngineState, EngineSupervisor
from bot.types import Limits, Turn

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

STREAMS = 8
TOKENS = 96
PROMPT = "Returns are free within thirty days of delivery, and the shop opens at nine. " * 4


@dataclass
class Timed:
    """When the tokens of one streamed answer came, in seconds from its request."""

    first: float
    gaps: list[float]
    total: float
    tokens: int


def turns(number: int) -> list[Turn]:
    """A conversation that shares no prefix page with another number's."""
    return [Turn("user", f"{number} {PROMPT}")]


async def ask(
    client: EngineClient, model: str, number: int, started: asyncio.Event | None = None
) -> Timed:
    """Stream one answer, note the time of every piece, and say when the first has come."""
    began = time.perf_counter()
    times = []
    async for _ in client.stream(turns(number), model, Limits(TOKENS, 0.0, 600.0)):
        times.append(time.perf_counter() - began)
        if started is not None:
            started.set()
    gaps = [after - before for before, after in itertools.pairwise(times)]
    return Timed(times[0], gaps, times[-1], TOKENS)


async def together(client: EngineClient, model: str, first: int) -> tuple[float, float]:
    """Tokens of all streams together, per second and per CPU second of the engine."""
    began, spent = time.perf_counter(), engine_cpu()
    done = await asyncio.gather(*(ask(client, model, first + n) for n in range(STREAMS)))
    made = sum(one.tokens for one in done)
    return made / (time.perf_counter() - began), made / (engine_cpu() - spent)


def engine_cpu() -> float:
    """CPU seconds the engine's process has used."""
    times = [child.cpu_times() for child in psutil.Process().children()]
    return sum(one.user + one.system for one in times)


async def first_token(client: EngineClient, model: str, first: int, others: int) -> float:
    """Seconds to the first token of one answer while `others` stream."""
    started = [asyncio.Event() for _ in range(others)]
    busy = [
        asyncio.create_task(ask(client, model, first + 1 + n, begun))
        for n, begun in enumerate(started)
    ]
    for begun in started:
        await begun.wait()
    timed = await ask(client, model, first)
    await asyncio.gather(*busy)
    return timed.first


def generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, number: int, tokens: int
) -> float:
    """Seconds for one `generate` call."""
    import torch

    from bot.engine.prompt_ids import encode

    ids = torch.tensor([encode(tokenizer, turns(number))])
    began = time.perf_counter()
    with torch.inference_mode():
        made = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
        )
    assert made.shape[1] == ids.shape[1] + tokens
    return time.perf_counter() - began


def one_after_another(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, first: int
) -> tuple[float, float]:
    """Tokens of `generate`, one call after another, per second and per CPU second."""
    cpu = time.process_time()
    spent = sum(generate(model, tokenizer, first + n, TOKENS) for n in range(STREAMS))
    made = STREAMS * TOKENS
    return made / spent, made / (time.process_time() - cpu)


def make_model(folder: Path) -> None:
    """A Llama of 30 million random weights that never ends its answer early."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.fakes.models import Shape
    from tests.fakes.models import make_model as make

    make(folder, Shape(8192, 512, 8, 8, 8, 2048), endless=True)


def spread(values: Sequence[float], unit: str, scale: float = 1.0) -> str:
    """Median and range."""
    low, mid, high = min(values), statistics.median(values), max(values)
    return f"{mid * scale:,.1f} {unit} ({low * scale:,.1f} to {high * scale:,.1f})"


async def measure(args: argparse.Namespace, folder: Path) -> None:
    """Run everything and print a table."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    threads = max(1, len(os.sched_getaffinity(0)) - 1)
    torch.set_num_threads(threads)
    dtype: torch.dtype = getattr(torch, args.dtype)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    settings = EngineSettings(
        model=str(folder), dtype=args.engine_dtype or args.dtype, device="cpu", slots=STREAMS
    )
    supervisor = EngineSupervisor(settings)
    began = time.perf_counter()
    await supervisor.start()
    if await supervisor.wait(600) is not EngineState.SERVING or supervisor.engine is None:
        raise SystemExit(supervisor.last_error)
    up = time.perf_counter() - began
    client, name = supervisor.engine, supervisor.model
    names = ("ours", "ours_cpu", "theirs", "theirs_cpu", "raw", "idle", "busy", "alone")
    figures: dict[str, list[float]] = {key: [] for key in names}
    paces: list[float] = []
    number = 0
    for round_ in range(args.rounds + 1):  # the first warms up and is thrown away
        number += 100
        theirs = one_after_another(model, tokenizer, number)
        ours = await together(client, name, number)
        raw = generate(model, tokenizer, number + 20, 1)
        idle = await first_token(client, name, number + 30, 0)
        busy = await first_token(client, name, number + 40, STREAMS - 1)
        alone = await ask(client, name, number + 60)
        if round_:
            values = (*ours, *theirs, raw, idle, busy, TOKENS / alone.total)
            for key, value in zip(figures, values, strict=True):
                figures[key].append(value)
            paces += alone.gaps
    await supervisor.stop()
    form = f"{args.dtype}, engine {settings.dtype}"
    print(f"model {folder.name}, {form}, {threads} thread(s), {args.rounds} rounds\n")
    report(figures, paces, up)


def report(figures: dict[str, list[float]], paces: list[float], up: float) -> None:
    """Print the table."""
    single = [a / b for a, b in zip(figures["alone"], figures["theirs"], strict=True)]
    ratios, cpu_ratios = (
        [a / b for a, b in zip(figures[f"ours{kind}"], figures[f"theirs{kind}"], strict=True)]
        for kind in ("", "_cpu")
    )
    print("| Figure | Median (range) |\n|---|---|")
    print(f"| {STREAMS} `generate` calls in a row | {spread(figures['theirs'], 'tokens/s')} |")
    print(f"| {STREAMS} answers at once, over HTTP | {spread(figures['ours'], 'tokens/s')} |")
    print(f"| ratio | {spread(ratios, '×')} |")
    print(f"| the same per CPU second, `generate` | {spread(figures['theirs_cpu'], 'tokens')} |")
    print(f"| the same per CPU second, engine | {spread(figures['ours_cpu'], 'tokens')} |")
    print(f"| ratio per CPU second | {spread(cpu_ratios, '×')} |")
    print(f"| one answer alone, over HTTP | {spread(figures['alone'], 'tokens/s')} |")
    print(f"| ratio to `generate` | {spread(single, '×')} |")
    print(f"| raw `generate` of one token | {spread(figures['raw'], 'ms', 1e3)} |")
    print(f"| time to first token, idle | {spread(figures['idle'], 'ms', 1e3)} |")
    busy_label = f"time to first token under {STREAMS - 1} other streams"
    print(f"| {busy_label} | {spread(figures['busy'], 'ms', 1e3)} |")
    print(f"| between two tokens, one stream | {spread(paces, 'ms', 1e3)} |")
    print(f"| from starting the process to serving | {up:.1f} s |")


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="float32")
    parser.add_argument("--engine-dtype", choices=("auto", "bfloat16", "float32"))
    parser.add_argument("--model", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = args.model or Path(made) / "llama-30m"
        if not args.model:
            make_model(folder)
        asyncio.run(measure(args, folder))


if __name__ == "__main__":
    main()
