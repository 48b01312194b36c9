"""The command line, and the composition root: it may import everything, nothing imports it.

Each module here adds the commands of one subject to `app`. Heavy libraries are imported inside
the commands, so that `deskhand --help` answers at once.
"""

from __future__ import annotations

import functools

from bot.cli import (
    ask,
    doctor,
    evaluate,
    evaluate_models,
    index,
    models,
    review,
    serve,
    slack,
    telegram,
    train,
    tune,
)
from bot.cli.console import app, run


@functools.cache
def register_all() -> None:
    """Add every command to `app`, once."""
    chat = (serve, ask, slack, telegram)
    workshop = (evaluate, evaluate_models, review, train, tune, models)
    for subject in (*chat, index, *workshop, doctor):
        subject.register(app)


def main() -> None:
    """Run `deskhand`; the entry point of the installed command and of `python -m bot`."""
    register_all()
    run()
