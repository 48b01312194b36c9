"""A Transformer from raw text: clean, tokenise, train, measure, write a model folder.

Knows the order of the stages and what each leaves in the working folder; does not know how they
work. Every stage that is done is not done again, so the same command goes on with a run that
was interrupted anywhere. Run by `deskhand train pretrain`.

    WORK/tokenizer/     the tokenizer
    WORK/shards/        token shards and their manifest
    WORK/log.jsonl      one line per step
    WORK/checkpoints/   the newest two
    WORK/model/         the result: an ordinary Hugging Face folder
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training import corpus, shards, tokenizer
from training.errors import PlanChanged
from training.loop import LOG, Outcome, Plan, Progress, accelerate, read_log, run
from training.sizes import Size

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

MEASURED_WINDOWS = 48  # of held-out text, while training; all of it at the end


@dataclass(frozen=True, slots=True)
class Order:
    """What to make, of what. Together with the data it determines the result."""

    size: Size
    data: Path | None = None
    documents: tuple[Path, ...] = ()
    megabytes: float = 0.0  # 0 takes the size's own
    languages: tuple[str, ...] = corpus.LANGUAGES
    seed: int = 0
    plan: Plan = field(default_factory=Plan)

    @property
    def recipe(self) -> dict[str, Any]:
        """What decides tokenizer and shards."""
        return {
            "vocabulary": self.size.vocabulary,
            "data": self.data is not None,
            "documents": [str(path) for path in self.documents],
            "megabytes": self.megabytes or self.size.megabytes,
            "languages": list(self.languages),
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Trained:
    """How a run ended. A run that was told to stop has no `figures` yet."""

    model: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast
    outcome: Outcome
    facts: Mapping[str, Any]  # of the data
    figures: Mapping[str, float]
    first: bool = True  # of several processes, the one that writes the result


def prepare(order: Order, work: Path) -> None:
    """Make tokenizer and shards in `work`, unless they are there. Raises `PlanChanged`."""
    folder = work / "shards"
    if (folder / shards.MANIFEST).is_file():
        if shards.facts_of(folder)["recipe"] != order.recipe:
            raise PlanChanged(
                f"{folder} was made from other data or with other settings.",
                "Use another working folder, or delete this one to begin anew.",
            )
        return
    found = corpus.build(
        data=order.data,
        documents=order.documents,
        megabytes=order.megabytes or order.size.megabytes,
        languages=order.languages,
        seed=order.seed,
    )
    learned = tokenizer.train((one.whole for one in found.train), order.size.vocabulary)
    learned.model_max_length = order.size.context
    learned.save_pretrained(work / "tokenizer")
    shards.write(
        folder,
        {"train": found.train, "held": found.held},
        tokenizer.Encoder(learned),
        len(learned),
        facts={
            "recipe": order.recipe,
            "sha256": found.sha256,
            "counts": found.counts,
            "licences": found.licences,
        },
    )


def train(
    order: Order, work: Path, *, device: str = "auto", progress: Progress | None = None
) -> Trained:
    """Prepare the data, and train or go on training, until the plan is done or a signal comes.

    A plan without an end is one pass over the data. Raises `TrainingError`.
    """
    from transformers import LlamaForCausalLM

    accelerator = accelerate(device)
    if accelerator.is_main_process:
        prepare(order, work)
    accelerator.wait_for_everyone()
    learned = tokenizer.load(work / "tokenizer")
    known, unseen = (shards.Shards(work / "shards", split) for split in ("train", "held"))
    windows = shards.Windows(known, order.size.context, order.seed)
    held = shards.Windows(unseen, min(order.size.context, len(unseen) - 1))
    torch.manual_seed(order.seed)
    model = LlamaForCausalLM(order.size.config(learned))
    plan = order.plan
    if plan.steps is None and plan.minutes is None:
        plan = replace(plan, steps=max(1, len(windows) // order.size.windows))

    def batches(step: int, rank: int, world: int) -> tuple[Tensor, Tensor]:
        each = -(-order.size.windows // world)
        return _shifted(windows.batch((step * world + rank) * each, each))

    outcome = run(
        model,
        batches,
        plan,
        work,
        measure=lambda given: {"loss": held_nats(given, held, MEASURED_WINDOWS)},
        progress=progress,
        flops_per_token=flops_per_token(model, order.size),
        accelerator=accelerator,
    )
    facts = shards.facts_of(work / "shards")
    if not outcome.finished:
        return Trained(model, learned, outcome, facts, {}, accelerator.is_main_process)
    round_to_bf16(model)
    model.train(mode=False)
    with torch.inference_mode(), accelerator.autocast():
        nats = held_nats(model, held)
    floor = shards.unigram_nats(known, unseen, model.config.vocab_size)
    figures = {
        **_course(outcome, read_log(work / LOG)),
        "epochs": round(outcome.course.tokens / len(known), 3),
        "held_loss": nats,
        "held_perplexity": math.exp(nats),
        "held_perplexity_per_byte": shards.per_byte(nats, unseen.part),
        "unigram_perplexity": math.exp(floor),
        "unigram_perplexity_per_byte": shards.per_byte(floor, unseen.part),
        "held_tokens": len(unseen),
        "held_documents": unseen.part.documents,
        "corpus_tokens": len(known),
        "corpus_bytes": known.part.text_bytes,
    }
    return Trained(model, learned, outcome, facts, figures, accelerator.is_main_process)


def _course(outcome: Outcome, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What the run took, from its log; medians, since others may use the machine too."""
    found = {
        "steps": outcome.course.step,
        "tokens": outcome.course.tokens,
        "minutes": round(outcome.course.seconds / 60, 2),
    }
    for name in ("tokens_per_s", "mfu"):
        if values := [row[name] for row in rows if name in row]:
            found[name] = statistics.median(values)
    return found


def round_to_bf16(model: nn.Module) -> None:
    """Give every weight the value it will have on disk, so that what is measured is what ships."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.bfloat16())


def _shifted(windows: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[Tensor, Tensor]:
    """Inputs and targets from windows that hold one token more than the model is given."""
    tokens = torch.from_numpy(windows)
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def held_nats(model: nn.Module, held: shards.Windows, at_most: int = 0) -> float:
    """Nats per token on held-out windows: all of them, or `at_most` spread over the text."""
    device = next(model.parameters()).device
    numbers = range(len(held))
    if at_most and len(numbers) > at_most:
        numbers = range(0, len(held), -(-len(held) // at_most))
    total, count = 0.0, 0
    for start in range(0, len(numbers), 4):
        taken = np.stack([held.window(number) for number in numbers[start : start + 4]])
        inputs, targets = (one.to(device) for one in _shifted(taken))
        logits = model(input_ids=inputs).logits
        loss = cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum")
        total += float(loss)
        count += targets.numel()
    return total / count


def flops_per_token(model: nn.Module, size: Size) -> float:
    """Operations that learning from one token takes (PaLM, appendix B): 6N + 12·layers·d·t."""
    weights = sum(one.numel() for one in model.parameters())
    return 6 * weights + 12 * size.layers * size.hidden * size.context
