"""Replies as Slack messages: both of Slack's text dialects, blocks, pieces that fit.

Knows Slack's syntax and limits. Every text is treated as hostile: in either dialect `<!channel>`
or `<@U…>` would notify people, so a `<` never reaches Slack bare; an address that the reply does
not cite is shown as code, which cannot be followed, and nothing is ever unfurled.

Dialects (https://docs.slack.dev/messaging/formatting-message-text): *mrkdwn* in `text` and
context blocks, standard *Markdown* in streams and `markdown` blocks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from adapters.markdown import (
    Block,
    Break,
    Citation,
    Code,
    CodeBlock,
    Document,
    Emphasis,
    Heading,
    Inline,
    Items,
    Link,
    Paragraph,
    Quote,
    Rule,
    Strike,
    Strong,
    Table,
    Text,
    parse,
    plain,
    safe_url,
    split,
)
from bot.types import Citation as Source
from bot.types import Outcome, Reply

PIECE_CHARS = 11_000  # markdown blocks and streams take 12,000, a whole message about 13,200
TEXT_CHARS = 3_000  # of the notification; longer ones are cut by clients anyway
CONTEXT_CHARS = 3_000
CONTEXT_ELEMENTS = 10
VOTE = "deskhand_vote"
HUMAN = "deskhand_human"

_JOINER = "\u2060"  # invisible; breaks syntax without changing what is read
_ADDRESS = re.compile(r"(?:https?://|www\.|mailto:)[^\s<>|]+", re.IGNORECASE)
_LIVE = re.compile(r"<(?=[!@#]|https?:|mailto:)", re.IGNORECASE)
_LINE_START = re.compile(r"^(\s*)([#>+-]|\d+[.)](?=\s|$)|={3,}|~{3,})")
_ACTIVE = re.compile(r"[\\`*]|~(?=~)|(?<!\w)_|_(?!\w)")

Blocks = list[dict[str, Any]]
Follow = Callable[[str], bool]
"""Whether an address may be a link."""


def followed(citations: Sequence[Source], hosts: Sequence[str] = ()) -> Follow:
    """Addresses on the hosts that the citations lead to, and on `hosts`."""
    known = {urlsplit(one.url).hostname for one in citations if safe_url(one.url)} | set(hosts)
    return lambda url: urlsplit(url).hostname in known if safe_url(url) else False


# Standard Markdown


def to_markdown(document: Document, follow: Follow) -> str:
    """Render for streams and `markdown` blocks."""
    return "\n\n".join(_Markdown(follow).block(block) for block in document.blocks)


@dataclass(frozen=True, slots=True)
class _Markdown:
    follow: Follow

    def block(self, block: Block) -> str:
        shown = ""
        match block:
            case Paragraph(children):
                shown = "\n".join(map(_no_block, self.line(children).split("\n")))
            case Heading(level, children):
                shown = f"{'#' * level} {self.line(children)}".replace("\n", " ")
            case CodeBlock(text, language):
                fence = _fence(text, 3)
                shown = f"{fence}{_word_only(language)}\n{_inert(text)}\n{fence}"
            case Quote(blocks):
                inner = "\n\n".join(self.block(one) for one in blocks)
                shown = "\n".join(f"> {line}".rstrip() for line in inner.split("\n"))
            case Items(items, start):
                shown = "\n".join(
                    self._item(item, "-" if start is None else f"{start + index}.")
                    for index, item in enumerate(items)
                )
            case Table(head, rows):
                cells = [[self._cell(cell) for cell in row] for row in (head, *rows)]
                lines = [f"| {' | '.join(row)} |" for row in cells]
                shown = "\n".join([lines[0], "|" + " --- |" * len(head), *lines[1:]])
            case Rule():
                shown = "---"
        return shown

    def _item(self, item: Sequence[Block], marker: str) -> str:
        inner = "\n".join(self.block(one) for one in item)
        indent = "\n" + " " * (len(marker) + 1)
        return f"{marker} {inner.replace(chr(10), indent)}"

    def _cell(self, cell: Sequence[Inline]) -> str:
        return self.line(cell).replace("|", "\\|").replace("\n", " ")

    def line(self, inlines: Sequence[Inline]) -> str:
        return "".join(self._inline(one) for one in inlines)

    def _inline(self, inline: Inline) -> str:
        shown = ""
        match inline:
            case Text(text):
                shown = _texts(text, self.follow, _escape_markdown, _code_span)
            case Code(text):
                shown = _code_span(text)
            case Emphasis(children):
                shown = _around("*", self.line(children))
            case Strong(children):
                shown = _around("**", self.line(children))
            case Strike(children):
                shown = _around("~~", self.line(children))
            case Link(url, children) if self.follow(url):
                shown = f"[{_label(children)}]({_quoted(url)})"
            case Link(_, children):
                shown = self.line(children)
            case Citation(number):
                shown = f"[{number}]"
            case Break():
                shown = "\n"
        return shown


def _label(children: Sequence[Inline]) -> str:
    return _escape_markdown(plain(children).replace("\n", " ")).replace("[", "(").replace("]", ")")


def _escape_markdown(text: str) -> str:
    text = _ACTIVE.sub(lambda match: f"\\{match[0]}", text)
    text = text.replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("](", f"]{_JOINER}(").replace("![", f"!{_JOINER}[")


def _no_block(line: str) -> str:
    """A line of running text that begins no list, heading or quote by accident."""
    return _LINE_START.sub(lambda match: f"{match[1]}\\{match[2]}", line)


def _code_span(text: str) -> str:
    fence = _fence(text, 1)
    room = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{room}{_inert(text)}{room}{fence}"


def _fence(text: str, least: int) -> str:
    """Longer than any run of backticks in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * (max(longest + 1, least) if longest else least)


def _inert(text: str) -> str:
    """Code in which nothing is live, whether or not Slack reads entities there."""
    return _LIVE.sub(f"<{_JOINER}", text)


def _word_only(language: str) -> str:
    return re.sub(r"[^\w+#.-]", "", language)


# mrkdwn


def to_mrkdwn(document: Document, follow: Follow) -> str:
    """Render for `text` and context blocks."""
    return "\n".join(_Mrkdwn(follow).block(block) for block in document.blocks)


def escape(text: str) -> str:
    """Plain words for mrkdwn."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@dataclass(frozen=True, slots=True)
class _Mrkdwn:
    follow: Follow

    def block(self, block: Block) -> str:
        shown = ""
        match block:
            case Paragraph(children):
                shown = self.line(children)
            case Heading(_, children):
                shown = _around("*", escape(plain(children)).replace("*", ""))
            case CodeBlock(text):
                shown = _mrkdwn_code(text)
            case Quote(blocks):
                inner = "\n".join(self.block(one) for one in blocks)
                shown = "\n".join(f"> {line}" for line in inner.split("\n"))
            case Items(items, start):
                shown = "\n".join(
                    f"{'•' if start is None else f'{start + index}.'} "
                    + "\n".join(self.block(one) for one in item).replace("\n", "\n    ")
                    for index, item in enumerate(items)
                )
            case Table(head, rows):
                lines = ["  ".join(plain(cell) for cell in row) for row in (head, *rows)]
                shown = _mrkdwn_code("\n".join(lines))
            case Rule():
                shown = "———"
        return shown

    def line(self, inlines: Sequence[Inline]) -> str:
        return "".join(self._inline(one) for one in inlines)

    def _inline(self, inline: Inline) -> str:
        shown = ""
        match inline:
            case Text(text):
                shown = _texts(text, self.follow, escape, _mrkdwn_span)
            case Code(text):
                shown = _mrkdwn_span(text)
            case Emphasis(children):
                shown = _around("_", self.line(children))
            case Strong(children):
                shown = _around("*", self.line(children))
            case Strike(children):
                shown = _around("~", self.line(children))
            case Link(url, children) if self.follow(url):
                shown = mrkdwn_link(url, plain(children))
            case Link(_, children):
                shown = self.line(children)
            case Citation(number):
                shown = f"[{number}]"
            case Break():
                shown = "\n"
        return shown


def mrkdwn_link(url: str, label: str) -> str:
    """A link; the caller has looked at the address."""
    words = escape(label.replace("\n", " ")).replace("|", "¦") or escape(url)
    return f"<{escape(_quoted(url))}|{words}>"


def _mrkdwn_code(text: str) -> str:
    return f"```\n{escape(text).replace('```', f'``{_JOINER}`')}\n```"


def _mrkdwn_span(text: str) -> str:
    return f"`{escape(text).replace('`', 'ˋ')}`"


# Both


def _texts(
    text: str, follow: Follow, escaped: Callable[[str], str], as_code: Callable[[str], str]
) -> str:
    """Text whose foreign addresses are code: Slack makes a link of every bare address."""
    shown, at = "", 0
    for match in _ADDRESS.finditer(text):
        address = match[0]
        full = f"https://{address}" if address.lower().startswith("www.") else address
        shown += escaped(text[at : match.start()])
        shown += escaped(address) if follow(full) else as_code(address)
        at = match.end()
    return shown + escaped(text[at:])


def _around(marker: str, text: str) -> str:
    """Emphasis must touch its words, and may not be empty."""
    words = text.strip()
    if not words:
        return text
    start = text.index(words)
    return f"{text[:start]}{marker}{words}{marker}{text[start + len(words) :]}"


def _quoted(url: str) -> str:
    """An address without characters that end a link."""
    table = {"(": "%28", ")": "%29", "<": "%3C", ">": "%3E", "|": "%7C", '"': "%22", "`": "%60"}
    return "".join(table.get(char, char) for char in url)


# Messages


@dataclass(frozen=True, slots=True)
class Piece:
    """One message of a reply: the same words three times, and what stands under them."""

    markdown: str
    text: str  # for notifications and screen readers
    tail: tuple[dict[str, Any], ...]  # blocks after the words
    number: int
    count: int

    @property
    def blocks(self) -> Blocks:
        """The whole message as blocks."""
        return [{"type": "markdown", "text": self.markdown}, *self.tail]


def pieces(
    reply: Reply, answer_id: str, hosts: Sequence[str] = (), *, staffed: bool = False
) -> list[Piece]:
    """Cut a reply into messages. Sources and buttons stand under the last one.

    `staffed`: somebody would hear a wish for a person, so a button offers it.
    """
    follow = followed(reply.citations, hosts)
    parts = split(
        parse(_whole(reply)), PIECE_CHARS, lambda part: len(to_markdown(part, follow))
    ) or [Document((Paragraph((Text("…"),)),))]
    last = len(parts) - 1
    return [
        Piece(
            to_markdown(part, follow) or "…",
            to_mrkdwn(part, follow)[:TEXT_CHARS] or "…",
            tuple(_under(reply, answer_id, staffed=staffed)) if index == last else (),
            index,
            len(parts),
        )
        for index, part in enumerate(parts)
    ]


def _whole(reply: Reply) -> str:
    if not reply.suggestions:
        return reply.text
    near = "\n".join(f"- {' '.join(one.split())}" for one in reply.suggestions)
    return f"{reply.text}\n\n{near}"


def hosts_in(text: str) -> list[str]:
    """The hosts of the addresses in what staff wrote: theirs may be followed."""
    found = (urlsplit(one.rstrip(".,;:!?)")).hostname for one in _ADDRESS.findall(text))
    return [one for one in found if one]


def _under(reply: Reply, answer_id: str, *, staffed: bool) -> Iterator[dict[str, Any]]:
    if reply.citations:
        yield {"type": "context", "elements": [*_sources(reply.citations)]}
    if reply.outcome in {Outcome.ANSWERED, Outcome.ABSTAINED}:
        yield feedback(answer_id)
    if staffed and reply.outcome in {Outcome.ABSTAINED, Outcome.FAILED, Outcome.BUSY}:
        yield {"type": "actions", "elements": [human(answer_id)]}


def _sources(citations: Sequence[Source]) -> Iterator[dict[str, Any]]:
    """One line per source, in as few elements as their limits allow."""
    lines: list[str] = []
    elements: list[str] = []
    for one in citations:
        title = (one.title or one.source)[:200]
        shown = mrkdwn_link(one.url, title) if safe_url(one.url) else escape(title)
        line = f"[{one.number}] {shown}"
        if len(line) > CONTEXT_CHARS:
            line = f"[{one.number}] {escape(title)}"
        if lines and len("\n".join([*lines, line])) > CONTEXT_CHARS:
            elements.append("\n".join(lines))
            lines = []
        lines.append(line)
    elements.append("\n".join(lines))
    for text in elements[:CONTEXT_ELEMENTS]:
        yield {"type": "mrkdwn", "text": text}


def human(answer_id: str) -> dict[str, Any]:
    """The button that calls a person."""
    return {
        "type": "button",
        "action_id": HUMAN,
        "value": answer_id,
        "text": {"type": "plain_text", "text": "Talk to a person"},
    }


def feedback(answer_id: str) -> dict[str, Any]:
    """The two thumbs."""
    return {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": VOTE,
                "positive_button": {
                    "text": {"type": "plain_text", "text": "Helpful"},
                    "value": f"+1:{answer_id}",
                    "accessibility_label": "This answer helped",
                },
                "negative_button": {
                    "text": {"type": "plain_text", "text": "Not helpful"},
                    "value": f"-1:{answer_id}",
                    "accessibility_label": "This answer did not help",
                },
            }
        ],
    }


# Streams

_OPEN = re.compile(r"(`+|\*\*|~~|\[|(?<!\w)[*_])")


def streamable(text: str, follow: Follow) -> str:
    """As much of an unfinished answer as may be shown now.

    What is held back: the last word, a table, and everything from a mark that is not closed yet.
    Rendering more later normally only adds to this; where it does not, the caller notices, since
    what it has sent is then no beginning of the new rendering.
    """
    head, _, last = text.rpartition("\n\n")
    if text.count("```") % 2:  # an open block of code: whole lines of it
        start = text.rindex("```")
        body = text[start:].rpartition("\n")[0]
        if "\n" not in body:
            return _rendered(text[:start], follow)
        closed = _rendered(f"{text[:start]}{body}\n```", follow)
        return closed.removesuffix("\n```")
    if last.lstrip().startswith("|"):
        return _rendered(head, follow)
    words = last.rstrip()
    words = words[: max(words.rfind(" "), words.rfind("\n"), 0)]
    line_start = words.rfind("\n") + 1
    for match in reversed([*_OPEN.finditer(words, line_start)]):
        mark = "]" if match[0] == "[" else match[0]
        if words.count(mark, line_start) % 2 if mark != "]" else "]" not in words[match.end() :]:
            words = words[: match.start()]
    return _rendered(f"{head}\n\n{words}", follow)


def _rendered(text: str, follow: Follow) -> str:
    return to_markdown(parse(text), follow).rstrip()
