"""Both of Slack's dialects: what is shown, what can't fire, and that streams only grow."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.markdown import parse
from adapters.slack.render import (
    PIECE_CHARS,
    followed,
    pieces,
    streamable,
    to_markdown,
    to_mrkdwn,
)
from bot.types import Citation, Outcome, Reply
from tests.fakes.slack.blocks import check_blocks
from tests.fakes.slack.world import LIVE

SOURCE = Citation(1, "p", "Returns", "returns.md", url="https://help.example.com/returns")
follow = followed([SOURCE])


@pytest.mark.parametrize(
    ("text", "markdown", "mrkdwn"),
    [
        ("**b** *i* ~~s~~ `c`", "**b** *i* ~~s~~ `c`", "*b* _i_ ~s~ `c`"),
        ("# Title *x*", "# Title *x*", "*Title x*"),
        ("- a\n- b\n\n  c", "- a\n- b\n  c", "• a\n• b\n    c"),
        ("3. a\n4. b", "3. a\n4. b", "3. a\n4. b"),
        ("> said", "> said", "> said"),
        ("```py\nx < 1\n```", "```py\nx < 1\n```", "```\nx &lt; 1\n```"),
        ("a & b < c [1]", "a & b &lt; c [1]", "a &amp; b &lt; c [1]"),
        ("|a|b|\n|-|-|\n|1|2|", "| a | b |\n| --- | --- |\n| 1 | 2 |", "```\na  b\n1  2\n```"),
        ("snake_case 2 \\* 3", "snake_case 2 \\* 3", "snake_case 2 * 3"),
        (
            "[how](https://help.example.com/a_(b))",
            "[how](https://help.example.com/a_%28b%29)",
            "<https://help.example.com/a_%28b%29|how>",
        ),
        ("[how](https://evil.example/?q=secret)", "how", "how"),
        ("see https://evil.example/x.", "see `https://evil.example/x.`", "see `https://evil.example/x.`"),
        ("see https://help.example.com/x", "see https://help.example.com/x", "see https://help.example.com/x"),
        ("![pixel](https://evil.example/p.png)", "pixel", "pixel"),
    ],
)  # fmt: skip
def test_markup_in_both_dialects(text: str, markdown: str, mrkdwn: str) -> None:
    assert to_markdown(parse(text), follow) == markdown
    assert to_mrkdwn(parse(text), follow) == mrkdwn


ATTACKS = [
    "<!channel> hello",
    "<!here|here>",
    "<@U0ANN0000>",
    "`<!channel>`",
    "```\n<!everyone>\n```",
    "<!subteam^S1|team>",
    "\\<!channel\\>",
    "&lt;!channel&gt;",
    "[<!channel>](https://help.example.com/)",
    "**<!channel>**",
    "| <!here> |\n|-|\n| <@U0ANN0000> |",
    "> - <!channel>",
    "# <!channel>",
    "<https://evil.example/|<!channel>>",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_no_mention_is_live_anywhere_in_a_message(text: str) -> None:
    source = Citation(1, "p", text, text, url="https://help.example.com/")
    reply = Reply(text, Outcome.ABSTAINED, (source,), suggestions=(text,))
    for piece in pieces(reply, "a1"):
        shown = [piece.text, piece.markdown, str(piece.tail)]
        assert [LIVE.findall(one) for one in shown] == [[], [], []]
        check_blocks(piece.blocks)


# Hostile on purpose: everything that means something to Slack or to Markdown.
bits = st.sampled_from(
    ["<", ">", "!channel", "!here", "@U0ANN0000", "|", "`", "```\n", "\n", "\n\n", "&", "&lt;", "*",
     "**", "_", "[", "]", "(", ")", "\\", "~~", "- ", "1. ", "# ", "https://evil.example/", "a",
     "word ", "中文。", "| a | b |\n|-|-|\n"]
)  # fmt: skip
hostile = st.lists(bits, max_size=40).map("".join)


@settings(max_examples=80, deadline=None)
@given(text=hostile)
def test_nothing_hostile_gets_through(text: str) -> None:
    for shown in (to_markdown(parse(text), follow), to_mrkdwn(parse(text), follow)):
        assert LIVE.findall(shown) == []
        assert not re.search(r"<https?://evil", shown)
    read_again = repr(parse(to_markdown(parse(text), follow)))
    # Neither the target of a link nor bare in a text, where Slack would make a link of it.
    assert "Link(url='https://evil" not in read_again
    assert not re.search(r"Text\(text=(?:'[^']*|\"[^\"]*)https://evil", read_again)


@settings(max_examples=40, deadline=None)
@given(text=st.lists(bits | st.just("word " * 300), max_size=60).map("".join))
def test_every_piece_is_a_message_that_slack_takes(text: str) -> None:
    made = pieces(Reply(text, Outcome.ANSWERED, (SOURCE,)), "a" * 32)
    for piece in made:
        check_blocks(piece.blocks)
        assert 0 < len(piece.markdown) <= PIECE_CHARS
        assert 0 < len(piece.text) <= 3000
    assert [len(piece.tail) for piece in made] == [0] * (len(made) - 1) + [2]


ANSWER = (
    "Returns are **free within 30 days** [1]. Use `deskhand return` or:\n\n"
    "1. Open *Orders*\n2. Choose the parcel\n\n"
    "```sh\ndeskhand return --all\necho done\n```\n\n"
    "| who | days |\n|---|---|\n| all | 30 |\n\nThat is all [2]."
)


def test_a_stream_only_grows_and_ends_as_the_answer() -> None:
    final = to_markdown(parse(ANSWER), follow)
    sent = ""
    grew = 0
    for end in range(len(ANSWER) + 1):
        ready = streamable(ANSWER[:end], follow)
        assert LIVE.findall(ready) == []
        if ready.startswith(sent) and ready != sent:
            assert final.startswith(ready), (ready, final)
            sent, grew = ready, grew + 1
    assert grew > 10
    assert len(sent) > len(final) / 2


def test_many_long_sources_fit() -> None:
    sources = tuple(
        Citation(number, "p", "Title " * 50, "s", url=f"https://help.example.com/{'x' * 900}")
        for number in range(1, 40)
    )
    for piece in pieces(Reply("Text.", Outcome.ANSWERED, sources), "a1"):
        check_blocks(piece.blocks)
