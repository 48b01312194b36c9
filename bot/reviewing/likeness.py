"""Tells whether two questions ask the same, for groups of questions and for curated answers.

Knows vectors and words. Does not know what follows from being alike.

Meaning alone would take "error E07" for "error E08" and "is it covered" for "is it not covered"
(cosines of 0.88 and 0.99 with the bundled model), so numbers and negations have to agree, and
questions that are merely close must share their words. Measured on the sample company: no two of
its 95 English questions come closer than 0.78, and rewordings of one lie between 0.74 and 0.99.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

import numpy as np

from bot.words.lexicon import content
from knowledge.embed import Embedder, FloatArray
from knowledge.terms import fold

Key = TypeVar("Key", bound=Hashable)

SAME = 0.92  # a cosine from which meaning speaks almost alone
CLOSE = 0.82  # one from which it speaks if the words agree
SHARED = 0.5  # how much of the words two close questions share
SHARED_SAME = 0.25  # and two that mean the same

_NUMBER = re.compile(r"\w*\d\w*")
_NOT = re.compile(
    r"n['’]t\b|\b(?:no|not|never|without|nicht|kein\w*|nie|ohne|sin|nunca|ningún|ninguna|jamais"
    r"|pas|sans|не|нет|без)\b|不|没|無|无",
    re.IGNORECASE,
)


def alike(left: str, right: str, cosine: float) -> bool:
    """True if two questions, whose vectors have this cosine, ask the same."""
    if fold(left).split() == fold(right).split():
        return True
    if cosine < CLOSE or _strict(left) != _strict(right):
        return False
    one, other = set(content(left)), set(content(right))
    shared = len(one & other) / len(one | other) if one | other else 1.0
    return shared >= (SHARED_SAME if cosine >= SAME else SHARED)


def _strict(text: str) -> tuple[frozenset[str], bool]:
    """What must be equal: everything with a digit in it, and whether it is denied."""
    return frozenset(_NUMBER.findall(fold(text))), bool(_NOT.search(text))


class Alike(Generic[Key]):
    """Questions by key, and the key of the one that asks the same as another. Not thread-safe."""

    def __init__(self, embedder: Embedder, most: int = 20_000) -> None:
        self._embedder = embedder
        self._most = most
        self._keys: list[Key] = []
        self._texts: list[str] = []
        self._vectors: FloatArray = np.zeros((0, embedder.dim), np.float32)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, rows: Iterable[tuple[Key, str]]) -> None:
        """Remember questions; beyond `most` the oldest are forgotten. Milliseconds each."""
        fresh = [(key, text) for key, text in rows if text.strip()]
        if not fresh:
            return
        made = self._embedder.encode([text for _, text in fresh])
        self._keys = [*self._keys, *(key for key, _ in fresh)][-self._most :]
        self._texts = [*self._texts, *(text for _, text in fresh)][-self._most :]
        self._vectors = np.concatenate([self._vectors, made])[-self._most :]

    def find(self, text: str) -> Key | None:
        """The key of the nearest question that asks the same, or None."""
        if not self._keys or not text.strip():
            return None
        cosines = self._vectors @ self._embedder.encode_query(text)
        nearest: list[int] = np.argsort(-cosines)[:5].tolist()
        for row in nearest:
            if alike(text, self._texts[row], float(cosines[row])):
                return self._keys[row]
        return None
