"""What a message's blocks and text may hold. Raises `ApiError` as Slack names it."""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.slack.world import ApiError

MARKDOWN_CHARS = 12_000
MESSAGE_MARKDOWN_CHARS = 13_200  # reported by users for all markdown of a message together
TEXT_CHARS = 40_000
BLOCKS = 50
METADATA_BYTES = 16_000


def check_content(args: dict[str, Any]) -> None:
    """Text, blocks and metadata of one call."""
    if "markdown_text" in args and ({"text", "blocks"} & set(args)):
        raise ApiError("markdown_text_conflict")
    if not any(args.get(name) for name in ("text", "blocks", "markdown_text", "attachments")):
        raise ApiError("no_text")
    if len(args.get("markdown_text", "")) > MARKDOWN_CHARS:
        raise ApiError("msg_too_long")
    if len(args.get("text", "")) > TEXT_CHARS:
        raise ApiError("msg_too_long")
    if args.get("blocks") and not args.get("text"):
        # Slack only warns; a notification without words is a bug here.
        raise ApiError("missing_text_in_message")
    check_blocks(args.get("blocks", []))
    check_metadata(args.get("metadata"))


def check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or set(metadata) != {"event_type", "event_payload"}:
        raise ApiError("invalid_metadata_format")
    if not isinstance(metadata["event_payload"], dict):
        raise ApiError("invalid_metadata_schema")
    if len(json.dumps(metadata)) > METADATA_BYTES:
        raise ApiError("metadata_too_large")


def check_blocks(blocks: Any) -> None:
    if not isinstance(blocks, list):
        raise ApiError("invalid_blocks_format")
    if len(blocks) > BLOCKS:
        raise ApiError("msg_blocks_too_many")
    markdown = 0
    seen = set()
    for block in blocks:
        _check_block(block)
        if block["type"] == "markdown":
            markdown += len(block["text"])
        key = block.get("block_id")
        if key is not None and key in seen:
            raise ApiError("invalid_blocks", detail="block_id used twice")
        seen.add(key)
    if markdown > MESSAGE_MARKDOWN_CHARS:
        raise ApiError("msg_blocks_too_long")


_SHAPES: dict[str, tuple[set[str], set[str]]] = {  # required, optional
    "markdown": ({"text"}, set()),
    "section": ({"text"}, {"fields", "accessory", "expand"}),
    "header": ({"text"}, set()),
    "context": ({"elements"}, set()),
    "actions": ({"elements"}, set()),
    "context_actions": ({"elements"}, set()),
    "divider": (set(), set()),
    "input": ({"label", "element"}, {"hint", "optional", "dispatch_action"}),
}
_MOST_ELEMENTS = {"context": 10, "actions": 25, "context_actions": 5}


def _check_block(block: Any) -> None:
    if not isinstance(block, dict) or block.get("type") not in _SHAPES:
        raise ApiError("invalid_blocks", detail=f"unknown block {block!r}")
    kind = block["type"]
    required, optional = _SHAPES[kind]
    _keys(block, required, optional | {"block_id"})
    if kind == "markdown" and not 0 < len(block["text"]) <= MARKDOWN_CHARS:
        raise ApiError("msg_blocks_too_long")
    if kind == "section":
        _text(block["text"], 3000)
    if kind == "header":
        _text(block["text"], 150, {"plain_text"})
    for element in block.get("elements", []):
        _element(kind, element)
    if kind in _MOST_ELEMENTS and not 0 < len(block["elements"]) <= _MOST_ELEMENTS[kind]:
        raise ApiError("invalid_blocks", detail=f"elements of {kind}")
    if kind == "input":
        _text(block["label"], 2000, {"plain_text"})
        _element("input", block["element"])


def _element(where: str, element: Any) -> None:
    if where == "context" and element.get("type") in {"mrkdwn", "plain_text"}:
        _text(element, 3000)
        return
    allowed = {
        "context": set(),
        "actions": {"button", "static_select"},
        "context_actions": {"feedback_buttons", "icon_button"},
        "input": {"plain_text_input", "static_select", "radio_buttons"},
    }[where]
    if not isinstance(element, dict) or element.get("type") not in allowed:
        raise ApiError("invalid_blocks", detail=f"{element!r} in {where}")
    if len(element.get("action_id", "")) > 255:
        raise ApiError("invalid_blocks", detail="action_id")
    if element["type"] == "button":
        _keys(
            element,
            {"text", "action_id"},
            {"value", "style", "url", "confirm", "accessibility_label"},
        )
        _text(element["text"], 75, {"plain_text"})
        if len(element.get("value", "")) > 2000:
            raise ApiError("invalid_blocks", detail="value")
    if element["type"] == "feedback_buttons":
        _keys(element, {"action_id", "positive_button", "negative_button"}, set())
        for side in ("positive_button", "negative_button"):
            _keys(element[side], {"text", "value"}, {"accessibility_label"})
            _text(element[side]["text"], 75, {"plain_text"})
            if len(element[side]["value"]) > 2000:
                raise ApiError("invalid_blocks", detail="value")


def _text(
    text: Any, most: int, kinds: frozenset[str] | set[str] = frozenset({"mrkdwn", "plain_text"})
) -> None:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        raise ApiError("invalid_blocks", detail=f"not a text object: {text!r}")
    _keys(text, {"text"}, {"emoji", "verbatim"})
    if not 0 < len(text["text"]) <= most:
        raise ApiError("invalid_blocks", detail=f"text of {len(text['text'])}, limit {most}")


def _keys(thing: dict[str, Any], required: set[str], optional: set[str]) -> None:
    have = set(thing) - {"type"}
    if not required <= have:
        raise ApiError("invalid_blocks", detail=f"{thing.get('type')} lacks {required - have}")
    if have - required - optional:
        raise ApiError(
            "invalid_blocks", detail=f"{thing.get('type')} takes no {have - required - optional}"
        )


def check_view(view: Any) -> None:
    """A modal or a home tab."""
    if isinstance(view, str):
        view = json.loads(view)
    if view.get("type") not in {"modal", "home"}:
        raise ApiError("invalid_arguments", detail="view type")
    if view["type"] == "modal":
        _text(view.get("title"), 24, {"plain_text"})
        for name in ("submit", "close"):
            if name in view:
                _text(view[name], 24, {"plain_text"})
        if any(block["type"] == "input" for block in view["blocks"]) and "submit" not in view:
            raise ApiError("invalid_arguments", detail="inputs without submit")
    if len(view.get("private_metadata", "")) > 3000 or len(view["blocks"]) > 100:
        raise ApiError("view_too_large")
    for block in view["blocks"]:
        _check_block(block)
