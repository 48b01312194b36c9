"""Answers in private chats and groups: drafts, edits, whole texts, sources, Stop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot.types import Citation, Outcome, Reply
from tests.fakes.scripted import Script, ScriptedAnswerer
from tests.fakes.telegram import FakeTelegram, Fault
from tests.fakes.telegram.desk import opened

WORDS = tuple(f"Sentence number {number}. " for number in range(6))
SOURCE = Citation(1, "p1", "Returns", "returns.md", "https://docs.example.com/returns")


def because() -> ScriptedAnswerer:
    reply = Reply("Because **it is** so. [1]", Outcome.ANSWERED, (SOURCE,))
    return ScriptedAnswerer({"Why?": Script(("Because it is so.",), reply)})


def slowly(hold_at: int = 3) -> ScriptedAnswerer:
    return ScriptedAnswerer({"Why?": Script(WORDS, hold_at=hold_at)})


async def test_a_question_is_answered_with_its_sources_and_buttons(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann", lang="de")
    async with opened(telegram, tmp_path, because()) as desk:
        telegram.people.ask(ann, "Why?")
        (answer,) = await desk.said(ann)
    assert answer.text == "Because it is so. [1]\n\nSources\n[1] Returns"
    kinds = {entity["type"] for entity in answer.entities}
    assert {"bold", "text_link"} <= kinds
    assert not answer.preview
    assert [one["text"] for row in answer.buttons for one in row] == [
        "👍 Hilfreich",
        "👎 Nicht hilfreich",
    ]
    assert telegram.refused() == []


async def test_a_private_answer_is_drafted_while_it_is_made_and_then_sent_whole(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    answerer = slowly()
    async with opened(telegram, tmp_path, answerer) as desk:
        chat = telegram.world.chat(ann)
        telegram.people.ask(ann, "Why?")
        await telegram.until(lambda: chat.drafts and "number 2" in chat.drafts[-1].text)
        assert chat.by_bot == []
        assert chat.drafts[-1].can_stop
        answerer.scripts["Why?"].gate.set()
        (answer,) = await desk.said(ann)
    assert answer.text == "".join(WORDS).strip()
    assert len({draft.id for draft in chat.drafts}) == 1
    assert chat.actions[0][1] == "typing"
    assert telegram.refused() == []


async def test_a_draft_is_shown_again_before_it_vanishes(
    telegram: FakeTelegram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.telegram.delivery.KEEP_S", 1.2)
    ann = telegram.world.user("ann")
    answerer = slowly()
    async with opened(telegram, tmp_path, answerer) as desk:
        chat = telegram.world.chat(ann)
        telegram.people.ask(ann, "Why?")
        await telegram.until(lambda: len(chat.drafts) >= 3)
        assert len({draft.text for draft in chat.drafts[-2:]}) == 1
        answerer.scripts["Why?"].gate.set()
        await desk.said(ann)


async def test_stop_ends_the_answer_and_keeps_what_was_said(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    async with opened(telegram, tmp_path, slowly()) as desk:
        chat = telegram.world.chat(ann)
        telegram.people.ask(ann, "Why?")
        await telegram.until(lambda: chat.drafts and "number 2" in chat.drafts[-1].text)
        telegram.people.stop(ann)
        (answer,) = await desk.said(ann)
        assert answer.text == "".join(WORDS[:3]).strip()
        assert not any(draft.after_stop for draft in chat.drafts)


async def test_where_drafts_fail_the_answer_is_posted_and_edited(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    telegram.world.drafts_enabled = False
    ann = telegram.world.user("ann")
    answerer = slowly()
    async with opened(telegram, tmp_path, answerer) as desk:
        chat = telegram.world.chat(ann)
        for number in range(2):
            telegram.people.ask(ann, "Why?")
            await telegram.until(lambda: len(chat.by_bot) > number)  # noqa: B023 - awaited here
            assert chat.by_bot[-1].text.endswith(" …")
            assert [one["text"] for one in chat.by_bot[-1].buttons[0]] == ["■ Stop"]
            answerer.scripts["Why?"].gate.set()
            await desk.said(ann, number + 1)
            answerer.scripts["Why?"].gate.clear()
        assert [one.text for one in chat.by_bot] == ["".join(WORDS).strip()] * 2
    assert len(telegram.called("sendMessageDraft")) == 1  # not tried there again
    assert telegram.refused() == []


async def test_a_group_gets_one_message_that_is_edited_as_an_answer_to_the_question(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    group = telegram.world.group("Friends", ann)
    answerer = slowly()
    async with opened(telegram, tmp_path, answerer) as desk:
        asked = telegram.people.mention(ann, group, "Why?")
        await telegram.until(lambda: group.by_bot)
        assert group.by_bot[0].reply_to == asked.id
        answerer.scripts["Why?"].gate.set()
        (answer,) = await desk.said(group)
    assert answer.text == "".join(WORDS).strip()
    assert answer.edits
    assert telegram.called("sendMessageDraft") == []
    assert telegram.refused() == []


async def test_only_who_asked_can_stop_an_answer_in_a_group(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann, bob = telegram.world.user("ann"), telegram.world.user("bob")
    group = telegram.world.group("Friends", ann, bob)
    async with opened(telegram, tmp_path, slowly()) as desk:
        telegram.people.mention(ann, group, "Why?")
        await telegram.until(lambda: group.by_bot)
        press = telegram.people.press(bob, group.by_bot[0], "Stop")
        await telegram.until(lambda: press.answered)
        assert press.text == "Only the person who asked can do that."
        telegram.people.press(ann, group.by_bot[0], "Stop")
        (answer,) = await desk.said(group)
        assert answer.text == "".join(WORDS[:3]).strip()


async def test_a_long_answer_comes_in_several_messages_and_loses_nothing(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    words = [f"word{number}" for number in range(1500)]
    text = "\n\n".join(" ".join(words[start : start + 100]) for start in range(0, 1500, 100))
    answerer = ScriptedAnswerer({"Why?": Script((text,))})
    async with opened(telegram, tmp_path, answerer) as desk:
        telegram.people.ask(ann, "Why?")
        answers = await desk.said(ann, 4)
    assert " ".join(one.text for one in answers).split() == words
    assert [bool(one.buttons) for one in answers] == [False, False, False, True]


async def test_markup_in_an_answer_comes_out_right_and_cannot_be_broken(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    text = (
        "Use `a < b`, _not_ <b>this</b> & **that** 😀.\n\n```py\nif a < b:\n    pass\n```\n\n"
        "1. one\n2. [two](https://evil.example.com)\n\n> said @somebody via /start on evil.com"
    )
    answerer = ScriptedAnswerer({"Why?": Script((text,))})
    async with opened(telegram, tmp_path, answerer) as desk:
        telegram.people.ask(ann, "Why?")
        (answer,) = await desk.said(ann)
    assert "Use a < b, not <b>this</b> & that 😀." in answer.text
    assert "if a < b:\n    pass" in answer.text
    assert "1. one\n2. two" in answer.text
    kinds = sorted({(entity["type"], entity["offset"]) for entity in answer.entities})
    assert [kind for kind, _ in kinds] == ["blockquote", "bold", "code", "code", "italic", "pre"]
    assert telegram.refused() == []


TABLE = "# Sizes\n\n| frame | height |\n|---|---|\n| S | 150 |\n| M | 170 |\n\nThat is all. [1]"


async def test_a_table_is_a_rich_message_with_links_and_buttons(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    reply = Reply(TABLE, Outcome.ANSWERED, (SOURCE,))
    async with opened(telegram, tmp_path, ScriptedAnswerer({"Why?": Script((), reply)})) as desk:
        telegram.people.ask(ann, "Why?")
        (answer,) = await desk.said(ann)
    assert answer.rich is not None
    assert [block["type"] for block in answer.rich["blocks"]] == [
        "heading",
        "table",
        "paragraph",
        "paragraph",
    ]
    assert "frame | height" in answer.text
    assert answer.buttons
    assert telegram.refused() == []


async def test_without_rich_messages_a_table_has_its_columns_under_each_other(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    telegram.world.rich_enabled = False
    ann = telegram.world.user("ann")
    answerer = ScriptedAnswerer({"Why?": Script((TABLE,))})
    async with opened(telegram, tmp_path, answerer) as desk:
        for count in (1, 2):
            telegram.people.ask(ann, "Why?")
            answers = await desk.said(ann, count)
    assert "frame  height\n─────  ──────\nS      150\nM      170" in answers[-1].text
    assert len(telegram.called("sendRichMessage")) == 1  # not tried again
    assert telegram.refused() == []


async def test_markup_that_telegram_does_not_take_becomes_bare_words(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    telegram.faults.append(Fault("sendMessage", "error", "can't parse entities: whatever"))
    async with opened(telegram, tmp_path, because()) as desk:
        telegram.people.ask(ann, "Why?")
        (answer,) = await desk.said(ann)
    assert answer.text == "Because it is so. [1]\n\nSources\n[1] Returns"
    assert answer.entities == []
    assert answer.buttons


async def test_an_answer_in_a_topic_stays_in_it_with_its_typing_sign(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    forum = telegram.world.group("Forum", ann, forum=True)
    topic = telegram.world.topic(forum, "Bikes", ann.id)
    async with opened(telegram, tmp_path, because()) as desk:
        telegram.people.mention(ann, forum, "Why?", thread=topic)
        (answer,) = await desk.said(forum)
    assert (answer.thread, answer.in_topic) == (topic.id, True)
    assert {thread for _, _, thread in forum.actions} == {topic.id}
    assert telegram.refused() == []


async def test_notices_are_in_the_language_of_the_person(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann", lang="es-MX")
    answerer = ScriptedAnswerer({"Why?": Script(error=RuntimeError("broken"))})
    async with opened(telegram, tmp_path, answerer) as desk:
        telegram.people.ask(ann, "Why?")
        (answer,) = await desk.said(ann)
    assert answer.text.startswith("Lo siento, algo falló")
    assert not answer.buttons


async def test_many_answers_at_once_stay_within_the_flood_limits(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    people = [telegram.world.user(f"p{number}") for number in range(40)]
    async with opened(telegram, tmp_path, because()) as desk:
        for person in people:
            telegram.people.ask(person, "Why?")
        await asyncio.gather(*(desk.said(person) for person in people))
    assert [len(telegram.world.chat(person).by_bot) for person in people] == [1] * 40
    assert not [call for call in telegram.calls if call.status == 429]


async def test_topics_in_private_chats_are_kept_apart(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    telegram.world.topics_enabled = True
    ann = telegram.world.user("ann")
    chat = telegram.world.chat(ann)
    first, second = (telegram.world.topic(chat, name, ann.id) for name in ("One", "Two"))
    answerer = slowly()
    async with opened(telegram, tmp_path, answerer) as desk:
        telegram.people.ask(ann, "Why?", thread=first)
        await telegram.until(lambda: chat.drafts)
        assert chat.drafts[0].thread == first.id
        answerer.scripts["Why?"].gate.set()
        await desk.said(ann)
        telegram.people.ask(ann, "Hi", thread=second)
        await desk.said(ann, 2)
    assert [one.thread for one in chat.by_bot] == [first.id, second.id]
    assert list(answerer.asked[1].history) == []
    assert telegram.refused() == []
