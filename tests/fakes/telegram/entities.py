"""Telegram's three ways to say what is bold, and what it finds in a text by itself.

Offsets and lengths are in UTF-16 code units. Errors carry the words of the Bot API, after
"can't parse entities: ". Facts: core.telegram.org/bots/api#formatting-options, and the error
texts that users report.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.telegram.world import bad

Entity = dict[str, Any]

_TAGS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "a": "text_link",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "tg-emoji": "custom_emoji",
}
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_REFERENCE = re.compile(r"&(?:#x([0-9a-fA-F]+)|#([0-9]+)|(lt|gt|amp|quot));?")
_ATTRIBUTE = re.compile(r"\s*([^\s=>]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([\w.-]+)))?")
RESERVED = set("_*[]()~`>#+-=|{}.!")


def units(text: str) -> int:
    """Length in UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


def cut(text: str, offset: int, length: int) -> str:
    """What an entity covers."""
    return text.encode("utf-16-le")[2 * offset : 2 * (offset + length)].decode("utf-16-le")


def clean_url(url: str) -> str:
    """A URL that Telegram makes a link of, with a scheme; empty where it makes none."""
    parts = urlsplit(
        url if "://" in url or url.startswith(("mailto:", "tel:")) else f"http://{url}"
    )
    if parts.scheme in {"tg", "ton", "mailto", "tel"}:
        return url
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https", "ftp"} or " " in url:
        return ""
    return parts.geturl() if "." in host.strip(".") else ""


def parse(text: str, mode: str | None, entities: list[Entity] | None) -> tuple[str, list[Entity]]:
    """Text and entities as they are shown. Raises `ApiError` in the Bot API's words."""
    if mode is not None and entities:
        raise bad("can't use parse_mode together with entities")
    match (mode or "").lower():
        case "html":
            text, found = _html(text)
        case "markdownv2":
            text, found = _markdown(text)
        case "":
            found = _given(text, entities or [])
        case _:
            raise bad("unsupported parse_mode")
    text, found = _trimmed(text, _plain_code(found))
    return text, sorted(
        found + detect(text, found), key=lambda one: (one["offset"], -one["length"])
    )


def _given(text: str, entities: list[Entity]) -> list[Entity]:
    whole = units(text)
    for one in entities:
        if one["offset"] < 0 or one["length"] <= 0 or one["offset"] + one["length"] > whole:
            raise bad("entity beyond the text: ENTITY_BOUNDS_INVALID")
        try:
            cut(text, one["offset"], one["length"])
        except UnicodeDecodeError:
            raise bad("entity splits a character: ENTITY_BOUNDS_INVALID") from None
    return [dict(one) for one in entities]


def _trimmed(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """Without white space around it, as Telegram stores it."""
    kept = text.strip()
    before = units(text[: len(text) - len(text.lstrip())]) if kept else 0
    whole = units(kept)
    moved = []
    for one in entities:
        start = max(0, one["offset"] - before)
        end = min(whole, one["offset"] + one["length"] - before)
        if end > start:
            moved.append(one | {"offset": start, "length": end - start})
    return kept, moved


_STYLES = {"bold", "italic", "underline", "strikethrough", "spoiler"}


def _plain_code(entities: list[Entity]) -> list[Entity]:
    """Code has no other style: what lies around or within it is cut to the text beside it."""
    codes = sorted(
        (one["offset"], one["offset"] + one["length"])
        for one in entities
        if one["type"] in {"code", "pre"}
    )
    kept: list[Entity] = []
    for one in entities:
        if one["type"] not in _STYLES:
            kept.append(one)
            continue
        at, end = one["offset"], one["offset"] + one["length"]
        for start, stop in codes:
            if stop <= at or end <= start:
                continue
            if at < start:
                kept.append(one | {"offset": at, "length": start - at})
            at = stop
        if at < end:
            kept.append(one | {"offset": at, "length": end - at})
    return kept


@dataclass
class _Open:
    """A start that waits for its end."""

    name: str
    kind: str
    at: int  # UTF-16 units into the result
    begun: int  # bytes into the source
    more: dict[str, Any] = field(default_factory=dict)


def _cannot(text: str) -> Exception:
    return bad(f"can't parse entities: {text}")


class _Source:
    """A text being read; errors speak of byte offsets."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.out: list[str] = []
        self.length = 0  # UTF-16 units put out

    def bytes(self, at: int | None = None) -> int:
        return len(self.text[: self.at if at is None else at].encode())

    def put(self, text: str) -> None:
        text = text.replace("\r", "")  # Telegram drops it
        self.out.append(text)
        self.length += units(text)

    def starts(self, what: str) -> bool:
        return self.text.startswith(what, self.at)


# HTML


def _html(text: str) -> tuple[str, list[Entity]]:
    source = _Source(text)
    stack: list[_Open] = []
    found: list[Entity] = []
    while source.at < len(text):
        char = text[source.at]
        if char == "&" and (hit := _REFERENCE.match(text, source.at)):
            source.put(_referred(hit))
            source.at = hit.end()
        elif char != "<":
            source.put(char)
            source.at += 1
        elif source.starts("</"):
            found += _end_tag(source, stack)
        else:
            stack.append(_start_tag(source))
    if stack:
        raise _cannot(f'Can\'t find end tag corresponding to start tag "{stack[-1].name}"')
    return "".join(source.out), found


def _referred(hit: re.Match[str]) -> str:
    if hit[3]:
        return _NAMED[hit[3]]
    code = int(hit[1], 16) if hit[1] else int(hit[2])
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else hit[0]


def _start_tag(source: _Source) -> _Open:
    begun = source.bytes()
    end = source.text.find(">", source.at)
    head = re.compile(r"[^\s>]*").match(source.text, source.at + 1)
    assert head is not None  # it matches the empty text
    name = head[0].lower()
    if end < 0 and head.end() == len(source.text):
        raise _cannot(f"Unclosed start tag at byte offset {begun}")
    if name not in _TAGS:
        raise _cannot(f'Unsupported start tag "{name}" at byte offset {begun}')
    attributes: dict[str, str] = {}
    at = head.end()
    while (hit := _ATTRIBUTE.match(source.text, at)) and hit.end() > at and hit[1] != "":
        values = [one for one in hit.groups()[1:] if one is not None]
        if not values and (name, hit[1].lower()) != ("blockquote", "expandable"):
            raise _cannot(
                f'Expected equal sign in declaration of an attribute of the tag "{name}" '
                f"at byte offset {begun}"
            )
        value = _REFERENCE.sub(_referred, values[0]) if values else ""
        attributes[hit[1].lower()] = value
        at = hit.end()
    close = re.compile(r"\s*>").match(source.text, at)
    if close is None:
        raise _cannot(f'Unclosed start tag "{name}" at byte offset {begun}')
    source.at = close.end()
    return _Open(name, _TAGS[name], source.length, begun, _meaning(name, attributes, begun))


def _meaning(name: str, attributes: dict[str, str], begun: int) -> dict[str, Any]:
    if name == "span" and attributes.get("class") != "tg-spoiler":
        raise _cannot(f'Tag "span" must have class "tg-spoiler" at byte offset {begun}')
    if name == "tg-emoji":
        return {"custom_emoji_id": attributes.get("emoji-id", "")}
    if name == "a":
        return {"url": attributes.get("href", "")}
    if name == "code" and attributes.get("class", "").startswith("language-"):
        return {"language": attributes["class"].removeprefix("language-")}
    if name == "blockquote" and "expandable" in attributes:
        return {"expandable": True}
    return {}


def _end_tag(source: _Source, stack: list[_Open]) -> list[Entity]:
    begun = source.bytes()
    if not stack:
        raise _cannot(f"Unexpected end tag at byte offset {begun}")
    hit = re.compile(r"</([^\s>]*)\s*>").match(source.text, source.at)
    if hit is None:
        raise _cannot(f"Unclosed end tag at byte offset {begun}")
    top = stack.pop()
    if hit[1] and hit[1].lower() != top.name:
        raise _cannot(
            f'Unmatched end tag at byte offset {begun}, expected "</{top.name}>", '
            f'found "</{hit[1].lower()}>"'
        )
    source.at = hit.end()
    return _closed(source, top, stack)


def _closed(source: _Source, top: _Open, stack: list[_Open]) -> list[Entity]:
    """The entity that ends here; none where it would be empty or not a link."""
    length = source.length - top.at
    if not length:
        return []
    made = {"type": top.kind, "offset": top.at, "length": length}
    if top.kind == "blockquote" and top.more.get("expandable"):
        made["type"] = "expandable_blockquote"
    elif top.kind == "text_link":
        covered = cut("".join(source.out), top.at, length)
        url = clean_url(top.more["url"] or covered)
        if not url:
            return []  # shown as plain text
        made["url"] = url
    elif top.kind == "code" and stack and stack[-1].kind == "pre" and stack[-1].at == top.at:
        if "language" in top.more:
            stack[-1].more["language"] = top.more["language"]
        return []  # <pre><code class="language-…"> is one entity
    elif top.kind in {"pre", "custom_emoji"}:
        made |= top.more
    return [made]


# MarkdownV2

_MARKS = {
    "||": "Spoiler",
    "__": "Underline",
    "*": "Bold",
    "_": "Italic",
    "~": "Strikethrough",
}
_KINDS = {name: name.lower() for name in _MARKS.values()}


def _markdown(text: str) -> tuple[str, list[Entity]]:
    source = _Source(text)
    stack: list[_Open] = []
    found: list[Entity] = []
    while source.at < len(text):
        char = text[source.at]
        if _escaped(text, source.at):
            source.put(text[source.at + 1])
            source.at += 2
        elif char == "`":
            found += _code(source)
        elif char == "]" and stack and stack[-1].name == "]":
            found += _link(source, stack)
        elif char == "[" or source.starts("!["):
            width = 1 if char == "[" else 2
            stack.append(_Open("]", "text_link", source.length, source.bytes()))
            source.at += width
        elif mark := next((one for one in _MARKS if source.starts(one)), ""):
            found += _mark(source, stack, mark)
        elif char in RESERVED and not (char == ">" and _line_start(source)):
            raise _cannot(
                f"Character '{char}' is reserved and must be escaped with the preceding '\\'"
            )
        elif char == ">":
            source.at += 1
            found += _quoted(source)
        else:
            source.put(char)
            source.at += 1
    if stack:
        name = "a URL" if stack[-1].name == "]" else f"{_MARKS[stack[-1].name]} entity"
        raise _cannot(f"Can't find end of {name} at byte offset {stack[-1].begun}")
    return "".join(source.out), _merged(found)


def _escaped(text: str, at: int) -> bool:
    """Whether a backslash here takes the meaning of the next character: anywhere, code too."""
    following = text[at + 1 : at + 2]
    return text[at] == "\\" and bool(following) and 0 < ord(following) < 127


def _line_start(source: _Source) -> bool:
    return source.at == 0 or source.text[source.at - 1] == "\n"


def _quoted(source: _Source) -> list[Entity]:
    """A quoted line as an entity of its own; `_merged` joins neighbours."""
    end = source.text.find("\n", source.at)
    line = source.text[source.at : end if end >= 0 else None]
    plain = re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)[*_~|`]", "", line))
    return [{"type": "blockquote", "offset": source.length, "length": units(plain) or 1}]


def _merged(entities: list[Entity]) -> list[Entity]:
    done: list[Entity] = []
    for one in entities:
        last = done[-1] if done else None
        both = last and one["type"] == last["type"] == "blockquote"
        if last and both and one["offset"] <= last["offset"] + last["length"] + 1:
            last["length"] = one["offset"] + one["length"] - last["offset"]
        else:
            done.append(one)
    return done


def _mark(source: _Source, stack: list[_Open], mark: str) -> list[Entity]:
    if stack and stack[-1].name == mark:
        top = stack.pop()
        source.at += len(mark)
        return _closed(source, top, stack)
    if any(one.name == mark for one in stack):
        top = stack[-1]
        name = "a URL" if top.name == "]" else f"{_MARKS[top.name]} entity"
        raise _cannot(f"Can't find end of {name} at byte offset {top.begun}")
    stack.append(_Open(mark, _KINDS[_MARKS[mark]], source.length, source.bytes()))
    source.at += len(mark)
    return []


def _code(source: _Source) -> list[Entity]:
    fence = "```" if source.starts("```") else "`"
    begun, start = source.bytes(), source.length
    at = source.at + len(fence)
    language = ""
    if fence == "```" and (hit := re.compile(r"([^\s`]+)\n").match(source.text, at)):
        language = hit[1]
        at = hit.end()
    elif fence == "```" and source.text[at : at + 1] == "\n":
        at += 1
    while not source.text.startswith(fence, at):
        if at >= len(source.text):
            name = "Pre" if fence == "```" else "Code"
            name = "PreCode" if language else name
            raise _cannot(f"Can't find end of {name} entity at byte offset {begun}")
        at += _escaped(source.text, at)
        source.put(source.text[at])
        at += 1
    source.at = at + len(fence)
    top = _Open(fence, "pre" if fence == "```" else "code", start, begun)
    top.more = {"language": language} if language else {}
    return _closed(source, top, [])


def _link(source: _Source, stack: list[_Open]) -> list[Entity]:
    top = stack.pop()
    source.at += 1
    top.more["url"] = ""
    if source.starts("("):
        begun = source.bytes()
        at = source.at + 1
        url = []
        while source.text[at : at + 1] != ")":
            if at >= len(source.text):
                raise _cannot(f"Can't find end of a URL at byte offset {begun}")
            at += _escaped(source.text, at)
            url.append(source.text[at : at + 1])
            at += 1
        top.more["url"] = "".join(url)
        source.at = at + 1
    return _closed(source, top, stack)


# What Telegram finds by itself

_FINDS = (
    ("url", re.compile(r"https?://[^\s<>\"]*[^\s<>\".,!?;:)\]]|(?<![\w.@/])(?:[a-z0-9-]+\.)+(?:com|org|net|example)\b(?:/[^\s<>\"]*[^\s<>\".,!?;:)\]])?")),
    ("email", re.compile(r"(?<![\w.])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    ("mention", re.compile(r"(?<![\w@/.])@[A-Za-z]\w{3,31}\b")),
    ("bot_command", re.compile(r"(?a)(?<![\w/@.<>])/\w{1,64}(?:@[A-Za-z]\w{3,31})?(?![\w/])")),
    ("hashtag", re.compile(r"(?<![\w#])#\w*[^\W\d]\w*")),
)  # fmt: skip


def detect(text: str, taken: list[Entity] | None = None) -> list[Entity]:
    """Links, addresses, mentions, commands and hashtags outside code and links."""
    used = [
        (one["offset"], one["offset"] + one["length"])
        for one in taken or []
        if one["type"] in {"code", "pre", "text_link", "text_mention", "custom_emoji"}
    ]
    found: list[Entity] = []
    for kind, pattern in _FINDS:
        for hit in pattern.finditer(text):
            offset = units(text[: hit.start()])
            end = offset + units(hit[0])
            if any(offset < stop and start < end for start, stop in used):
                continue
            used.append((offset, end))
            found.append({"type": kind, "offset": offset, "length": end - offset})
    return sorted(found, key=lambda one: int(one["offset"]))
