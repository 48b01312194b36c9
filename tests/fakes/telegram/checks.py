"""What the Bot API checks before it does anything: lengths, keyboards, how often."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tests.fakes.telegram.entities import clean_url, parse, units
from tests.fakes.telegram.world import ApiError, Chat, Clock, bad

TEXT_UNITS = 4096
CAPTION_UNITS = 1024
BUTTONS, ROW_BUTTONS = 100, 8
PRIVATE_PER_MINUTE, GROUP_PER_MINUTE, OVERALL_PER_MINUTE = 60, 20, 1800
DRAFTS_PER_MINUTE = 60  # no figure is documented; users report 429 on drafts that come faster
BURST = 5

Args = dict[str, Any]
Shown = tuple[str, list[dict[str, Any]]]


def text_of(args: Args, *, empty: bool = False) -> Shown:
    """The text of a message as it is shown, 1 to 4096 units of it."""
    text, entities = parse(args.get("text") or "", args.get("parse_mode"), args.get("entities"))
    if not text and not empty:
        raise bad("message text is empty")
    if units(text) > TEXT_UNITS:
        raise bad("message is too long")
    return text, entities


def caption_of(args: Args) -> Shown:
    """The caption of a file as it is shown, 1024 units at most."""
    text, entities = parse(
        args.get("caption") or "", args.get("parse_mode"), args.get("caption_entities")
    )
    if units(text) > CAPTION_UNITS:
        raise bad("message caption is too long")
    return text, entities


def markup_of(args: Args) -> dict[str, Any] | None:
    """The keyboard under a message, if it is one that Telegram takes."""
    markup: dict[str, Any] | None = args.get("reply_markup")
    rows = (markup or {}).get("inline_keyboard")
    if rows is None:
        return markup
    if sum(map(len, rows)) > BUTTONS or any(len(row) > ROW_BUTTONS for row in rows):
        raise bad("REPLY_MARKUP_TOO_LONG")
    for button in (one for row in rows for one in row):
        _check_button(button)
    return {"inline_keyboard": [row for row in rows if row]}


def _check_button(button: dict[str, Any]) -> None:
    does = [name for name in button if name not in {"text", "icon_custom_emoji_id", "style"}]
    if not button["text"].strip():
        raise bad("can't parse inline keyboard button: Text must be non-empty")
    if not does:
        raise bad("Text buttons are unallowed in the inline keyboard")
    if len(does) > 1:
        raise bad(f"an inline keyboard button does one thing, not {does}")
    if does == ["callback_data"] and not 1 <= len(button["callback_data"].encode()) <= 64:
        raise bad("BUTTON_DATA_INVALID")
    if does == ["url"] and not clean_url(button["url"]):
        raise bad(f"inline keyboard button URL '{button['url']}' is invalid: Wrong HTTP URL")


@dataclass
class _Bucket:
    level: float
    at: float


class Floods:
    """Token buckets per chat and for all chats together, on the world's clock."""

    def __init__(self, clock: Clock) -> None:
        self.on = True
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, chat: Chat, weight: int = 1, *, draft: bool = False) -> None:
        """Count a message, or several. Raises 429 with `retry_after`."""
        if not self.on:
            return
        if draft:
            self._take(f"draft {chat.id}", DRAFTS_PER_MINUTE, BURST, weight)
        elif chat.kind == "private":
            self._take(f"{chat.business} {chat.id}", PRIVATE_PER_MINUTE, BURST, weight)
        else:
            self._take(str(chat.id), GROUP_PER_MINUTE, GROUP_PER_MINUTE, weight)
        if not draft:
            self._take("", OVERALL_PER_MINUTE, OVERALL_PER_MINUTE // 60, weight)

    def _take(self, key: str, per_minute: int, most: int, weight: int) -> None:
        now = self._clock.now()
        bucket = self._buckets.setdefault(key, _Bucket(most, now))
        bucket.level = min(most, bucket.level + (now - bucket.at) * per_minute / 60)
        bucket.at = now
        if bucket.level < min(weight, most):
            wait = (min(weight, most) - bucket.level) * 60 / per_minute
            raise flood(max(1, math.ceil(wait)))
        bucket.level -= weight


def flood(seconds: int) -> ApiError:
    """The refusal of what came too soon."""
    return ApiError(429, f"retry after {seconds}", retry_after=seconds)
