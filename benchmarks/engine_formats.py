"""One step of our own decoding in each number format, and what each loses.

    python -m benchmarks.engine_formats [--model FOLDER] [--text FILE] [--rounds 9]

Times are CPU time of one thread, the formats taking turns, for one sequence and for eight.
`int8` is measured here and not served: see the README. Losses are against float32: cosine of
logits, share of greedy tokens that are the same along float32's own answer, and perplexity per
token on a text, which only says something for a trained model.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from benchmarks.engine import make_model
from bot.engine.linear import Multiply, full, half
from bot.engine.llama import Cache, Llama, Piece

PROMPT = 100  # tokens before the steps that are timed
STEPS = 16
WINDOW = 128  # tokens of a text judged at a time


def int8(weight: Tensor, bias: Tensor | None) -> Multiply:
    """FBGEMM's eight bits: a scale per output, activations rounded per call."""
    quantized: Any = torch.ops.quantized
    scales = weight.abs().amax(dim=1).clamp(min=1e-8).double() / 127
    zeros = torch.zeros(len(scales), dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch means to drop these constructors
        rounded = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
    packed = quantized.linear_prepack(rounded, bias)
    # Seven bits for activations: without VNNI, eight overflow a 16-bit sum.
    return lambda x: cast("Tensor", quantized.linear_dynamic(x, packed, True))


FORMATS = {"float32": full, "16-bit weights": half, "int8": int8}


def step_ms(network: Llama, cache: Cache, sequences: int) -> float:
    """CPU milliseconds of one step for so many sequences."""
    for slot in range(sequences):
        network([Piece(slot, 0, range(PROMPT), wanted=False)], cache)
    began = time.thread_time()
    for at in range(PROMPT, PROMPT + STEPS):
        network([Piece(slot, at, [at % 50]) for slot in range(sequences)], cache)
    return (time.thread_time() - began) * 1e3 / STEPS


def generate_ms(model: Any) -> float:  # noqa: ANN401 - untyped in transformers
    """CPU milliseconds of one token of Hugging Face's `generate`, prompt left out."""
    ids = torch.arange(PROMPT).unsqueeze(0)

    def spent(tokens: int) -> float:
        began = time.thread_time()
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
        )
        return time.thread_time() - began

    return (spent(STEPS + 1) - spent(1)) * 1e3 / STEPS


def logits(network: Llama, cache: Cache, ids: Sequence[int]) -> Tensor:
    """The logits after each token (tokens, vocabulary)."""
    return torch.cat([network([Piece(0, at, [one])], cache) for at, one in enumerate(ids)])


def greedy(network: Llama, cache: Cache, prompt: Sequence[int], tokens: int) -> list[int]:
    """What a network says to a prompt."""
    ids = list(prompt)
    scores = network([Piece(0, 0, ids)], cache)
    while True:
        ids.append(int(scores[-1].argmax()))
        if len(ids) == len(prompt) + tokens:
            return ids
        scores = network([Piece(0, len(ids) - 1, ids[-1:])], cache)


def quality(networks: dict[str, Llama], text: Sequence[int]) -> dict[str, str]:
    """Per format: cosine, same greedy tokens and perplexity, as one line."""
    exact = networks["float32"]
    cache = exact.make_cache(1, 2 * WINDOW)
    answers = [greedy(exact, cache, text[at : at + 32], 48) for at in range(0, len(text) - 32, 64)]
    parts = [text[at : at + WINDOW] for at in range(0, len(text), WINDOW)]
    wanted = [logits(exact, cache, ids) for ids in (*answers, *parts)]
    told = {}
    for name, network in networks.items():
        cosines, same, surprise, counted = [], [], 0.0, 0
        for number, ids in enumerate((*answers, *parts)):
            found = logits(network, cache, ids)
            cosines += torch.cosine_similarity(found, wanted[number], dim=-1).tolist()
            if number < len(answers):
                picks = found[31:-1].argmax(dim=-1)
                same += (picks == torch.tensor(ids[32:])).tolist()
            elif len(ids) > 1:
                loss = torch.nn.functional.cross_entropy(found[:-1], torch.tensor(ids[1:]))
                surprise += float(loss) * (len(ids) - 1)
                counted += len(ids) - 1
        perplexity = math.exp(surprise / max(counted, 1))
        told[name] = f"{min(cosines):.5f} | {statistics.mean(same):.1%} | {perplexity:.3f}"
    return told


def main() -> None:
    """Parse the command line and measure."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--text", type=Path, default=Path(__file__).parent / "README.md")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made, torch.inference_mode():
        folder = args.model or Path(made) / "llama-30m"
        if not args.model:
            make_model(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        text = tokenizer.encode(args.text.read_text(encoding="utf-8"))[: 2 * WINDOW]
        networks = {name: Llama(model, pack) for name, pack in FORMATS.items()}
        told = quality(networks, text)
        one: dict[str, list[float]] = {name: [] for name in networks}
        eight: dict[str, list[float]] = {name: [] for name in networks}
        theirs = []
        caches = {name: network.make_cache(8, 2 * WINDOW) for name, network in networks.items()}
        for _ in range(args.rounds):
            theirs.append(generate_ms(model))
            for name, network in networks.items():
                one[name].append(step_ms(network, caches[name], 1))
                eight[name].append(step_ms(network, caches[name], 8))
    print(f"model {folder.name}: CPU ms per step, median of {args.rounds} rounds\n")
    print("| format | 1 sequence | 8 sequences | least cosine | same tokens | perplexity |")
    print("|---|---|---|---|---|---|")
    print(f"| `generate`, float32 | {statistics.median(theirs):.1f} | | | | |")
    for name in networks:
        times = f"{statistics.median(one[name]):.1f} | {statistics.median(eight[name]):.1f}"
        print(f"| {name} | {times} | {told[name]} |")


if __name__ == "__main__":
    main()
