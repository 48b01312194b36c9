"""What a tuned model says of itself: manifest, lineage, curve and model card.

Knows the figures of a finished run; does not know how they came about. A LoRA is written in
PEFT's own format, which the engine loads over its base model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bot import models
from bot.models import ModelManifest
from training import curves, model_folder
from training.errors import DataMissing
from training.generation_metrics import HEAD
from training.loop import LOG, read_log
from training.sft import Order, Tuned

Dataset = Mapping[str, Any]  # as `grounded.write` returns it
Rows = Sequence[str]  # of a Markdown table under `generation_metrics.HEAD`


def dataset_of(folder: Path) -> Dataset:
    """`dataset.json` of a folder of examples. Raises `DataMissing`."""
    path = folder / "dataset.json"
    try:
        found: Dataset = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataMissing(
            f"{path} cannot be read: {error}", "Make examples with `deskhand train ground`."
        ) from error
    return found


def release(
    folder: Path, name: str, base: Path, order: Order, tuned: Tuned, dataset: Dataset, work: Path
) -> ModelManifest:
    """Write the tuned model into `folder`, with manifest, curve and card."""
    parent = models.read(base)
    rows = [row for row in read_log(work / LOG) if "held_loss" in row]
    drawn = curves.draw(
        "Loss on answers", "answer tokens", "nats per token",
        [
            curves.Line("tuning", [(row["tokens"], row["loss"]) for row in rows]),
            curves.Line("held out", [(row["tokens"], row["held_loss"]) for row in rows]),
        ],
    )  # fmt: skip
    manifest = ModelManifest(
        name=name,
        parameters=sum(one.numel() for one in tuned.model.parameters()),
        parent=models.label(parent) if parent else base.name,
        parent_sha256=parent.files["model.safetensors"].sha256 if parent else "",
        dataset=str(dataset["hash"]),
        training={
            "kind": "sft",
            "form": order.form.name,
            "batch": order.batch,
            "lora_rank": order.lora_rank,
            "plan": asdict(order.plan),
            "steps": tuned.outcome.course.step,
        },
        seed=order.seed,
        commit=model_folder.commit(),
        metrics=dict(tuned.figures),
        capabilities=("grounded",),
        prompt="compact" if order.form.name == "compact" else "full",
    )
    model: Any = tuned.model
    whole = model_folder.write(
        folder, model, tuned.tokenizer, manifest, pictures={"tuning.svg": drawn}
    )
    model_folder.write_card(folder, card(whole, dataset, ()))
    return whole


def save_adapter(folder: Path, tuned: Tuned) -> Path:
    """Write a LoRA as PEFT does."""
    model: Any = tuned.model
    model.save_pretrained(folder)
    return folder


def card(manifest: ModelManifest, dataset: Dataset, measured: Rows) -> str:
    """The model card (Mitchell et al. 2019). `measured` are rows of `eval generation`."""
    training, found = manifest.training, manifest.metrics
    sources = "\n".join(f"- {name}: {licence}" for name, licence in dataset["sources"].items())
    table = "\n".join((HEAD, *measured)) if measured else "Not measured yet."
    return f"""\
# {manifest.name} {manifest.version}

A small model that answers questions from passages, cites them as `[n]`, and says
`NOT IN THE PASSAGES.` where they do not answer. Tuned from {manifest.parent or "an unnamed model"}.

## How it was made

- {manifest.parameters:,} weights. Supervised tuning, loss on the answers alone, prompt form
  `{training["form"]}`.
- {found["steps"]:.0f} steps of {training["batch"]} examples: {found["epochs"]:.2f} passes over
  {found["examples"]:.0f} examples, {found["answer_tokens"]:,.0f} answer tokens, in
  {found["minutes"]:.1f} minutes.
- Held-out loss on answers: {found["held_answer_loss"]:.3f} nats per token.
- Examples: hash `{manifest.dataset[:16]}`, made by `deskhand train ground`, split by document:

{sources}

## How good it is

`deskhand eval generation`, on documents that it was not tuned on:

{table}

## Limits

It knows nothing but how to read passages, and not that reliably: every claim it makes is checked
against the passages before it is shown, and Deskhand quotes where too little is left. Do not use
it without that check, for advice, or in languages it was not tuned on.
"""
