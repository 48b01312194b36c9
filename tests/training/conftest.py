"""One tiny model, trained once for the session on the sample company's pages."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from bot.models import ModelManifest
from tests.fakes.tuning import Tuned, make_tuned
from tests.training.killed import STEPS, sample_order
from training.pretrain import Trained, train
from training.pretrain_report import release


@dataclass(frozen=True)
class Tiny:
    work: Path
    folder: Path
    trained: Trained
    manifest: ModelManifest

    def another(self, folder: Path) -> Path:
        """A working folder with the same tokenizer and shards, where nothing is trained yet."""
        for part in ("tokenizer", "shards"):
            shutil.copytree(self.work / part, folder / part)
        return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    torch.set_num_threads(1)
    work = tmp_path_factory.mktemp("pretrain")
    order = sample_order(STEPS)
    order = replace(order, plan=replace(order.plan, measure_every=20))
    trained = train(order, work, device="cpu")
    manifest = release(work / "model", "deskhand-tiny", order, trained, work)
    return Tiny(work, work / "model", trained, manifest)


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    torch.set_num_threads(1)
    return make_tuned(tmp_path_factory.mktemp("tuning"))
