"""Finds texts that are nearly the same, without comparing every pair.

Knows words and hashes; does not know what the texts are. A text is the set of its runs of five
words; MinHash (Broder 1997, "On the resemblance and containment of documents") keeps of each
set the least value under each of 128 hash functions, and the share of equal values estimates
the Jaccard similarity of two sets. Cutting these signatures into bands (locality-sensitive
hashing, Indyk and Motwani 1998) finds the candidates. Lee et al. 2022 ("Deduplicating training
data makes language models better") is why it matters.
"""

from __future__ import annotations

import re
import zlib

import numpy as np
import numpy.typing as npt

Signature = npt.NDArray[np.uint32]

SHINGLE = 5  # words
BANDS, ROWS = 16, 8  # a pair of similarity 0.8 shares a band with probability 0.95
_CHUNK = 4096  # shingles hashed at once, which bounds memory for long texts
_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


class NearDuplicates:
    """Remembers texts, and says of each new one whether something like it came before.

    `threshold` is the estimated Jaccard similarity from which two texts count as the same. The
    hash functions are fixed, so that the same texts in the same order always give the same
    answers.
    """

    def __init__(self, threshold: float = 0.8) -> None:
        random = np.random.default_rng(1)
        size = (BANDS * ROWS, 1)
        # Multiply-shift hashing (Dietzfelbinger et al. 1997): odd factor, upper bits of 64.
        self._factors = random.integers(0, 2**63, size, dtype=np.uint64) * 2 + 1
        self._offsets = random.integers(0, 2**63, size, dtype=np.uint64)
        self._threshold = threshold
        self._kept: list[Signature] = []
        self._bands: list[dict[bytes, list[int]]] = [{} for _ in range(BANDS)]

    def signature(self, text: str) -> Signature:
        """The text's MinHash values, (128,)."""
        shingles = np.fromiter(_shingles(text), dtype=np.uint64)
        least = np.full(BANDS * ROWS, np.iinfo(np.uint32).max, dtype=np.uint32)
        for start in range(0, len(shingles), _CHUNK):
            hashed = self._factors * shingles[start : start + _CHUNK] + self._offsets
            least = np.minimum(least, (hashed >> np.uint64(32)).min(axis=1).astype(np.uint32))
        return least

    def seen(self, text: str) -> bool:
        """Whether a text like this one was kept before; if not, keep this one."""
        signature = self.signature(text)
        keys = [band.tobytes() for band in signature.reshape(BANDS, ROWS)]
        candidates = {
            one for band, key in zip(self._bands, keys, strict=True) for one in band.get(key, ())
        }
        for one in candidates:
            if float((self._kept[one] == signature).mean()) >= self._threshold:
                return True
        for band, key in zip(self._bands, keys, strict=True):
            band.setdefault(key, []).append(len(self._kept))
        self._kept.append(signature)
        return False


def _shingles(text: str) -> set[int]:
    """Hashes of all runs of five words; of five characters where words have no spaces."""
    folded = text.casefold()
    words = (
        [char for char in folded if char.isalnum()]
        if _UNSPACED.search(folded)
        else _WORD.findall(folded)
    )
    runs = range(max(1, len(words) - SHINGLE + 1))
    return {zlib.crc32(" ".join(words[one : one + SHINGLE]).encode()) for one in runs}
