"""Markdown: front matter, headings with the anchors GitHub gives them, text kept as it is.

What a rendered page would not show
(comments, hidden HTML, image addresses) is dropped; everything else stays as written.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache

from knowledge.errors import UnreadableFile
from knowledge.markdown import block_tokens, plain_text
from knowledge.readers.base import (
    Anchors,
    Content,
    Outline,
    RawFile,
    Readout,
    clean,
    decode,
    heading_anchor,
    parsing,
    words,
)
from knowledge.readers.html import fragment_to_markdown
from knowledge.readers.visible import Visibility
from knowledge.readers.yamltext import load_yaml

_FRONT = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?\n)?\1[ \t]*(?:\n|\Z)", re.DOTALL)
_AUDIENCE_LINE = re.compile(r"^audience\s*[:=]", re.MULTILINE | re.IGNORECASE)
_PLAIN_PAIR = re.compile(r"^(\w+):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_CUSTOM_ID = re.compile(r"\s*\{\s*#([\w:.-]+)[^}]*\}\s*$")
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(?P<tag>[A-Za-z][\w-]*)(?=[\s/>])[^<>]*>"
    r"|!\[(?P<alt>[^\[\]]*)\](?:\([^()\n]*\)|\[[^\[\]\n]*\])",
    re.DOTALL,
)
_CODE = re.compile(r"(?<!`)(`+)(?!`)[^`].*?(?<!`)\1(?!`)", re.DOTALL)
_VOID = words("area base br col embed hr img input link meta param source track wbr")
_NAMES = {
    "title": ("title",),
    "audience": ("audience",),
    "lang": ("lang", "language", "locale"),
    "url": ("url", "canonical", "canonical_url", "link"),
}


def read(raw: RawFile) -> Readout:
    """Read one page."""
    text = clean(decode(raw)).lstrip("\n")
    front, body = _front_matter(raw, text)
    with parsing(raw, "Markdown"):
        outline = _outline(drop_unseen(body))
    title = front["title"] or outline.title or raw.name
    return Readout(
        (
            Content(
                title,
                outline.finish(title),
                audience=front["audience"],
                lang=front["lang"],
                url=front["url"],
            ),
        )
    )


def _outline(body: str) -> Outline:
    outline = Outline()
    anchors = Anchors()
    lines = body.split("\n")
    at = 0
    tokens = block_tokens(body)
    for index, token in enumerate(tokens):
        if token.level > 0 or token.map is None:
            continue
        if token.type == "html_block":
            outline.text("\n".join(lines[at : token.map[0]]))
            outline.text(fragment_to_markdown("\n".join(lines[slice(*token.map)])))
            at = token.map[1]
        elif token.type == "heading_open":
            outline.text("\n".join(lines[at : token.map[0]]))
            at = token.map[1]
            text = plain_text(tokens[index + 1].content)
            custom = _CUSTOM_ID.search(text)
            if custom:
                text = text[: custom.start()]
            if text:
                anchor = custom.group(1) if custom else anchors.unique(heading_anchor(text))
                outline.heading(int(token.tag[1]), text, anchor)
    outline.text("\n".join(lines[at:]))
    return outline


def _front_matter(raw: RawFile, text: str) -> tuple[dict[str, str], str]:
    """What the page says about itself, and the rest of it.

    Broken front matter that speaks of an audience makes the page unreadable: it may be what
    keeps the page internal.
    """
    found = _FRONT.match(text)
    if not found:
        if text.startswith(("---\n", "+++\n")) and _AUDIENCE_LINE.search(text[:2000]):
            raise UnreadableFile(
                f"{raw.source} begins with front matter that never ends.",
                "Close it with a line of --- (or +++).",
            )
        return dict.fromkeys(_NAMES, ""), text
    inner = found.group(2) or ""
    values: object
    if found.group(1) == "---":
        try:
            values = load_yaml(inner, raw.source)
        except UnreadableFile:
            if "audience" in inner.lower():
                raise
            # Unquoted colons and the like are common; titles and links can be read without.
            values = dict(_PLAIN_PAIR.findall(inner))
        if not isinstance(values, dict):  # text between two rules
            return dict.fromkeys(_NAMES, ""), text
    else:
        try:
            values = tomllib.loads(inner)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise UnreadableFile(
                f"{raw.source} begins with TOML that cannot be read ({error}).",
                "Correct what stands between the +++ lines.",
            ) from error
    return {name: _value(values, keys) for name, keys in _NAMES.items()}, text[found.end() :]


def _value(values: Mapping[str, object], keys: tuple[str, ...]) -> str:
    held = {key.strip().lower(): value for key, value in values.items()}
    for key in keys:
        if held.get(key) not in (None, ""):
            return str(held[key]).strip()
    return ""


def drop_unseen(text: str) -> str:
    """Markdown without comments, hidden HTML and image addresses; code stays untouched."""
    if "<" not in text and "![" not in text:
        return text
    code = _code_spans(text)
    kept: list[str] = []
    at = 0
    for found in _MARKUP.finditer(text):
        start = found.start()
        if start < at or _inside(start, code):
            continue
        kept.append(text[at:start])
        at = found.end()
        if found.group("alt") is not None:
            kept.append(found.group("alt"))
        elif found.group("tag"):
            if _is_hidden_tag(found.group()):
                if found.group("tag").lower() not in _VOID:
                    at = _end_of_element(text, at, found.group("tag"), code)
            else:
                kept.append(found.group())
    kept.append(text[at:])
    return "".join(kept)


def _code_spans(text: str) -> list[tuple[int, int]]:
    """Where code is, as character ranges in order."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    blocks = [
        (starts[token.map[0]], starts[min(token.map[1], len(starts) - 1)])
        for token in block_tokens(text)
        if token.type in ("fence", "code_block") and token.map is not None
    ]
    inline = [found.span() for found in _CODE.finditer(text) if not _inside(found.start(), blocks)]
    return sorted(blocks + inline)


def _inside(position: int, spans: list[tuple[int, int]]) -> bool:
    at = bisect_right(spans, (position, len(spans) and spans[-1][1])) - 1
    return at >= 0 and spans[at][0] <= position < spans[at][1]


@lru_cache(1024)
def _is_hidden_tag(tag: str) -> bool:
    from lxml import html

    page = html.document_fromstring(f"<html><body>{tag}</body></html>")
    element = next(page.body.iterchildren(), None)
    if element is None:  # only parsed in a head: style sheets, metadata
        return True
    return Visibility(page).hides(element)


def _end_of_element(text: str, start: int, tag: str, code: list[tuple[int, int]]) -> int:
    """Just behind the end tag that closes an element opened before `start`."""
    depth = 1
    for found in re.finditer(rf"<(/?){re.escape(tag)}\b[^>]*>", text[start:], re.IGNORECASE):
        if not _inside(start + found.start(), code):
            depth += -1 if found.group(1) else 1
            if depth == 0:
                return start + found.end()
    return len(text)  # never closed: a browser hides the rest as well
