"""Slack's commands as a person uses them, in processes of their own."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bot.cli import slack, wiring
from bot.config import Settings
from bot.store import Store

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


def test_a_manifest_for_many_workspaces_needs_an_address_and_says_so(tmp_path: Path) -> None:
    refused = run(tmp_path, "slack", "manifest", "--many")
    assert refused.returncode != 0
    assert "server.public_url" in refused.stderr
    address = {"DESKHAND_SERVER__PUBLIC_URL": "https://bot.example.com"}
    done = run(tmp_path, "slack", "manifest", "--many", **address)
    back = json.loads(done.stdout)["oauth_config"]["redirect_urls"]
    assert back == ["https://bot.example.com/slack/oauth_redirect"]


async def test_a_door_for_many_workspaces_keeps_its_key_to_itself(tmp_path: Path) -> None:
    many = {"client_id": "1.2", "client_secret": "s", "signing_secret": "s"}
    values = {"home": tmp_path, "slack": many, "server": {"public_url": "https://bot.example.com"}}
    current = Settings.model_validate(values)
    keys = wiring.slack_keys(current)
    assert wiring.slack_keys(current) == keys
    assert stat.S_IMODE((tmp_path / "slack.key").stat().st_mode) == 0o600
    store = Store.open(current.database_url)
    doors = slack.channels(current, store, slack._no_starters)
    paths = [route.path for route in doors["slack"].routes()]
    assert paths == ["/slack/events", "/slack/install", "/slack/oauth_redirect"]
    assert slack.channels(Settings(home=tmp_path), store, slack._no_starters) == {}
    await doors["slack"].close()
    await store.close()


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
