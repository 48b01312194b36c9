"""Which messages the bot answers, where, and as part of which conversation."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.telegram.albums import WAIT_S
from bot.config import LimitSettings
from tests.fakes.scripted import Script, ScriptedAnswerer
from tests.fakes.telegram import BOT_NAME, FakeTelegram
from tests.fakes.telegram.desk import opened
from tests.fakes.telegram.world import Chat


class Place:
    """People and a group."""

    def __init__(self, telegram: FakeTelegram) -> None:
        self.ann = telegram.world.user("ann")
        self.bob = telegram.world.user("bob")
        self.group = telegram.world.group("Friends", self.ann, self.bob)


@pytest.fixture
def place(telegram: FakeTelegram) -> Place:
    return Place(telegram)


async def test_in_a_group_only_what_is_meant_for_the_bot_is_answered(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    telegram.world.privacy = False  # it hears everything
    people, ann, bob, group = telegram.people, place.ann, place.bob, place.group
    other = telegram.world.user("otherbot", bot=True)
    async with opened(telegram, tmp_path) as desk:
        people.say(ann, group, "Good morning")
        people.say(ann, group, f"@{BOT_NAME}_two are you there")
        people.say(ann, group, "mail me at ann@deskhand_bot.example.com")
        people.say(other, group, f"@{BOT_NAME} hello")
        people.say(ann, group, "/help@other_bot")
        people.mention(ann, group, "one")
        people.say(bob, group, f"Please tell me, @{BOT_NAME.upper()}, two")
        await desk.said(group, 2)
        people.reply(bob, group.by_bot[0], "three")
        await desk.said(group, 3)
        await desk.quiet(3)
    asked = {one.text for one in desk.answerer.asked}
    assert asked == {"one", "Please tell me, , two", "three"}
    assert telegram.refused() == []


async def test_everybody_in_a_group_has_a_conversation_of_their_own(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    people, group = telegram.people, place.group
    async with opened(telegram, tmp_path) as desk:
        people.mention(place.ann, group, "I am Ann")
        await desk.said(group, 1)
        people.mention(place.bob, group, "I am Bob")
        await desk.said(group, 2)
        people.mention(place.ann, group, "Who am I?")
        await desk.said(group, 3)
    (first, second, third) = desk.answerer.asked
    assert (list(first.history), list(second.history)) == ([], [])
    assert [turn.content for turn in third.history] == ["I am Ann", "You said: I am Ann"]


async def test_a_group_can_be_set_to_answer_everything(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    telegram.world.privacy = False
    chats = {str(place.group.id): {"mode": "always", "audience": "internal"}}
    async with opened(telegram, tmp_path, chats=chats) as desk:
        telegram.people.say(place.ann, place.group, "Good morning")
        await desk.said(place.group)
    assert desk.answerer.asked[0].audience == "internal"


async def test_a_bare_mention_under_a_question_asks_that_question(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    people, group = telegram.people, place.group
    async with opened(telegram, tmp_path) as desk:
        question = people.say(place.ann, group, "How long is the warranty?")
        people.reply(place.bob, question, f"@{BOT_NAME}")
        await desk.said(group)
    assert desk.answerer.asked[0].text == "How long is the warranty?"


async def test_topics_are_conversations_and_their_opening_is_no_message_to_the_bot(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    telegram.world.privacy = False
    forum = telegram.world.group("Forum", place.ann, forum=True)
    mine = telegram.world.topic(forum, "By the bot")
    bikes = telegram.people.open_topic(place.ann, forum, "Bikes")
    async with opened(telegram, tmp_path) as desk:
        telegram.people.say(place.ann, forum, "just talking", thread=mine)
        telegram.people.mention(place.ann, forum, "one", thread=bikes)
        await desk.said(forum, 1)
        telegram.people.mention(place.ann, forum, "two", thread=mine)
        await desk.said(forum, 2)
        telegram.people.mention(place.ann, forum, "general")
        await desk.said(forum, 3)
        await desk.quiet(3)
    assert [one.thread for one in forum.by_bot] == [bikes.id, mine.id, 0]
    assert all(not one.history for one in desk.answerer.asked)
    assert telegram.refused() == []


async def test_an_update_that_arrives_twice_is_answered_once(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    async with opened(telegram, tmp_path) as desk:
        telegram.people.ask(place.ann, "Hi")
        await desk.said(place.ann)
        for _ in range(3):
            telegram.updates.again(telegram.updates.handed[0])
        await desk.quiet(1)
    async with opened(telegram, tmp_path) as desk:
        telegram.updates.again(telegram.updates.handed[0])
        telegram.people.ask(place.bob, "Hi")
        await desk.said(place.bob)
        await desk.quiet(1)
    assert len(telegram.world.chat(place.ann).by_bot) == 1


async def test_an_edited_question_is_answered_as_it_reads_now(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    answerer = ScriptedAnswerer({"Wy?": Script(("Hm. ", "Well."), hold_at=1)})
    async with opened(telegram, tmp_path, answerer) as desk:
        asked = telegram.people.ask(place.ann, "Wy?")
        await telegram.until(lambda: answerer.asked)
        telegram.people.edit(asked, "Why?")
        (answer,) = await desk.said(place.ann)
        assert answer.text == "You said: Why?"
        telegram.people.edit(asked, "Why now?")  # answered already
        telegram.people.edit(asked, "Why now?")
        await desk.quiet(2)
        (exchange, _) = await desk.store.thread("telegram", f"4242/{place.ann.id}")
        assert exchange.text == "Why now?"


async def test_an_edit_in_a_group_matters_only_if_it_names_the_bot(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    telegram.world.privacy = False
    async with opened(telegram, tmp_path) as desk:
        said = telegram.people.say(place.ann, place.group, "Good mornin")
        telegram.people.edit(said, "Good morning")
        await desk.quiet(0)
        telegram.people.edit(said, f"@{BOT_NAME} good morning")
        (answer,) = await desk.said(place.group)
        assert answer.text == "You said: good morning"


async def test_an_album_is_one_question(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    async with opened(telegram, tmp_path) as desk:
        telegram.people.album(place.ann, "What is this?", 4)
        (answer,) = await desk.said(place.ann)
        assert answer.text == "You said: What is this?"
        telegram.people.album(place.bob, "", 3)
        (answer,) = await desk.said(place.bob)
        assert answer.text.startswith("I can't look at pictures")
        await desk.quiet(1)
    assert WAIT_S < 1


@pytest.mark.parametrize(
    ("send", "told"),
    [("voice", "I can't listen"), ("photo", "I can't look at"), ("document", "I can't look at")],
)
async def test_what_is_no_text_gets_a_polite_reply(
    telegram: FakeTelegram, tmp_path: Path, place: Place, send: str, told: str
) -> None:
    async with opened(telegram, tmp_path) as desk:
        getattr(telegram.people, send)(place.ann)
        (answer,) = await desk.said(place.ann)
        assert answer.text.startswith(told)
        await desk.quiet(0)


async def test_a_transcriber_turns_voice_into_questions(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    async def hear(message: object) -> str:
        del message
        return " How much is it? "

    async with opened(telegram, tmp_path, hear=hear) as desk:
        telegram.people.voice(place.ann)
        (answer,) = await desk.said(place.ann)
    assert answer.text == "You said: How much is it?"


async def test_a_group_that_becomes_a_supergroup_keeps_its_conversations(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    old = telegram.world.group("Small", place.ann, basic=True)
    answerer = ScriptedAnswerer({"Wait": Script(("Here. ", "There."), hold_at=1)})
    async with opened(telegram, tmp_path, answerer) as desk:
        telegram.people.mention(place.ann, old, "one")
        await desk.said(old)
        telegram.people.mention(place.ann, old, "Wait")
        await telegram.until(lambda: len(answerer.asked) == 2)
        new = telegram.world.migrate(old)  # and the bot is not told before it writes
        answerer.scripts["Wait"].gate.set()
        (answer,) = await desk.said(new)
        assert answer.text == "Here. There."
        telegram.people.mention(place.ann, new, "two")
        await desk.said(new, 2)
    assert "one" in [turn.content for turn in desk.answerer.asked[2].history]
    async with opened(telegram, tmp_path) as desk:
        telegram.people.mention(place.ann, new, "three")
        await desk.said(new, 3)
    assert "two" in [turn.content for turn in desk.answerer.asked[0].history]
    assert telegram.refused() == []


async def test_a_notice_of_migration_is_enough(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    old = telegram.world.group("Small", place.ann, basic=True)
    async with opened(telegram, tmp_path) as desk:
        telegram.people.mention(place.ann, old, "one")
        await desk.said(old)
        new = telegram.people.migrate(place.ann, old)
        telegram.people.mention(place.ann, new, "two")
        await desk.said(new)
    assert "one" in [turn.content for turn in desk.answerer.asked[1].history]


async def test_nobody_is_written_to_who_has_blocked_the_bot(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    answerer = ScriptedAnswerer({"Why?": Script(("Be", "cause"), hold_at=1)})
    async with opened(telegram, tmp_path, answerer) as desk:
        telegram.people.ask(place.ann, "Why?")
        await telegram.until(lambda: answerer.asked)
        telegram.people.block(place.ann)
        await telegram.until(lambda: not desk.channel._live)  # its answer is stopped
        sends = len(telegram.called("sendMessage"))
        telegram.people.start(place.ann)
        (greeting,) = await desk.said(place.ann)
        assert greeting.text.startswith("Hello ann")
        assert len(telegram.called("sendMessage")) == sends + 1


async def test_who_blocked_the_bot_meanwhile_is_given_up_on_at_once(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    place.ann.blocked = True
    telegram.world.chat(place.ann)
    async with opened(telegram, tmp_path) as desk:
        place.ann.blocked = False
        telegram.people.ask(place.ann, "Why?")
        place.ann.blocked = True
        await telegram.until(lambda: telegram.called("sendMessage"))
        await telegram.until(lambda: not desk.dispatcher._queues)  # everything is done
        counts = await desk.store.counts()
    assert sum(counts.sends.values()) == 1
    assert len(telegram.called("sendMessage")) == 1


async def test_a_business_chat_is_answered_on_behalf_of_its_owner(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    customer = place.bob
    async with opened(telegram, tmp_path) as desk:
        business = telegram.people.connect(place.ann)
        telegram.people.ask_business(business, customer, "Are you open?")
        chat: Chat = business.chats[customer.id]
        await telegram.until(lambda: chat.by_bot)
        telegram.people.owner_says(business, customer, "Hello, the owner here")
        telegram.people.ask(customer, "And directly?")
        await desk.said(customer)
        await desk.quiet(2)
    assert [one.text for one in chat.by_bot] == ["You said: Are you open?"]
    assert [one.history for one in desk.answerer.asked] == [[], []]
    assert telegram.refused() == []


async def test_a_business_connection_that_may_not_write_is_left_alone(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    async with opened(telegram, tmp_path) as desk:
        business = telegram.people.connect(place.ann, can_reply=False)
        telegram.people.ask_business(business, place.bob, "Are you open?")
        await desk.quiet(0)


async def test_a_new_group_is_told_what_the_bot_can_do(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    place.group.members[4242] = "left"
    place.ann.lang = "de"
    async with opened(telegram, tmp_path) as desk:
        telegram.people.put(place.ann, place.group, "member")
        (greeting,) = await desk.said(place.group)
    assert greeting.text.startswith("Schreiben Sie einfach Ihre Frage.")


async def test_who_asks_too_much_is_told_so_once(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    limits = LimitSettings(drain_s=2.0, waiting_per_actor=1, message_chars=50)
    answerer = ScriptedAnswerer({"Wait": Script(("Done.",), hold_at=0)})
    async with opened(telegram, tmp_path, answerer, limits=limits) as desk:
        telegram.people.ask(place.ann, "Wait")
        await telegram.until(lambda: answerer.asked)
        telegram.people.ask(place.ann, "And this?")
        telegram.people.ask(place.bob, "x" * 51)
        await telegram.until(lambda: telegram.world.chat(place.ann).by_bot)
        await telegram.until(lambda: telegram.world.chat(place.bob).by_bot)
        telegram.updates.again(telegram.updates.handed[1])
        await telegram.settled()
        answerer.scripts["Wait"].gate.set()
        texts = [one.text for one in await desk.said(place.ann, 2)]
    assert texts[0].startswith("You already have several questions waiting.")
    assert texts[1] == "Done."
    (told,) = telegram.world.chat(place.bob).by_bot
    assert told.text.startswith("That message is too long")


async def test_writing_commands_for_staff_are_questions_to_the_bot(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    async with opened(telegram, tmp_path) as desk:
        telegram.people.say(place.ann, place.group, "/draft@deskhand_bot a reply to Bob")
        telegram.people.ask(place.ann, "/summarize this")
        await desk.said(place.group)
        await desk.said(place.ann)
    asked = {one.text for one in desk.answerer.asked}
    assert asked == {"/draft a reply to Bob", "/summarize this"}


async def test_a_mention_is_found_behind_letters_of_two_units(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    async with opened(telegram, tmp_path) as desk:
        telegram.people.say(place.ann, place.group, f"😀😀 @{BOT_NAME} 🚲 how 😀 much?")
        await desk.said(place.group)
    assert desk.answerer.asked[0].text == "😀😀  🚲 how 😀 much?"


async def test_a_groups_anonymous_administrator_is_answered_too(
    telegram: FakeTelegram, tmp_path: Path, place: Place
) -> None:
    group = place.group
    behind = {"id": group.id, "type": "supergroup", "title": group.title}
    async with opened(telegram, tmp_path) as desk:
        telegram.people.mention(place.ann, group, "Hi", sender_chat=behind)
        telegram.people.mention(
            place.ann, group, "News", sender_chat={"id": -1009, "type": "channel", "title": "N"}
        )
        (answer,) = await desk.said(group)
        await desk.quiet(1)
    assert answer.text == "You said: Hi"
