"""What a pre-trained model says of itself: manifest, curves and model card.

Knows the figures of a finished run; does not know how they came about.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bot.models import ModelManifest
from training import curves, model_folder
from training.loop import LOG, Plan, read_log
from training.pretrain import Order, Trained


def release(folder: Path, name: str, order: Order, trained: Trained, work: Path) -> ModelManifest:
    """Write the model of a finished run into `folder`, with curves and card."""
    manifest = ModelManifest(
        name=name,
        parameters=trained.model.num_parameters(),
        dataset=str(trained.facts["sha256"]),
        training={
            "kind": "pretrain",
            "size": asdict(order.size),
            "plan": asdict(order.plan),
            "recipe": order.recipe,
            "steps": trained.outcome.course.step,
        },
        seed=order.seed,
        commit=model_folder.commit(),
        metrics={key: float(value) for key, value in trained.figures.items()},
    )
    rows = read_log(work / LOG)
    whole = model_folder.write(
        folder, trained.model, trained.tokenizer, manifest, pictures=pictures(rows, trained.figures)
    )
    model_folder.write_card(folder, card(whole, order, trained.facts))
    return whole


def pictures(rows: Sequence[Mapping[str, Any]], figures: Mapping[str, float]) -> dict[str, str]:
    """Loss and perplexity over the tokens learned from, as SVG by file name."""
    learned = [(row["tokens"], row["loss"]) for row in rows]
    held = [(row["tokens"], row["held_loss"]) for row in rows if "held_loss" in row]
    perplexity = [(tokens, math.exp(nats)) for tokens, nats in held]
    floor = [(tokens, figures["unigram_perplexity"]) for tokens, _ in held]
    loss = curves.draw(
        "Loss", "tokens", "nats per token",
        [curves.Line("training", learned), curves.Line("held out", held)],
    )  # fmt: skip
    lines = [curves.Line("held out", perplexity), curves.Line("unigram model", floor)]
    return {
        "loss.svg": loss,
        "perplexity.svg": curves.draw("Perplexity", "tokens", "per token", lines),
    }


def command(order: Order, steps: int) -> str:
    """The command that makes the same model again, given the same texts."""
    words = ["deskhand", "train", "pretrain", "--size", order.size.name, "--seed", str(order.seed)]
    if order.data is not None:
        words += ["--data", "DATA"]
    for path in order.documents:
        words += ["--documents", str(path)]
    words += ["--megabytes", f"{order.megabytes or order.size.megabytes:g}"]
    words += ["--steps", str(steps), "--optimizer", order.plan.optimizer]
    words += ["--lr", f"{order.plan.lr:g}", "--warmup", str(order.plan.warmup)]
    return shlex.join(words)


def card(manifest: ModelManifest, order: Order, facts: Mapping[str, Any]) -> str:
    """The model card (Mitchell et al. 2019, "Model cards for model reporting")."""
    size, plan, found = order.size, order.plan, manifest.metrics
    weights = sum(
        one.bytes for name, one in manifest.files.items() if name.endswith(".safetensors")
    )
    return f"""\
# {manifest.name} {manifest.version}

A language model trained from scratch by Deskhand: a base to tune, not an assistant. It continues
text. It knows little of the world and is not to be asked for facts.

## What it is

- {manifest.parameters:,} weights: {weights / 1e6:.1f} MB of safetensors in bfloat16.
- A Llama decoder: {size.layers} layers of width {size.hidden}, {size.heads} query and
  {size.kv_heads} key-value heads, SwiGLU of width {size.inner}, tied embeddings.
- At most {size.vocabulary:,} byte-level BPE tokens, one per digit; context {size.context} tokens.
- Made {manifest.created} with commit {manifest.commit or "unknown"}.

## What it was trained on

{_data(facts)}

Hash of all texts: `{manifest.dataset}`.
About 2 % of the documents, by the hash of their name, were kept out of training; the figures below
are on those.

## How

{found["tokens"]:,.0f} tokens in {found["steps"]:.0f} steps: {found["epochs"]:.2f} passes over
{found["corpus_tokens"]:,.0f} tokens, in {found["minutes"]:.0f} minutes. {_optimizer(plan)};
highest learning rate {plan.lr:g} after {plan.warmup} steps of warm-up, constant, then linear to
zero over the last {plan.decay:.0%}; gradients clipped at {plan.clip:g}; seed {order.seed}.

```sh
{command(order, int(found["steps"]))}
```

## Figures

| on {found["held_documents"]:.0f} held-out documents, {found["held_tokens"]:,.0f} tokens \
| this model | a unigram model |
|---|---|---|
| perplexity per token | {found["held_perplexity"]:.2f} | {found["unigram_perplexity"]:.2f} |
| perplexity per byte of text | {found["held_perplexity_per_byte"]:.3f} \
| {found["unigram_perplexity_per_byte"]:.3f} |

{_speed(found)}

![Loss](loss.svg)

![Perplexity](perplexity.svg)

## Limits

It saw {found["tokens"] / manifest.parameters:.2f} tokens per weight; about 20 make good use of a
model's size (Hoffmann et al. 2022). What it writes by itself is often wrong and may repeat what
stands in its sources, old books among them. It is of use after tuning, behind Deskhand's check of
every claim against its passages.
"""


def _data(facts: Mapping[str, Any]) -> str:
    lines = ["| source | what, licence | documents | MB | dropped |", "|---|---|---|---|---|"]
    for name, counts in facts["counts"].items():
        reasons = {key: count for key, count in counts.items() if key not in ("kept", "bytes")}
        dropped = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        lines.append(
            f"| {name} | {facts['licences'].get(name, '')} | {counts.get('kept', 0):,} | "
            f"{counts.get('bytes', 0) / 1e6:.2f} | {dropped or '–'} |"
        )
    return "\n".join(lines)


def _optimizer(plan: Plan) -> str:
    muon = "Muon for the matrices of the blocks and AdamW for the rest"
    return muon if plan.optimizer == "muon" else "AdamW"


def _speed(found: Mapping[str, float]) -> str:
    if "tokens_per_s" not in found:
        return ""
    use = f", {found['mfu']:.0%} of what the machine multiplies" if found.get("mfu") else ""
    return f"Training ran at {found['tokens_per_s']:,.0f} tokens/s{use} (medians)."
