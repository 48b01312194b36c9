"""Supervised tuning: a pretrained model learns to answer from passages.

Knows examples, tokens and which of them are learned from: those of the answer alone (as in
Ouyang et al. 2022, "Training language models to follow instructions with human feedback",
section 3.5). Prompts are rendered by the very code that serves them. Does not know what the
examples say. Run by `deskhand train tune`; every step is a function of its number, so a run
that was killed goes on exactly where it was (`training.loop`).

    WORK/log.jsonl, WORK/checkpoints/    as in pretraining
    WORK/model/ or WORK/adapter/         the result: a model folder, or a LoRA in PEFT's format

A plain loop, not TRL's trainer: on a CPU that takes 1.4 to 1.8 times as long for the same steps,
and cannot resume bit for bit.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bot.answering.prompt import COMPACT, Form
from bot.engine.prompt_ids import encode
from training.errors import DataMissing
from training.grounded import Example
from training.loop import IGNORED, Outcome, Plan, Progress, accelerate, run
from training.tokenizer import load as load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

ROUNDED = 16  # batches are padded to a multiple of this many tokens, so that shapes repeat
CHUNK = 16  # batches that are sorted by length together
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class Lesson:
    """One example as tokens. `start` is where the answer begins; it ends with the end of turn."""

    ids: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class Order:
    """How to tune. Together with the examples and the base model it determines the result."""

    form: Form = COMPACT
    batch: int = 16  # examples of one step
    seed: int = 0
    lora_rank: int = 0  # 0 tunes every weight
    plan: Plan = field(default_factory=lambda: Plan(lr=1e-3))


@dataclass(frozen=True)
class Tuned:
    """The result of a run: the model in memory, and what is known about it."""

    model: nn.Module
    tokenizer: PreTrainedTokenizerFast
    outcome: Outcome
    figures: Mapping[str, float]


def lessons(
    tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example], form: Form, context: int
) -> list[Lesson]:
    """Examples as tokens. Raises `DataMissing` if none is left.

    Those that the form cannot show, or that are longer than `context`, are left out.
    """
    made = []
    for one in examples:
        if not one.readable(form):
            continue
        prompt = encode(tokenizer, one.turns(form))
        answer = tokenizer.encode(one.answer, add_special_tokens=False)
        ids = (*prompt, *answer, int(tokenizer.eos_token_id))
        if len(ids) <= context:
            made.append(Lesson(ids, len(prompt)))
    if not made:
        raise DataMissing(
            f"None of {len(examples)} examples fits the model's {context} tokens.",
            "Use a shorter form of the prompt (--form compact) or a model with more context.",
        )
    return made


class Batches:
    """Lessons in batches of similar length, in an order fixed by the seed; another each epoch."""

    def __init__(self, taught: Sequence[Lesson], size: int, seed: int, pad: int) -> None:
        self._taught = taught
        self._size = min(size, len(taught))
        self._seed = seed
        self._pad = pad
        self.per_epoch = len(taught) // self._size
        self._epoch = lru_cache(maxsize=2)(self._ordered)

    def __call__(self, step: int, rank: int, world: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of one process's part of a step; see `training.loop.Batches`."""
        at = step * world + rank
        epoch, number = divmod(at, self.per_epoch)
        return padded([self._taught[row] for row in self._epoch(epoch)[number]], self._pad)

    def _ordered(self, epoch: int) -> list[list[int]]:
        rng = random.Random(f"{self._seed}/{epoch}")  # noqa: S311 - an order, not a secret
        rows = list(range(len(self._taught)))
        rng.shuffle(rows)
        rows = rows[: self.per_epoch * self._size]
        batches: list[list[int]] = []
        span = CHUNK * self._size
        for start in range(0, len(rows), span):
            near = sorted(rows[start : start + span], key=lambda row: len(self._taught[row].ids))
            batches += [near[at : at + self._size] for at in range(0, len(near), self._size)]
        rng.shuffle(batches)
        return batches


def padded(taught: Sequence[Lesson], pad: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets, int64 (n, t). Padding stands at the end, where nothing looks at it."""
    longest = max(len(one.ids) for one in taught) - 1
    width = -(-longest // ROUNDED) * ROUNDED
    inputs = torch.full((len(taught), width), pad)
    targets = torch.full((len(taught), width), IGNORED)
    for row, one in enumerate(taught):
        ids = torch.tensor(one.ids)
        inputs[row, : len(ids) - 1] = ids[:-1]
        targets[row, one.start - 1 : len(ids) - 1] = ids[one.start :]
    return inputs, targets


def tune(
    base: Path,
    train: Sequence[Example],
    valid: Sequence[Example],
    order: Order,
    work: Path,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> Tuned:
    """Tune the model in `base`, or go on with the run in `work`. Raises `TrainingError`."""
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(base)
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        base, local_files_only=True, dtype=torch.float32
    )
    torch.manual_seed(order.seed)
    learner = with_lora(model, order.lora_rank) if order.lora_rank else model
    context = int(model.config.max_position_embeddings)
    taught = lessons(tokenizer, train, order.form, context)
    unseen = lessons(tokenizer, valid, order.form, context)
    pad = int(tokenizer.pad_token_id)
    accelerator = accelerate(device)
    outcome = run(
        learner,
        Batches(taught, order.batch, order.seed, pad),
        order.plan,
        work,
        measure=lambda given: {"loss": answer_nats(given, unseen, pad)},
        accelerator=accelerator,
        progress=progress,
    )
    figures: dict[str, float] = {}
    if outcome.finished:
        figures = {
            "steps": outcome.course.step,
            "answer_tokens": outcome.course.tokens,
            "minutes": outcome.course.seconds / 60,
            "examples": len(taught),
            "epochs": outcome.course.step * order.batch / len(taught),
            "held_answer_loss": outcome.figures["loss"],
        }
    return Tuned(learner, tokenizer, outcome, figures)


def with_lora(model: PreTrainedModel, rank: int) -> nn.Module:
    """The model with small trainable matrices beside its own (Hu et al. 2021, LoRA)."""
    import peft

    config = peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=list(LORA_TARGETS), task_type="CAUSAL_LM"
    )
    with warnings.catch_warnings():  # PEFT still reads a property that transformers has renamed
        warnings.filterwarnings(
            "ignore", message=".*is_gradient_checkpointing", category=FutureWarning
        )
        return peft.get_peft_model(model, config)


@torch.inference_mode()
def answer_nats(model: nn.Module, taught: Sequence[Lesson], pad: int, batch: int = 16) -> float:
    """Nats per token of the answers, given their prompts."""
    device = next(model.parameters()).device
    total, count = 0.0, 0
    for some in _in_batches(sorted(taught, key=lambda one: len(one.ids)), batch):
        inputs, targets = (one.to(device) for one in padded(some, pad))
        logits = model(input_ids=inputs).logits
        total += float(
            cross_entropy(
                logits.flatten(0, 1).float(),
                targets.flatten(),
                ignore_index=IGNORED,
                reduction="sum",
            )
        )
        count += int((targets != IGNORED).sum())
    return total / count


def _in_batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
