"""One version of the index, open for searching: a view per audience.

Knows how the parts of a view belong together: passages, lexical index, token vectors and two
vector indexes, all with the same rows. Does not know how results are ranked, and cannot reach
another audience's files: a view is given one folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from knowledge import shelf
from knowledge.errors import EmbedderMismatch, IndexCorrupt
from knowledge.lexical import Lexical
from knowledge.manifest import REBUILD, Manifest
from knowledge.tokens import TokenStore
from knowledge.types import Audience, Passage
from knowledge.vectors import FloatArray, RowArray, Sizes, VectorIndex

Field = Literal["question", "answer"]

LEXICAL = "lexical"
TOKENS = "tokens"
STARTS = "answer.starts.npy"


class View:
    """What one audience may search. Read-only, safe in any thread.

    A passage is a row, the same in every part. Its question field has one vector; its answer
    field has one or more (a long text is embedded in overlapping windows), of which the
    nearest counts.
    """

    def __init__(
        self,
        passages: Sequence[Passage],
        lexical: Lexical,
        tokens: TokenStore,
        vectors: tuple[VectorIndex, VectorIndex],
        starts: RowArray,
    ) -> None:
        self.passages = passages
        self.lexical = lexical
        self.tokens = tokens
        self._question, self._answer = vectors
        self._starts = starts  # (n + 1,) where each passage's answer vectors begin

    @classmethod
    def load(cls, folder: Path, audience: Audience) -> View:
        """Open a folder whose files were verified. Raises `IndexCorrupt` if parts disagree.

        A passage that `audience` may not read raises `IndexCorrupt` when it is asked for.
        """
        try:
            passages = shelf.Shelf(folder, audience)
            lexical = Lexical.load(folder / LEXICAL)
            tokens = TokenStore.load(folder / TOKENS)
            question = VectorIndex.load(_file(folder, "question"))
            answer = VectorIndex.load(_file(folder, "answer"))
            starts = np.load(folder / STARTS)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise IndexCorrupt(f"The index in {folder} is unreadable: {error}.", REBUILD) from None
        rows = len(passages)
        whole = (
            question.count == rows
            and starts.shape == (rows + 1,)
            and starts[0] == 0
            and starts[-1] == answer.count
            and bool((np.diff(starts) > 0).all())
            and len(lexical) == rows
            and len(tokens) == rows
        )
        if not whole:
            raise IndexCorrupt(
                f"The parts of the index in {folder} disagree: {rows} passages, "
                f"{question.count} question and {answer.count} answer vectors, "
                f"{len(lexical)} lexical rows, {len(tokens)} rows of token vectors.",
                REBUILD,
            )
        return cls(passages, lexical, tokens, (question, answer), starts)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._question.dim

    @property
    def vectors(self) -> dict[str, int]:
        """How many vectors each field has."""
        return {"question": self._question.count, "answer": self._answer.count}

    def dense(self, field: Field, vector: FloatArray, k: int) -> tuple[RowArray, FloatArray]:
        """The `k` passages nearest to a (dim,) unit vector: rows and cosines, nearest first."""
        self._fits(vector)
        if field == "question":
            return self._question.search(vector, k)
        count, passages = self._answer.count, len(self.passages)
        want = min(k, passages)
        # A passage comes once per window, so ask for more windows until there are enough rows.
        ask = min(count, want * max(2, -(-count // max(1, passages))))
        while True:
            windows, sims = self._answer.search(vector, ask)
            rows = np.searchsorted(self._starts, windows, side="right") - 1
            _, first = np.unique(rows, return_index=True)
            # Fewer than asked for: an approximate index has no more to give.
            if len(first) >= want or ask >= count or len(windows) < ask:
                best = np.sort(first)[:want]
                return rows[best].astype(np.int64), sims[best]
            ask = min(count, ask * 2)

    def dense_at(self, field: Field, vector: FloatArray, rows: RowArray) -> FloatArray:
        """Exact cosines of these rows with a (dim,) unit vector, whatever the kind of index."""
        self._fits(vector)
        rows = np.asarray(rows, np.int64)
        if not len(rows):
            return np.empty(0, np.float32)
        if field == "question":
            sims: FloatArray = self._question.at(rows) @ vector
            return sims
        windows, begins = self._windows_of(rows)
        best: FloatArray = np.maximum.reduceat(self._answer.at(windows) @ vector, begins)
        return best

    def vectors_of(self, row: int) -> tuple[FloatArray, FloatArray]:
        """A passage's question vector (1, dim) and answer vectors (m, dim), as they are stored."""
        windows, _ = self._windows_of(np.asarray([row]))
        return self._question.at(np.asarray([row])), self._answer.at(windows)

    def _windows_of(self, rows: RowArray) -> tuple[RowArray, RowArray]:
        """Answer vectors of these passages, and where each passage's begin among them."""
        counts = self._starts[rows + 1] - self._starts[rows]
        begins = np.concatenate(([0], np.cumsum(counts)[:-1]))
        windows = np.arange(counts.sum()) + np.repeat(self._starts[rows] - begins, counts)
        return windows, begins

    def _fits(self, vector: FloatArray) -> None:
        if vector.shape != (self.dim,):
            raise EmbedderMismatch(
                f"The index holds vectors of {self.dim} numbers; the query has {vector.shape}.",
                "Search with the embedding model the index was built with.",
            )


@dataclass(frozen=True, slots=True)
class Rows:
    """Passages with their vectors, ready to be written as a view."""

    passages: Sequence[Passage]
    tokens: TokenStore
    question: FloatArray  # (n, dim)
    answer: FloatArray  # (windows, dim)
    starts: RowArray  # (n + 1,)

    def only(self, rows: Iterable[int]) -> Rows:
        """A part of these rows, copied: nothing of the others is left in it."""
        kept = list(rows)
        if len(kept) == len(self.passages):
            return self
        pieces = [np.arange(self.starts[row], self.starts[row + 1]) for row in kept]
        counts = [len(piece) for piece in pieces]
        windows = np.concatenate(pieces) if pieces else np.empty(0, np.int64)
        return Rows(
            [self.passages[row] for row in kept],
            TokenStore.build(self.question.shape[1], (self.tokens.take(row) for row in kept)),
            self.question[kept],
            self.answer[windows],
            np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        )

    def save(self, folder: Path, sizes: Sizes) -> dict[str, int]:
        """Write a view's files; returns its counts. Raises OSError, `IndexUnwritable`."""
        folder.mkdir(parents=True)
        shelf.save(folder, self.passages)
        np.save(folder / STARTS, self.starts)
        for part in (LEXICAL, TOKENS):
            (folder / part).mkdir()
        Lexical.build(self.passages).save(folder / LEXICAL)
        self.tokens.save(folder / TOKENS)
        VectorIndex.build(self.question, sizes).save(_file(folder, "question"))
        VectorIndex.build(self.answer, sizes).save(_file(folder, "answer"))
        return {
            "passages": len(self.passages),
            "question": len(self.question),
            "answer": len(self.answer),
        }


class OpenIndex:
    """A verified version of the index. Stays usable after its folder was replaced or removed."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.version = manifest.version
        self.created = manifest.created
        self.embedder_name = manifest.embedder
        self.fingerprint = manifest.fingerprint
        self.dim = manifest.dim
        for audience, name in manifest.views.items():
            if not Audience(audience).may_read(Audience(name)):
                raise IndexCorrupt(
                    f"The index in {folder} shows {name} passages to the audience {audience!r}.",
                    REBUILD,
                )
        opened = {
            name: View.load(folder / name, Audience(name))
            for name in sorted(set(manifest.views.values()))
        }
        for name, view in opened.items():
            counts = {"passages": len(view.passages), **view.vectors}
            if counts != manifest.counts.get(name) or view.dim != manifest.dim:
                raise IndexCorrupt(
                    f"The index in {folder / name} holds {counts} in {view.dim} dimensions; its "
                    f"manifest says {manifest.counts.get(name)} in {manifest.dim}.",
                    REBUILD,
                )
        self._views = {Audience(one): opened[name] for one, name in manifest.views.items()}

    def view(self, audience: Audience) -> View:
        """What this audience may search: customer passages only, or everything."""
        return self._views[audience]

    @property
    def counts(self) -> dict[str, int]:
        """Passages by audience of the asker."""
        return {one.value: len(view.passages) for one, view in self._views.items()}


def _file(folder: Path, field: Field) -> Path:
    return folder / f"{field}.faiss"
