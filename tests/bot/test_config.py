"""Settings come from one file and the environment, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import config
from bot.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    file = folder / "deskhand.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_environment_overrides_the_file_and_the_file_overrides_the_defaults(
    tmp_path: Path,
) -> None:
    file = write(tmp_path, "[server]\nport = 9000\nhost = '127.0.0.2'\n")

    loaded = config.load(file, {"DESKHAND_SERVER__PORT": "9001"})

    assert loaded.settings.server.port == 9001
    assert loaded.settings.server.host == "127.0.0.2"
    assert loaded.settings.limits.workers == config.Settings().limits.workers
    assert loaded.origins["server.port"] == "DESKHAND_SERVER__PORT"
    assert loaded.origins["server.host"] == str(file)
    assert loaded.origins["limits.workers"] == "default"


@pytest.mark.parametrize(
    ("text", "environ", "named"),
    [
        ("[server]\nprot = 1\n", {}, "server.prot"),
        ("[sever]\nport = 1\n", {}, "sever"),
        ("", {"DESKHAND_SEVER__PORT": "1"}, "DESKHAND_SEVER__PORT"),
        ("", {"DESKHAND_SERVER__PROT": "1"}, "server.prot"),
    ],
)
def test_an_unknown_key_is_refused_by_name(
    tmp_path: Path, text: str, environ: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(write(tmp_path, text), environ)
    assert named in str(caught.value)


def test_a_misspelt_key_suggests_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'port'"):
        config.load(write(tmp_path, "[server]\nprot = 1\n"), {})


def test_a_value_of_the_wrong_kind_names_its_origin_and_never_repeats_the_value(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(write(tmp_path, ""), {"DESKHAND_SERVER__PORT": "hunter2"})
    assert "DESKHAND_SERVER__PORT" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_secrets_are_never_printed(tmp_path: Path) -> None:
    loaded = config.load(
        write(tmp_path, ""),
        {
            "DESKHAND_DATABASE__URL": "postgresql://me:hunter2@db/desk",
            "DESKHAND_ENGINE__KEY": "hunter2",
        },
    )
    shown = str(list(loaded.rows())) + repr(loaded) + str(loaded.settings)
    assert "hunter2" not in shown
    assert loaded.settings.database_url == "postgresql://me:hunter2@db/desk"


@pytest.mark.parametrize("content", [b"not toml [", b"\xff\xfe\x00"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.toml"):
        config.load(file, {})


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        config.load(None, {"DESKHAND_CONFIG": str(tmp_path / "missing.toml")})


def test_settings_made_in_code_ignore_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKHAND_SERVER__PORT", "9999")
    assert config.Settings().server.port == 8080


def test_every_setting_is_documented() -> None:
    assert [name for name in config.names() if not config.describe(name)] == []
