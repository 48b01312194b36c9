"""Writing commands are read as people type them, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.writing.commands import KINDS, LENGTHS, TONES, VERBS, Command, is_command, parse


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/draft we open at nine", Command("draft", "we open at nine")),
        (
            "/draft Product description, friendly, short: the Leaf box",
            Command("draft", "the Leaf box", "product", "friendly", "short"),
        ),
        (
            "!draft long formal announcement prices go up in May",
            Command("draft", "prices go up in May", "announcement", "formal", "long"),
        ),
        ("/draft announcement: short: no", Command("draft", "short: no", "announcement")),
        ("/draft shortbread recipe", Command("draft", "shortbread recipe")),
        ("/Summarise: a\nb", Command("summarize", "a\nb")),
        ("/summarize", Command("summarize", "")),
        ("/translate to German: Hi", Command("translate", "Hi", language="German")),
        ("/translate zh Hi there", Command("translate", "Hi there", language="Chinese")),
        ("/translate Hi there", Command("translate", "Hi there")),
        ("/draft@deskhand_bot: x", Command("draft", "x")),
        ("  /code a loop", Command("code", "a loop")),
    ],
)
def test_a_command_is_read_with_its_options(text: str, wanted: Command) -> None:
    assert parse(text) == wanted
    assert is_command(text)


@pytest.mark.parametrize(
    "text", ["draft a reply", "/drafts", "/help", "what does /draft do?", "", "/", "code"]
)
def test_other_messages_are_no_commands(text: str) -> None:
    assert parse(text) is None
    assert not is_command(text)


@given(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(TONES),
    st.sampled_from(sorted(LENGTHS)),
    st.permutations([0, 1, 2]),
    st.text(max_size=40),
)
def test_options_mean_the_same_in_any_order_and_the_text_stays_as_it_is(
    kind: str, tone: str, length: str, order: list[int], about: str
) -> None:
    options = [(kind, tone, length)[one] for one in order]
    found = parse(f"/draft {', '.join(options)}: {about}")

    assert found == Command("draft", about.strip(), KINDS[kind], tone, length)


@given(st.text())
def test_no_message_makes_reading_fail(text: str) -> None:
    for verb in VERBS:
        assert is_command(f"/{verb} {text}") == (parse(f"/{verb} {text}") is not None)
    parse(text)
