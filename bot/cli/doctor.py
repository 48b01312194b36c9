"""Commands about the installation: what is configured, what will serve, what to do next."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import psutil
import typer
from rich.table import Table

from bot import config as configuration
from bot.cli import wiring
from bot.cli.console import Json, load, out, print_json, print_line
from bot.config import Settings
from knowledge.errors import DeskhandError

State = Literal["ok", "note", "problem"]
MARKS = {"ok": "[green]✓[/]", "note": "[yellow]·[/]", "problem": "[red]✗[/]"}

database = typer.Typer(help="Look after the database.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report; `next_step` is empty when nothing is to be done."""

    subject: str
    state: State
    says: str
    next_step: str = ""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(doctor)
    app.command(name="config")(show_config)
    app.add_typer(database, name="db")


@database.command()
def upgrade() -> None:
    """Bring the database to this version's schema; safe to run again.

    Example: `deskhand db upgrade`
    """
    current = load().settings
    print_line(f"The database is at revision {wiring.upgrade_database(current)}.")


def show_config(as_json: Json = False) -> None:  # noqa: FBT002 - typer makes a flag of it
    """Show every setting, its value and where it came from. Secrets stay hidden.

    Example: `deskhand config`
    """
    loaded = load()
    rows = list(loaded.rows())
    if as_json:
        print_json([{"name": n, "value": v, "origin": o} for n, v, o in rows])
        return
    table = Table("setting", "value", "from", "what it is", box=None)
    for name, value, origin in rows:
        table.add_row(name, value, origin, configuration.describe(name))
    out.print(table)


def doctor(as_json: Json = False) -> None:  # noqa: FBT002 - typer makes a flag of it
    """Say what is configured, what hardware there is, what will serve, and what to do next.

    Exit status 1 if something stops the bot from serving.

    Example: `deskhand doctor`
    """
    loaded = load()
    findings = list(examine(loaded.settings))
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            out.print(MARKS[finding.state], end=" ")
            print_line(f"{finding.subject}: {finding.says}")
            if finding.next_step:
                print_line(f"    → {finding.next_step}")
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything the bot stands on, one finding each."""
    yield _hardware()
    yield _data_folder(settings)
    yield _database(settings)
    yield _embedder(settings)
    yield _index(settings)
    yield _engine(settings)
    yield _server(settings)


def _hardware() -> Finding:
    import torch

    memory = psutil.virtual_memory()
    card = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA card"
    return Finding(
        "Hardware",
        "ok",
        f"{os.cpu_count()} cores, {memory.total / 2**30:.0f} GiB of memory, {card}; "
        f"Python {platform.python_version()}, torch {torch.__version__}",
    )


def _data_folder(settings: Settings) -> Finding:
    home = settings.home.absolute()
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(place, os.W_OK):
        return Finding(
            "Data folder",
            "problem",
            f"{home} cannot be written to",
            "Give this user the folder, or set `home` to another.",
        )
    free = shutil.disk_usage(place).free / 2**30
    return Finding("Data folder", "ok" if free > 1 else "note", f"{home}, {free:.0f} GiB free")


def _database(settings: Settings) -> Finding:
    try:
        return Finding("Database", "ok", wiring.describe_database(settings))
    except DeskhandError as error:
        return Finding("Database", "problem", error.message, error.remedy)


def _embedder(settings: Settings) -> Finding:
    try:
        embedder = wiring.load_embedder(settings)
    except DeskhandError as error:
        return Finding("Embedder", "problem", error.message, error.remedy)
    return Finding("Embedder", "ok", f"{embedder.name}, {embedder.dim} dimensions")


def _index(settings: Settings) -> Finding:
    try:
        summary = wiring.index_summary(settings)
    except DeskhandError as error:
        return Finding("Index", "problem", error.message, error.remedy)
    return Finding("Index", "ok", f"version {summary['version']}, {summary['passages']} passages")


def _engine(settings: Settings) -> Finding:
    engine = settings.engine
    if engine.url:
        return Finding("Engine", "ok", f"{engine.url} (model {engine.model or 'its first'})")
    if not engine.model:
        return Finding(
            "Engine",
            "note",
            "no model: answers are quotes from the passages, cited",
            "To generate answers set `engine.model` to a Hugging Face model or folder.",
        )
    try:
        return Finding("Engine", "ok", wiring.describe_model(settings))
    except DeskhandError as error:
        return Finding("Engine", "problem", error.message, error.remedy)


def _server(settings: Settings) -> Finding:
    server = settings.server
    where = server.public_url or f"http://{server.host}:{server.port}"
    return Finding("Chat page", "ok", f"will open at {where}", "Start it with `deskhand serve`.")
