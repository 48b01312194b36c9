"""FAQ lists as JSON, JSON Lines or YAML: objects whose keys are the columns.

Knows a list of objects, or an object that holds one list and defaults beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from knowledge.errors import UnreadableFile
from knowledge.readers.base import RawFile, Readout, decode
from knowledge.readers.faq import FaqList, find_columns, missing_columns
from knowledge.readers.yamltext import load_yaml

_JOIN = {"question": " / ", "answer": "\n\n"}


def read_jsonl(raw: RawFile) -> Readout:
    """Read one object per line. A line that is not one is noted; the others are read."""
    rows: list[tuple[str, object]] = []
    faq = FaqList(raw)
    broken = 0
    for number, line in enumerate(decode(raw).lstrip("\ufeff").split("\n"), 1):
        if not line.strip():
            continue
        try:
            rows.append((f"line {number}", json.loads(line)))
        except (ValueError, RecursionError):
            faq.leave_out(f"line {number}", "not JSON")
            broken += 1
    if broken and not rows:
        raise UnreadableFile(
            f"{raw.source} is not JSON Lines: no line of it is a JSON value.",
            "Write one object per line.",
        )
    return _entries(faq, rows, {})


def read_json(raw: RawFile) -> Readout:
    """Read a list of objects, or one object per line under a name that ends in `.json`."""
    text = decode(raw).lstrip("\ufeff")
    if not text.strip():
        return Readout(())
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise UnreadableFile(f"{raw.source} nests too deeply.", "Flatten it.") from error
    except ValueError as error:
        if str(error).startswith("Extra data"):
            return read_jsonl(raw)
        raise UnreadableFile(
            f"{raw.source} is not JSON ({error}).", "Check it with a JSON validator."
        ) from error
    return _tree(raw, value)


def read_yaml(raw: RawFile) -> Readout:
    """Read a list of mappings."""
    return _tree(raw, load_yaml(decode(raw).lstrip("\ufeff"), raw.source))


def _tree(raw: RawFile, value: object) -> Readout:
    """A list of rows, or a mapping with one list of rows and values that hold for all."""
    if value is None or value == "":
        return Readout(())
    defaults: Mapping[str, object] = {}
    if isinstance(value, dict):
        lists = [key for key, held in value.items() if _is_rows(held)]
        if len(lists) != 1:
            raise missing_columns(raw.source, [str(key) for key in value])
        defaults = {key: held for key, held in value.items() if key != lists[0]}
        value = value[lists[0]]
    if not isinstance(value, list):
        raise missing_columns(raw.source, [])
    rows = [(f"entry {number}", row) for number, row in enumerate(value, 1)]
    return _entries(FaqList(raw), rows, defaults)


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(row, dict) for row in value)


def _entries(
    faq: FaqList, rows: list[tuple[str, object]], defaults: Mapping[str, object]
) -> Readout:
    # Defaults may set anything but what makes an entry; `title` there names the list.
    shared = {
        role: value
        for role, value in _by_role(defaults).items()
        if role not in ("question", "answer", "id")
    }
    usable = False
    for where, row in rows:
        if not isinstance(row, dict):
            faq.leave_out(where, "not an object with a question and an answer")
            continue
        values = _by_role(row)
        usable = usable or ("question" in values and "answer" in values)
        faq.add(where, shared | {role: value for role, value in values.items() if value})
    if rows and not usable:
        keys = dict.fromkeys(str(key) for _, row in rows if isinstance(row, dict) for key in row)
        raise missing_columns(faq.raw.source, keys)
    title = defaults.get("title")
    return faq.finish(title if isinstance(title, str) else "")


def _by_role(row: Mapping[str, object]) -> dict[str, str]:
    names = [str(key) for key in row]
    held = list(row.values())
    return {role: _text(held[at], role) for role, at in find_columns(names).items()}


def _text(value: object, role: str) -> str:
    """A value as text: lists joined as suits the column, `null` empty, numbers as written."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return _JOIN.get(role, ", ").join(str(item) for item in value if item is not None)
    return json.dumps(value, ensure_ascii=False)
