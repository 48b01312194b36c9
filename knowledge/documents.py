"""Files and folders into documents: finding them, whose they are, and what could not be read.

Knows paths, audiences and languages. How a format is read is the readers' business
(`knowledge/readers/`), how a document is cut up is `passages.py`'s; `split` is offered here too.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from urllib.parse import urlsplit

from knowledge.errors import UnreadableFile
from knowledge.language import detect_language, normalize_language
from knowledge.passages import split
from knowledge.readers import READERS, reader_for
from knowledge.readers.base import Content, RawFile, clean, parsing
from knowledge.types import Audience, Document, Section

__all__ = ["MAX_FILE", "Problem", "Reading", "read_file", "read_folder", "split"]

MAX_FILE = 50_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """What could not be read, and why, in words for the person who wrote it."""

    source: str
    message: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading: documents in a stable order, and what is not in them.

    `problems` need somebody's attention; `skipped` is what Deskhand does not read (pictures,
    programs, empty files, links out of the folder), told so that nobody has to wonder.
    """

    documents: tuple[Document, ...] = ()
    problems: tuple[Problem, ...] = ()
    skipped: tuple[Problem, ...] = ()


@dataclass(slots=True)
class _Collected:
    documents: list[Document] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    skipped: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Found:
    """A file to read: where it is, what it is cited as, and the audience its folders give it."""

    path: Path
    root: Path
    source: str
    audience: Audience | None


def read_folder(
    paths: Sequence[Path],
    *,
    audience: Audience = Audience.CUSTOMER,
    progress: Callable[[str], None] | None = None,
) -> Reading:
    """Read files, and folders with all that is below them. Blocking: disk and CPU.

    A document's audience is what it says itself (front matter, a column, a `<meta>`), else that
    of a folder named `internal` or `customer` on its path, else `audience`; between folders,
    `internal` wins. Hidden files are passed over, links are followed only to files inside the
    folder. Nothing is raised for a file: what cannot be read is in `Reading.problems`, and the
    rest is read. `progress` is called with each source before it is read.
    """
    out = _Collected()
    for found in _distinct_sources(list(_find(paths, out))):
        if progress is not None:
            progress(found.source)
        try:
            with found.path.open("rb") as stream:
                data = stream.read(MAX_FILE + 1)
        except OSError as error:
            out.problems.append(_unopened(found.source, error))
            continue
        part = read_file(RawFile(found.source, data), audience=found.audience or audience)
        out.documents.extend(part.documents)
        out.problems.extend(part.problems)
        out.skipped.extend(part.skipped)
    return Reading(tuple(out.documents), tuple(out.problems), tuple(out.skipped))


def read_file(raw: RawFile, *, audience: Audience = Audience.CUSTOMER) -> Reading:
    """Read one file that is in memory already; `audience` is for what it leaves open."""
    reader = reader_for(raw.source)
    if reader is None:
        return Reading(
            skipped=(Problem(raw.source, f"Not read; endings read are {', '.join(READERS)}."),)
        )
    if len(raw.data) > MAX_FILE:
        message = f"Larger than {MAX_FILE // 1_000_000} MB. Split it into smaller files."
        return Reading(problems=(Problem(raw.source, message),))
    try:
        with parsing(raw, "what its name says it is"):
            readout = reader(raw)
        notes = list(readout.notes)
        documents = [_document(raw, each, audience, notes) for each in readout.contents]
    except UnreadableFile as error:
        return Reading(problems=(Problem(raw.source, str(error)),))
    documents = [document for document in documents if document.sections]
    problems = tuple(Problem(raw.source, note) for note in notes)
    if not documents and not problems:
        return Reading(skipped=(Problem(raw.source, "There is no text in it."),))
    return Reading(tuple(documents), problems)


def _document(raw: RawFile, content: Content, audience: Audience, notes: list[str]) -> Document:
    if content.audience:
        try:
            audience = Audience(content.audience.strip().lower())
        except ValueError as error:
            # Guessing could show internal text to customers, so nothing of the file is used.
            raise UnreadableFile(
                f"{raw.source} names an unknown audience: {content.audience.strip()[:60]!r}.",
                "Write customer or internal.",
            ) from error
    sections = tuple(
        section
        for section in (
            Section(
                text=clean(each.text).strip("\n").rstrip(),
                title_path=tuple(clean(name) for name in each.title_path),
                anchor=clean(each.anchor),
                question=clean(each.question),
            )
            for each in content.sections
        )
        if section.text.strip()
    )
    lang = normalize_language(content.lang)
    if content.lang and not lang:
        notes.append(
            f"The language {content.lang[:40]!r} is not a code such as en or pt-BR; "
            "it was detected instead."
        )
    url = content.url.strip()
    if url and not _is_address(url):
        notes.append(f"Not a web address, left out: {url[:80]!r}.")
        url = ""
    return Document(
        source=raw.source,
        title=clean(content.title),
        sections=sections,
        audience=audience,
        lang=lang or detect_language("\n".join(section.text for section in sections)),
        url=url,
    )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if any(char.isspace() or not char.isprintable() for char in url):
        return False
    if parts.scheme in ("http", "https"):
        return bool(parts.netloc)
    return not parts.scheme and not parts.netloc and url.startswith("/")


def _find(paths: Sequence[Path], out: _Collected) -> Iterator[_Found]:
    """The files to read, each once, sorted within every path given."""
    seen: set[Path] = set()
    for given in paths:
        try:
            root = given.resolve(strict=True)
        except (OSError, RuntimeError):  # missing, or a loop of links
            out.problems.append(Problem(str(given), "There is no such file or folder."))
            continue
        found = list(_walk(root, out)) if root.is_dir() else [_found(root, root.parent, root)]
        # Files before links to them, so that a file keeps its own name.
        found.sort(key=lambda each: (each.path.is_symlink(), PurePath(each.source).parts))
        fresh = []
        for each in found:
            real = each.path.resolve()
            if real not in seen:
                seen.add(real)
                fresh.append(each)
        yield from sorted(fresh, key=lambda each: PurePath(each.source).parts)


def _walk(root: Path, out: _Collected) -> Iterator[_Found]:
    def unreadable(error: OSError) -> None:
        out.problems.append(_unopened(_source(Path(error.filename or root), root), error))

    for folder, folders, files in os.walk(root, onerror=unreadable):
        for name in [*folders, *files]:
            path = Path(folder, name)
            if _is_hidden(name):
                continue
            if path.is_symlink():
                target = _target(path, root)
                if target is None:
                    message = "A link that leads nowhere, or out of the folder; not followed."
                    out.skipped.append(Problem(_source(path, root), message))
                    continue
                if target.is_file():
                    yield _found(path, root, target)
            elif name in files:
                if path.is_file():
                    yield _found(path, root, path)
                else:
                    out.skipped.append(Problem(_source(path, root), "Not a regular file."))
        folders[:] = [name for name in folders if not _is_hidden(name)]


def _target(link: Path, root: Path) -> Path | None:
    """What a link points at, if that exists inside `root`."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    return target if target.is_relative_to(root) else None


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "~$"))  # the second is what Office leaves beside an open file


def _found(path: Path, root: Path, target: Path) -> _Found:
    return _Found(path, root, _source(path, root), _folder_audience(path, root, target))


def _source(path: Path, root: Path) -> str:
    relative = path.relative_to(root) if path.is_relative_to(root) else path
    # A name in another encoding still has to be printed, hashed and stored.
    return os.fsencode(relative.as_posix()).decode("utf-8", "replace")


def _folder_audience(path: Path, root: Path, target: Path) -> Audience | None:
    """What the names of the folders say, `internal` before `customer`.

    `internal` counts anywhere above the file up to the working folder, or up to the top when the
    file lies elsewhere; `customer` only from the folder that was given downwards, because what
    it loosens must have been meant.
    """
    below = {root.name, *path.relative_to(root).parent.parts}
    below |= set(target.relative_to(root).parent.parts)
    here = Path.cwd()
    above = root.relative_to(here).parts if root.is_relative_to(here) else root.parts
    if "internal" in {name.casefold() for name in {*below, *above}}:
        return Audience.INTERNAL
    if "customer" in {name.casefold() for name in below}:
        return Audience.CUSTOMER
    return None


def _distinct_sources(found: list[_Found]) -> list[_Found]:
    """The same, with the folder's name put before sources that two folders share."""
    for lengthen in (
        lambda each: f"{each.root.name}/{each.source}",
        lambda each: (each.root / each.path.relative_to(each.root)).as_posix().lstrip("/"),
    ):
        counts = Counter(each.source for each in found)
        found = [
            replace(each, source=lengthen(each)) if counts[each.source] > 1 else each
            for each in found
        ]
    return found


def _unopened(source: str, error: OSError) -> Problem:
    return Problem(source, f"It cannot be opened: {error.strerror or error}.")
