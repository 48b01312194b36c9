"""Commands that measure: retrieval on a query set, answers on a golden set."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from bot.cli import wiring
from bot.cli.console import Json, err, print_json, print_line, progress, settings

evaluate = typer.Typer(help="Measure retrieval and answers.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(evaluate, name="eval")


@evaluate.command()
def retrieval(
    faqs: Annotated[Path, typer.Option(help="What to search: any file or folder it can read.")],
    queries: Annotated[Path, typer.Option(help="Questions with what answers them, as JSONL.")],
    as_json: Json = False,  # noqa: FBT002 - typer makes a flag of it
) -> None:
    """Report Hit@1, Hit@3 and MRR@10, beside BM25 alone and the embedding model alone.

    A query has a `text` and a `gold`: the id of an FAQ entry, or the path of a file.

    Example: `deskhand eval retrieval --faqs faqs.jsonl --queries queries.jsonl`
    """
    from training.evaluate_retrieval import evaluate as measure

    embedder = wiring.load_embedder(settings())
    with progress("Searching", quiet=as_json) as step:
        report = measure(faqs, queries, embedder, step=step)
    if as_json:
        print_json(report.figures())
    else:
        print_line(report.table())


@evaluate.command()
def answers(
    kb: Annotated[list[Path], typer.Option(help="Knowledge to answer from; may be repeated.")],
    golden: Annotated[Path, typer.Option(help="Questions with what a right answer holds.")],
    out: Annotated[
        Path | None, typer.Option(help="Write every reply here, as JSONL.", metavar="FILE")
    ] = None,
    as_json: Json = False,  # noqa: FBT002 - typer makes a flag of it
) -> None:
    """Ask every question of a golden set, and report what the answers hold, cite and refuse.

    The knowledge is indexed in a temporary folder; the index in use is not touched.

    Example: `deskhand eval answers --kb docs/ --golden golden.jsonl --out replies.jsonl`
    """
    from training.evaluate_answers import Report, evaluate_folder, load_golden, write_replies

    current = settings()
    questions = load_golden(golden)
    embedder = wiring.load_embedder(current)

    async def measure() -> Report:
        async with wiring.engine(current) as engine:
            await wiring.engine_ready(engine)
            with progress("Asking", quiet=as_json) as step:
                return await evaluate_folder(
                    kb,
                    questions,
                    embedder,
                    threshold=current.knowledge.answer_threshold,
                    generator=engine,
                    limits=wiring.limits(current),
                    form=wiring.prompt_form(current.engine.model),
                    step=step,
                )

    report = asyncio.run(measure())
    if out is not None:
        write_replies(out, report.replies)
    if as_json:
        print_json(report.figures())
    else:
        print_line(report.table())
        if out is not None:
            err.print(f"Replies are in {out}.")
