"""Telegram's commands as a person uses them, in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bot.test_cli_slack import run


@pytest.mark.slow
def test_simulate_answers_through_the_whole_path_and_takes_a_vote(tmp_path: Path) -> None:
    faq = tmp_path / "faq.csv"
    faq.write_text("question,answer\nHow long is the warranty?,It lasts three years.\n")
    built = run(tmp_path, "index", "build", str(faq))
    assert built.returncode == 0, built.stderr
    done = run(tmp_path, "telegram", "simulate", said="How long is the warranty?\n/up\n/quit\n")
    assert done.returncode == 0, done.stderr
    assert "three years" in done.stdout
    assert "Thank" in done.stdout
