"""Commands about the knowledge: build its index, look at it, search it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bot.cli import wiring
from bot.cli.console import Json, err, out, print_json, print_line, progress, settings
from knowledge.types import Audience, Query

index = typer.Typer(help="Build and inspect the index over your documents.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(index, name="index")
    app.command()(search)


@index.command()
def build(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders, read recursively.")],
    audience: Annotated[
        Audience, typer.Option(help="Who may read files that do not say it themselves.")
    ] = Audience.CUSTOMER,
    as_json: Json = False,  # noqa: FBT002 - typer makes a flag of it
) -> None:
    """Read documents and build a new version of the index; only what changed is embedded.

    A running server takes the new version up by itself. Files that cannot be read are named,
    and the rest goes on. Text in a folder called `internal` is for staff only.

    Example: `deskhand index build docs/ faq.csv`
    """
    current = settings()
    with progress("Embedding", quiet=as_json) as step:
        built = wiring.build_index(current, paths, audience, step)
    if as_json:
        print_json(
            {
                "version": built.report.version,
                "files": built.files,
                "passages": built.report.passages,
                "embedded": built.report.embedded,
                "reused": built.report.reused,
                "seconds": round(built.report.seconds, 2),
                "audiences": built.per_audience,
                "problems": [asdict(problem) for problem in built.problems],
                "skipped": [asdict(problem) for problem in built.skipped],
            }
        )
        return
    for problem in built.problems:
        err.print(f"Not read: {problem.source}: {problem.message}", markup=False, soft_wrap=True)
    if built.skipped:
        err.print(f"{len(built.skipped)} files are of kinds that hold no knowledge.")
    whose = ", ".join(f"{count} for {audience}" for audience, count in built.per_audience.items())
    print_line(
        f"Index {built.report.version}: {built.report.passages} passages from "
        f"{built.files} files ({whose}; {built.report.embedded} embedded, "
        f"{built.report.reused} unchanged) in {built.report.seconds:.1f} s."
    )


@index.command()
def status(as_json: Json = False) -> None:  # noqa: FBT002 - typer makes a flag of it
    """Say which index is in use, what is in it, and whether it is whole.

    Example: `deskhand index status --json`
    """
    summary = wiring.index_summary(settings())
    if as_json:
        print_json(summary)
        return
    table = Table(show_header=False, box=None)
    for key, value in summary.items():
        table.add_row(key, str(value))
    out.print(table)


@index.command()
def rollback() -> None:
    """Go back to the previous version of the index.

    Example: `deskhand index rollback`
    """
    folder = wiring.index_folder(settings())
    print_line(f"The index in use is now {folder.rollback()}.")


def search(
    query: Annotated[str, typer.Argument(help="What to look for, in plain words.")],
    audience: Annotated[
        Audience, typer.Option(help="Whose knowledge to search.")
    ] = Audience.CUSTOMER,
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many passages to show.")] = 5,
    as_json: Json = False,  # noqa: FBT002 - typer makes a flag of it
) -> None:
    """Show the passages a question would be answered from, with their scores.

    Example: `deskhand search "how long is the warranty"`
    """
    current = settings()
    retriever = wiring.open_retriever(current, wiring.load_embedder(current))
    hits = asyncio.run(retriever.search(Query(query, audience, limit)))
    if as_json:
        print_json(hits)
        return
    print_line(f"Confidence {hits.confidence:.2f} · index {hits.index_version}")
    for place, hit in enumerate(hits.hits, 1):
        print_line(f"\n{place}. {hit.passage.title}  [{hit.score:.3f}]  {hit.passage.source}")
        print_line("   " + " ".join(hit.passage.text.split())[:300])
