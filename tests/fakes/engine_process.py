"""Runs a real engine process, as the supervisor would, for tests that talk to its socket."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

ROOT = Path(__file__).resolve().parents[2]


class EngineProcess:
    """`python -m bot.engine` with options on its standard input; a context manager."""

    def __init__(self, model: Path, *, key: str = "test-key", **options: object) -> None:
        self.key = key
        self.url = ""
        self._options = {
            "model": str(model),
            "key": key,
            "device": "cpu",
            "dtype": "float32",
            "threads": 1,
            **options,
        }

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bot.engine"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            text=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(self._options) + "\n")
        self.process.stdin.flush()
        self.url = self.news()["url"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()  # what a dead supervisor looks like to it
        self.process.wait(timeout=30)
        self.process.stdout.close()

    def news(self) -> dict[str, str]:
        """The next thing it says about itself."""
        assert self.process.stdout is not None
        said: dict[str, str] = json.loads(self.process.stdout.readline())
        return said

    def wait_healthy(self, seconds: float = 120) -> None:
        """Return once it may serve."""
        deadline = time.monotonic() + seconds
        # Long: while it imports, a busy machine may keep it from answering for seconds.
        with httpx.Client(trust_env=False, timeout=60) as http:
            while time.monotonic() < deadline:
                assert self.process.poll() is None, self.news()
                if http.get(f"{self.url}/health").status_code == 200:
                    return
                time.sleep(0.1)
        raise AssertionError("the engine did not become healthy")
