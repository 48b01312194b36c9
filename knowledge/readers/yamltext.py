"""YAML as plain data: every value a string, nothing constructed, nothing repeated.

Knows front matter and YAML files. Does not know what their keys mean.
"""

from __future__ import annotations

import yaml

from knowledge.errors import UnreadableFile

MAX_YAML = 5_000_000  # characters; larger lists belong into CSV or JSON Lines
_MAX_DEPTH = 50  # the C parser recurses on its own stack; front matter and lists need five


def load_yaml(text: str, source: str) -> object:
    """Parse `text` into dicts, lists and strings. Raises `UnreadableFile`.

    With the base loader no tag builds an object, and `no`, `2024-01-01` or `1e3` stay what was
    written. Aliases are refused: a few lines of them can stand for gigabytes, and a merged key
    (`<<: *defaults`) would be lost without a word, which for an audience is a leak.
    """
    if len(text) > MAX_YAML:
        raise UnreadableFile(
            f"{source} is too large for YAML ({len(text):,} characters, at most {MAX_YAML:,}).",
            "Split it, or write it as CSV or JSON Lines.",
        )
    try:
        # The C parser is some ten times faster; PyYAML may be built without it.
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent):
                raise UnreadableFile(
                    f"{source} uses a YAML alias (*{event.anchor}), which is not accepted.",
                    "Write the value out where it is used.",
                )
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise UnreadableFile(
                    f"{source} nests more than {_MAX_DEPTH} levels deep.", "Flatten it."
                )
        return yaml.load(text, Loader=loader)  # noqa: S506 - the base loader builds no objects
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "not valid"
        raise UnreadableFile(
            f"{source}{where}: this is not YAML ({problem}).",
            "A value that holds `: ` or starts with a special character needs quotes.",
        ) from error
