"""The fake reads markup as Telegram does: judged by what aiogram writes, and by users' errors."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import pytest
from aiogram.utils import formatting as f
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.telegram.entities import clean_url, cut, detect, parse, units
from tests.fakes.telegram.world import ApiError

words = st.text(st.sampled_from("ab <>&\"'_*[]()~`#+-=|{}.!\\😀é漢"), min_size=1, max_size=8)
# White space at the ends of a message is cut away; a word at each end keeps it out of the way.
framed = words.map(lambda one: f"x{one}x")


TAGS = {
    "bold": "b",
    "italic": "em",
    "strikethrough": "del",
    "spoiler": "tg-spoiler",
}


@dataclass(frozen=True)
class Styled:
    """A text with a style around parts that are texts too."""

    kind: str
    parts: tuple[Any, ...]

    def html(self) -> str:
        inner = "".join(
            one.html() if isinstance(one, Styled) else escape(one) for one in self.parts
        )
        return f"<{TAGS[self.kind]}>{inner}</{TAGS[self.kind]}>"

    def plain(self) -> str:
        return "".join(one.plain() if isinstance(one, Styled) else one for one in self.parts)

    def entities(self, offset: int = 0) -> list[tuple[str, int, int]]:
        found = [(self.kind, offset, units(self.plain()))]
        for one in self.parts:
            if isinstance(one, Styled):
                found += one.entities(offset)
            offset += units(one.plain() if isinstance(one, Styled) else one)
        return found


def wrapped(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Styled]:
    kinds = st.sampled_from(sorted(TAGS))
    return st.builds(Styled, kinds, st.lists(inner, min_size=1, max_size=3).map(tuple))


@settings(max_examples=50)
@given(wrapped(st.recursive(framed, wrapped, max_leaves=6)))
def test_html_shows_its_text_with_every_style_where_it_was(text: Styled) -> None:
    shown, found = parse(text.html(), "HTML", None)
    assert shown == text.plain()
    made = [(one["type"], one["offset"], one["length"]) for one in found if one["type"] in TAGS]
    assert sorted(made) == sorted(text.entities())
    for one in found:
        cut(shown, one["offset"], one["length"])  # no entity splits a character


@settings(max_examples=50)
@given(framed, st.sampled_from([f.Bold, f.Italic, f.Underline, f.Strikethrough, f.Code]))
def test_markdown_that_aiogram_writes_reads_back_as_it_was(word: str, kind: Any) -> None:
    text = f.Text("a ", kind(word), " z")
    plain, entities = text.render()
    shown, found = parse(text.as_markdown(), "MarkdownV2", None)
    assert shown == plain
    made = [(one["type"], one["offset"], one["length"]) for one in found]
    assert {(one.type, one.offset, one.length) for one in entities} <= set(made)


@pytest.mark.parametrize(
    ("markup", "complaint"),
    [
        ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
        ("a<b", "Unclosed start tag at byte offset 1"),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        (
            "é<b><i>x</b></i>",
            'Unmatched end tag at byte offset 9, expected "</i>", found "</b>"',
        ),
        ("<h1>x</h1>", 'Unsupported start tag "h1" at byte offset 0'),
        ("1 < 2", 'Unsupported start tag "" at byte offset 2'),
        ("<span>x</span>", 'Tag "span" must have class "tg-spoiler"'),
        ("<a href>x</a>", "Expected equal sign in declaration of an attribute"),
        ("<b>x</b", "Unclosed end tag at byte offset 4"),
    ],
)
def test_html_errors_are_telegrams(markup: str, complaint: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse(markup, "HTML", None)
    assert "Bad Request: can't parse entities: " in caught.value.text
    assert complaint in caught.value.text


@pytest.mark.parametrize(
    ("markup", "complaint"),
    [
        ("a.", "Character '.' is reserved and must be escaped with the preceding '\\'"),
        ("a*b", "Can't find end of Bold entity at byte offset 1"),
        ("*a _b* c_", "Can't find end of Italic entity at byte offset 3"),
        ("`a", "Can't find end of Code entity at byte offset 0"),
        ("```py\na", "Can't find end of PreCode entity at byte offset 0"),
        ("[a](https://x", "Can't find end of a URL at byte offset 3"),
        ("a > b", "Character '>' is reserved"),
    ],
)
def test_markdown_errors_are_telegrams(markup: str, complaint: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse(markup, "MarkdownV2", None)
    assert complaint in caught.value.text


@pytest.mark.parametrize(
    ("markup", "mode", "shown", "entities"),
    [
        ("&lt;b&gt; &amp;nbsp; &#169;&#x41;", "HTML", "<b> &nbsp; ©A", []),
        ("&nbsp;&copy;", "HTML", "&nbsp;&copy;", []),
        ('<a href="localhost">x</a>', "HTML", "x", []),
        ('<a href="a.example?b=1&amp;c">x</a>', "HTML", "x", [("text_link", 0, 1)]),
        ('<pre><code class="language-py">a\n</code></pre>', "HTML", "a", [("pre", 0, 1)]),
        ("<B>😀</B>b", "HTML", "😀b", [("bold", 0, 2)]),
        ("<b>a<code>b</code>c</b>", "HTML", "abc",
         [("bold", 0, 1), ("code", 1, 1), ("bold", 2, 1)]),
        ("<code>a<b>b</b></code>", "HTML", "ab", [("code", 0, 2)]),
        ("<i>x</i><code>a</code> <code>b</code>", "HTML", "xa b",
         [("italic", 0, 1), ("code", 1, 1), ("code", 3, 1)]),
        ("<blockquote expandable>q</blockquote>", "HTML", "q", [("expandable_blockquote", 0, 1)]),
        ("__u__ ||s|| ~x~", "MarkdownV2", "u s x",
         [("underline", 0, 1), ("spoiler", 2, 1), ("strikethrough", 4, 1)]),
        (">a\n>b\nc", "MarkdownV2", "a\nb\nc", [("blockquote", 0, 3)]),
        ("```py\na*b\n```", "MarkdownV2", "a*b", [("pre", 0, 3)]),
        ("<b>not markup</b>", None, "<b>not markup</b>", []),
    ],
)  # fmt: skip
def test_what_is_shown(
    markup: str, mode: str | None, shown: str, entities: list[tuple[str, int, int]]
) -> None:
    text, found = parse(markup, mode, None)
    assert text == shown
    assert [(one["type"], one["offset"], one["length"]) for one in found] == entities


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("ask @deskhand_bot now", "mention", ["@deskhand_bot"]),
        ("write to me@deskhand_bot.example", "mention", []),
        ("@deskhand-bot", "mention", ["@deskhand"]),
        ("/help@deskhand_bot me", "bot_command", ["/help@deskhand_bot"]),
        ("/новый 1/2 and/or", "bot_command", []),
        ("see https://a.example/x?y=1.", "url", ["https://a.example/x?y=1"]),
        ("#tag #1 #t1", "hashtag", ["#tag", "#t1"]),
    ],
)
def test_what_telegram_finds_by_itself(text: str, kind: str, found: list[str]) -> None:
    hits = [cut(text, one["offset"], one["length"]) for one in detect(text) if one["type"] == kind]
    assert hits == found


def test_entities_given_by_hand_must_fit_the_text() -> None:
    text, found = parse(" 😀 x ", None, [{"type": "bold", "offset": 1, "length": 2}])
    assert (text, found) == ("😀 x", [{"type": "bold", "offset": 0, "length": 2}])
    for wrong in (
        {"offset": 0, "length": 9},
        {"offset": 0, "length": 1},
        {"offset": -1, "length": 1},
    ):
        with pytest.raises(ApiError, match="ENTITY_BOUNDS_INVALID"):
            parse("😀", None, [{"type": "bold", **wrong}])
    with pytest.raises(ApiError, match="together"):
        parse("x", "HTML", [{"type": "bold", "offset": 0, "length": 1}])


def test_lengths_and_links() -> None:
    assert (units("😀é"), units("漢")) == (3, 1)
    assert clean_url("tg://user?id=1") == "tg://user?id=1"
    assert clean_url("a.example") == "http://a.example"
    assert clean_url("javascript:alert(1)") == ""
    assert clean_url("http://localhost:8080/") == ""
