"""Exact and near-exact words: BM25 over words and over character n-grams.

Knows which passages share terms with a query, and how much of the query they cover. Does not
know what words mean; `search.py` adds that. Terms come from `terms.py`, for any script.

BM25 after Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond"
(2009), with Lucene's always positive idf.
"""

from __future__ import annotations

import json
import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from knowledge.terms import grams, is_code, terms
from knowledge.types import Passage

FloatArray = npt.NDArray[np.float32]
RowArray = npt.NDArray[np.int64]

K1 = 1.2  # how soon repeating a term stops counting
B = 0.75  # how much long texts are held back
CODE_SHARE = 0.03  # of the passages that may hold a code; a commoner one is a word like any other
QUERY_CHARS = 4000  # of a query that are looked at: more is a document, not a question
POSTINGS = 400_000  # postings one query may touch per field; its commonest terms go first


@dataclass(frozen=True, slots=True)
class Coverage:
    """How one query's terms are met by every passage. Arrays are (n,) float32.

    `question` and `whole` are BM25 scores divided by what the query could attain at most, so
    about 0 to 1 and comparable between queries: over the question or heading alone, and over
    the passage with it. `known` is the idf sum of the query's distinct terms that occur
    anywhere, `unknown` that of those that occur nowhere, `count` how many there are.
    """

    question: FloatArray
    whole: FloatArray
    known: float
    unknown: float
    count: int


class Lexical:
    """The lexical index of one view; a passage's row is its place in what was built from."""

    def __init__(self, words: _Terms, grams: _Terms) -> None:
        self._words = words
        self._grams = grams

    def __len__(self) -> int:
        return self._words.rows

    @classmethod
    def build(cls, passages: Iterable[Passage]) -> Lexical:
        """Index passages by the words and the character n-grams of their texts."""
        words, letters = _Builder(terms), _Builder(grams)
        for passage in passages:
            path = " ".join(passage.title_path)
            question = passage.question or path
            rest = f"{path}\n{passage.text}" if passage.question else passage.text
            words.add(question, rest)
            letters.add(question, rest)
        return cls(words.done(), letters.done())

    def save(self, folder: Path) -> None:
        """Write plain .npy, .json and .txt files into an existing folder."""
        self._words.save(folder, "words")
        self._grams.save(folder, "grams")

    @classmethod
    def load(cls, folder: Path) -> Lexical:
        """Open what `save` wrote. Raises OSError or ValueError when it is not whole."""
        return cls(_Terms.load(folder, "words", terms), _Terms.load(folder, "grams", grams))

    def search(self, text: str, k: int) -> tuple[RowArray, FloatArray]:
        """Plain BM25 over whole passages: at most `k` rows that share a word, best first."""
        found = self._words.cover(text)
        return best(found.whole * found.known, k)

    def words(self, text: str) -> Coverage:
        """What every passage covers of the query's words."""
        return self._words.cover(text)

    def grams(self, text: str) -> Coverage:
        """What every passage covers of the query's character n-grams."""
        return self._grams.cover(text)

    def codes(self, text: str) -> FloatArray:
        """(n,) share of the query's codes that every passage holds; zeros if it has none.

        A code is a rare term of letters and digits: an error code, a part, a version. Meaning
        says nothing about it, and no other passage will do.
        """
        return self._words.hold(one for one in terms(text[:QUERY_CHARS]) if is_code(one))


def best(scores: FloatArray, k: int) -> tuple[RowArray, FloatArray]:
    """Rows and scores of the `k` highest positive scores, best first; ties in row order."""
    rows = np.flatnonzero(scores > 0)
    if 0 < k < len(rows):  # among those alone: partitioning many equal zeros is slow
        held = scores[rows]
        rows = rows[held >= np.partition(held, len(held) - k)[len(held) - k]]
    rows = rows[np.argsort(-scores[rows], kind="stable")][: max(k, 0)]
    return rows, scores[rows]


class _Field:
    """Postings of one field: for each term, its rows and its saturated term frequencies."""

    def __init__(
        self, starts: RowArray, rows: npt.NDArray[np.int32], weights: npt.NDArray[np.float16]
    ) -> None:
        self.starts = starts  # (vocabulary + 1,)
        self.rows = rows  # (postings,) ascending within a term
        self.weights = weights  # (postings,) in (0, 1]

    def add(self, scores: FloatArray, term: int, weight: float) -> None:
        """Add a query term's share to every passage that has it."""
        span = slice(self.starts[term], self.starts[term + 1])
        scores[self.rows[span]] += self.weights[span].astype(np.float32) * np.float32(weight)

    def rows_of(self, term: int) -> npt.NDArray[np.int32]:
        """The passages that have a term."""
        return self.rows[self.starts[term] : self.starts[term + 1]]

    def length(self, term: int) -> int:
        return int(self.starts[term + 1] - self.starts[term])


class _Terms:
    """One kind of term over both fields."""

    def __init__(
        self,
        analyse: Callable[[str], list[str]],
        vocabulary: Mapping[str, int],
        fields: tuple[_Field, _Field],
        rows: int,
    ) -> None:
        self._analyse = analyse
        self._vocabulary = vocabulary
        self._question, self._whole = fields
        self.rows = rows

    def cover(self, text: str) -> Coverage:
        distinct = set(self._analyse(text[:QUERY_CHARS]))
        ids = [self._vocabulary[term] for term in distinct if term in self._vocabulary]
        found = sorted((self._whole.length(term), term) for term in ids)
        question = np.zeros(self.rows, np.float32)
        whole = np.zeros(self.rows, np.float32)
        known, touched = 0.0, 0
        for count, term in found:
            weight = _idf(self.rows, count)
            known += weight
            touched += count
            if touched <= POSTINGS or touched == count:
                self._question.add(question, term, weight)
                self._whole.add(whole, term, weight)
        unknown = (len(distinct) - len(ids)) * _idf(self.rows, 0)
        scale = np.float32(1.0 / known if known else 0.0)
        return Coverage(question * scale, whole * scale, known, unknown, len(distinct))

    def hold(self, wanted: Iterable[str]) -> FloatArray:
        ids = {self._vocabulary[term] for term in wanted if term in self._vocabulary}
        rare = [one for one in ids if self._whole.length(one) <= max(5, CODE_SHARE * self.rows)]
        held = np.zeros(self.rows, np.float32)
        for one in rare:
            held[self._whole.rows_of(one)] += np.float32(1 / len(rare))
        return held

    def save(self, folder: Path, name: str) -> None:
        ordered = sorted(self._vocabulary, key=self._vocabulary.__getitem__)
        (folder / f"{name}.txt").write_text("\n".join(ordered), encoding="utf-8", newline="\n")
        for kind, field in (("question", self._question), ("whole", self._whole)):
            np.save(folder / f"{name}.{kind}.starts.npy", field.starts)
            np.save(folder / f"{name}.{kind}.rows.npy", field.rows)
            np.save(folder / f"{name}.{kind}.weights.npy", field.weights)
        (folder / f"{name}.json").write_text(json.dumps({"rows": self.rows}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, name: str, analyse: Callable[[str], list[str]]) -> _Terms:
        text = (folder / f"{name}.txt").read_text(encoding="utf-8")
        vocabulary = {term: place for place, term in enumerate(text.split("\n") if text else ())}
        rows = int(json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["rows"])
        question, whole = (_load_field(folder, f"{name}.{kind}") for kind in ("question", "whole"))
        for field in (question, whole):
            if len(field.starts) != len(vocabulary) + 1 or field.starts[-1] != len(field.rows):
                raise ValueError(f"the lexical index's {name} do not match their postings")
        return cls(analyse, vocabulary, (question, whole), rows)


def _load_field(folder: Path, name: str) -> _Field:
    starts, rows, weights = (
        np.load(folder / f"{name}.{part}.npy", mmap_mode="r", allow_pickle=False)
        for part in ("starts", "rows", "weights")
    )
    return _Field(starts, rows, weights)


def _idf(rows: int, count: int) -> float:
    return math.log1p((rows - count + 0.5) / (count + 0.5))


class _Builder:
    """Collects one kind of term, passage by passage, in compact arrays."""

    def __init__(self, analyse: Callable[[str], list[str]]) -> None:
        self._analyse = analyse
        self._vocabulary: dict[str, int] = {}
        self._question = _Postings()
        self._whole = _Postings()

    def add(self, question: str, rest: str) -> None:
        first = self._analyse(question)
        self._question.add(self._numbered(first))
        self._whole.add(self._numbered(first + self._analyse(rest)))

    def _numbered(self, found: list[str]) -> Counter[int]:
        place = self._vocabulary.setdefault
        return Counter(place(term, len(self._vocabulary)) for term in found)

    def done(self) -> _Terms:
        size = len(self._vocabulary)
        fields = (self._question.done(size), self._whole.done(size))
        return _Terms(self._analyse, self._vocabulary, fields, len(self._whole.lengths))


class _Postings:
    """One field's postings in the order of the passages, turned round at the end."""

    def __init__(self) -> None:
        self._terms = array("i")
        self._rows = array("i")
        self._counts = array("f")
        self.lengths = array("f")

    def add(self, counted: Counter[int]) -> None:
        row = len(self.lengths)
        self.lengths.append(counted.total())
        self._terms.extend(counted.keys())
        self._counts.extend(counted.values())
        self._rows.extend([row] * len(counted))

    def done(self, vocabulary: int) -> _Field:
        terms = np.frombuffer(self._terms, np.int32) if self._terms else np.empty(0, np.int32)
        rows = np.frombuffer(self._rows, np.int32) if self._rows else np.empty(0, np.int32)
        counts = np.frombuffer(self._counts, np.float32) if self._counts else np.empty(0)
        lengths = np.array(self.lengths, np.float32)
        filled = lengths[lengths > 0]
        mean = float(filled.mean()) if len(filled) else 1.0
        order = np.argsort(terms, kind="stable")
        rows, counts = rows[order], counts[order]
        weights = counts / (counts + K1 * (1 - B + B * lengths[rows] / mean))
        starts = np.zeros(vocabulary + 1, np.int64)
        np.cumsum(np.bincount(terms, minlength=vocabulary), out=starts[1:])
        return _Field(starts, rows, weights.astype(np.float16))
