"""Votes by button and reaction, reasons, corrections; and the commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.telegram.commands import link
from adapters.telegram.texts import COMMANDS, LANGUAGES
from bot.errors import ConfigError
from bot.handover import wish
from bot.types import Vote
from tests.fakes.scripted import Script, ScriptedAnswerer
from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.desk import Desk, opened
from tests.fakes.telegram.world import Message, User


def because() -> ScriptedAnswerer:
    return ScriptedAnswerer({"Why?": Script(("Because.",))})


async def votes(desk: Desk, where: str) -> dict[str, Vote]:
    """The votes on the newest answer of a conversation."""
    (*_, newest) = await desk.store.thread("telegram", f"4242/{where}")
    assert newest.answer_id is not None
    return dict(await desk.store.votes(newest.answer_id))


async def asked(telegram: FakeTelegram, desk: Desk, user: User) -> Message:
    telegram.people.ask(user, "Why?")
    (answer,) = await desk.said(user)
    return answer


async def pressed(telegram: FakeTelegram, user: User, message: Message, label: str) -> str:
    """Press, and wait until the bot has answered and brought the buttons up to date."""
    press = telegram.people.press(user, message, label)
    await telegram.settled()
    assert press.answered
    return press.text


def labels(message: Message) -> list[str]:
    return [one["text"] for row in message.buttons for one in row]


async def test_a_thumb_is_answered_shown_changed_and_taken_back(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    async with opened(telegram, tmp_path, because()) as desk:
        answer = await asked(telegram, desk, ann)
        assert await pressed(telegram, ann, answer, "👍") == "Thank you, noted."
        await telegram.until(lambda: "👍 Helpful ✓" in labels(answer))
        assert (await votes(desk, str(ann.id)))[f"telegram:{ann.id}"].value == 1
        await pressed(telegram, ann, answer, "👎")
        await telegram.until(lambda: "👎 Not helpful ✓" in labels(answer))
        assert (await votes(desk, str(ann.id)))[f"telegram:{ann.id}"].value == -1
        assert await pressed(telegram, ann, answer, "👎") == "Your vote is taken back."
        await telegram.until(lambda: labels(answer) == ["👍 Helpful", "👎 Not helpful"])
        assert await votes(desk, str(ann.id)) == {}
    assert telegram.refused() == []


async def test_a_press_that_arrives_twice_counts_once(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    async with opened(telegram, tmp_path, because()) as desk:
        answer = await asked(telegram, desk, ann)
        await pressed(telegram, ann, answer, "👍")
        telegram.updates.again(telegram.updates.handed[-1])
        telegram.people.ask(ann, "Hi")
        await desk.said(ann, 2)
        (first, _) = await desk.store.thread("telegram", f"4242/{ann.id}")
        assert first.votes[f"telegram:{ann.id}"].value == 1


async def test_reason_and_own_words_follow_a_thumb_down(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann", lang="zh-hans")
    async with opened(telegram, tmp_path, because()) as desk:
        answer = await asked(telegram, desk, ann)
        await pressed(telegram, ann, answer, "👎")
        await telegram.until(lambda: "已过时" in labels(answer))
        assert await pressed(telegram, ann, answer, "已过时") == "谢谢，工作人员会查看。"
        await telegram.until(lambda: "已过时" not in labels(answer))
        vote = (await votes(desk, str(ann.id)))[f"telegram:{ann.id}"]
        assert (vote.value, vote.reason) == (-1, "Out of date")
        await pressed(telegram, ann, answer, "👎")
        await pressed(telegram, ann, answer, "👎")
        await telegram.until(lambda: "✍ 用自己的话说明" in labels(answer))
        await pressed(telegram, ann, answer, "用自己的话")
        (_, prompt) = await desk.said(ann, 2)
        telegram.people.reply(ann, prompt, "It should say: 30 days.")
        (*_, thanks) = await desk.said(ann, 3)
        assert thanks.text == "谢谢，工作人员会查看。"
        vote = (await votes(desk, str(ann.id)))[f"telegram:{ann.id}"]
        assert (vote.value, vote.correction) == (-1, "It should say: 30 days.")
        await desk.quiet(1)
    assert telegram.refused() == []


async def test_in_a_group_everybody_votes_and_the_buttons_count(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann, bob, eve = (telegram.world.user(name) for name in ("ann", "bob", "eve"))
    group = telegram.world.group("Friends", ann, bob, eve)
    async with opened(telegram, tmp_path, because()) as desk:
        telegram.people.mention(ann, group, "Why?")
        (answer,) = await desk.said(group)
        await pressed(telegram, ann, answer, "👍")
        await pressed(telegram, bob, answer, "👍")
        await pressed(telegram, eve, answer, "👎")
        await telegram.until(lambda: labels(answer)[:2] == ["👍 2", "👎 1"])
        found = await votes(desk, f"{group.id}/u{ann.id}")
    assert {voter: vote.value for voter, vote in found.items()} == {
        f"telegram:{ann.id}": 1,
        f"telegram:{bob.id}": 1,
        f"telegram:{eve.id}": -1,
    }


async def test_a_button_of_another_chat_does_nothing(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann, eve = telegram.world.user("ann"), telegram.world.user("eve")
    async with opened(telegram, tmp_path, because()) as desk:
        answer = await asked(telegram, desk, ann)
        forged = await asked(telegram, desk, eve)
        forged.markup = answer.markup
        text = await pressed(telegram, eve, forged, "👎")
        assert text == "This answer can no longer be rated."
        assert await votes(desk, str(ann.id)) == {}


async def test_a_press_under_a_message_too_old_to_see_counts(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    async with opened(telegram, tmp_path, because()) as desk:
        answer = await asked(telegram, desk, ann)
        telegram.people.press(ann, answer, "👍", inaccessible=True)
        await telegram.until(lambda: "👍 Helpful ✓" in labels(answer))
        assert (await votes(desk, str(ann.id)))[f"telegram:{ann.id}"].value == 1


async def test_reactions_count_like_buttons_and_buttons_win(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    voter, talk = f"telegram:{ann.id}", str(ann.id)
    async with opened(telegram, tmp_path, because()) as desk:
        answer = await asked(telegram, desk, ann)
        seen = []
        for emoji in ([], ["👍"], ["👎"], ["🤔"], ["❤"]):
            telegram.people.react(ann, answer, *emoji)
            await telegram.settled()
            found = await votes(desk, talk)
            seen.append(found[voter].value if voter in found else 0)
        assert seen == [0, 1, -1, 0, 1]
        await pressed(telegram, ann, answer, "👎")
        telegram.people.react(ann, answer, "👍")
        await telegram.settled()
        assert (await votes(desk, talk))[voter].value == -1


async def test_reactions_in_groups_count_and_anonymous_ones_are_nobodys(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    group = telegram.world.group("Friends", ann, admin=True)
    async with opened(telegram, tmp_path, because()) as desk:
        telegram.people.mention(ann, group, "Why?")
        (answer,) = await desk.said(group)
        telegram.people.react(ann, answer, "🔥")
        assert telegram.people.react_anonymously(answer, {"👎": 3}) is not None
        await telegram.settled()
        found = await votes(desk, f"{group.id}/u{ann.id}")
    assert {voter: vote.value for voter, vote in found.items()} == {f"telegram:{ann.id}": 1}
    assert telegram.updates.missed == []


# Commands


async def test_start_greets_whatever_the_link_says(telegram: FakeTelegram, tmp_path: Path) -> None:
    ann = telegram.world.user("ann", lang="ru")
    async with opened(telegram, tmp_path, because()) as desk:
        telegram.people.start(ann)
        telegram.people.start(ann, "campaign-7_x")
        greetings = [one.text for one in await desk.said(ann, 2)]
        assert {text[:18] for text in greetings} == {"Здравствуйте, ann!"}
        await desk.quiet(0)


async def test_a_link_can_carry_a_question(telegram: FakeTelegram, tmp_path: Path) -> None:
    ann = telegram.world.user("ann")
    address = link("deskhand_bot", "Kann ich zurückgeben?")
    async with opened(telegram, tmp_path) as desk:
        telegram.people.start(ann, address.partition("?start=")[2])
        (_, answer) = await desk.said(ann, 2)
        assert answer.text == "You said: Kann ich zurückgeben?"
    with pytest.raises(ConfigError):
        link("deskhand_bot", "x" * 60)


async def test_new_begins_a_conversation_without_what_was_said(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    async with opened(telegram, tmp_path) as desk:
        telegram.people.ask(ann, "one")
        await desk.said(ann, 1)
        telegram.people.ask(ann, "/new")
        await desk.said(ann, 2)
        telegram.updates.again(telegram.updates.handed[-1])
        telegram.people.ask(ann, "two")
        await desk.said(ann, 4)
    async with opened(telegram, tmp_path) as again:
        telegram.people.ask(ann, "three")
        await again.said(ann, 5)
    assert list(desk.answerer.asked[1].history) == []
    assert [turn.content for turn in again.answerer.asked[0].history] == ["two", "You said: two"]


async def test_commands_work_in_groups_in_every_form_that_means_this_bot(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    group = telegram.world.group("Friends", ann)
    async with opened(telegram, tmp_path) as desk:
        telegram.people.say(ann, group, "/help")
        telegram.people.say(ann, group, "/privacy@deskhand_bot")
        telegram.people.say(ann, group, "/roll")
        told = await desk.said(group, 2)
        assert [one.text[:10] for one in told] == ["Just write", "What you w"]
        await desk.quiet(0)


async def test_feedback_offers_the_buttons_of_the_last_answer(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    async with opened(telegram, tmp_path, because()) as desk:
        telegram.people.ask(ann, "/feedback")
        (none,) = await desk.said(ann)
        assert none.text.startswith("There is no answer of mine")
        telegram.people.ask(ann, "Why?")
        await desk.said(ann, 2)
        telegram.people.ask(ann, "/feedback")
        (*_, offer) = await desk.said(ann, 3)
        assert offer.text == "You asked: “Why?”. Did the answer help?"
        await pressed(telegram, ann, offer, "👍")
        assert (await votes(desk, str(ann.id)))[f"telegram:{ann.id}"].value == 1


async def test_delete_my_data_asks_first_and_then_nothing_is_left(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann, bob = telegram.world.user("ann"), telegram.world.user("bob")
    async with opened(telegram, tmp_path, because()) as desk:
        answer = await asked(telegram, desk, ann)
        await pressed(telegram, ann, answer, "👍")
        await asked(telegram, desk, bob)
        telegram.people.ask(ann, "/delete_my_data")
        (*_, question) = await desk.said(ann, 2)
        await pressed(telegram, ann, question, "No, keep")
        await telegram.until(lambda: question.text == "Nothing was deleted.")
        assert question.buttons == []
        telegram.people.ask(ann, "/delete_my_data")
        (*_, question) = await desk.said(ann, 3)
        await pressed(telegram, ann, question, "Yes, delete")
        await telegram.until(lambda: question.text.startswith("Done."))
        assert await desk.store.thread("telegram", f"4242/{ann.id}") == []
        assert len(await desk.store.thread("telegram", f"4242/{bob.id}")) == 1
        counts = await desk.store.counts()
    assert sum(counts.votes.values()) == 0


async def test_nobody_deletes_what_is_anothers(telegram: FakeTelegram, tmp_path: Path) -> None:
    ann, bob = telegram.world.user("ann"), telegram.world.user("bob")
    group = telegram.world.group("Friends", ann, bob)
    async with opened(telegram, tmp_path, because()) as desk:
        telegram.people.mention(ann, group, "Why?")
        await desk.said(group)
        telegram.people.say(ann, group, "/delete_my_data")
        (*_, question) = await desk.said(group, 2)
        text = await pressed(telegram, bob, question, "Yes")
        assert text == "Only the person who asked can do that."
        assert len(await desk.store.thread("telegram", f"4242/{group.id}/u{ann.id}")) == 1


async def test_human_is_a_question_like_any_other_where_no_staff_sit(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann", lang="de")
    async with opened(telegram, tmp_path) as desk:
        telegram.people.ask(ann, "/human")
        await desk.said(ann)
        assert desk.answerer.asked[0].text == "Ich möchte mit einem Menschen sprechen"


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_language_wishes_for_a_person_in_words_the_bot_understands(language: str) -> None:
    assert wish(LANGUAGES[language].wish, "") == language


async def test_menu_and_descriptions_are_set_once_in_every_language(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    for _ in range(2):
        async with opened(telegram, tmp_path):
            await telegram.until(lambda: telegram.world.menus)
            await telegram.settled()
    assert len(telegram.called("setChatMenuButton")) == 1
    world = telegram.world
    assert {language for _, language in world.commands} == {"", "zh", "es", "de", "ru"}
    for commands in world.commands.values():
        assert [one["command"] for one in commands] == list(COMMANDS)
    assert world.texts["Description", "de"].startswith("Fragen Sie mich")
    assert telegram.refused() == []
