"""What a version of the index consists of, and proof that it still does.

Knows files, sizes and hashes. Does not know what is in the files. FAISS loads most damaged
files without complaint, so nothing is read before this module has agreed to it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from knowledge.errors import IndexCorrupt

NAME = "manifest.json"
SCHEMA = 1  # changes when files change their meaning, or texts are put together differently
REBUILD = "Rebuild it with `deskhand index build`, or go back with `deskhand index rollback`."


@dataclass(frozen=True, slots=True)
class Entry:
    """One file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything an index says about itself."""

    version: str
    created: str  # ISO 8601, UTC
    embedder: str
    fingerprint: str
    dim: int
    views: Mapping[str, str]  # audience -> folder; two audiences may share one
    counts: Mapping[str, Mapping[str, int]]  # folder -> passages, question and answer vectors
    files: Mapping[str, Entry]  # path with forward slashes -> size and hash
    schema: int = SCHEMA


def seal(
    folder: Path,
    *,
    version: str,
    created: str,
    embedder: tuple[str, str, int],
    views: Mapping[str, str],
    counts: Mapping[str, Mapping[str, int]],
) -> Manifest:
    """Hash every file in `folder`, write the manifest, and wait until all of it is on the disk.

    `embedder` is (name, fingerprint, dim). Raises OSError.
    """
    names = _files(folder)
    with _pool() as pool:  # together they cost the disk little more than one
        list(pool.map(lambda name: sync(folder / name), names))
    made = Manifest(version, created, *embedder, views, counts, _entries(folder, names))
    write(folder, made)
    for place in sorted({(folder / name).parent for name in names} | {folder}, reverse=True):
        sync(place)
    return made


def write(folder: Path, made: Manifest) -> None:
    """Write the manifest with its own seal, and wait until it is on the disk."""
    body = asdict(made)
    text = json.dumps(body | {"seal": _seal(body)}, indent=1, sort_keys=True)
    path = folder / NAME
    path.write_text(text, encoding="utf-8")
    sync(path)


def read(folder: Path) -> Manifest:
    """The manifest of a version. Raises `IndexCorrupt` when it is missing or was altered."""
    path = folder / NAME
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        given = body.pop("seal")
        if given != _seal(body):
            raise IndexCorrupt(f"The index file {path} was altered.", REBUILD)
        if body["schema"] != SCHEMA:
            raise IndexCorrupt(
                f"The index in {folder} has format {body['schema']}; this program reads {SCHEMA}.",
                REBUILD,
            )
        body["files"] = {name: Entry(**entry) for name, entry in body["files"].items()}
        return Manifest(**body)
    except FileNotFoundError:
        raise IndexCorrupt(f"The index file {path} is missing.", REBUILD) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexCorrupt(f"The index file {path} is unreadable: {error}.", REBUILD) from None


def verify(folder: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest. Raises `IndexCorrupt` naming the first that differs."""
    present = set(_files(folder))
    for name in sorted(manifest.files.keys() - present):
        raise IndexCorrupt(f"The index file {folder / name} is missing.", REBUILD)
    for name in sorted(present - manifest.files.keys()):
        raise IndexCorrupt(f"The file {folder / name} does not belong to the index.", REBUILD)
    for name, entry in manifest.files.items():
        size = (folder / name).stat().st_size
        if size != entry.size:
            raise IndexCorrupt(
                f"The index file {folder / name} has {size} bytes instead of {entry.size}.", REBUILD
            )
    try:
        found = _entries(folder, sorted(present))
    except OSError as error:
        raise IndexCorrupt(f"An index file in {folder} is unreadable: {error}.", REBUILD) from None
    for name, entry in manifest.files.items():
        if found[name].sha256 != entry.sha256:
            raise IndexCorrupt(f"The index file {folder / name} was altered.", REBUILD)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _files(folder: Path) -> list[str]:
    """Every file below `folder` except the manifest. A link is never followed."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if (path.is_symlink() or not path.is_dir()) and path != folder / NAME
    )


def _entries(folder: Path, names: list[str]) -> dict[str, Entry]:
    # Hashing lets go of the interpreter lock, so several files are hashed at once.
    with _pool() as pool:
        return dict(zip(names, pool.map(lambda name: _entry(folder / name), names), strict=True))


def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=4)


def _entry(path: Path) -> Entry:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return Entry(os.fstat(opened.fileno()).st_size, digest)


def _seal(body: Mapping[str, object]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
