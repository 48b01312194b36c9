"""A narrow help desk and a model of a hundred thousand weights that learns to answer from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from bot.answering.prompt import COMPACT
from bot.models import ModelManifest
from training import model_folder, sft, tokenizer, tune_report
from training.grounded import Example, Split, examples, write
from training.grounded_sources import Known
from training.grounded_written import companies
from training.loop import Plan

TITLES = {
    "Returns", "Return policy", "Our shop", "Opening hours", "Shipping", "Shipping fees", "Refunds",
    "Warranty", "Guarantee",
}  # fmt: skip
CONTEXT = 384
STEPS = 120
PLAN = Plan(STEPS, lr=2e-2, warmup=10, measure_every=60, save_s=1e9)


@cache
def known() -> tuple[Known, ...]:
    """What invented companies say on a few subjects, under short titles."""
    kept = [one for one in companies(900, seed=1) if one.passage.title_path[-1] in TITLES]
    short = [replace(one.passage, title_path=one.passage.title_path[-1:], id="") for one in kept]
    return tuple(replace(one, passage=passage) for one, passage in zip(kept, short, strict=True))


@cache
def lessons(split: Split, count: int) -> tuple[Example, ...]:
    """Answers and refusals over at most two passages."""
    made = examples(known(), split, count)
    kinds = {"answer", "refuse"}
    return tuple(one for one in made if one.kind in kinds and len(one.passages) <= 2)


def make_base(folder: Path, taught: Sequence[Example]) -> Path:
    """A model folder that has learnt nothing, with a tokenizer for these examples."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    said = [
        text for one in taught for text in (*(t.content for t in one.turns(COMPACT)), one.answer)
    ]
    learned = tokenizer.train(said, 512)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(learned),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=learned.eos_token_id,
            pad_token_id=learned.pad_token_id,
        )
    )
    model_folder.write(folder, model, learned, ModelManifest(name="blank", version="1"))
    return folder


@dataclass(frozen=True)
class Tuned:
    """A base, what it was taught, and the model folder that came of it."""

    base: Path
    dataset: Path
    work: Path
    folder: Path
    order: sft.Order
    result: sft.Tuned
    manifest: ModelManifest


def make_tuned(root: Path) -> Tuned:
    """Tune a blank model for `STEPS` steps: a quarter of a minute of one core."""
    taught, unseen = lessons("train", 2500), lessons("valid", 120)[:40]
    base = make_base(root / "base", taught)
    told = write(
        root / "grounded", {"train": taught, "valid": unseen, "test": lessons("test", 200)}, seed=0
    )
    order = sft.Order(plan=PLAN)
    result = sft.tune(base, taught, unseen, order, root / "work", device="cpu")
    folder = root / "tuned"
    manifest = tune_report.release(folder, "narrow", base, order, result, told, root / "work")
    return Tuned(base, root / "grounded", root / "work", folder, order, result, manifest)
