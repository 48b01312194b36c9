"""Replies as Telegram messages: HTML from the tree, pieces that fit, buttons under the last one.

Knows Telegram's HTML (https://core.telegram.org/bots/api#html-style) and its limits. Every text is
treated as hostile. Telegram makes links of bare addresses, mentions and commands by itself: an
address that the reply does not cite is shown as code, where nothing is made of it, and a joiner
that nobody sees stands between `@` or `/` and the name.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions

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
from adapters.telegram.texts import notice, texts
from bot.types import Citation as Source
from bot.types import Outcome, Reply

PIECE = 4000  # UTF-16 units after entities are parsed; Telegram takes 4096
TITLE = 200
NO_PREVIEW = LinkPreviewOptions(is_disabled=True)

_JOINER = "\u2060"  # invisible; breaks what Telegram would detect
_ADDRESS = re.compile(
    r"(?:https?://|www\.|mailto:|tg://)[^\s<>]+"
    r"|(?<![a-z0-9@._-])(?:[a-z0-9-]+\.)+[a-z]{2,24}(?![\w.-]*@)(?:[/?#][^\s<>]*)?",
    re.IGNORECASE,
)
_LIVE = re.compile(r"(?<![\w@/<])([@/])(?=\w)")
_TAG = re.compile(r"<[^>]*>")
_LANGUAGE = re.compile(r"[^\w+#.-]")

Follow = Callable[[str], bool]
"""Whether an address may be a link."""


def followed(citations: Sequence[Source]) -> Follow:
    """Addresses on the hosts that the citations lead to."""
    known = {urlsplit(one.url).hostname for one in citations if safe_url(one.url)}
    return lambda url: urlsplit(url).hostname in known if safe_url(url) else False


def utf16(text: str) -> int:
    """Length in UTF-16 code units, as Telegram counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def visible(rendered: str) -> str:
    """What is left of our HTML after its entities are parsed."""
    return html.unescape(_TAG.sub("", rendered))


@dataclass(frozen=True, slots=True)
class Html:
    """Renders a tree. `urls` are where the markers lead."""

    follow: Follow
    urls: Mapping[int, str]

    def document(self, document: Document) -> str:
        """A whole text."""
        return "\n\n".join(self.block(block) for block in document.blocks)

    def length(self, document: Document) -> int:
        """How long Telegram finds it."""
        return utf16(visible(self.document(document)))

    def block(self, block: Block, *, quoted: bool = False) -> str:
        """A block; a quote within a quote is not marked, since Telegram nests none."""
        shown = ""
        match block:
            case Paragraph(children):
                shown = self.line(children)
            case Heading(_, children):
                shown = f"<b>{self.line(children)}</b>"
            case CodeBlock(text, language):
                shown = _pre(text, _LANGUAGE.sub("", language))
            case Quote(blocks):
                shown = "\n".join(self.block(one, quoted=True) for one in blocks)
                shown = shown if quoted else f"<blockquote>{shown}</blockquote>"
            case Items(items, start):
                shown = "\n".join(
                    self._item(item, "•" if start is None else f"{start + index}.", quoted=quoted)
                    for index, item in enumerate(items)
                )
            case Table(head, rows):
                shown = _pre(_columns([[plain(cell) for cell in row] for row in (head, *rows)]))
            case Rule():
                shown = "———"
        return shown

    def _item(self, item: Sequence[Block], marker: str, *, quoted: bool) -> str:
        inner = "\n".join(self.block(one, quoted=quoted) for one in item)
        if "<pre>" in inner:
            return f"{marker} {inner}"
        return f"{marker} " + inner.replace("\n", "\n    ")

    def line(self, inlines: Sequence[Inline]) -> str:
        """Running text."""
        return "".join(self._inline(one) for one in inlines)

    def _inline(self, inline: Inline) -> str:
        shown = ""
        match inline:
            case Text(text):
                shown = self._text(text)
            case Code(text):
                shown = f"<code>{_escaped(text)}</code>"
            case Emphasis(children):
                shown = f"<i>{self.line(children)}</i>"
            case Strong(children):
                shown = f"<b>{self.line(children)}</b>"
            case Strike(children):
                shown = f"<s>{self.line(children)}</s>"
            case Link(url, children) if self.follow(url):
                shown = _link(url, plain(children))
            case Link(_, children):
                shown = self.line(children)
            case Citation(number):
                url = self.urls.get(number, "")
                shown = _link(url, f"[{number}]") if url else f"[{number}]"
            case Break():
                shown = "\n"
        return shown

    def _text(self, text: str) -> str:
        """Text in which Telegram makes nothing live but what may be followed."""
        shown, at = "", 0
        for match in _ADDRESS.finditer(text):
            address = match[0]
            full = address if "://" in address or ":" in address else f"https://{address}"
            shown += _inert(text[at : match.start()])
            shown += _escaped(address) if self.follow(full) else f"<code>{_escaped(address)}</code>"
            at = match.end()
        return shown + _inert(text[at:])


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


def _inert(text: str) -> str:
    return _escaped(_LIVE.sub(rf"\1{_JOINER}", text))


def _link(url: str, label: str) -> str:
    return f'<a href="{html.escape(url)}">{_escaped(label)}</a>'


def _pre(text: str, language: str = "") -> str:
    if language:
        return f'<pre><code class="language-{language}">{_escaped(text)}</code></pre>'
    return f"<pre>{_escaped(text)}</pre>"


def _columns(rows: list[list[str]]) -> str:
    """Cells under each other, for letters of one width; a rule under the headings."""
    rows = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def _bare(rendered: str) -> str:
    """The words alone, in which no address is live either."""
    words = visible(rendered).replace("://", f":{_JOINER}//")
    return words if words.strip() else "…"


# Messages


@dataclass(frozen=True, slots=True)
class Piece:
    """One message of a reply: the tree it comes from, and the same words as HTML and bare."""

    document: Document
    html: str
    text: str
    number: int
    count: int

    @property
    def last(self) -> bool:
        """True for the one that carries the buttons."""
        return self.number == self.count - 1


def renderer(reply: Reply) -> Html:
    """What renders this reply: it may lead where its citations lead."""
    urls = {one.number: one.url for one in reply.citations if safe_url(one.url)}
    return Html(followed(reply.citations), urls)


def pieces(reply: Reply, language: str) -> list[Piece]:
    """Cut a reply into messages, losing nothing. Sources stand at the end."""
    made = renderer(reply)
    whole = Document((*parse(_words(reply, language)).blocks, *_sources(reply, language)))
    parts = split(whole, PIECE, made.length) or [Document((Paragraph((Text("…"),)),))]
    shown = [made.document(part) for part in parts]
    return [
        Piece(part, text if visible(text).strip() else "…", _bare(text), index, len(parts))
        for index, (part, text) in enumerate(zip(parts, shown, strict=True))
    ]


def partial(text: str) -> str:
    """The end of an answer in the making, as HTML that fits a message and is never half open."""
    made = Html(followed(()), {})
    parts = split(parse(text), PIECE, made.length)
    return made.document(parts[-1]) if parts else ""


def _words(reply: Reply, language: str) -> str:
    text = notice(reply.text, language)
    if not reply.suggestions:
        return text
    near = "\n".join(f"- {' '.join(one.split())}" for one in reply.suggestions)
    return f"{text}\n\n{near}"


def _sources(reply: Reply, language: str) -> Iterator[Block]:
    if not reply.citations:
        return
    line: list[Inline] = [Strong((Text(texts(reply.lang or language).sources),))]
    for one in reply.citations:
        title = " ".join((one.title or one.source).split())[:TITLE]
        label = (Text(title),)
        link = (Link(one.url, label),) if safe_url(one.url) else label
        line += [Break(), Text(f"[{one.number}] "), *link]
    yield Paragraph(tuple(line))


# Buttons


def button(text: str, data: str) -> InlineKeyboardButton:
    """A button; `data` may have 64 bytes."""
    return InlineKeyboardButton(text=text, callback_data=data)


def keyboard(*rows: Sequence[InlineKeyboardButton]) -> InlineKeyboardMarkup:
    """Rows of buttons."""
    return InlineKeyboardMarkup(inline_keyboard=[list(row) for row in rows if row])


def asks_for_votes(reply: Reply) -> bool:
    """Whether there is something to vote on."""
    return reply.outcome in {Outcome.ANSWERED, Outcome.ABSTAINED}
