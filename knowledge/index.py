"""The index folder: versions of the index, built, verified, swapped and rolled back.

    <folder>/current                      the name of the version in use
    <folder>/versions/<version>/          one complete, immutable index
        manifest.json                     size and sha256 of every file; see manifest.py
        customer/ internal/               one view per audience; see view.py
    <folder>/building-*                   an unfinished build; removed by the next one
    <folder>/lock                         held while building

Knows when a version is complete and which one is in use. A version becomes current in one
step, after everything it consists of is on the disk; a crash before that step changes nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from knowledge import manifest
from knowledge.embed import Embedder, TokenVectors
from knowledge.errors import (
    EmbedderMismatch,
    EmptyKnowledge,
    IndexBusy,
    IndexCorrupt,
    IndexMissing,
    IndexUnwritable,
    KnowledgeError,
)
from knowledge.tokens import Taken, TokenStore
from knowledge.types import Audience, Passage
from knowledge.vectors import FloatArray, Sizes
from knowledge.view import OpenIndex, Rows, View

__all__ = ["BuildReport", "IndexFolder", "OpenIndex", "Opened", "View"]

BLOCK = 128  # passages embedded at a time: bounds the token vectors held in memory
VERSION = re.compile(r"\d{6}-[0-9a-f]{8}")
BUILDING = "building-"
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What one build did."""

    version: str
    passages: int
    embedded: int
    reused: int  # passages whose vectors came from the version before
    seconds: float
    changed: bool  # False: everything was there already, and no new version was made


@dataclass(frozen=True, slots=True)
class Opened:
    """The best version there is, and what was wrong with those that were preferred to it."""

    index: OpenIndex
    problems: tuple[KnowledgeError, ...]


class IndexFolder:
    """All versions of one index. Several processes may open it; one at a time may build."""

    def __init__(self, path: Path, sizes: Sizes | None = None) -> None:
        self.path = path
        self._sizes = sizes or Sizes()

    def current_version(self) -> str | None:
        """The version in use, or None when nothing was built yet. Raises `IndexCorrupt`."""
        try:
            name = (self.path / "current").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise IndexCorrupt(f"{self.path / 'current'}: {error}.", manifest.REBUILD) from None
        if not VERSION.fullmatch(name):
            raise IndexCorrupt(
                f"{self.path / 'current'} does not name a version.", manifest.REBUILD
            )
        return name

    def versions(self) -> list[str]:
        """Every version on the disk, oldest first."""
        folder = self.path / "versions"
        if not folder.is_dir():
            return []
        return sorted(one.name for one in folder.iterdir() if VERSION.fullmatch(one.name))

    def open(self, version: str | None = None, embedder: Embedder | None = None) -> OpenIndex:
        """Verify and open a version (default: the current one).

        Raises `IndexMissing`, `IndexCorrupt` naming the file, and `EmbedderMismatch` when
        `embedder` is given and is not the one the index was built with.
        """
        left = 5  # attempts; never needed unless building is faster than opening
        while True:
            left -= 1
            name = version or self.current_version()
            if name is None:
                raise IndexMissing(
                    f"There is no index in {self.path}.",
                    "Build one: `deskhand index build FOLDER`.",
                )
            try:
                return self._open(name, embedder)
            except IndexCorrupt:
                # Two builds may have finished, and removed this version, since its name was read.
                if not left or version or self.current_version() == name:
                    raise

    def open_best(self, embedder: Embedder | None = None) -> Opened:
        """The current version if it is whole, else the newest whole one, and what was wrong.

        Raises the first problem when no version can be used.
        """
        problems: list[KnowledgeError] = []
        try:
            current = self.current_version()
        except IndexCorrupt as error:
            problems.append(error)
            current = None
        names = [name for name in reversed(self.versions()) if name != current]
        for name in [current, *names] if current else names:
            try:
                return Opened(self.open(name, embedder), tuple(problems))
            except (IndexCorrupt, EmbedderMismatch) as error:
                problems.append(error)
        if problems:
            raise problems[0]
        raise IndexMissing(
            f"There is no index in {self.path}.", "Build one: `deskhand index build FOLDER`."
        )

    def rollback(self) -> str:
        """Make the version before the current one current again; returns its name.

        Raises `IndexMissing` when there is none, `IndexCorrupt` when it is not whole.
        """
        with self._locked():
            current = self.current_version()
            before = [name for name in self.versions() if current and name < current]
            if not before:
                raise IndexMissing(f"There is no earlier version in {self.path}.")
            self._open(before[-1], None)
            with self._writing():
                self._point(before[-1])
            return before[-1]

    def build(
        self, passages: Iterable[Passage], embedder: Embedder, progress: Progress | None = None
    ) -> BuildReport:
        """Index `passages` as a new version and make it current; equal ids count once.

        Vectors of passages that the current version holds are taken from it. `progress` gets
        (passages done, passages in all). The version before is kept, older ones are removed.

        Raises `EmptyKnowledge`, `IndexBusy`, `IndexUnwritable`; the current version is then
        what it was.
        """
        began = time.monotonic()
        wanted = list({passage.id: passage for passage in passages}.values())
        if not wanted:
            raise EmptyKnowledge(
                "There is not one passage to index.", "Give a folder with readable documents."
            )
        with self._locked():
            before = self._reusable(embedder)
            known = _rows_by_id(before)
            if before and known.keys() == {passage.id for passage in wanted}:
                seconds = time.monotonic() - began
                return BuildReport(before.version, len(wanted), 0, len(wanted), seconds, False)
            source = before.view(Audience.INTERNAL) if before else None
            gathered = _Gathering(wanted, embedder, source, known, progress)
            version = self._next_name(wanted, embedder)
            with self._writing():
                self._write(version, gathered.rows(), embedder)
            fresh = gathered.embedded
            seconds = time.monotonic() - began
            return BuildReport(version, len(wanted), fresh, len(wanted) - fresh, seconds, True)

    def _open(self, name: str, embedder: Embedder | None) -> OpenIndex:
        folder = self.path / "versions" / name
        if not folder.is_dir():
            raise IndexCorrupt(f"The index version {name} is missing.", manifest.REBUILD)
        found = manifest.read(folder)
        if found.version != name:
            raise IndexCorrupt(f"{folder} holds version {found.version}.", manifest.REBUILD)
        if embedder and (found.fingerprint, found.dim) != (embedder.fingerprint, embedder.dim):
            raise EmbedderMismatch(
                f"The index {name} was built with the embedding model {found.embedder!r} "
                f"({found.dim} numbers); {embedder.name!r} ({embedder.dim}) is not the same.",
                "Set knowledge.embedder back, or rebuild with `deskhand index build`.",
            )
        try:
            manifest.verify(folder, found)
            return OpenIndex(folder, found)
        except FileNotFoundError as error:  # removed while it was being read
            raise IndexCorrupt(
                f"The index file {error.filename} is missing.", manifest.REBUILD
            ) from None

    def _reusable(self, embedder: Embedder) -> OpenIndex | None:
        """The current version, if it is whole and of this embedder."""
        try:
            return self.open(embedder=embedder)
        except (IndexMissing, IndexCorrupt, EmbedderMismatch):
            return None  # then every passage is embedded afresh, which needs nothing old

    def _next_name(self, passages: Sequence[Passage], embedder: Embedder) -> str:
        number = max((int(name[:6]) for name in self.versions()), default=0) + 1
        content = "\n".join([embedder.fingerprint, *sorted(passage.id for passage in passages)])
        return f"{number:06d}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    def _write(self, version: str, rows: Rows, embedder: Embedder) -> None:
        with tempfile.TemporaryDirectory(prefix=BUILDING, dir=self.path) as temporary:
            folder = Path(temporary) / version
            customer = [
                row
                for row, passage in enumerate(rows.passages)
                if Audience.CUSTOMER.may_read(passage.audience)
            ]
            counts = {"customer": rows.only(customer).save(folder / "customer", self._sizes)}
            views = dict.fromkeys(("customer", "internal"), "customer")
            if len(customer) < len(rows.passages):  # else both see the same
                counts["internal"] = rows.save(folder / "internal", self._sizes)
                views["internal"] = "internal"
            manifest.seal(
                folder,
                version=version,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                embedder=(embedder.name, embedder.fingerprint, embedder.dim),
                views=views,
                counts=counts,
            )
            versions = self.path / "versions"
            versions.mkdir(exist_ok=True)
            folder.rename(versions / version)
            manifest.sync(versions)
        used = self._known_current()
        self._point(version)
        for name in self.versions():
            if name not in {version, used}:
                shutil.rmtree(versions / name)

    def _known_current(self) -> str | None:
        try:
            return self.current_version()
        except IndexCorrupt:
            return None  # it is about to be replaced

    def _point(self, version: str) -> None:
        """Make a complete version the current one, in one step."""
        temporary = self.path / "current.new"
        temporary.write_text(version + "\n", encoding="ascii")
        manifest.sync(temporary)
        temporary.replace(self.path / "current")
        manifest.sync(self.path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the build lock. The system lets go of it when this process ends, however."""
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise IndexBusy(
                    f"Another process is building the index in {self.path}.",
                    "Wait until it is done and try again.",
                ) from None
            with self._writing():
                for left in self.path.glob(f"{BUILDING}*"):  # by a build that was killed
                    shutil.rmtree(left)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise IndexUnwritable(
                f"The index in {self.path} could not be written: {error.strerror or error}.",
                "Check free disk space and permissions; the index in use is untouched.",
            ) from error


class _Gathering:
    """Collects every passage's vectors, from the version before or from the embedder."""

    def __init__(
        self,
        passages: Sequence[Passage],
        embedder: Embedder,
        source: View | None,
        known: dict[str, int],
        progress: Progress | None,
    ) -> None:
        self._passages = passages
        self._embedder = embedder
        self._source = source
        self._known = known
        self._progress = progress or (lambda _done, _all: None)
        self._question: list[FloatArray] = []
        self._answer: list[FloatArray] = []
        self.embedded = 0

    def rows(self) -> Rows:
        """Everything, in the passages' order."""
        tokens = TokenStore.build(self._embedder.dim, self._stream())
        counts = [len(one) for one in self._answer]
        return Rows(
            self._passages,
            tokens,
            np.concatenate(self._question),
            np.concatenate(self._answer),
            np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        )

    def _stream(self) -> Iterator[Sequence[TokenVectors] | Taken]:
        """Each passage's token vectors in turn; its dense vectors are put aside on the way."""
        total = len(self._passages)
        for begin in range(0, total, BLOCK):
            block = self._passages[begin : begin + BLOCK]
            fresh = self._embed([one for one in block if one.id not in self._known])
            for passage in block:
                if passage.id in fresh:
                    made = fresh[passage.id]
                    self._question.append(_half(made[0].pooled[None]))
                    self._answer.append(_half(np.stack([one.pooled for one in made[1:]])))
                    yield made
                elif self._source:
                    row = self._known[passage.id]
                    question, answer = self._source.vectors_of(row)
                    self._question.append(question)
                    self._answer.append(answer)
                    yield self._source.tokens.take(row)
            self._progress(min(begin + BLOCK, total), total)

    def _embed(self, passages: Sequence[Passage]) -> dict[str, list[TokenVectors]]:
        texts = {passage.id: texts_of(passage, self._embedder) for passage in passages}
        # Passages under one heading share a question field: it is embedded once.
        unique = list(dict.fromkeys(text for own in texts.values() for text in own))
        made = dict(zip(unique, self._embedder.encode_tokens(unique), strict=True))
        self.embedded += len(passages)
        return {id_: [made[text] for text in own] for id_, own in texts.items()}


def texts_of(passage: Passage, embedder: Embedder) -> list[str]:
    """What is embedded of a passage: its question field, then the windows of its answer field.

    A document's passage has its heading path for a question. Each window repeats the question,
    which says what the text is about.
    """
    question = passage.question or " > ".join(passage.title_path) or Path(passage.source).stem
    return [question, *embedder.windows(passage.text, question)]


def _half(vectors: FloatArray) -> FloatArray:
    """As the index keeps them, so that a reused vector equals a fresh one."""
    return vectors.astype(np.float16).astype(np.float32)


def _rows_by_id(index: OpenIndex | None) -> dict[str, int]:
    if index is None:
        return {}
    passages = index.view(Audience.INTERNAL).passages
    return {passage.id: row for row, passage in enumerate(passages)}
