"""Slack's commands as a person uses them, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]


def run(folder: Path, *words: str, said: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
    home = {"DESKHAND_HOME": str(folder / "var"), "PYTHONPATH": str(HOUSE)}
    return subprocess.run(
        [sys.executable, "-m", "bot", *words],
        cwd=folder,
        env={**kept, **home, **more},
        input=said,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_manifest_is_json_without_secrets(tmp_path: Path) -> None:
    token = "xoxb-something-secret"
    done = run(tmp_path, "slack", "manifest", DESKHAND_SLACK__BOT_TOKEN=token)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["settings"]["socket_mode_enabled"]
    assert token not in done.stdout + done.stderr


@pytest.mark.slow
def test_simulate_answers_through_the_whole_path_and_takes_a_vote(tmp_path: Path) -> None:
    faq = tmp_path / "faq.csv"
    faq.write_text("question,answer\nHow long is the warranty?,It lasts three years.\n")
    built = run(tmp_path, "index", "build", str(faq))
    assert built.returncode == 0, built.stderr
    done = run(tmp_path, "slack", "simulate", said="How long is the warranty?\n/up\n/quit\n")
    assert done.returncode == 0, done.stderr
    assert "three years" in done.stdout
    assert "was told: Helpful" in done.stdout
