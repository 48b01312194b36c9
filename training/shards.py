"""Token shards: documents as files of packed token ids, read through the page cache.

Knows files, hashes and windows; does not know models. Documents follow one another, each ended
by a token of its own, and windows are cut regardless of where documents end (packing; Brown et
al. 2020, Raffel et al. 2020): no computation is spent on padding. Windows come in an order that
is a pure function of seed and position, so that a resumed run sees exactly what an uninterrupted
one does.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from training.corpus import Document
from training.errors import DataMissing, ShardCorrupt
from training.tokenizer import END_OF_TEXT, Encoder

MANIFEST = "shards.json"
SHARD_TOKENS = 1 << 22
Split = Literal["train", "held"]


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of token ids."""

    name: str
    tokens: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """All shards of one split. `text_bytes` is the size of the texts they were made from."""

    shards: tuple[Shard, ...]
    documents: int
    text_bytes: int

    @property
    def tokens(self) -> int:
        """How many tokens there are in all."""
        return sum(shard.tokens for shard in self.shards)


def write(
    folder: Path,
    splits: Mapping[Split, Iterable[Document]],
    encoder: Encoder,
    vocabulary: int,
    *,
    shard_tokens: int = SHARD_TOKENS,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write the shards of both splits, and last their manifest.

    A folder without a manifest is an unfinished one. `facts` are kept in the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = np.dtype("<u2" if vocabulary <= 1 << 16 else "<u4")
    parts = {
        split: _write_split(folder, split, documents, encoder, kind, shard_tokens)
        for split, documents in splits.items()
    }
    manifest = {
        "version": 1,
        "dtype": kind.str,
        "splits": {split: asdict(part) for split, part in parts.items()},
        "facts": dict(facts or {}),
    }
    draft = folder / f".{MANIFEST}.tmp"
    draft.write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")
    draft.replace(folder / MANIFEST)


def _write_split(
    folder: Path,
    split: str,
    documents: Iterable[Document],
    encoder: Encoder,
    kind: np.dtype[Any],
    shard_tokens: int,
) -> Part:
    shards: list[Shard] = []
    waiting: list[int] = []
    count = size = 0

    def flush(upto: int) -> None:
        data = np.asarray(waiting[:upto], dtype=kind).tobytes()
        name = f"{split}-{len(shards):05}.bin"
        (folder / name).write_bytes(data)
        shards.append(Shard(name, upto, hashlib.sha256(data).hexdigest()))
        del waiting[:upto]

    for document in documents:
        waiting += ids_of(document, encoder)
        count += 1
        size += len(document.whole.encode())
        while len(waiting) >= shard_tokens:
            flush(shard_tokens)
    if waiting:
        flush(len(waiting))
    return Part(tuple(shards), count, size)


def ids_of(document: Document, encoder: Encoder) -> list[int]:
    """A document's token ids, ended by the end-of-text token."""
    body = encoder.turns(document.turns) if document.turns else encoder.text(document.text)
    return [*body, encoder.special(END_OF_TEXT)]


def facts_of(folder: Path) -> dict[str, Any]:
    """What was noted when the shards were written. Raises `DataMissing`, `ShardCorrupt`."""
    return dict(_manifest(folder)["facts"])


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise DataMissing(f"There are no token shards in {folder}.", "Prepare the data first.")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ShardCorrupt(f"{path} is not readable JSON.", "Delete the folder and prepare "
                           "the data again.") from error  # fmt: skip


class Shards:
    """One split, open for reading; token ids stay on the disk until they are needed."""

    def __init__(self, folder: Path, split: Split) -> None:
        """Open and verify. Raises `DataMissing`, or `ShardCorrupt` naming the file."""
        manifest = _manifest(folder)
        found = manifest["splits"][split]
        self.part = Part(
            tuple(Shard(**shard) for shard in found["shards"]),
            found["documents"],
            found["text_bytes"],
        )
        kind = np.dtype(manifest["dtype"])
        self._files = [_open(folder / shard.name, shard, kind) for shard in self.part.shards]
        self._starts = np.cumsum([0, *(shard.tokens for shard in self.part.shards)])

    def __len__(self) -> int:
        return self.part.tokens

    def read(self, start: int, length: int) -> npt.NDArray[np.int64]:
        """Token ids from `start`, (length,); shorter at the end."""
        pieces = []
        end = min(start + length, len(self))
        while start < end:
            number = int(np.searchsorted(self._starts, start, side="right")) - 1
            inside = start - int(self._starts[number])
            piece = self._files[number][inside : inside + end - start]
            pieces.append(piece.astype(np.int64))
            start += len(piece)
        return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)

    def counts(self, vocabulary: int) -> npt.NDArray[np.int64]:
        """How often each token occurs, (vocabulary,)."""
        total = np.zeros(vocabulary, dtype=np.int64)
        for file in self._files:
            total += np.bincount(file, minlength=vocabulary)
        return total


def _open(path: Path, shard: Shard, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    remedy = "Delete the folder of shards and prepare the data again."
    if not path.is_file():
        raise ShardCorrupt(f"{path} is missing.", remedy)
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
            raise ShardCorrupt(f"{path} is not the file that was written.", remedy)
    return np.memmap(path, dtype=kind, mode="r")


class Windows:
    """A split cut into windows of `context` tokens, each with the token that follows it.

    Every window is seen once in each epoch, in an order of that epoch's own.
    """

    def __init__(self, shards: Shards, context: int, seed: int = 0) -> None:
        """Raises `DataMissing` when there is less than one window."""
        self.shards = shards
        self.context = context
        self._seed = seed
        self._count = (len(shards) - 1) // context
        if self._count < 1:
            raise DataMissing(
                f"There are {len(shards)} tokens, less than one window of {context}.",
                "Give more documents.",
            )
        self._order: tuple[int, npt.NDArray[np.int64]] = (-1, np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        return self._count

    def window(self, number: int) -> npt.NDArray[np.int64]:
        """Window `number` in the order of the text, (context + 1,)."""
        return self.shards.read(number * self.context, self.context + 1)

    def batch(self, first: int, size: int) -> npt.NDArray[np.int64]:
        """Windows `first` to `first + size` in training order, (size, context + 1)."""
        return np.stack(
            [self.window(self._at(position)) for position in range(first, first + size)]
        )

    def _at(self, position: int) -> int:
        epoch, place = divmod(position, self._count)
        if self._order[0] != epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(self._count)
            self._order = (epoch, order)
        return int(self._order[1][place])


def unigram_nats(train: Shards, held: Shards, vocabulary: int) -> float:
    """Nats per token that knowing only how frequent each token is would cost on `held`.

    The floor that any model has to beat. Counts are smoothed by adding one.
    """
    counts = train.counts(vocabulary) + 1
    logs = np.log(counts / counts.sum())
    tokens = held.counts(vocabulary)
    return -float((tokens * logs).sum()) / max(1, int(tokens.sum()))


def per_byte(nats_per_token: float, part: Part) -> float:
    """Perplexity per byte of text: comparable between tokenizers, as per token is not."""
    return math.exp(nats_per_token * part.tokens / max(1, part.text_bytes))
