"""The fake's chats: messages, drafts, groups, topics, business accounts, the bot's own texts."""

from __future__ import annotations

import pytest
from aiogram import Bot
from aiogram.exceptions import (
    TelegramForbiddenError,
    TelegramMigrateToChat,
)
from aiogram.types import (
    BotCommand,
    BufferedInputFile,
    InputMediaPhoto,
    InputRichMessage,
    ReactionTypeEmoji,
    ReplyParameters,
)

from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.client import error_of, keyboard

# Messages


async def test_editing_nothing_is_an_error_and_editing_takes_the_buttons_away(
    telegram: FakeTelegram, bot: Bot
) -> None:
    ann = telegram.world.user("ann")
    sent = await bot.send_message(ann.id, "?", reply_markup=keyboard(callback_data="y"))
    where = {"chat_id": ann.id, "message_id": sent.message_id}
    same = bot.edit_message_text("?", **where, reply_markup=keyboard(callback_data="y"))
    assert "message is not modified" in await error_of(same)
    await bot.edit_message_text("?", **where)
    (message,) = telegram.world.chat(ann).by_bot
    assert message.buttons == []
    asked = telegram.people.ask(ann, "mine")
    foreign = bot.edit_message_text("yours", chat_id=ann.id, message_id=asked.id)
    assert "can't be edited" in await error_of(foreign)
    await bot.delete_message(ann.id, sent.message_id)
    assert "not found" in await error_of(bot.edit_message_text("x", **where))
    assert "not found" in await error_of(bot.delete_message(ann.id, sent.message_id))


async def test_a_press_must_be_answered_once_and_in_time(telegram: FakeTelegram, bot: Bot) -> None:
    ann = telegram.world.user("ann")
    await bot.send_message(
        ann.id, "?", reply_markup=keyboard(text="👍 Yes", callback_data="vote:1")
    )
    (message,) = telegram.world.chat(ann).by_bot
    pressed = telegram.people.press(ann, message, "👍")
    (update,) = await bot.get_updates()
    assert update.callback_query is not None
    assert update.callback_query.data == "vote:1"
    await bot.answer_callback_query(pressed.id, text="Thanks")
    assert (pressed.answered, pressed.text) == (True, "Thanks")
    assert "query is too old" in await error_of(bot.answer_callback_query(pressed.id))
    late = telegram.people.press(ann, message, "vote:1", inaccessible=True)
    telegram.world.clock.advance(16)
    assert "query is too old" in await error_of(bot.answer_callback_query(late.id))
    (_, update) = await bot.get_updates()
    assert update.callback_query is not None
    assert update.callback_query.message is not None
    assert update.callback_query.message.date == 0


async def test_copies_forwards_albums_and_files_arrive(telegram: FakeTelegram, bot: Bot) -> None:
    ann, ben = telegram.world.user("ann"), telegram.world.user("ben")
    spoken = telegram.people.voice(ann)
    copy = await bot.copy_message(ben.id, ann.id, spoken.id)
    assert telegram.world.chat(ben).every[copy.message_id].content["voice"]
    forwarded = await bot.forward_message(ben.id, ann.id, spoken.id)
    assert forwarded.forward_origin is not None
    assert forwarded.voice is not None
    content = await bot.download(forwarded.voice)
    assert content is not None
    assert content.read() == b"the voice of ann"
    assert "message to copy not found" in await error_of(bot.copy_message(ben.id, ann.id, 99))
    photo = InputMediaPhoto(media=BufferedInputFile(b"png", "a.png"))
    album = await bot.send_media_group(ann.id, [photo, photo])
    assert len({one.media_group_id for one in album}) == 1
    telegram.people.album(ann, "three photos")
    updates = [one.message for one in await bot.get_updates() if one.message]
    assert [one.caption for one in updates[-3:]] == ["three photos", None, None]
    assert len({one.media_group_id for one in updates[-3:]}) == 1


# Drafts


async def test_a_draft_is_seen_for_half_a_minute_or_until_the_bot_writes(
    telegram: FakeTelegram, bot: Bot
) -> None:
    ann = telegram.world.user("ann")
    chat, world = telegram.world.chat(ann), telegram.world
    await bot.send_message_draft(ann.id, 7, text="")
    assert world.draft(chat) is not None
    await bot.send_message_draft(ann.id, 7, text="<b>Hel</b>", parse_mode="HTML")
    world.clock.advance(29)
    live = world.draft(chat)
    assert live is not None
    assert live.text == "Hel"
    world.clock.advance(2)
    assert world.draft(chat) is None
    await bot.send_message_draft(ann.id, 7, text="Hello")
    await bot.send_message(ann.id, "Hello!")
    assert world.draft(chat) is None
    assert [one.text for one in chat.drafts] == ["", "Hel", "Hello"]


async def test_drafts_are_for_private_chats_and_can_be_stopped(
    telegram: FakeTelegram, bot: Bot
) -> None:
    ann = telegram.world.user("ann")
    group = telegram.world.group("team", ann)
    draft = bot.send_message_draft(group.id, 7, text="x")
    assert "TEXTDRAFT_PEER_INVALID" in await error_of(draft)
    assert await error_of(bot.send_message_draft(ann.id, 0, text="x"))
    await bot.send_message_draft(ann.id, 7, text="x")
    with pytest.raises(LookupError):
        telegram.people.stop(ann)
    await bot.send_message_draft(ann.id, 7, text="x", can_stop=True)
    telegram.people.stop(ann)
    (update,) = await bot.get_updates()
    assert update.stopped_message_generation is not None
    assert update.stopped_message_generation.draft_id == 7
    await bot.send_message_draft(ann.id, 7, text="xy")
    assert telegram.world.chat(ann).drafts[-1].after_stop
    assert telegram.world.draft(telegram.world.chat(ann)) is None


# Groups


async def test_privacy_shows_a_bot_only_what_is_meant_for_it(
    telegram: FakeTelegram, bot: Bot
) -> None:
    ann = telegram.world.user("ann")
    other = telegram.world.user("other_bot", bot=True)
    group = telegram.world.group("team", ann)
    await bot.send_message(group.id, "Hello")
    (hello,) = group.by_bot
    say = telegram.people.say
    say(ann, group, "nobody asked")
    say(ann, group, "mail me@deskhand_bot.example")
    say(ann, group, "/help@other_bot")
    say(other, group, "@deskhand_bot hi")
    telegram.people.mention(ann, group, "hi")
    say(ann, group, "/help@deskhand_bot")
    telegram.people.reply(ann, hello, "thanks")
    heard = [one.message.text for one in await bot.get_updates() if one.message]
    assert heard == ["@deskhand_bot hi", "/help@deskhand_bot", "thanks"]
    telegram.world.privacy = False
    say(ann, group, "anything")
    assert [one.message.text for one in await bot.get_updates() if one.message][3:] == ["anything"]


async def test_reactions_in_groups_are_for_administrators(telegram: FakeTelegram, bot: Bot) -> None:
    await bot.get_updates(allowed_updates=["message_reaction", "message_reaction_count"])
    ann = telegram.world.user("ann")
    plain = telegram.world.group("plain", ann)
    trusted = telegram.world.group("trusted", ann, admin=True)
    for group in (plain, trusted):
        await bot.send_message(group.id, "Hello")
        (hello,) = group.by_bot
        telegram.people.react(ann, hello, "👍")
        telegram.people.react_anonymously(hello, {"👎": 2})
    reaction, count = await bot.get_updates()
    assert reaction.message_reaction is not None
    assert reaction.message_reaction.chat.id == trusted.id
    assert count.message_reaction_count is not None
    assert count.message_reaction_count.reactions[0].total_count == 2
    react = bot.set_message_reaction(plain.id, hello.id, [ReactionTypeEmoji(emoji="🦖")])
    assert await error_of(react)


async def test_topics_are_made_shut_and_gone(telegram: FakeTelegram, bot: Bot) -> None:
    ann = telegram.world.user("ann")
    plain = telegram.world.group("plain", ann)
    forum = telegram.world.group("staff", ann, forum=True, admin=True)
    assert "not a forum" in await error_of(bot.create_forum_topic(plain.id, "x"))
    made = await bot.create_forum_topic(forum.id, "Ann's question")
    topic = forum.topics[made.message_thread_id]
    await bot.send_message(forum.id, "in here", message_thread_id=topic.id)
    said = telegram.people.say(ann, forum, "answer", thread=topic)
    (update,) = await bot.get_updates()
    assert update.message is not None
    assert (update.message.is_topic_message, update.message.message_thread_id) == (True, topic.id)
    # Telegram shows every message of a topic as an answer to the one that made the topic.
    assert update.message.reply_to_message is not None
    assert update.message.reply_to_message.forum_topic_created is not None
    outside = bot.send_message(forum.id, "x", reply_parameters=ReplyParameters(message_id=said.id))
    assert "message_thread_id is missing" in await error_of(outside)
    await bot.close_forum_topic(forum.id, topic.id)
    assert "NOT_MODIFIED" in await error_of(bot.close_forum_topic(forum.id, topic.id))
    await bot.reopen_forum_topic(forum.id, topic.id)
    telegram.people.delete_topic(forum, topic)
    gone = bot.send_message(forum.id, "x", message_thread_id=topic.id)
    assert "message thread not found" in await error_of(gone)
    general = bot.send_message(forum.id, "x", message_thread_id=1)
    assert "message thread not found" in await error_of(general)
    await bot.send_chat_action(forum.id, "typing", message_thread_id=1)
    assert [(what, where) for _, what, where in forum.actions] == [("typing", 1)]


async def test_a_group_that_moved_says_where_to(telegram: FakeTelegram, bot: Bot) -> None:
    ann = telegram.world.user("ann")
    group = telegram.world.group("team", ann, basic=True)
    new = telegram.people.migrate(ann, group)
    with pytest.raises(TelegramMigrateToChat) as caught:
        await bot.send_message(group.id, "hi")
    assert caught.value.migrate_to_chat_id == new.id
    await bot.send_message(new.id, "hi")
    old, here = [one.message for one in await bot.get_updates() if one.message]
    assert (old.migrate_to_chat_id, here.migrate_from_chat_id) == (new.id, group.id)


async def test_who_cannot_be_written_to(telegram: FakeTelegram, bot: Bot) -> None:
    ann = telegram.world.user("ann")
    stranger = telegram.world.user("stranger", started=False)
    group = telegram.world.group("team", ann)
    telegram.people.block(ann)
    (update,) = await bot.get_updates()
    assert update.my_chat_member is not None
    assert update.my_chat_member.new_chat_member.status == "kicked"
    with pytest.raises(TelegramForbiddenError, match="bot was blocked by the user"):
        await bot.send_message(ann.id, "hi")
    with pytest.raises(TelegramForbiddenError, match="can't initiate conversation"):
        await bot.send_message(stranger.id, "hi")
    telegram.people.put(ann, group, "kicked")
    with pytest.raises(TelegramForbiddenError, match="bot was kicked from the supergroup chat"):
        await bot.send_message(group.id, "hi")
    assert "chat not found" in await error_of(bot.send_message(12345, "hi"))
    telegram.people.start(ann, "from-the-website")
    await bot.send_message(ann.id, "hi")


async def test_business_chats_need_their_connection(telegram: FakeTelegram, bot: Bot) -> None:
    owner, ann = telegram.world.user("owner"), telegram.world.user("ann", started=False)
    business = telegram.people.connect(owner)
    telegram.people.ask_business(business, ann, "Are you open?")
    telegram.people.owner_says(business, ann, "Yes!")
    connected, asked, told = await bot.get_updates()
    assert connected.business_connection is not None
    assert connected.business_connection.id == business.id
    assert asked.business_message is not None
    assert asked.business_message.chat.id == ann.id
    assert told.business_message is not None
    assert told.business_message.from_user is not None
    assert told.business_message.from_user.id == owner.id
    with pytest.raises(TelegramForbiddenError):
        await bot.send_message(ann.id, "hi")
    sent = await bot.send_message(ann.id, "hi", business_connection_id=business.id)
    assert sent.sender_business_bot is not None
    telegram.people.disconnect(business)
    closed = bot.send_message(ann.id, "hi", business_connection_id=business.id)
    assert "business connection not found" in await error_of(closed)


# The bot's own texts


async def test_commands_and_descriptions_are_kept_by_language(
    telegram: FakeTelegram, bot: Bot
) -> None:
    await bot.set_my_commands([BotCommand(command="help", description="Hilfe")], language_code="de")
    await bot.set_my_description("Fragen Sie", language_code="de")
    assert telegram.world.commands["default", "de"][0]["description"] == "Hilfe"
    assert (await bot.get_my_description(language_code="de")).description == "Fragen Sie"
    assert (await bot.get_my_description(language_code="fr")).description == ""
    wrong = bot.set_my_commands([BotCommand(command="Help", description="x")])
    assert "BOT_COMMAND_INVALID" in await error_of(wrong)
    assert "too long" in await error_of(bot.set_my_short_description("x" * 121))


async def test_rich_messages_are_shown_by_block(telegram: FakeTelegram, bot: Bot) -> None:
    ann = telegram.world.user("ann")
    html = (
        "<h2>Fees</h2><ul><li>one</li><li>two</li></ul><table><tr><td>a</td><td>b</td></tr></table>"
    )
    await bot.send_rich_message(ann.id, InputRichMessage(html=html))
    markdown = "## Fees\n\n- one\n- two\n\n| a | b |\n|---|---|\n| c | d |\n"
    await bot.send_rich_message(ann.id, InputRichMessage(markdown=markdown))
    first, second = telegram.world.chat(ann).by_bot
    assert first.text == "Fees\n• one\n• two\na | b"
    assert second.text == "Fees\n• one\n• two\na | b\nc | d"
    for wrong in ("<p>x", "<script>x</script>", "<p>x</p>" * 501, "<tg-thinking>x</tg-thinking>"):
        assert await error_of(bot.send_rich_message(ann.id, InputRichMessage(html=wrong)))
    both = InputRichMessage(html="x", markdown="x")
    assert "exactly one" in await error_of(bot.send_rich_message(ann.id, both))
    telegram.world.rich_enabled = False
    old = bot.send_rich_message(ann.id, InputRichMessage(html="x"))
    assert "method not found" in await error_of(old)
