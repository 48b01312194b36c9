"""A build that is killed, or runs out of disk, leaves the index as it was or as it should be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def crash(how: str, folder: Path) -> Any:
    made = subprocess.run(
        [sys.executable, "-m", "tests.fakes.crashing", how, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def test_a_build_killed_at_any_moment_leaves_a_whole_index(tmp_path: Path) -> None:
    killed = crash("killed", tmp_path)
    assert killed[-1]["step"] > 100, "too few steps were seen to mean anything"
    for one in killed:
        assert one["code"] == -9, one
        assert one["whole"], one
        assert one["rerun"], one
        assert one["left"] == ["current", "lock", "versions"], one
        assert one["versions"] == 2, one
    old = [one["old"] for one in killed]
    assert old == sorted(old, reverse=True), "once the new version is in use, it stays"
    assert not old[-1], "the last steps come after the switch"


def test_a_full_disk_is_reported_and_leaves_the_index_in_use(tmp_path: Path) -> None:
    *full, after = crash("full", tmp_path)
    assert after == {"passages": 14}
    for one in full:
        assert "could not be written" in one["said"], one
        assert "untouched" in one["said"], one
        assert one["same"], one
        assert one["left"] == ["current", "lock", "versions"], one
