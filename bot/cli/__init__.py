"""The command line, and the composition root: it may import everything, nothing imports it.

Each module here adds the commands of one subject to `app`. Heavy libraries are imported inside
the commands, so that `deskhand --help` answers at once.
"""

from __future__ import annotations

import functools

from bot.cli import ask, doctor, evaluate, index, models, review, serve, slack, telegram, train
from bot.cli.console import app, run


@functools.cache
def register_all() -> None:
    """Add every command to `app`, once."""
    for subject in (serve, ask, index, evaluate, slack, telegram, review, train, models, doctor):
        subject.register(app)


def main() -> None:
    """Run `deskhand`; the entry point of the installed command and of `python -m bot`."""
    register_all()
    run()
