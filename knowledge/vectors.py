"""Nearest vectors: one FAISS index per field of a view.

Knows vectors and rows. Knows nothing of passages, texts or who may read what.

Vectors are kept as 16-bit floats: half the memory and about twice the speed of 32 bits, with
the same ten neighbours in our measurements (benchmarks/vector_search.py). Unit vectors and the
inner product, so a similarity is a cosine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from knowledge.errors import IndexUnwritable

FloatArray = npt.NDArray[np.float32]
RowArray = npt.NDArray[np.int64]


class Kind(StrEnum):
    """How a field is searched."""

    EXACT = "exact"  # every vector is compared
    GRAPH = "graph"  # HNSW (Malkov and Yashunin 2016, arXiv:1603.09320)
    LISTS = "lists"  # IVF: only the nearest lists of vectors are compared


@dataclass(frozen=True, slots=True)
class Sizes:
    """Up to how many vectors each kind is the best choice; lists above.

    Exact search of 100,000 takes some 8 ms on one slow core. A graph is the fastest to search
    and the slowest to build, and every version of the index is built afresh.
    """

    exact: int = 100_000
    graph: int = 250_000


def kind_for(count: int, sizes: Sizes) -> Kind:
    """The kind of index for `count` vectors."""
    if count <= sizes.exact:
        return Kind.EXACT
    return Kind.GRAPH if count <= sizes.graph else Kind.LISTS


class VectorIndex:
    """Vectors by row number, searchable by inner product. Read-only, safe in any thread."""

    def __init__(self, index: Any) -> None:  # noqa: ANN401 - FAISS gives its types wrongly
        self._index = index
        self.count = int(index.ntotal)
        self.dim = int(index.d)

    @classmethod
    def build(cls, vectors: FloatArray, sizes: Sizes) -> VectorIndex:
        """Index `vectors` (n, dim), row i as number i."""
        count, dim = vectors.shape
        kind = kind_for(count, sizes)
        lists = max(1, int(4 * count**0.5))
        recipe = {
            Kind.EXACT: "SQfp16",
            Kind.GRAPH: "HNSW32_SQfp16",
            Kind.LISTS: f"IVF{lists},SQfp16",
        }[kind]
        index: Any = faiss.index_factory(dim, recipe, faiss.METRIC_INNER_PRODUCT)
        if kind is Kind.GRAPH:
            index.hnsw.efConstruction = 80
            index.hnsw.efSearch = 96
        elif kind is Kind.LISTS:
            index.by_residual = False
            index.nprobe = min(lists, 32)
            # FAISS warns below 39 vectors a list and needs no more than 256.
            index.cp.min_points_per_centroid = 1
            index.cp.max_points_per_centroid = 128
        index.train(vectors)
        index.add(vectors)
        if kind is Kind.LISTS:
            index.make_direct_map()  # so that a row's vector can be read back
        return cls(index)

    def save(self, path: Path) -> None:
        """Write to one file. Raises `IndexUnwritable`."""
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            raise IndexUnwritable(
                f"The index file {path} could not be written: {_first_line(error)}.",
                "Free some disk space and build again; the index in use is untouched.",
            ) from None

    @classmethod
    def load(cls, path: Path) -> VectorIndex:
        """Map a file that `save` wrote into memory.

        Only for files whose hash was checked: FAISS trusts what it reads. Raises RuntimeError.
        """
        return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC))

    def search(self, vector: FloatArray, k: int) -> tuple[RowArray, FloatArray]:
        """At most `k` nearest rows to a (dim,) vector, nearest first, with their cosines."""
        k = min(k, self.count)
        if k < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        with _one_thread():
            sims, rows = self._index.search(vector[None].astype(np.float32), k)
        found = rows[0] >= 0  # an approximate index may find fewer
        return rows[0][found], sims[0][found]

    def at(self, rows: RowArray) -> FloatArray:
        """The vectors of these rows, (len(rows), dim)."""
        if not len(rows):
            return np.empty((0, self.dim), np.float32)
        with _one_thread():
            vectors: FloatArray = self._index.reconstruct_batch(rows.astype(np.int64))
        return vectors


@contextmanager
def _one_thread() -> Iterator[None]:
    """One OpenMP thread for this query, in this thread only.

    Two make one query slower as soon as several run at once, threefold at eight.
    """
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no detail"])[0]
