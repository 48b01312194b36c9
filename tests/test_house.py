"""The house rules: where things are, how they point, how long they get."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[1]
ROOMS = ("adapters", "bot", "knowledge", "training")
MAY_IMPORT = {
    "knowledge": {"knowledge"},
    "bot": {"bot", "knowledge"},
    "adapters": {"adapters", "bot", "knowledge"},
    "training": {"training", "bot", "knowledge"},
}
COMPOSITION_ROOT = "bot/cli/"  # may import everything, and nothing imports it
FILE_LINES = 500
FUNCTION_LINES = 80
# Places where an unexpected error must be caught so that one message cannot stop the rest.
# Each says so beside the line.
BROAD_EXCEPT = re.compile(r"except (Exception|BaseException)\b")


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((HOUSE / folder).rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(HOUSE).as_posix()


def module(path: Path) -> str:
    parts = path.relative_to(HOUSE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def ours(path: Path) -> set[str]:
    """Every module of this project that a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            within = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {one for one in within if is_module(one)}
            found |= modules if modules == within else modules | {node.module}
    return {one for one in found if one.split(".")[0] in ROOMS}


def is_module(dotted: str) -> bool:
    path = HOUSE / dotted.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def test_arrows_point_down() -> None:
    wrong = [
        f"{name(path)} imports {target}"
        for path in sources(*ROOMS)
        if not name(path).startswith(COMPOSITION_ROOT) and name(path) != "bot/__main__.py"
        for target in ours(path)
        if target.split(".")[0] not in MAY_IMPORT[path.relative_to(HOUSE).parts[0]]
    ]
    assert wrong == []


def test_nothing_imports_the_composition_root() -> None:
    wrong = [
        name(path)
        for path in sources(*ROOMS)
        if not name(path).startswith(COMPOSITION_ROOT) and name(path) != "bot/__main__.py"
        if any(target == "bot.cli" or target.startswith("bot.cli.") for target in ours(path))
    ]
    assert wrong == []


def test_no_import_goes_round_in_a_circle() -> None:
    known = {module(path): path for path in sources(*ROOMS)}
    arrows = {one: {t for t in ours(path) if t in known} - {one} for one, path in known.items()}
    done: set[str] = set()

    def visit(one: str, trail: tuple[str, ...]) -> None:
        assert one not in trail, " -> ".join([*trail[trail.index(one) :], one])
        if one not in done:
            for target in arrows[one]:
                visit(target, (*trail, one))
            done.add(one)

    for one in known:
        visit(one, ())


def test_only_config_reads_the_environment() -> None:
    readers = [
        name(path)
        for path in sources(*ROOMS)
        if re.search(
            r"\bos\.(environ|getenv)\b|\bfrom os import .*(environ|getenv)", path.read_text()
        )
    ]
    assert readers == ["bot/config.py"]


@pytest.mark.parametrize("path", list(sources(*ROOMS, "tests", "benchmarks")), ids=name)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= FILE_LINES, "does it still hold one idea?"
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1} lines)"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
        if node.end_lineno - node.lineno >= FUNCTION_LINES
    ]
    assert long == []


@pytest.mark.parametrize("path", list(sources(*ROOMS)), ids=name)
def test_modules_say_what_they_know_and_broad_excepts_say_why(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    silent = [
        line.strip() for line in text.splitlines() if BROAD_EXCEPT.search(line) and "#" not in line
    ]
    assert silent == []


def test_nothing_is_left_lying_about() -> None:
    """No notes to self, and no lint exception without its reason."""
    wrong = []
    for path in sources(*ROOMS, "tests", "benchmarks"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            bare_ignore = re.search(r"#\s*(noqa|type: ignore)(?!.*\s(-|—|#)\s?\w)", line)
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line) or bare_ignore:
                wrong.append(f"{name(path)}:{number}: {line.strip()}")
    assert [one for one in wrong if not one.startswith("tests/test_house.py")] == []


def test_the_tree_in_the_readme_is_the_tree_on_disk() -> None:
    readme = (HOUSE / "README.md").read_text(encoding="utf-8")
    drawn = set(re.findall(r"^ {0,4}([\w./]+\.py|\w+/) {2,}", readme, flags=re.MULTILINE))
    tracked = subprocess.run(
        ["git", "ls-files", *ROOMS], cwd=HOUSE, check=True, capture_output=True, text=True
    ).stdout.split()
    top = {Path(one).parts[1] for one in tracked if Path(one).parts[1] != "__init__.py"}
    modules = {one for one in top if one.endswith(".py")} - {"__main__.py"}
    folders = {f"{one}/" for one in top if "." not in one}
    missing = sorted((modules | folders) - drawn)
    assert missing == [], "rooms the README does not name"
    gone = sorted(one for one in drawn if one.endswith(".py") and Path(one).name not in modules)
    assert gone == [], "files the README names that do not exist"
