"""The fake Bot API itself: the unmodified client can talk to it, and cannot get away with much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import aiohttp
import pytest
from aiogram import Bot
from aiogram.exceptions import (
    TelegramAPIError,
    TelegramConflictError,
    TelegramNetworkError,
    TelegramRetryAfter,
)
from aiogram.methods import SendMessage
from aiogram.types import (
    BufferedInputFile,
)

from tests.fakes.telegram import TOKEN, FakeTelegram, Fault
from tests.fakes.telegram.client import error_of, keyboard

# What is checked before anything happens


async def test_the_client_hears_a_message_answers_and_edits(
    telegram: FakeTelegram, bot: Bot
) -> None:
    ann = telegram.world.user("ann", lang="de")
    telegram.people.ask(ann, "hi")
    (update,) = await bot.get_updates()
    assert update.message is not None
    assert update.message.from_user is not None
    assert (update.message.text, update.message.from_user.language_code) == ("hi", "de")
    sent = await bot.send_message(ann.id, "<b>Hello</b>", parse_mode="HTML")
    await bot.edit_message_text("Hello again", chat_id=ann.id, message_id=sent.message_id)
    (shown,) = telegram.world.chat(ann).by_bot
    assert (shown.text, shown.edits) == ("Hello again", ["Hello"])
    assert telegram.refused() == []


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"parse_mod": "HTML"}, 'unknown parameter "parse_mod"'),
        ({"disable_web_page_preview": True}, "deprecated"),
        ({"message_thread_id": "a topic"}, "message_thread_id"),
        ({"reply_parameters": {"message": 1}}, 'no field "message"'),
        ({"reply_markup": {"inline_keyboard": [[{"url": "https://a.example"}]]}}, 'lacks "text"'),
        ({"link_preview_options": {"is_disabled": "yes"}}, "must be of type bool"),
        ({"reply_markup": {"inline_keyboard": [[{"txt": "Yes"}]]}}, "txt"),
    ],
)
async def test_parameters_that_the_documentation_does_not_have_are_refused(
    telegram: FakeTelegram, bot: Bot, more: dict[str, Any], complaint: str
) -> None:
    ann = telegram.world.user("ann")
    call = SendMessage.model_construct(chat_id=ann.id, text="hi", **more)
    assert complaint in await error_of(bot(call))
    assert len(telegram.refused()) == 1
    assert telegram.world.chat(ann).by_bot == []


async def test_methods_that_do_not_exist_and_wrong_tokens_are_refused(
    telegram: FakeTelegram,
) -> None:
    async with aiohttp.ClientSession() as web:
        async with web.post(f"{telegram.url}/bot{TOKEN}/sendMesage") as answer:
            assert (answer.status, (await answer.json())["description"]) == (
                404,
                "Not Found: method not found",
            )
        async with web.get(f"{telegram.url}/bot1:wrong/getMe") as answer:
            assert answer.status == 401
        async with web.post(f"{telegram.url}/bot{TOKEN}/SENDMESSAGE", json={"text": "x"}) as answer:
            assert 'parameter "chat_id"' in (await answer.json())["description"]


async def test_lengths_count_after_parsing_and_in_utf_16(telegram: FakeTelegram, bot: Bot) -> None:
    ann = telegram.world.user("ann")
    await bot.send_message(ann.id, f"<b>{'x' * 4096}</b>", parse_mode="HTML")
    await bot.send_message(ann.id, "😀" * 2048)
    assert "too long" in await error_of(bot.send_message(ann.id, "😀" * 2049))
    assert "text is empty" in await error_of(
        bot.send_message(ann.id, "<b> </b>", parse_mode="HTML")
    )
    photo = BufferedInputFile(b"png", "a.png")
    assert "caption is too long" in await error_of(
        bot.send_photo(ann.id, photo, caption="x" * 1025)
    )


@pytest.mark.parametrize(
    ("button", "complaint"),
    [
        ({"callback_data": "é" * 33}, "BUTTON_DATA_INVALID"),
        ({}, "Text buttons are unallowed"),
        ({"url": "http://localhost/x"}, "Wrong HTTP URL"),
        ({"url": "https://a.example", "callback_data": "x"}, "does one thing"),
        ({"text": " ", "callback_data": "x"}, "Text must be non-empty"),
    ],
)
async def test_buttons_that_telegram_would_not_show_are_refused(
    telegram: FakeTelegram, bot: Bot, button: dict[str, Any], complaint: str
) -> None:
    ann = telegram.world.user("ann")
    send = bot.send_message(ann.id, "?", reply_markup=keyboard(**button))
    assert complaint in await error_of(send)


# Updates


async def test_updates_come_again_until_a_higher_offset_confirms_them(
    telegram: FakeTelegram, bot: Bot
) -> None:
    ann = telegram.world.user("ann")
    for text in "abc":
        telegram.people.ask(ann, text)
    first = await bot.get_updates(limit=2)
    again = await bot.get_updates()
    assert [one.update_id for one in again][:2] == [one.update_id for one in first]
    assert len(again) == 3
    (left,) = await bot.get_updates(offset=again[1].update_id + 1)
    assert left.message is not None
    assert left.message.text == "c"
    assert [one.confirmed for one in telegram.updates.handed] == [True, True, False]
    (last,) = await bot.get_updates(offset=-1)
    assert last.update_id == left.update_id


async def test_a_long_poll_ends_when_something_happens_and_when_another_one_begins(
    telegram: FakeTelegram, bot: Bot
) -> None:
    ann = telegram.world.user("ann")
    waiting = asyncio.create_task(bot.get_updates(timeout=30))
    await telegram.connected()
    telegram.people.ask(ann, "hi")
    (update,) = await waiting
    first = asyncio.create_task(bot.get_updates(offset=update.update_id + 1, timeout=30))
    await telegram.connected()
    second = asyncio.create_task(bot.get_updates(offset=update.update_id + 1, timeout=30))
    with pytest.raises(TelegramConflictError, match="terminated by other getUpdates request"):
        await first
    telegram.people.ask(ann, "again")
    assert len(await second) == 1


async def test_what_is_not_asked_for_is_not_sent_and_the_choice_is_remembered(
    telegram: FakeTelegram, bot: Bot
) -> None:
    ann = telegram.world.user("ann")
    sent = await bot.send_message(ann.id, "hi")
    (message,) = telegram.world.chat(ann).by_bot
    telegram.people.react(ann, message, "👍")
    assert await bot.get_updates() == []  # reactions only come on request
    await bot.get_updates(allowed_updates=["message_reaction"])
    await bot.get_updates()
    telegram.people.react(ann, message, "👎")
    telegram.people.ask(ann, "unheard")
    (update,) = await bot.get_updates()
    assert update.message_reaction is not None
    assert update.message_reaction.message_id == sent.message_id
    assert [one.emoji for one in update.message_reaction.old_reaction] == ["👍"]  # type: ignore[union-attr] # an emoji
    assert [kind for kind, _ in telegram.updates.missed] == ["message_reaction", "message"]
    unknown = bot.get_updates(allowed_updates=["message_reactions"])
    assert "unknown" in await error_of(unknown)


async def test_updates_are_kept_for_a_day(telegram: FakeTelegram, bot: Bot) -> None:
    ann = telegram.world.user("ann")
    telegram.people.ask(ann, "early")
    telegram.world.clock.advance(23 * 3600)
    telegram.people.ask(ann, "late")
    telegram.world.clock.advance(2 * 3600)
    (update,) = await bot.get_updates()
    assert update.message is not None
    assert update.message.text == "late"


# Webhooks


class Receiver:
    """A webhook that answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, Any], str]] = []
        self.answers: list[aiohttp.web.Response] = []

    async def serve(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        secret = request.headers.get("X-Telegram-Bot-Api-Secret-Token", "")
        self.got.append((await request.json(), secret))
        return self.answers.pop(0) if self.answers else aiohttp.web.Response()


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    made = Receiver()
    app = aiohttp.web.Application()
    app.router.add_post("/hook", made.serve)
    runner = aiohttp.web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    yield made, f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    await runner.cleanup()


async def test_a_webhook_gets_updates_in_order_with_the_secret_until_it_takes_them(
    telegram: FakeTelegram, bot: Bot, receiver: tuple[Receiver, str]
) -> None:
    hook, url = receiver
    hook.answers = [aiohttp.web.Response(status=500), aiohttp.web.Response(status=429)]
    ann = telegram.world.user("ann")
    telegram.people.ask(ann, "one")
    await bot.set_webhook(url, secret_token="s3cret")
    telegram.people.ask(ann, "two")
    await telegram.settled()
    assert [body["message"]["text"] for body, _ in hook.got] == ["one", "one", "one", "two"]
    assert {secret for _, secret in hook.got} == {"s3cret"}
    info = await bot.get_webhook_info()
    assert info.last_error_message == "Wrong response from the webhook: 429"
    with pytest.raises(TelegramConflictError, match="while webhook is active"):
        await bot.get_updates()
    await bot.delete_webhook()
    assert await bot.get_updates() == []


async def test_a_webhook_may_answer_with_a_method(
    telegram: FakeTelegram, bot: Bot, receiver: tuple[Receiver, str]
) -> None:
    hook, url = receiver
    ann = telegram.world.user("ann")
    said = {"method": "sendMessage", "chat_id": ann.id, "text": "in the answer"}
    hook.answers = [aiohttp.web.json_response(said)]
    await bot.set_webhook(url)
    telegram.people.ask(ann, "hi")
    await telegram.until(lambda: telegram.world.chat(ann).by_bot)
    assert telegram.called("sendMessage")[0].in_answer


async def test_webhooks_that_telegram_would_not_take_are_refused(
    telegram: FakeTelegram, bot: Bot
) -> None:
    assert "HTTPS URL" in await error_of(bot.set_webhook("http://desk.example/hook"))
    assert "only on ports" in await error_of(bot.set_webhook("https://desk.example:8000/hook"))
    secret = bot.set_webhook("https://desk.example/hook", secret_token="not so good")
    assert "unallowed characters" in await error_of(secret)


# Floods and faults


async def test_chats_have_their_pace_on_the_clock(telegram: FakeTelegram, bot: Bot) -> None:
    ann = telegram.world.user("ann")
    group = telegram.world.group("team", ann)
    telegram.world.clock.stop()
    for number in range(5):
        await bot.send_message(ann.id, str(number))
    with pytest.raises(TelegramRetryAfter) as caught:
        await bot.send_message(ann.id, "too soon")
    assert caught.value.retry_after == 1
    telegram.world.clock.advance(1)
    await bot.send_message(ann.id, "in time")
    for number in range(20):
        await bot.send_message(group.id, str(number))
    with pytest.raises(TelegramRetryAfter) as caught:
        await bot.send_message(group.id, "too soon")
    assert caught.value.retry_after == 3
    assert telegram.refused() == []


async def test_all_chats_together_have_a_pace(telegram: FakeTelegram, bot: Bot) -> None:
    people = [telegram.world.user(f"p{number}") for number in range(40)]
    telegram.world.clock.stop()
    sent = [bot.send_message(person.id, "hi") for person in people]
    answers = await asyncio.gather(*sent, return_exceptions=True)
    assert sum(isinstance(one, TelegramRetryAfter) for one in answers) == 10
    assert sum(len(telegram.world.chat(one).by_bot) for one in people) == 30


async def test_faults_do_what_they_say(telegram: FakeTelegram, bot: Bot) -> None:
    ann = telegram.world.user("ann")
    chat = telegram.world.chat(ann)
    telegram.faults = [
        Fault("sendMessage", "drop"),
        Fault("sendMessage", "refuse"),
        Fault("sendMessage", "late_http", 502),
        Fault("sendMessage", "http", 500),
        Fault("sendMessage", "flood", 7),
        Fault("sendMessage", "error", "something else"),
        Fault("sendMessage", "hang", 5),
    ]
    kinds = [
        await fails(bot.send_message(ann.id, fault.kind, request_timeout=1))
        for fault in telegram.faults
    ]
    assert [one.text for one in chat.by_bot] == ["drop", "late_http"]
    assert kinds == [
        "TelegramNetworkError",
        "TelegramNetworkError",
        "TelegramServerError",
        "TelegramServerError",
        "TelegramRetryAfter",
        "TelegramBadRequest",
        "TelegramNetworkError",
    ]
    assert telegram.refused() == []


async def fails(call: Awaitable[Any]) -> str:
    with pytest.raises((TelegramAPIError, TelegramNetworkError)) as caught:
        await call
    return type(caught.value).__name__
