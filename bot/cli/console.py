"""What every command shares: the application object, settings, printing, errors.

Knows how to talk to a terminal; knows nothing of what the commands do.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bot import __version__, config, logs
from bot.config import Loaded, Settings
from knowledge.errors import DeskhandError

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

app = typer.Typer(
    name="deskhand",
    help="A support bot that answers from your documents, cites them, and says when it can't.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

_chosen: dict[str, Path] = {}

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for a script to read.")]


@app.callback()
def _before(
    config_file: Annotated[
        Path | None,
        typer.Option("--config", help="Settings file, instead of deskhand.toml.", metavar="FILE"),
    ] = None,
    version: Annotated[  # noqa: FBT002 - typer makes a flag of it, never a positional value
        bool, typer.Option("--version", help="Print the version and stop.")
    ] = False,
) -> None:
    if version:
        print_line(__version__)
        raise typer.Exit
    if config_file is not None:
        _chosen["file"] = config_file


def load(*, serving: bool = False) -> Loaded:
    """The settings, with logging set up by them.

    A command that answers and ends speaks for itself: only a server logs its course.
    """
    loaded = config.load(_chosen.get("file"))
    log = loaded.settings.log
    if not serving and log.level == "info":
        log = log.model_copy(update={"level": "warning"})
    logs.configure(log)
    return loaded


def settings(*, serving: bool = False) -> Settings:
    """The settings alone."""
    return load(serving=serving).settings


def print_line(text: str) -> None:
    """Print plain text: no markup, no wrapping, safe for what documents and people wrote."""
    out.print(text, markup=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print one JSON document; dataclasses become objects."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=_plain) + "\n")


def _plain(value: object) -> object:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


@contextmanager
def progress(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error; yields a function of (done, total)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=quiet) as bar:
        task = bar.add_task(what, total=None)

        def step(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield step


def run() -> None:
    """Run the application; a `DeskhandError` becomes two lines and exit status 2."""
    try:
        app()
    except DeskhandError as error:
        err.print(f"[bold red]{type(error).__name__}[/]", end=" ")
        err.print(error.message, markup=False, soft_wrap=True)
        if error.remedy:
            err.print(error.remedy, markup=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
