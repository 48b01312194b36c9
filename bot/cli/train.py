"""Commands of the workshop: a Transformer of your own, from raw text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bot.cli.console import err, print_line, progress, settings

train = typer.Typer(help="Train models.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(train, name="train")


@train.command()
def pretrain(  # noqa: PLR0913, PLR0917 - each is an option of the command
    size: Annotated[str, typer.Option(help="tiny, small or starter.")] = "small",
    data: Annotated[
        Path | None, typer.Option(help="Folder of public texts (see docs/model.md).", metavar="DIR")
    ] = None,
    documents: Annotated[
        list[Path] | None, typer.Option(help="Your own documents; may be repeated.")
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Working folder; a run goes on where it was.", metavar="DIR")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the model goes; WORK/model.", metavar="DIR")
    ] = None,
    name: Annotated[str, typer.Option(help="What to call it; deskhand-SIZE.")] = "",
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps; one pass.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Wall clock to use, instead of steps.")
    ] = None,
    megabytes: Annotated[float, typer.Option(min=0, help="Public text; 0 is the size's own.")] = 0,
    lr: Annotated[float, typer.Option(min=0, help="Learning rate; 0 is the size's own.")] = 0,
    warmup: Annotated[int, typer.Option(min=1, help="Steps of warm-up.")] = 20,
    optimizer: Annotated[
        Literal["muon", "adamw"], typer.Option(help="See docs/model.md.")
    ] = "muon",
    device: Annotated[Literal["auto", "cpu"], typer.Option(help="auto takes a GPU.")] = "auto",
    seed: Annotated[int, typer.Option(help="Decides the weights and every order.")] = 0,
) -> None:
    """Train a Transformer from raw text; the same command goes on with an interrupted run.

    The result is an ordinary Hugging Face folder with a model card. Several GPUs:
    `accelerate launch -m bot train pretrain …`.

    Example: `deskhand train pretrain --size tiny --documents docs/ --steps 300`
    """
    from bot.errors import ConfigError
    from training.loop import Plan
    from training.pretrain import Order
    from training.pretrain import train as pretrain_model
    from training.pretrain_report import release
    from training.sizes import size_of

    shape = size_of(size)
    if steps is not None and minutes is not None:
        raise ConfigError("Give --steps or --minutes, not both.")
    plan = Plan(
        steps=steps,
        minutes=minutes,
        optimizer=optimizer,
        lr=lr or shape.lr,
        warmup=warmup,
        micro=shape.micro,
    )
    order = Order(shape, data, tuple(documents or ()), megabytes, seed=seed, plan=plan)
    place = work or settings().home / "training" / size
    with progress("Training") as step:
        trained = pretrain_model(order, place, device=device, progress=step)
    if not trained.first:
        return
    if not trained.outcome.finished:
        err.print(f"Stopped at step {trained.outcome.course.step}; the same command goes on.")
        raise typer.Exit(1)
    folder = out or place / "model"
    manifest = release(folder, name or f"deskhand-{size}", order, trained, place)
    print_line(
        f"{manifest.name} {manifest.version}: held-out perplexity "
        f"{manifest.metrics['held_perplexity']:.2f} "
        f"(unigram {manifest.metrics['unigram_perplexity']:.2f}), in {folder}"
    )
