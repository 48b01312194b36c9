"""A model's manifest says what it is, and proves that its files are still those."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot import models
from bot.cli import console, register_all
from bot.engine import checkpoint
from bot.errors import ModelRejected
from bot.models import Model, ModelManifest


def folder_of(path: Path, manifest: ModelManifest | None = None) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "tokenizer.json").write_text("{}")
    (path / "model.safetensors").write_bytes(path.name.encode())
    if manifest is not None:
        models.write(path, manifest)
    return path


def test_what_is_written_is_read_and_its_version_follows_the_weights(tmp_path: Path) -> None:
    manifest = ModelManifest(name="ours", seed=3, capabilities=("grounded",), prompt="compact")
    one, other = (folder_of(tmp_path / name, manifest) for name in ("one", "other"))
    found = models.verify(one)
    assert found is not None
    assert (found.name, found.seed, found.prompt) == ("ours", 3, "compact")
    assert set(found.files) == {"config.json", "model.safetensors", "tokenizer.json"}
    assert found.version == models.sha256_of(one / "model.safetensors")[:8]
    again = models.read(other)
    assert again is not None
    assert again.version != found.version
    (one / models.CARD).write_text("# A card is written after the hashes it tells.")
    assert models.verify(one) == found


def test_a_changed_file_is_named_and_may_not_serve(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "ours", ModelManifest(name="ours"))
    (folder / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(ModelRejected, match=r"model\.safetensors"):
        models.verify(folder)
    with pytest.raises(ModelRejected, match=r"model\.safetensors"):
        checkpoint.find(str(folder))


@pytest.mark.parametrize("path", ["../outside", "/etc/hostname"])
def test_a_manifest_cannot_point_outside_its_folder(tmp_path: Path, path: str) -> None:
    folder = folder_of(tmp_path / "ours", ModelManifest(name="ours"))
    manifest = json.loads((folder / models.MANIFEST).read_text())
    manifest["files"][path] = {"bytes": 1, "sha256": "0"}
    (folder / models.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelRejected, match="outside"):
        models.verify(folder)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"name": "ours", "capabilities": ["fly"]}', '{"x": 1}']
)
def test_a_manifest_that_makes_no_sense_is_named(tmp_path: Path, text: str) -> None:
    folder = folder_of(tmp_path / "ours")
    (folder / models.MANIFEST).write_text(text)
    with pytest.raises(ModelRejected, match=models.MANIFEST):
        models.read(folder)


def test_a_plain_folder_is_a_model_that_is_tried_with_everything(tmp_path: Path) -> None:
    (model,) = models.find([folder_of(tmp_path / "plain")])
    assert (model.name, model.capabilities) == ("plain", ("grounded", "write"))
    assert models.verify(model.folder) is None
    assert models.find([tmp_path / "nowhere"]) == []


def test_the_lineage_goes_back_to_the_first_parent(tmp_path: Path) -> None:
    parent = ""
    for name in ("base", "tuned", "better"):
        folder = folder_of(tmp_path / name, ModelManifest(name=name, parent=parent))
        manifest = models.read(folder)
        assert manifest is not None
        parent = models.label(manifest)
    found = models.find([tmp_path])
    last = next(one for one in found if one.name == "better")
    assert [one.name for one in models.lineage(last, found)] == ["better", "tuned", "base"]
    alone = Model(last.folder, last.manifest)
    assert models.lineage(alone, []) == [alone]


def test_the_command_line_lists_shows_and_checks_models(tmp_path: Path) -> None:
    register_all()
    runner = CliRunner()
    folder = folder_of(tmp_path / "ours", ModelManifest(name="ours", metrics={"held_loss": 1.25}))
    listed = runner.invoke(console.app, ["models", "list", "--folder", str(tmp_path), "--json"])
    assert [one["name"] for one in json.loads(listed.output)] == ["ours"]
    shown = runner.invoke(console.app, ["models", "show", "ours", "--folder", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert "held_loss" in shown.output
    assert "1.25" in shown.output
    (folder / "config.json").write_text('{"changed": true}')
    with pytest.raises(ModelRejected, match=r"config\.json"):
        runner.invoke(console.app, ["models", "show", str(folder)], catch_exceptions=False)
    with pytest.raises(ModelRejected, match="no model nothing"):
        runner.invoke(console.app, ["models", "show", "nothing"], catch_exceptions=False)
