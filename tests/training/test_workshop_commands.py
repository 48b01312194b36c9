"""The workshop's commands, one after another, as a person would run them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot import models
from bot.cli import register_all
from bot.cli.console import app
from bot.errors import ConfigError
from knowledge.errors import DeskhandError
from tests.fakes.tuning import Tuned
from training.grounded import read


def command(*words: object) -> str:
    register_all()
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_from_invented_companies_to_a_measured_model_and_a_critic(
    tuned: Tuned, tmp_path: Path
) -> None:
    grounded, work = tmp_path / "grounded", tmp_path / "work"
    told = json.loads(
        command(
            "train", "ground", "--out", grounded, "--companies", 60, "--count", 60, "--held", 8,
            "--chats", tmp_path / "chats.jsonl",
        )
    )  # fmt: skip
    assert told["sources"] == {"written": "written for Deskhand"}
    assert len(list(read(grounded / "train.jsonl"))) == 60
    chat = json.loads((tmp_path / "chats.jsonl").read_text().splitlines()[0])
    assert [turn["role"] for turn in chat["messages"]][-1] == "assistant"

    command(
        "train", "tune", "--base", tuned.folder, "--examples", grounded, "--work", work,
        "--steps", 2, "--batch", 4, "--name", "desk", "--device", "cpu",
    )  # fmt: skip
    manifest = models.verify(work / "model")
    assert manifest is not None
    assert manifest.parent == models.label(tuned.manifest)
    assert manifest.dataset == told["hash"]
    assert (work / "model" / models.CARD).is_file()

    measured = json.loads(
        command(
            "eval", "generation", "--model", work / "model",
            "--examples", tuned.dataset / "valid.jsonl", "--count", 6, "--json",
        )
    )  # fmt: skip
    assert measured["figures"]["answers"] == 6
    assert measured["tokens_per_s"] > 0
    assert measured["nats_per_byte"] > 0

    out = command(
        "train", "critic", "--model", tuned.folder, "--examples", tuned.dataset,
        "--out", tmp_path / "critic.json", "--rounds", 1, "--prompts", 4, "--held", 4,
    )  # fmt: skip
    assert "critic AUC" in out


def test_a_prompt_form_that_does_not_exist_is_named(tuned: Tuned, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="haiku"):
        command(
            "train", "tune", "--base", tuned.folder, "--examples", tuned.dataset,
            "--work", tmp_path, "--steps", 1, "--form", "haiku",
        )  # fmt: skip


def test_a_folder_without_examples_or_model_is_named(tuned: Tuned, tmp_path: Path) -> None:
    with pytest.raises(DeskhandError, match=r"dataset\.json"):
        command(
            "train", "tune", "--base", tuned.folder, "--examples", tmp_path,
            "--work", tmp_path / "w", "--steps", 1,
        )  # fmt: skip
    with pytest.raises(DeskhandError, match="not a model folder"):
        command(
            "eval", "generation", "--model", tmp_path, "--examples", tuned.dataset / "valid.jsonl"
        )
