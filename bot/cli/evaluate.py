"""Commands that measure: retrieval on a query set, answers on a golden set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot.cli.console import Json

evaluate = typer.Typer(help="Measure retrieval and answers.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(evaluate, name="eval")
