"""Answers as HTML that is safe to put into the page.

Knows Markdown and what HTML a chat page may show. Does not know where a text comes from, so
every text is treated as hostile: markdown-it-py escapes HTML, shows no images, and of links only
those to http, https and mailto; nh3 then removes whatever a fault in the first step let through;
the page's Content-Security-Policy is the third wall.

A marker `[n]` that points at one of the answer's citations becomes a button; anything else in
brackets stays text, so a document cannot forge a citation it does not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from adapters.markdown import safe_url
from bot.types import Citation

_SCHEMES = frozenset({"http", "https", "mailto"})
_MARKER = re.compile(r"\[(\d{1,3})\]")
_DEEPEST_HEADING = 6

_CLEANER = nh3.Cleaner(
    tags={
        *("p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote"),
        *("ul", "ol", "li", "h3", "h4", "h5", "h6", "a", "button", "span", "div"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    },
    attributes={
        "a": {"href", "title"},
        "button": {"data-cite", "aria-label"},
        "ol": {"start"},
    },
    tag_attribute_values={
        "button": {"type": {"button"}},
        "div": {"role": {"group"}, "tabindex": {"0"}, "aria-label": {"Table"}},
        "pre": {"tabindex": {"0"}},
        "th": {"align": {"left", "center", "right"}},
        "td": {"align": {"left", "center", "right"}},
        "code": {"dir": {"ltr"}},
        "table": {"dir": {"auto"}},
    },
    set_tag_attribute_values={"a": {"target": "_blank"}},
    allowed_classes={"button": {"cite"}, "span": {"cite"}, "div": {"scroll"}},
    link_rel="noopener noreferrer nofollow",
    url_schemes=set(_SCHEMES),
    url_relative="deny",
)


def answer_html(text: str, citations: Sequence[Citation]) -> str:
    """Render a finished answer; each `[n]` that has a citation becomes a button."""
    titles = {citation.number: citation.title for citation in citations}
    return _render(text, lambda number: _button(number, titles))


def partial_html(text: str) -> str:
    """Render an answer in the making: markers are shown, but have nothing to open yet."""
    return _render(text, _inert)


def passage_html(text: str) -> str:
    """Render a passage of the knowledge; brackets in it are its own."""
    return _render(text, lambda _number: None)


_Marker = Callable[[int], str | None]


def _render(text: str, marker: _Marker) -> str:
    return _CLEANER.clean(_MARKDOWN.render(text, {"marker": marker}))


def _button(number: int, titles: Mapping[int, str]) -> str | None:
    if number not in titles:
        return None
    label = nh3.clean_text(f"Source {number}: {titles[number]}")
    return (
        f'<button type="button" class="cite" data-cite="{number}" aria-label="{label}">'
        f"{number}</button>"
    )


def _inert(number: int) -> str:
    return f'<span class="cite">{number}</span>'


def _markdown() -> MarkdownIt:
    # `reference` is off: `[1]: https://…` in a text would turn our markers into links.
    parser = MarkdownIt("js-default", {"html": False, "linkify": False}).disable("reference")
    # Every link is read, so that one we do not follow can leave its words behind.
    parser.validateLink = _any_link  # type: ignore[method-assign]  # the documented override
    parser.core.ruler.push("links", _drop_links)
    parser.core.ruler.push("citations", _citations)
    parser.core.ruler.push("headings", _lower_headings)
    parser.add_render_rule("image", _image)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule("th_open", _cell_open)
    parser.add_render_rule("td_open", _cell_open)
    parser.add_render_rule("fence", _code)
    parser.add_render_rule("code_block", _code)
    return parser


def _any_link(url: str) -> bool:
    return True


def _drop_links(state: StateCore) -> None:
    """Keep only the words of a link that the page may not show, such as one to a file."""
    for block in state.tokens:
        kept: list[Token] = []
        shown: list[bool] = []
        for token in block.children or ():
            if token.type == "link_open":
                shown.append(bool(safe_url(str(token.attrGet("href") or ""))))
            is_link = token.type in {"link_open", "link_close"}
            if not is_link or shown[-1]:
                kept.append(token)
            if token.type == "link_close":
                shown.pop()
        if block.children:
            block.children = kept


def _citations(state: StateCore) -> None:
    """Split `[n]` out of plain text; code and the inside of links are left alone."""
    marker: _Marker = state.env["marker"]
    for block in state.tokens:
        if not block.children or not _MARKER.search(block.content):
            continue
        depth = 0
        children: list[Token] = []
        for token in block.children:
            depth += token.nesting if token.type in {"link_open", "link_close"} else 0
            children.extend(
                _split(token, marker) if token.type == "text" and not depth else [token]
            )
        block.children = children


def _split(token: Token, marker: _Marker) -> list[Token]:
    pieces: list[Token] = []
    at = 0
    for match in _MARKER.finditer(token.content):
        html = marker(int(match[1]))
        if html is None:
            continue
        before = token.content[at : match.start()]
        # A no-break space keeps the number on the line of the word it belongs to.
        pieces.append(_text(f"{before[:-1]}\u00a0" if before.endswith(" ") else before))
        pieces.append(Token("html_inline", "", 0, content=html))
        at = match.end()
    return [*pieces, _text(token.content[at:])]


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _lower_headings(state: StateCore) -> None:
    """Two levels down: the page itself owns h1 and h2."""
    for token in state.tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + 2, _DEEPEST_HEADING)}"


_Env = MutableMapping[str, Any]


def _image(
    self: RendererHTML, tokens: Sequence[Token], i: int, options: OptionsDict, env: _Env
) -> str:
    """Show an image's description instead of fetching it: a remote image is a tracking pixel."""
    return nh3.clean_text(self.renderInlineAsText(tokens[i].children or [], options, env))


def _table_open(
    self: RendererHTML, tokens: Sequence[Token], i: int, options: OptionsDict, env: _Env
) -> str:
    # Focusable, so that a wide table can be scrolled by keyboard.
    return '<div class="scroll" role="group" tabindex="0" aria-label="Table"><table dir="auto">\n'


def _table_close(
    self: RendererHTML, tokens: Sequence[Token], i: int, options: OptionsDict, env: _Env
) -> str:
    return "</table></div>\n"


def _cell_open(
    self: RendererHTML, tokens: Sequence[Token], i: int, options: OptionsDict, env: _Env
) -> str:
    """Alignment as an attribute: the page's policy allows no inline styles."""
    style = str(tokens[i].attrGet("style") or "")
    side = style.removeprefix("text-align:")
    return f'<{tokens[i].tag} align="{side}">' if style else f"<{tokens[i].tag}>"


def _code(
    self: RendererHTML, tokens: Sequence[Token], i: int, options: OptionsDict, env: _Env
) -> str:
    return f'<pre tabindex="0"><code dir="ltr">{nh3.clean_text(tokens[i].content)}</code></pre>\n'


_MARKDOWN = _markdown()
