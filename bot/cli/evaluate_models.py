"""Commands that measure a model: what it writes, and whether it may serve in place of quotes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import wiring
from bot.cli.console import Json, print_json, print_line, progress, settings
from bot.cli.evaluate import evaluate
from bot.config import Settings

if TYPE_CHECKING:
    from training.evaluate_answers import Golden
    from training.gate import Verdict
    from training.grounded import Example

Model = Annotated[Path, typer.Option(help="The model's folder.", metavar="DIR")]
Examples = Annotated[Path, typer.Option(help="Grounded examples, as `train ground` makes them.")]
Judge = Annotated[
    Path | None, typer.Option(help="Another model's folder: it says how fluent answers are.")
]


def register(_app: typer.Typer) -> None:
    """Add these commands to `deskhand eval`."""
    for command in (generation, gate):
        evaluate.command()(command)


def generation(
    model: Model,
    examples: Examples,
    count: Annotated[int, typer.Option(min=1, help="How many examples, from the first.")] = 200,
    by_source: Annotated[  # noqa: FBT002 - typer makes a flag of it
        bool, typer.Option("--by-source", help="Also one line for each source of examples.")
    ] = False,
    as_json: Json = False,  # noqa: FBT002 - typer makes a flag of it
) -> None:
    """Report BLEU, chrF, ROUGE-L, copying, citing and refusing of what a model writes.

    Beside it the approved answers in another order: what the wording alone is worth.

    Example: `deskhand eval generation --model tuned/ --examples grounded/test.jsonl`
    """
    from training.generation_metrics import HEAD, measure
    from training.grounded import read
    from training.writer import Writer

    asked = list(read(examples))[:count]
    writer = Writer.load(model, wiring.prompt_form(model))
    with progress("Writing", quiet=as_json) as step:
        texts = [one.text for one in writer.answers(asked, step=step)]
    speed = writer.tokens / writer.seconds
    surprise = writer.nats_per_byte(asked)
    found = measure(asked, texts)
    if as_json:
        print_json({"figures": found, "tokens_per_s": speed, "nats_per_byte": surprise})
        return
    turned = [asked[at - 1].answer for at in range(len(asked))]
    rows = [found.row("model"), measure(asked, turned).row("answers of other questions")]
    for source in sorted({one.source for one in asked}) if by_source else ():
        pairs = [pair for pair in zip(asked, texts, strict=True) if pair[0].source == source]
        rows.append(measure([one for one, _ in pairs], [text for _, text in pairs]).row(source))
    print_line("\n".join((HEAD, *rows)))
    print_line(
        f"\nPerplexity per byte of the approved answers: {math.exp(surprise):.3f} "
        f"({surprise:.3f} nats). {speed:.0f} tokens/s with transformers' generate, batches of 8."
    )


def gate(
    model: Model,
    kb: Annotated[list[Path], typer.Option(help="Knowledge to answer from; may be repeated.")],
    golden: Annotated[list[Path], typer.Option(help="Golden sets over it; may be repeated.")],
    examples: Annotated[
        Path | None, typer.Option(help="Grounded examples of documents it was not tuned on.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many of them, from the first.")] = 100,
    judge: Judge = None,
    as_json: Json = False,  # noqa: FBT002 - typer makes a flag of it
) -> None:
    """Compare a model with the quoting composer, and say whether it may serve by default.

    Both answer through the whole answer path. Exit status 1 when quoting stays the default.

    Example: `deskhand eval gate --model tuned/ --kb docs/ --golden golden.jsonl`
    """
    from training.evaluate_answers import load_golden
    from training.gate import report
    from training.grounded import read

    chosen = settings()
    current = chosen.model_copy(
        update={"engine": chosen.engine.model_copy(update={"model": str(model), "url": ""})}
    )
    sets = {path.stem: load_golden(path) for path in golden}
    unseen = list(read(examples))[:count] if examples is not None else []
    verdicts = asyncio.run(_compare(current, kb, sets, unseen, judge))
    if as_json:
        print_json(verdicts)
    else:
        print_line(report(verdicts))
    if not all(one.wins for one in verdicts):
        raise typer.Exit(1)


async def _compare(
    current: Settings,
    kb: list[Path],
    sets: Mapping[str, Sequence[Golden]],
    unseen: list[Example],
    judge: Path | None,
) -> list[Verdict]:
    from training.evaluate_answers import evaluate_folder
    from training.gate import decide, on_examples
    from training.writer import Writer

    embedder = wiring.load_embedder(current)
    form = wiring.prompt_form(Path(current.engine.model))
    threshold, limits = current.knowledge.answer_threshold, wiring.limits(current)
    fluency = Writer.load(judge).surprise if judge is not None else None
    verdicts = []
    async with wiring.engine(current) as engine:
        await wiring.engine_ready(engine)
        for name, questions in sets.items():
            quoting, model = [
                await evaluate_folder(
                    kb,
                    questions,
                    embedder,
                    threshold=threshold,
                    generator=generator,
                    limits=limits,
                    form=form,
                )
                for generator in (None, engine)
            ]
            verdicts.append(decide(name, quoting.replies, model.replies, fluency))
        if unseen:
            quoted, written = [
                await on_examples(
                    unseen, embedder, generator, threshold=threshold, form=form, limits=limits
                )
                for generator in (None, engine)
            ]
            verdicts.append(decide("held-out documents", quoted, written, fluency))
    return verdicts
