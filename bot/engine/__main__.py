"""`python -m bot.engine`: an engine under supervision.

Reads its options, key included, as one JSON line from standard input, so that no secret is on
a command line; then watches standard input, which ends when the supervisor does, however it
does. Standard output carries only news for the supervisor, one JSON object per line; whatever
a library prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import threading

from bot.config import LogSettings
from bot.engine.process import EXIT_REJECTED, EngineOptions, serve
from bot.logs import configure
from knowledge.errors import DeskhandError


def main() -> int:
    """Run one supervised engine; its exit status."""
    news = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(**about: str) -> None:
        print(json.dumps(about), file=news, flush=True)

    configure(LogSettings(level="info", format="json", text=False))
    options = EngineOptions(**json.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    try:
        return serve(options, listening=lambda url: tell(event="listening", url=url))
    except DeskhandError as error:
        tell(event="rejected", message=error.message, remedy=error.remedy)
        return EXIT_REJECTED


def _end_with_supervisor() -> None:
    """End at once when the other end of standard input is closed, kill -9 included."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    status = main()
    # A thread that is still loading weights must not keep a stopped engine alive.
    sys.stderr.flush()
    os._exit(status)
