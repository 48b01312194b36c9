"""Checkpoints of a training run: written whole or not at all, checked before they are used.

Knows tensors and files; does not know what is trained. A checkpoint is a folder that appears
under its name only when everything in it is on the disk, so a process killed at any moment
leaves the one before it usable.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.errors import CheckpointCorrupt

KEEP = 2  # the newest; an older one is worth having when the newest turns out damaged
WEIGHTS, OPTIMIZER, STATE = "weights.safetensors", "optimizer.pt", "state.json"


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint read back."""

    weights: dict[str, Tensor]
    optimizer: list[dict[str, Any]]
    state: dict[str, Any]


def save(
    folder: Path,
    step: int,
    weights: Mapping[str, Tensor],
    optimizer: list[dict[str, Any]],
    state: Mapping[str, Any],
) -> Path:
    """Write the checkpoint of `step` under `folder`, and forget all but the newest."""
    target = folder / f"step-{step:08}"
    draft = folder / f".step-{step:08}.tmp"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    # Cloned, since tied weights share memory, which safetensors refuses.
    save_file({name: one.detach().cpu().clone() for name, one in weights.items()}, draft / WEIGHTS)
    torch.save(optimizer, draft / OPTIMIZER)
    hashes = {name: _sha256(draft / name) for name in (WEIGHTS, OPTIMIZER)}
    (draft / STATE).write_text(
        json.dumps({**state, "step": step, "sha256": hashes}), encoding="utf-8"
    )
    for path in (*draft.iterdir(), draft):
        _to_disk(path)
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
    _to_disk(folder)
    for old in saved(folder)[:-KEEP]:
        shutil.rmtree(old)
    return target


def saved(folder: Path) -> list[Path]:
    """The checkpoints under `folder`, oldest first."""
    return sorted(folder.glob("step-*"))


def read(checkpoint: Path) -> Saved:
    """A checkpoint, checked against its own hashes. Raises `CheckpointCorrupt`."""
    remedy = f"Delete {checkpoint}; the one before it is used then."
    try:
        state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
        for name, sha256 in state["sha256"].items():
            if _sha256(checkpoint / name) != sha256:
                raise CheckpointCorrupt(
                    f"{checkpoint / name} is not the file that was written.", remedy
                )
        weights = load_file(checkpoint / WEIGHTS)
        optimizer = torch.load(checkpoint / OPTIMIZER, map_location="cpu", weights_only=True)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointCorrupt(f"{checkpoint} cannot be read: {error}", remedy) from error
    return Saved(weights, optimizer, state)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
