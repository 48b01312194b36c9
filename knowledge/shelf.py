"""Passages on disk: one JSON line each, read when asked for.

Knows how a passage is written down. Opening a shelf of any size takes the same time, since
only the line starts are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from knowledge.errors import IndexCorrupt
from knowledge.types import Audience, Passage

LINES = "passages.jsonl"
STARTS = "passages.starts.npy"


def save(folder: Path, passages: Iterable[Passage]) -> None:
    """Write passages in order. Raises OSError."""
    starts = [0]
    with (folder / LINES).open("wb") as out:
        for passage in passages:
            line = json.dumps(_fields(passage), ensure_ascii=False).encode() + b"\n"
            out.write(line)
            starts.append(starts[-1] + len(line))
    np.save(folder / STARTS, np.asarray(starts, np.int64))


class Shelf(Sequence[Passage]):
    """The passages that `save` wrote, by row: for one audience, which is checked once more."""

    def __init__(self, folder: Path, audience: Audience) -> None:
        self._folder = folder
        self._audience = audience
        self._starts = np.load(folder / STARTS)
        lines = folder / LINES
        # An empty file cannot be mapped.
        size = lines.stat().st_size
        self._bytes = np.memmap(lines, np.uint8, "r") if size else np.empty(0, np.uint8)
        if self._starts.ndim != 1 or not len(self._starts) or self._starts[-1] != size:
            raise ValueError(f"{STARTS} does not fit {LINES}")

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, row: int) -> Passage: ...
    @overload
    def __getitem__(self, row: slice) -> list[Passage]: ...
    def __getitem__(self, row: int | slice) -> Passage | list[Passage]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row %= len(self)
        begin, end = self._starts[row : row + 2]
        passage = _passage(self._bytes[begin:end].tobytes())
        if not self._audience.may_read(passage.audience):
            # Cannot happen unless a build went wrong; then nothing must be shown.
            raise IndexCorrupt(
                f"{self._folder / LINES} holds a passage that is not for {self._audience}.",
                "Rebuild the index with `deskhand index build`.",
            )
        return passage

    def __iter__(self) -> Iterator[Passage]:
        return (self[row] for row in range(len(self)))


def _fields(passage: Passage) -> dict[str, object]:
    return {
        "id": passage.id,
        "text": passage.text,
        "source": passage.source,
        "title_path": passage.title_path,
        "anchor": passage.anchor,
        "question": passage.question,
        "audience": passage.audience.value,
        "lang": passage.lang,
        "url": passage.url,
    }


def _passage(line: bytes) -> Passage:
    fields = json.loads(line)
    fields["title_path"] = tuple(fields["title_path"])
    fields["audience"] = Audience(fields["audience"])
    return Passage(**fields)
