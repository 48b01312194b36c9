"""Token vectors of every passage, in eight bits, for late interaction.

Knows how well each word of a query, in its context, is met by some word of a passage. Does not
know where token vectors come from, nor how the scores are weighed against others.

Late interaction ("MaxSim") after Khattab and Zaharia, "ColBERT" (SIGIR 2020), over the vectors
of an ordinary sentence embedder and with the query's tokens weighted by their rarity.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from knowledge.embed import TokenVectors

FloatArray = npt.NDArray[np.float32]
RowArray = npt.NDArray[np.int64]
IdArray = npt.NDArray[np.int32]
ByteArray = npt.NDArray[np.int8]

QUERY_TOKENS = 64
"""Tokens of a query that are compared: a longer one is a pasted text, and its start says most."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One passage's token vectors as they are stored: `build` takes them over unchanged."""

    ids: IdArray  # (t,)
    vectors: ByteArray  # (t, dim)
    scales: FloatArray  # (t,) what makes each stored vector a unit vector
    lengths: npt.NDArray[np.int32]  # tokens of each text: the question, then each window


@dataclass(frozen=True, slots=True)
class Late:
    """How some passages meet a query, token by token. Arrays are (rows,), cosines.

    Means over the query's tokens of each one's best cosine, weighted by rarity: with the
    question or heading alone (`question`), with the best single window (`window`), with the
    whole passage (`whole`; `flat` is the same unweighted, `rare` with squared weights).
    `asked` turns it round: how well the question's own tokens are met by the query.
    """

    question: FloatArray
    window: FloatArray
    whole: FloatArray
    flat: FloatArray
    rare: FloatArray
    asked: FloatArray


class TokenStore:
    """Token vectors of a view's passages, by row. Read-only, safe in any thread."""

    def __init__(
        self,
        vectors: ByteArray,
        scales: FloatArray,
        ids: IdArray,
        texts: RowArray,
        rows: RowArray,
        df: IdArray,
    ) -> None:
        self._vectors = vectors  # (tokens, dim)
        self._scales = scales  # (tokens,) what makes each stored vector a unit vector
        self._ids = ids  # (tokens,)
        self._texts = texts  # (texts + 1,) where each text's tokens begin
        self._rows = rows  # (n + 1,) where each passage's texts begin
        self._df = df  # (largest id + 1,) passages that hold each token id

    def __len__(self) -> int:
        return len(self._rows) - 1

    @classmethod
    def build(cls, dim: int, passages: Iterable[Sequence[TokenVectors] | Taken]) -> TokenStore:
        """Store passages in turn; of each, its question's tokens and then each window's.

        `passages` is consumed lazily, and what is stored waits on the disk, not in memory.
        """
        ids: list[IdArray] = []
        scales: list[FloatArray] = [np.empty(0, np.float32)]
        lengths: list[int] = []
        rows = [0]
        with tempfile.TemporaryFile() as spool:
            for passage in passages:
                taken = passage if isinstance(passage, Taken) else _quantised(dim, passage)
                taken.vectors.tofile(spool)
                ids.append(taken.ids)
                scales.append(taken.scales)
                lengths.extend(int(length) for length in taken.lengths)
                rows.append(len(lengths))
            spool.flush()
            count = sum(len(one) for one in ids)
            vectors: ByteArray = np.empty((0, dim), np.int8)
            if count:  # the map keeps the nameless file alive after it is closed
                vectors = np.memmap(spool, np.int8, "r", shape=(count, dim))
        texts = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
        present = [np.unique(one) for one in ids]
        every = np.concatenate([np.empty(0, np.int32), *present])
        return cls(
            vectors,
            np.concatenate(scales),
            np.concatenate([np.empty(0, np.int32), *ids]),
            texts,
            np.asarray(rows, np.int64),
            np.bincount(every).astype(np.int32),
        )

    def take(self, row: int) -> Taken:
        """What `build` accepts for this passage in another store."""
        texts = self._texts[self._rows[row] : self._rows[row + 1] + 1]
        span = slice(texts[0], texts[-1])
        return Taken(
            np.array(self._ids[span]),
            np.array(self._vectors[span]),
            np.array(self._scales[span]),
            np.diff(texts).astype(np.int32),
        )

    def save(self, folder: Path) -> None:
        """Write plain .npy and .json files into an existing folder."""
        for name, part in self._parts().items():
            np.save(folder / f"{name}.npy", part)
        shape = {"dim": self._vectors.shape[1], "rows": len(self)}
        (folder / "tokens.json").write_text(json.dumps(shape), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> TokenStore:
        """Open what `save` wrote, mapped. Raises OSError or ValueError when it is not whole."""
        vectors, scales, ids, texts, rows, df = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in ("vectors", "scales", "ids", "texts", "rows", "df")
        )
        if not (
            texts[-1] == len(vectors) == len(scales) == len(ids) and rows[-1] == len(texts) - 1
        ):
            raise ValueError("the token vectors do not match their offsets")
        return cls(vectors, scales, ids, np.asarray(texts), np.asarray(rows), np.asarray(df))

    def _parts(self) -> dict[str, npt.NDArray[np.generic]]:
        return {
            "vectors": self._vectors,
            "scales": self._scales,
            "ids": self._ids,
            "texts": self._texts,
            "rows": self._rows,
            "df": self._df,
        }

    def rarity(self, ids: IdArray) -> FloatArray:
        """The idf of token ids among the passages, (t,)."""
        counts = np.zeros(len(ids), np.int64)
        held = ids < len(self._df)
        counts[held] = self._df[ids[held]]
        weights: FloatArray = np.log1p((len(self) - counts + 0.5) / (counts + 0.5)).astype(
            np.float32
        )
        return weights

    def late(self, query: TokenVectors, rows: RowArray) -> Late:
        """Compare a query, token by token, with these passages."""
        ids, wanted = query.ids[:QUERY_TOKENS], query.vectors[:QUERY_TOKENS]
        if not len(rows) or not len(ids):
            return Late(*np.zeros((6, len(rows)), np.float32))
        first, last = self._texts[self._rows[rows]], self._texts[self._rows[rows + 1]]
        spans = [slice(a, b) for a, b in zip(first, last, strict=True)]
        stored = np.concatenate([self._vectors[span] for span in spans])
        scales = np.concatenate([self._scales[span] for span in spans])
        sims = (stored.astype(np.float32) @ wanted.T) * scales[:, None]
        # where each text of each passage begins and ends among these tokens
        texts = np.concatenate([np.arange(self._rows[row], self._rows[row + 1]) for row in rows])
        counts = self._texts[texts + 1] - self._texts[texts]
        per_row = self._rows[rows + 1] - self._rows[rows]
        questions = np.concatenate(([0], np.cumsum(per_row)[:-1]))
        nearest = _segment_max(sims, counts)
        weights = self.rarity(ids)
        weights = weights / max(float(weights.sum()), 1e-6)
        rare = weights**2 / max(float((weights**2).sum()), 1e-9)
        whole = np.maximum.reduceat(nearest, questions)
        # a window counts from the second text on; a passage without one has its question
        window = nearest @ weights
        question = window[questions]
        window[questions[per_row > 1]] = 0.0
        return Late(
            question,
            np.maximum.reduceat(window, questions),
            whole @ weights,
            whole.mean(1),
            whole @ rare,
            self._asked(sims, counts, questions, np.concatenate([self._ids[s] for s in spans])),
        )

    def _asked(
        self, sims: FloatArray, counts: RowArray, questions: RowArray, ids: IdArray
    ) -> FloatArray:
        """How well each question's own tokens are met by the query, weighted by rarity."""
        begins = np.concatenate(([0], np.cumsum(counts)[:-1]))[questions]
        lengths = counts[questions]
        owner = np.repeat(np.arange(len(questions)), lengths)
        inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        tokens = np.repeat(begins, lengths) + inside
        weights = self.rarity(ids[tokens])
        met = np.bincount(owner, weights * sims[tokens].max(1), len(questions))
        mass = np.bincount(owner, weights, len(questions))
        shares: FloatArray = (met / np.maximum(mass, 1e-6)).astype(np.float32)
        return shares


def _segment_max(values: FloatArray, counts: RowArray) -> FloatArray:
    """The largest of each run of rows, (runs, columns); zero for an empty run."""
    found = np.zeros((len(counts), values.shape[1]), np.float32)
    filled = counts > 0
    if filled.any():
        begins = np.concatenate(([0], np.cumsum(counts)[:-1]))
        found[filled] = np.maximum.reduceat(values, begins[filled])
    return found


def _quantised(dim: int, texts: Sequence[TokenVectors]) -> Taken:
    """Each vector scaled so that its largest number fills eight bits."""
    vectors = np.concatenate([np.empty((0, dim), np.float32), *(one.vectors for one in texts)])
    peaks = np.maximum(np.abs(vectors).max(1, initial=0.0), 1e-6)
    stored = np.rint(vectors * (127.0 / peaks)[:, None])
    return Taken(
        np.concatenate([np.empty(0, np.int32), *(one.ids for one in texts)]).astype(np.int32),
        stored.astype(np.int8),
        (1.0 / np.maximum(np.linalg.norm(stored, axis=1), 1.0)).astype(np.float32),
        np.asarray([len(one.ids) for one in texts], np.int32),
    )
