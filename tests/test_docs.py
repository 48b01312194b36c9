"""The documents say what is true: settings, commands, files and links."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import typer.main

from bot import __version__, config
from bot.cli import console, register_all

HOUSE = Path(__file__).resolve().parents[1]
DOCS = sorted([HOUSE / "README.md", HOUSE / "CHANGELOG.md", *(HOUSE / "docs").glob("*.md")])


def command_names() -> set[str]:
    register_all()
    root = typer.main.get_command(console.app)
    found: set[str] = set()

    def walk(command: object, trail: str) -> None:
        for name, below in getattr(command, "commands", {}).items():
            found.add(f"{trail} {name}".strip())
            walk(below, f"{trail} {name}".strip())

    walk(root, "")
    return found


def settings_table() -> str:
    """docs/settings.md as it must read."""
    lines = []
    table = None
    for name, value, _ in config.Loaded(
        config.Settings(), dict.fromkeys(config.names(), "default")
    ).rows():
        section = name.rpartition(".")[0]
        if section != table:
            table = section
            heading = f"`[{section}]`" if section else "Top level"
            lines += ["", f"## {heading}", "", "| setting | default | what it is |"]
            lines += ["|---|---|---|"]
        shown = {"": "empty", "(not set)": "not set"}.get(value, f"`{value}`")
        lines.append(f"| `{name}` | {shown} | {config.describe(name)} |")
    return "\n".join(lines).strip()


def test_every_setting_is_in_the_manual_with_its_default_and_meaning() -> None:
    manual = (HOUSE / "docs" / "settings.md").read_text(encoding="utf-8")
    wanted = settings_table()
    assert wanted in manual, f"docs/settings.md should hold:\n\n{wanted}"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_command_in_the_documents_exists(path: Path) -> None:
    known = command_names()
    text = path.read_text(encoding="utf-8")
    pattern = r"(?:^|[`\s/])deskhand ((?:[a-z][\w-]*)(?: [a-z][\w-]*)?)"
    used = re.findall(pattern, text, flags=re.MULTILINE)
    unknown = [one for one in used if one not in known and one.split()[0] not in known]
    assert unknown == []


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_link_between_documents_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    local = [one for one in targets if not one.startswith(("http:", "https:", "mailto:"))]
    assert [one for one in local if not (path.parent / one).exists()] == []


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_setting_named_in_the_documents_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    known = set(config.names())
    variables = set(re.findall(r"\bDESKHAND_[A-Z0-9_]+\b", text)) - {config.FILE_VARIABLE}
    as_names = {one.removeprefix(config.PREFIX).lower().replace("__", ".") for one in variables}
    assert as_names - known == set()


def test_every_settings_example_in_the_documents_loads(tmp_path: Path) -> None:
    examples = [
        block
        for path in DOCS
        for block in re.findall(
            r"```toml\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL
        )
    ]
    assert examples, "the README shows no settings file"
    for number, block in enumerate(examples):
        file = tmp_path / f"{number}.toml"
        file.write_text(block, encoding="utf-8")
        config.load(file, {})


def test_every_command_has_an_example_in_its_help() -> None:
    register_all()
    root = typer.main.get_command(console.app)
    bare: list[str] = []

    def walk(command: object, trail: str) -> None:
        below = getattr(command, "commands", None)
        if below is None and "Example: `deskhand " not in (getattr(command, "help", "") or ""):
            bare.append(trail)
        for name, one in (below or {}).items():
            walk(one, f"{trail} {name}".strip())

    walk(root, "")
    assert bare == []


def test_pins_agree_and_the_version_is_in_the_changelog() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [one for group in project["optional-dependencies"].values() for one in group]
    asked = [one for one in project["dependencies"] + extras if not one.startswith("deskhand")]
    held = {
        name.lower().replace("_", "-"): version
        for name, version in re.findall(
            r"^([\w.-]+)==(\S+)$", (HOUSE / "constraints.txt").read_text(), flags=re.MULTILINE
        )
    }
    for one in asked:
        name, _, version = re.sub(r"\[.*?\]", "", one).partition("==")
        assert version, f"{one} is not pinned"
        assert held.get(name.lower().replace("_", "-")) == version, one
    changelog = (HOUSE / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changelog or f"## [{__version__}]" in changelog


def test_the_documents_name_no_machine_of_their_makers() -> None:
    private = re.compile(r"/(?:root|home/\w+|opt/wheels)/")
    wrong = [path.name for path in DOCS if private.search(path.read_text(encoding="utf-8"))]
    assert wrong == []
