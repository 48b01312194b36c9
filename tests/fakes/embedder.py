"""An embedder without a model: texts that share words get similar vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from knowledge.embed import FloatArray, TokenVectors


class WordEmbedder:
    """Each word is a fixed random direction; a text is the mean of its words.

    `embedded` counts the texts that were embedded to be found, which is the expensive part.
    """

    def __init__(self, dim: int = 32, name: str = "words", window: int = 40) -> None:
        self.dim = dim
        self.name = name
        self.embedded = 0
        self._window = window

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.name} {self.dim}".encode()).hexdigest()[:32]

    def encode(self, texts: Sequence[str]) -> FloatArray:
        return np.array([one.pooled for one in self.encode_tokens(texts)], np.float32).reshape(
            -1, self.dim
        )

    def encode_query(self, text: str) -> FloatArray:
        return self.query_tokens(text).pooled

    def encode_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        self.embedded += len(texts)
        return [self.query_tokens(text) for text in texts]

    def query_tokens(self, text: str) -> TokenVectors:
        words = text.lower().split()
        rows = [word_vector(word, self.dim) for word in words]
        vectors = np.array(rows, np.float32).reshape(-1, self.dim)
        # A constant direction keeps the empty text's vector a unit vector.
        total = vectors.sum(0) + word_vector("", self.dim) * 0.01
        ids = np.array([_number(word) % 30_000 for word in words], np.int32)
        return TokenVectors(ids, vectors, (total / np.linalg.norm(total)).astype(np.float32))

    def windows(self, text: str, heading: str = "") -> list[str]:
        words = text.split(" ")
        pieces = [
            " ".join(words[at : at + self._window]) for at in range(0, len(words), self._window)
        ]
        return [f"{heading}\n{piece}" if heading else piece for piece in pieces]


@lru_cache(maxsize=10_000)
def word_vector(word: str, dim: int) -> FloatArray:
    made = np.random.default_rng(_number(word)).standard_normal(dim).astype(np.float32)
    unit: FloatArray = made / np.linalg.norm(made)
    return unit


def _number(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:6], "big")
