"""Commands of the workshop: tuning data, supervised tuning and the critic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bot.cli import wiring
from bot.cli.console import err, print_json, print_line, progress, settings
from bot.cli.train import train

if TYPE_CHECKING:
    from bot.answering.prompt import Form as PromptForm

Form = Annotated[str, typer.Option(help="Form of the prompt: compact or full.")]
Seed = Annotated[int, typer.Option(help="Decides every draw and every order.")]


def register(_app: typer.Typer) -> None:
    """Add these commands to `deskhand train`."""
    for command in (ground, tune, critic):
        train.command()(command)


def ground(
    out: Annotated[Path, typer.Option(help="Folder to write the examples to.", metavar="DIR")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of public texts; without it, written ones only.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Examples to tune on.")] = 16000,
    held: Annotated[int, typer.Option(min=1, help="Examples each to validate and test on.")] = 300,
    companies: Annotated[int, typer.Option(min=20, help="Invented companies.")] = 3000,
    chats: Annotated[
        Path | None, typer.Option(help="Also write them as conversations, to pretrain on.")
    ] = None,
    form: Form = "compact",
    seed: Seed = 0,
) -> None:
    """Make grounded tuning data: passages and a question in, a cited answer or a refusal out.

    Example: `deskhand train ground --out grounded/ --data data/`
    """
    from training import grounded
    from training.grounded_sources import read_all
    from training.grounded_written import companies as invented

    known = [*invented(companies), *(read_all(data) if data is not None else ())]
    wanted = {"train": count, "valid": held, "test": held}
    made = {
        split: grounded.examples(known, split, wanted[split], seed) for split in grounded.SPLITS
    }
    told = grounded.write(out, made, seed)
    if chats is not None:
        grounded.write_chats(chats, made["train"], _form(form))
    print_json(told)


def tune(  # noqa: PLR0913, PLR0917 - each is an option of the command
    base: Annotated[Path, typer.Option(help="Model folder to begin with.", metavar="DIR")],
    examples: Annotated[Path, typer.Option(help="Folder made by `deskhand train ground`.")],
    work: Annotated[
        Path, typer.Option(help="Working folder; a run goes on where it was.", metavar="DIR")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where the model goes; WORK/model.", metavar="DIR")
    ] = None,
    name: Annotated[str, typer.Option(help="What to call it.")] = "deskhand-grounded",
    lora: Annotated[int, typer.Option(min=0, help="Rank of a LoRA; 0 tunes every weight.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Wall clock to use, instead of steps.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Examples of one step.")] = 16,
    lr: Annotated[float, typer.Option(min=0, help="Learning rate.")] = 1e-3,
    optimizer: Annotated[str, typer.Option(help="muon or adamw.")] = "muon",
    form: Form = "compact",
    device: Annotated[str, typer.Option(help="auto or cpu.")] = "auto",
    seed: Seed = 0,
) -> None:
    """Teach a pretrained model to answer from passages; goes on with an interrupted run.

    Example: `deskhand train tune --base starter/ --examples grounded/ --work tuning/ --steps 2000`
    """
    from bot.errors import ConfigError
    from training import grounded, sft, tune_report
    from training.loop import Plan

    if (steps is None) == (minutes is None):
        raise ConfigError("Give either --steps or --minutes.")
    kind: Literal["muon", "adamw"] = "adamw" if optimizer == "adamw" else "muon"
    plan = Plan(steps=steps, minutes=minutes, lr=lr, optimizer=kind)
    order = sft.Order(_form(form), batch, seed, lora, plan)
    dataset = tune_report.dataset_of(examples)
    known = list(grounded.read(examples / "train.jsonl"))
    unseen = list(grounded.read(examples / "valid.jsonl"))
    with progress("Tuning") as step:
        tuned = sft.tune(base, known, unseen, order, work, device=device, progress=step)
    if not tuned.outcome.finished:
        err.print(f"Stopped at step {tuned.outcome.course.step}; the same command goes on.")
        raise typer.Exit(1)
    if lora:
        folder = tune_report.save_adapter(out or work / "adapter", tuned)
        print_line(f"The adapter is in {folder}")
        return
    folder = out or work / "model"
    manifest = tune_report.release(folder, name, base, order, tuned, dataset, work)
    print_line(
        f"{manifest.name} {manifest.version}: held-out loss on answers "
        f"{manifest.metrics['held_answer_loss']:.3f} nats per token, in {folder}"
    )


def critic(
    model: Annotated[Path, typer.Option(help="Tuned model that plays the generator.")],
    examples: Annotated[Path, typer.Option(help="Folder made by `deskhand train ground`.")],
    out: Annotated[Path, typer.Option(help="Where to write its coefficients.", metavar="FILE")],
    rounds: Annotated[int, typer.Option(min=1, help="Alternating rounds.")] = 3,
    prompts: Annotated[int, typer.Option(min=4, help="Prompts drawn each round.")] = 64,
    held: Annotated[int, typer.Option(min=4, help="Held-out prompts to measure on.")] = 40,
    form: Form = "compact",
    seed: Seed = 0,
) -> None:
    """Train a critic as the discriminator against a generator's own answers.

    Example: `deskhand train critic --model tuned/ --examples grounded/ --out critic.json`
    """
    from training import adversarial, grounded, tune_report
    from training.writer import Writer

    dataset = tune_report.dataset_of(examples)
    known = list(grounded.read(examples / "train.jsonl"))
    unseen = list(grounded.read(examples / "test.jsonl"))[:held]
    writer = Writer.load(model, _form(form))
    order = adversarial.Rounds(rounds=rounds, prompts=prompts, seed=seed)
    fought = adversarial.fight(writer, wiring.load_embedder(settings()), known, unseen, order)
    adversarial.save(out, fought, order, str(dataset["hash"]))
    print_line(adversarial.table(fought))


def _form(name: str) -> PromptForm:
    from bot.answering.prompt import FORMS
    from bot.errors import ConfigError

    if name not in FORMS:
        raise ConfigError(f"There is no form {name!r}.", f"Use {' or '.join(FORMS)}.")
    return FORMS[name]
