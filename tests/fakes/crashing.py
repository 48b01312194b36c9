"""Index builds that are killed, or find the disk full, in processes of their own.

Run as `python -m tests.fakes.crashing killed|full FOLDER`; prints what happened as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from knowledge.errors import IndexUnwritable
from knowledge.index import IndexFolder
from knowledge.types import Audience
from tests.fakes.embedder import WordEmbedder
from tests.fakes.passages import PASSAGES, faq

OLD, NEW, AFTER = PASSAGES[:3], PASSAGES[1:4], PASSAGES[2:4]
TOUCHES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}


class Stepping:
    """Kills this process at its n-th step on the file system; at 0 it only counts.

    Steps are every open, mkdir, rename, remove and fsync that Python makes for the folder.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.seen = 0
        self._number = number
        self._folder = str(folder)
        sys.addaudithook(self._hook)
        self._fsync = os.fsync
        setattr(os, "fsync", self._sync)  # noqa: B010 - mypy refuses the plain assignment

    def _step(self) -> None:
        self.seen += 1
        if self.seen == self._number:
            os.kill(os.getpid(), signal.SIGKILL)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in TOUCHES and self._folder in str(arguments[0]):
            self._step()

    def _sync(self, handle: Any) -> None:
        self._step()
        self._fsync(handle)


def build_in_a_child(first: Path, place: Path, number: int) -> int:
    """Copy the index and build NEW into the copy, killed at a step; returns the exit code."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(first, place)
    child = os.fork()
    if not child:
        code = 3
        try:
            stepping = Stepping(place, number)
            IndexFolder(place).build(NEW, WordEmbedder())
            place.with_name("steps").write_text(str(stepping.seen))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def ids(folder: IndexFolder) -> list[str]:
    return [one.id for one in folder.open().view(Audience.INTERNAL).passages]


def killed(root: Path) -> list[dict[str, object]]:
    """Kill builds at steps spread over the whole build, and at every one of the last."""
    first = IndexFolder(root / "first")
    first.build([faq(50)], WordEmbedder())
    before = first.build(OLD, WordEmbedder()).version
    place = root / "copy"
    assert build_in_a_child(first.path, place, 0) == 0
    steps = int((root / "steps").read_text())
    outcomes: list[dict[str, object]] = []
    spread = set(range(1, steps + 1, max(1, steps // 24)))
    for number in sorted(spread | set(range(steps - 14, steps + 1))):
        code = build_in_a_child(first.path, place, number)
        folder = IndexFolder(place)
        old = folder.current_version() == before
        whole = ids(folder) == [one.id for one in (OLD if old else NEW)]
        folder.build(AFTER, WordEmbedder())
        outcomes.append(
            {
                "step": number,
                "code": code,
                "old": old,
                "whole": whole,
                "rerun": ids(folder) == [one.id for one in AFTER],
                "versions": len(folder.versions()),
                "left": sorted(one.name for one in place.iterdir()),
            }
        )
    return outcomes


def full(root: Path) -> list[dict[str, object]]:
    """Let no file grow beyond a size, which is how the kernel lets a test fill the disk."""
    folder = IndexFolder(root / "index")
    version = folder.build(OLD, WordEmbedder()).version
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    outcomes: list[dict[str, object]] = []
    for size in (0, 10, 100, 300, 600, 1000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
        said = ""
        try:
            folder.build(PASSAGES, WordEmbedder())
        except IndexUnwritable as error:
            said = str(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        same = folder.open().version == version
        left = sorted(one.name for one in folder.path.iterdir())
        outcomes.append({"said": said, "same": same, "left": left})
    folder.build(PASSAGES, WordEmbedder())
    outcomes.append({"passages": len(ids(folder))})
    return outcomes


if __name__ == "__main__":
    done = {"killed": killed, "full": full}[sys.argv[1]](Path(sys.argv[2]))
    sys.stdout.write(json.dumps(done))
