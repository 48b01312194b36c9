"""Model folders of our own making: what each one is, where it comes from, and whether it is whole.

A model folder is an ordinary Hugging Face folder with a `deskhand.json` beside the weights.
Knows that manifest and the hashes in it; does not know how models are trained or run. A plain
Hugging Face folder without a manifest is a model too; of it only the files are known.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.errors import ModelRejected

MANIFEST = "deskhand.json"
CARD = "MODEL_CARD.md"
SHIPPED = Path(__file__).parent / "starter"  # the model that comes with Deskhand, where one does
_WRITTEN_LATER = (MANIFEST, CARD, "manifest.json")  # no part of what the hashes prove

Capability = Literal["grounded", "write"]
"""`grounded`: answers from passages. `write`: writes drafts, summaries and translations."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(_Strict):
    """One file of a model."""

    bytes: int
    sha256: str


class ModelManifest(_Strict):
    """What is known about a model: its lineage, how it was made and what it measured."""

    name: str = Field(min_length=1)
    version: str = ""
    created: str = ""  # ISO 8601, UTC
    parameters: int = 0
    files: Mapping[str, FileEntry] = Field(default_factory=dict)
    parent: str = ""  # the model it was tuned from, as `name version`; empty if from scratch
    parent_sha256: str = ""  # of the parent's weights
    dataset: str = ""  # hash of what it was trained on
    training: Mapping[str, Any] = Field(default_factory=dict)  # the settings of the run
    seed: int = 0
    commit: str = ""  # of this project's code
    metrics: Mapping[str, float] = Field(default_factory=dict)
    capabilities: tuple[Capability, ...] = ()
    prompt: Literal["full", "compact"] = "full"  # the form it was trained with


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder that was found."""

    folder: Path
    manifest: ModelManifest | None

    @property
    def name(self) -> str:
        """What it is called: by its manifest, or else like its folder."""
        return self.manifest.name if self.manifest else self.folder.resolve().name

    @property
    def capabilities(self) -> tuple[Capability, ...]:
        """What it can be asked for; a model that says nothing of itself is tried with all."""
        return self.manifest.capabilities if self.manifest else ("grounded", "write")


def write(folder: Path, manifest: ModelManifest) -> ModelManifest:
    """Write `manifest` into `folder`, with the hashes of the files as they are now.

    A model that is given no version is called by the first letters of its weights' hash: two
    models never share one, and the same model always gets the same.
    """
    files = {
        path.relative_to(folder).as_posix(): FileEntry(
            bytes=path.stat().st_size, sha256=sha256_of(path)
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in _WRITTEN_LATER
    }
    weights = [entry.sha256 for name, entry in files.items() if name.endswith(".safetensors")]
    whole = manifest.model_copy(
        update={
            "files": files,
            "created": manifest.created or datetime.now(UTC).isoformat(timespec="seconds"),
            "version": manifest.version or (weights[0][:8] if weights else ""),
        }
    )
    draft = folder / f".{MANIFEST}.tmp"
    text = json.dumps(whole.model_dump(mode="json"), indent=1, ensure_ascii=False)
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(folder / MANIFEST)
    return whole


def read(folder: Path) -> ModelManifest | None:
    """The manifest in `folder`, or None where there is none. Raises `ModelRejected`."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        return ModelManifest.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, OSError, UnicodeDecodeError) as error:
        raise ModelRejected(
            f"{path} is not a manifest this version can read.", "Copy the model again."
        ) from error


def verify(folder: Path) -> ModelManifest | None:
    """Read the manifest and compare every file with it.

    Raises `ModelRejected` naming the first file that is missing or another one.
    """
    manifest = read(folder)
    for name, entry in (manifest.files if manifest else {}).items():
        file = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ModelRejected(f"{folder / MANIFEST} names {name!r}, outside the model's folder.")
        if not file.is_file() or sha256_of(file) != entry.sha256:
            raise ModelRejected(
                f"{file} is missing or not the file that {MANIFEST} describes.",
                "Copy the model again.",
            )
    return manifest


def find(folders: Iterable[Path]) -> list[Model]:
    """The models in `folders` and one level below them, by name.

    A folder with a manifest that cannot be read is an error, not a gap: raises `ModelRejected`.
    """
    found: dict[Path, Model] = {}
    for folder in folders:
        if folder.is_dir():
            for one in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
                if (one / "config.json").is_file():
                    found.setdefault(one.resolve(), Model(one, read(one)))
    return sorted(found.values(), key=lambda one: one.name)


def lineage(model: Model, among: Iterable[Model]) -> list[Model]:
    """The model, its parent, its parent's parent and so on, as far as they are `among` these."""
    by_label = {label(one.manifest): one for one in among if one.manifest}
    line = [model]
    while (manifest := line[-1].manifest) and (parent := by_label.get(manifest.parent)):
        if parent in line:
            break
        line.append(parent)
    return line


def label(manifest: ModelManifest) -> str:
    """How a manifest names a model as another one's parent."""
    return f"{manifest.name} {manifest.version}".strip()


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
