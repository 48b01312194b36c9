"""Staff in a group with topics: one for each person, both ways, and back to the bot."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.handover import SuggestionState
from bot.types import Outcome, Reply
from tests.fakes.scripted import Script, ScriptedAnswerer
from tests.fakes.telegram import FakeTelegram, Fault
from tests.fakes.telegram.desk import opened
from tests.fakes.telegram.world import Chat, Message, Topic, User


class Shop:
    """A customer, somebody of the staff, and their group."""

    def __init__(self, telegram: FakeTelegram) -> None:
        self.telegram = telegram
        self.ann = telegram.world.user("ann")
        self.sam = telegram.world.user("Sam")
        self.group = telegram.world.group("Support", self.sam, forum=True, admin=True)

    def topic(self) -> Topic:
        """The newest topic."""
        return list(self.group.topics.values())[-1]

    def lines(self, topic: Topic | None = None) -> list[str]:
        """What the bot wrote in a topic, without the card."""
        thread = (topic or self.topic()).id
        said = [one for one in self.group.by_bot if one.thread == thread]
        return [one.text for one in said[1:]]

    async def asks_for_a_person(self, user: User | None = None) -> None:
        """Wait until staff have been told."""
        topics = len(self.group.topics)
        self.telegram.people.ask(user or self.ann, "/human")
        await self.telegram.until(lambda: len(self.group.topics) > topics)
        await self.telegram.until(lambda: self.card() is not None)

    def card(self) -> Message | None:
        """The newest topic's first message."""
        thread = self.topic().id
        return next((one for one in self.group.by_bot if one.thread == thread), None)

    def write(self, text: str, topic: Topic | None = None) -> Message:
        """Sam writes in a topic."""
        return self.telegram.people.say(self.sam, self.group, text, thread=topic or self.topic())


@pytest.fixture
def shop(telegram: FakeTelegram) -> Shop:
    return Shop(telegram)


def texts(chat: Chat) -> list[str]:
    return [one.text for one in chat.by_bot]


async def test_person_and_staff_hear_each_other_and_the_bot_is_silent_until_closed(
    telegram: FakeTelegram, tmp_path: Path, shop: Shop
) -> None:
    chat = telegram.world.chat(shop.ann)
    async with opened(telegram, tmp_path, staff_chat=shop.group.id) as desk:
        telegram.people.ask(shop.ann, "Where is my bike?")
        await desk.said(shop.ann, 1)
        await shop.asks_for_a_person()
        await desk.said(shop.ann, 2)
        card = shop.card()
        assert card is not None
        assert "Where is my bike?" in card.text
        assert "waiting" in card.text
        telegram.people.ask(shop.ann, "It is red & <b>fast</b>")
        await telegram.until(lambda: any("<b>fast</b>" in line for line in shop.lines()))
        shop.write("It comes *tomorrow*.")
        await telegram.until(lambda: len(chat.by_bot) == 3)
        assert chat.by_bot[-1].text == "Sam: It comes tomorrow."
        await telegram.until(lambda: "with Sam" in card.text)
        shop.write("/close")
        await telegram.until(lambda: shop.topic().closed)
        await telegram.until(lambda: "listening again" in chat.by_bot[-1].text)
        telegram.people.ask(shop.ann, "Thanks, bot")
        await telegram.until(lambda: chat.by_bot[-1].text == "You said: Thanks, bot")
        asked = [one.text for one in desk.answerer.asked]
        assert asked == ["Where is my bike?", "Thanks, bot"]
        (suggestion,) = await desk.dispatcher.handovers.suggestions(SuggestionState.NEW)
        assert suggestion.text == "It comes *tomorrow*."
    assert telegram.refused() == []


async def test_each_person_has_one_topic_which_is_opened_again(
    telegram: FakeTelegram, tmp_path: Path, shop: Shop
) -> None:
    bob = telegram.world.user("bob")
    async with opened(telegram, tmp_path, staff_chat=shop.group.id):
        await shop.asks_for_a_person()
        mine = shop.topic()
        await shop.asks_for_a_person(bob)
        assert [topic.name for topic in shop.group.topics.values()] == [
            "ann · telegram",
            "bob · telegram",
        ]
        shop.write("/close", mine)
        await telegram.until(lambda: mine.closed)
        telegram.people.ask(shop.ann, "/human")
        await telegram.until(lambda: not mine.closed)
        assert len(shop.group.topics) == 2
    assert telegram.refused() == []


async def test_a_topic_that_is_gone_is_made_again_with_its_card(
    telegram: FakeTelegram, tmp_path: Path, shop: Shop
) -> None:
    chat = telegram.world.chat(shop.ann)
    async with opened(telegram, tmp_path, staff_chat=shop.group.id):
        await shop.asks_for_a_person()
        telegram.people.delete_topic(shop.group, shop.topic())
        telegram.people.ask(shop.ann, "Are you there?")
        await telegram.until(lambda: len(shop.group.topics) == 2)
        await telegram.until(lambda: [one for one in shop.group.by_bot if "there?" in one.text])
        shop.write("Yes, I am.")
        await telegram.until(lambda: chat.by_bot[-1].text == "Sam: Yes, I am.")
    assert telegram.refused() == []


async def test_closing_a_topic_by_hand_gives_the_conversation_back(
    telegram: FakeTelegram, tmp_path: Path, shop: Shop
) -> None:
    async with opened(telegram, tmp_path, staff_chat=shop.group.id) as desk:
        await shop.asks_for_a_person()
        telegram.people.close_topic(shop.sam, shop.group, shop.topic())
        await telegram.settled()
        assert await desk.dispatcher.handovers.pending() == []


async def test_staff_can_step_in_again_after_closing(
    telegram: FakeTelegram, tmp_path: Path, shop: Shop
) -> None:
    chat = telegram.world.chat(shop.ann)
    async with opened(telegram, tmp_path, staff_chat=shop.group.id) as desk:
        await shop.asks_for_a_person()
        shop.write("/close")
        await telegram.until(lambda: shop.topic().closed)
        shop.topic().closed = False  # an administrator writes in closed topics too
        shop.write("One more thing.")
        await telegram.until(lambda: chat.by_bot[-1].text == "Sam: One more thing.")
        assert len(await desk.dispatcher.handovers.pending()) == 1


async def test_pictures_and_voices_are_passed_on_both_ways(
    telegram: FakeTelegram, tmp_path: Path, shop: Shop
) -> None:
    chat = telegram.world.chat(shop.ann)
    async with opened(telegram, tmp_path, staff_chat=shop.group.id):
        await shop.asks_for_a_person()
        telegram.people.voice(shop.ann)
        await telegram.until(lambda: any("voice" in one.content for one in shop.group.by_bot))
        telegram.people.photo(shop.sam, "", shop.group, thread=shop.topic())
        await telegram.until(lambda: any("photo" in one.content for one in chat.by_bot))
    assert not any("I can't" in text for text in texts(chat))
    assert telegram.refused() == []


async def test_staff_learn_that_a_person_has_blocked_the_bot(
    telegram: FakeTelegram, tmp_path: Path, shop: Shop
) -> None:
    async with opened(telegram, tmp_path, staff_chat=shop.group.id):
        await shop.asks_for_a_person()
        telegram.people.block(shop.ann)
        await telegram.settled()
        shop.write("Hello?")
        await telegram.until(lambda: any("has blocked the bot" in line for line in shop.lines()))


async def test_a_handover_survives_restarts_and_what_was_written_meanwhile_arrives(
    telegram: FakeTelegram, tmp_path: Path, shop: Shop
) -> None:
    chat = telegram.world.chat(shop.ann)
    async with opened(telegram, tmp_path, staff_chat=shop.group.id):
        await shop.asks_for_a_person()
    telegram.people.ask(shop.ann, "Still there?")
    answer = shop.write("Yes.")
    async with opened(telegram, tmp_path, staff_chat=shop.group.id):
        await telegram.until(lambda: any("Still there?" in line for line in shop.lines()))
        await telegram.until(lambda: chat.by_bot[-1].text == "Sam: Yes.")
        for update in telegram.updates.handed[-2:]:
            telegram.updates.again(update)
        telegram.people.ask(shop.ann, "Good")
        await telegram.until(lambda: any("Good" in line for line in shop.lines()))
    assert texts(chat).count("Sam: Yes.") == 1
    assert answer.text == "Yes."


async def test_new_takes_the_person_back_to_the_bot(
    telegram: FakeTelegram, tmp_path: Path, shop: Shop
) -> None:
    chat = telegram.world.chat(shop.ann)
    async with opened(telegram, tmp_path, staff_chat=shop.group.id):
        await shop.asks_for_a_person()
        telegram.people.ask(shop.ann, "/new")
        await telegram.until(lambda: shop.topic().closed)
        telegram.people.ask(shop.ann, "Hi bot")
        await telegram.until(lambda: "You said: Hi bot" in texts(chat))


async def test_the_rest_of_the_staff_group_is_a_group_like_any_other(
    telegram: FakeTelegram, tmp_path: Path, shop: Shop
) -> None:
    async with opened(telegram, tmp_path, staff_chat=shop.group.id) as desk:
        telegram.people.mention(shop.sam, shop.group, "How long is the warranty?")
        (answer,) = await desk.said(shop.group)
        assert answer.text == "You said: How long is the warranty?"


async def test_deleted_data_leaves_the_staff_group_too(
    telegram: FakeTelegram, tmp_path: Path, shop: Shop
) -> None:
    chat = telegram.world.chat(shop.ann)
    async with opened(telegram, tmp_path, staff_chat=shop.group.id) as desk:
        await shop.asks_for_a_person()
        telegram.people.ask(shop.ann, "My address is 5 Lane")
        await telegram.until(lambda: any("5 Lane" in line for line in shop.lines()))
        telegram.people.ask(shop.ann, "/delete_my_data")
        await telegram.until(lambda: chat.by_bot[-1].buttons)
        telegram.people.press(shop.ann, chat.by_bot[-1], "Yes")
        await telegram.until(lambda: "Done." in " ".join(texts(chat)))
        assert shop.topic().deleted
        assert await desk.store.thread("telegram", f"4242/{shop.ann.id}") == []
        telegram.people.ask(shop.ann, "Hi")
        await telegram.until(lambda: chat.by_bot[-1].text == "You said: Hi")


async def test_a_flood_in_the_staff_group_is_waited_out(
    telegram: FakeTelegram, tmp_path: Path, shop: Shop
) -> None:
    async with opened(telegram, tmp_path, staff_chat=shop.group.id):
        await shop.asks_for_a_person()
        telegram.faults.append(Fault("sendMessage", "flood", 1, times=2))
        telegram.people.ask(shop.ann, "one")
        await telegram.until(lambda: any("one" in line for line in shop.lines()))


async def test_an_honest_i_dont_know_offers_a_person(
    telegram: FakeTelegram, tmp_path: Path, shop: Shop
) -> None:
    reply = Reply("That is not in what I know.", Outcome.ABSTAINED)
    answerer = ScriptedAnswerer({"Why?": Script((), reply)})
    chat = telegram.world.chat(shop.ann)
    async with opened(telegram, tmp_path, answerer, staff_chat=shop.group.id) as desk:
        telegram.people.ask(shop.ann, "Why?")
        (answer,) = await desk.said(shop.ann)
        press = telegram.people.press(shop.ann, answer, "Talk to a person")
        await telegram.until(lambda: shop.group.topics and shop.card())
        await telegram.until(lambda: press.answered)
        telegram.updates.again(telegram.updates.handed[-1])
        await telegram.until(lambda: len(chat.by_bot) == 2)
        telegram.people.ask(shop.ann, "Hello?")
        await telegram.until(lambda: any("Hello?" in line for line in shop.lines()))
        assert len(shop.group.topics) == 1
    assert len(answerer.asked) == 1
