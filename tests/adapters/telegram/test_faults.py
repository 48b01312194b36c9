"""Telegram at its worst: lost responses, floods, second pollers, bad requests, days offline."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from aiogram.methods import GetMe

from adapters.telegram.api import Api, TelegramError
from adapters.telegram.channel import check
from adapters.telegram.intake import ALLOWED_UPDATES
from adapters.telegram.polling import Watch
from bot.config import LimitSettings, Settings, TelegramSettings
from bot.dispatching.courier import Patience
from bot.errors import ConfigError
from bot.notes import Notes
from bot.store import Store
from tests.fakes.scripted import Script, ScriptedAnswerer
from tests.fakes.telegram import TOKEN, ApiError, FakeTelegram, Fault
from tests.fakes.telegram.client import client
from tests.fakes.telegram.desk import SECRET, Desk, opened

BLOCK = Patience(longest_pause_s=0.2)


def because() -> ScriptedAnswerer:
    return ScriptedAnswerer({"Why?": Script(("Because.",))})


async def outbox(desk: Desk, where: str) -> Any:
    (*_, newest) = await desk.store.thread("telegram", f"4242/{where}")
    assert newest.answer_id is not None
    return await desk.store.answer(newest.answer_id)


# Sending


@pytest.mark.parametrize(("kind", "shown"), [("refuse", 1), ("http", 1), ("drop", 2)])
async def test_a_lost_answer_is_sent_again_and_what_may_be_there_twice_is_marked(
    telegram: FakeTelegram, tmp_path: Path, kind: str, shown: int
) -> None:
    ann = telegram.world.user("ann")
    telegram.faults.append(Fault("sendMessage", kind, 502))
    async with opened(telegram, tmp_path, because(), patience=BLOCK) as desk:
        telegram.people.ask(ann, "Why?")
        await desk.said(ann, shown)
        record = await outbox(desk, str(ann.id))
    assert [one.text for one in telegram.world.chat(ann).by_bot] == ["Because."] * shown
    assert record.repeated  # nobody can tell a lost request from a lost response


async def test_an_edited_answer_is_never_shown_twice(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    group = telegram.world.group("Friends", ann)
    answerer = ScriptedAnswerer({"Why?": Script(("Be", "cause."), hold_at=1)})
    telegram.faults.append(Fault("editMessageText", "drop", times=2))
    async with opened(telegram, tmp_path, answerer, patience=BLOCK) as desk:
        telegram.people.mention(ann, group, "Why?")
        await telegram.until(lambda: group.by_bot)
        answerer.scripts["Why?"].gate.set()
        (answer,) = await desk.said(group)
    assert answer.text == "Because."  # "message is not modified" was success


async def test_a_message_in_the_making_that_somebody_deleted_is_posted_anew(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    group = telegram.world.group("Friends", ann)
    answerer = ScriptedAnswerer({"Why?": Script(("Be", "cause."), hold_at=1)})
    async with opened(telegram, tmp_path, answerer) as desk:
        telegram.people.mention(ann, group, "Why?")
        await telegram.until(lambda: group.by_bot)
        group.by_bot[0].deleted = True
        answerer.scripts["Why?"].gate.set()
        (answer,) = await desk.said(group)
    assert answer.text == "Because."


async def test_a_429_is_waited_out_in_its_chat_and_no_other_is_kept(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann, bob = telegram.world.user("ann"), telegram.world.user("bob")
    telegram.faults.append(Fault("sendMessage", "flood", 2))
    async with opened(telegram, tmp_path, because()) as desk:
        telegram.people.ask(ann, "Why?")
        await telegram.until(lambda: telegram.called("sendMessage"))
        telegram.people.ask(bob, "Why?")
        await desk.said(bob)
        assert telegram.world.chat(ann).by_bot == []
        await desk.said(ann)
    sends = [one for one in telegram.called("sendMessage") if one.args["chat_id"] == ann.id]
    assert len(sends) == 2
    assert sends[1].at - sends[0].at >= 2


async def test_a_flood_of_drafts_ends_neither_drafts_nor_the_answer(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    chat = telegram.world.chat(ann)
    telegram.faults.append(Fault("sendMessageDraft", "flood", 1))
    answerer = ScriptedAnswerer({"Why?": Script(("Be", "cause."), hold_at=1)})
    async with opened(telegram, tmp_path, answerer) as desk:
        telegram.people.ask(ann, "Why?")
        await telegram.until(lambda: chat.drafts)
        answerer.scripts["Why?"].gate.set()
        (answer,) = await desk.said(ann)
    assert answer.text == "Because."


async def test_a_reply_to_a_command_waits_for_a_flood_to_pass(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    telegram.faults.append(Fault("sendMessage", "flood", 1))
    async with opened(telegram, tmp_path) as desk:
        telegram.people.ask(ann, "/help")
        await desk.said(ann)


# Taking in


async def test_a_second_poller_is_named_and_the_first_goes_on_when_it_is_gone(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    with structlog.testing.capture_logs() as logs:
        async with opened(telegram, tmp_path) as desk, client(telegram.url) as other:
            await other.get_updates(timeout=0)
            await telegram.until(lambda: desk.channel.problem)
            assert "another program fetches this bot's updates" in desk.channel.problem
            assert [one for one in logs if "another program" in str(one.get("why"))]
            telegram.people.ask(ann, "Hi")
            await desk.said(ann)
            assert desk.channel.problem == ""


async def test_polling_takes_the_place_of_a_webhook_and_loses_nothing(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    async with client(telegram.url) as other:
        await other.set_webhook("http://127.0.0.1:9/nowhere")
    telegram.people.ask(ann, "Hi")
    async with opened(telegram, tmp_path) as desk:
        await desk.said(ann)
    assert telegram.updates.allowed == set(ALLOWED_UPDATES)


async def test_nothing_is_confirmed_while_the_database_is_locked(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    async with opened(telegram, tmp_path) as desk:
        await telegram.until(lambda: telegram.world.menus)
        desk.store.database._write_engine.dispose()
        lock = sqlite3.connect(tmp_path / "deskhand.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        telegram.people.ask(ann, "Hi")
        await asyncio.sleep(0.5)
        assert len(telegram.updates.pending()) == 1
        assert desk.answerer.asked == []
        lock.execute("ROLLBACK")
        lock.close()
        await desk.said(ann)
        await telegram.settled()


async def test_when_too_much_waits_telegram_keeps_the_rest(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    people = [telegram.world.user(f"p{number}") for number in range(12)]
    limits = LimitSettings(drain_s=2.0, waiting=3)
    async with opened(telegram, tmp_path, limits=limits) as desk:
        for person in people:
            telegram.people.ask(person, "Hi")
        for person in people:
            await desk.said(person)
    texts = {one.text for person in people for one in telegram.world.chat(person).by_bot}
    assert texts == {"You said: Hi"}


async def test_an_update_that_our_code_fails_on_is_put_aside_and_the_rest_goes_on(
    telegram: FakeTelegram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = telegram.world.user("ann"), telegram.world.user("bob")

    async def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("adapters.telegram.commands.Commands._privacy", broken)
    with structlog.testing.capture_logs() as logs:
        async with opened(telegram, tmp_path) as desk:
            telegram.people.ask(ann, "/privacy")
            telegram.people.ask(ann, "Hi")
            telegram.people.ask(bob, "Hi")
            await desk.said(ann)
            await desk.said(bob)
            await telegram.settled()
    assert len([one for one in logs if one["event"] == "an update is put aside"]) == 1


async def test_errors_while_fetching_only_delay(telegram: FakeTelegram, tmp_path: Path) -> None:
    ann = telegram.world.user("ann")
    telegram.faults.append(Fault("getUpdates", "http", 502))
    telegram.faults.append(Fault("getMe", "drop"))
    telegram.people.ask(ann, "Hi")
    async with opened(telegram, tmp_path) as desk:
        await desk.said(ann)


async def test_a_day_without_fetching_is_warned_of(tmp_path: Path) -> None:
    store = Store.open(Settings(home=tmp_path).database_url)
    notes = Notes(store.database, "telegram")
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    told = []
    for hours in (0, 1, 20, 41.5, 66):
        with structlog.testing.capture_logs() as logs:
            moment = now + timedelta(hours=hours)
            await Watch(notes, lambda moment=moment: moment).alive()  # type: ignore[misc] # a default keeps it
        told.append([(one["event"].partition(":")[0], one["away_hours"]) for one in logs])
    await store.close()
    assert told == [
        [],
        [],
        [],
        [("updates were nearly lost", 21.5)],
        [("updates were lost", 24.5)],
    ]


# Webhook


async def post(url: str, body: Any, secret: str = SECRET) -> int:
    headers = {"X-Telegram-Bot-Api-Secret-Token": secret} if secret else {}
    data = body if isinstance(body, (bytes, str, io.BytesIO)) else json.dumps(body)
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=data, headers=headers) as response,
    ):
        return response.status


async def test_a_webhook_takes_the_same_updates_once_each(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    telegram.updates.copies = 3
    async with opened(telegram, tmp_path, mode="webhook") as desk:
        telegram.people.ask(ann, "one")
        telegram.people.ask(ann, "two")
        answers = await desk.said(ann, 2)
        telegram.people.album(ann, "three")
        await desk.said(ann, 3)
        await desk.quiet(3)
        assert telegram.updates.allowed == set(ALLOWED_UPDATES)
    assert [one.text for one in answers] == ["You said: one", "You said: two"]
    assert telegram.refused() == []


async def test_a_webhook_commits_before_it_says_yes(telegram: FakeTelegram, tmp_path: Path) -> None:
    ann = telegram.world.user("ann")
    limits = LimitSettings(drain_s=2.0, waiting=1)
    answerer = ScriptedAnswerer({"Wait": Script(("Done.",), hold_at=0)})
    async with opened(telegram, tmp_path, answerer, limits=limits, mode="webhook") as desk:
        telegram.people.ask(telegram.world.user("bob"), "Wait")
        await telegram.until(lambda: answerer.asked)
        telegram.people.ask(ann, "Hi")
        await telegram.until(lambda: [one for one in telegram.updates.handed if one.attempts > 2])
        assert len(telegram.updates.pending()) == 1
        answerer.scripts["Wait"].gate.set()
        await desk.said(ann)


async def test_a_webhook_refuses_what_is_not_telegrams(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    update = {"update_id": 1, "message": {"message_id": 1, "date": 1, "text": "Hi"}}
    async with opened(telegram, tmp_path, mode="webhook") as desk:
        assert await post(desk.http, update, "") == 401
        assert await post(desk.http, update, "wrong") == 401
        assert await post(desk.http, update, "ünïcödé") == 401
        assert await post(desk.http, update) == 400
        assert await post(desk.http, b"\xff\xfe{") == 400
        assert await post(desk.http, "[" * 100_000) == 400
        assert await post(desk.http, "null") == 400
        assert await post(desk.http, io.BytesIO(b" " * 1_100_000)) == 400
        assert await post(desk.http, {"update_id": 7}) == 200
        await desk.quiet(0)


def test_settings_that_cannot_work_are_refused_with_a_remedy() -> None:
    def refused(public_url: str = "", **values: Any) -> str:
        with pytest.raises(ConfigError) as error:
            check(TelegramSettings.model_validate({"token": TOKEN} | values), public_url)
        assert error.value.remedy
        return error.value.message

    assert "token" in refused(token="123")
    assert "webhook_secret" in refused("https://help.example.com", mode="webhook")
    assert "webhook_secret" in refused(
        "https://help.example.com", mode="webhook", webhook_secret="short"
    )
    assert "public_url" in refused(mode="webhook", webhook_secret=SECRET)
    assert "staff_chat" in refused(staff_chat=5)
    check(TelegramSettings.model_validate({"token": TOKEN}))


async def test_a_wrong_token_is_named_and_nothing_else_breaks(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    telegram.faults.append(Fault("getMe", "error", ApiError(401, "Unauthorized"), times=1))
    ann = telegram.world.user("ann")
    with structlog.testing.capture_logs() as logs:
        async with opened(telegram, tmp_path) as desk:
            telegram.people.ask(ann, "Hi")
            await desk.said(ann)
    assert [one for one in logs if "BotFather" in str(one.get("remedy"))]


async def test_notes_about_single_messages_are_forgotten_in_the_end(
    telegram: FakeTelegram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(Settings(home=tmp_path).database_url)
    notes = Notes(store.database, "telegram")
    for key in ("press/telegram:1/a", "ask/1:2", "moved/-5"):
        await notes.put(key, {"to": 1})
    await store.close()
    monkeypatch.setattr("adapters.telegram.channel.KEPT_DAYS", -1)
    async with opened(telegram, tmp_path) as desk:
        left = Notes(desk.store.database, "telegram")
        async with asyncio.timeout(10):
            while await left.under("press/"):  # noqa: ASYNC110 - a database has no event
                await asyncio.sleep(0.02)
        assert await left.get("moved/-5") is not None


async def test_nothing_is_sent_any_more_once_the_door_is_closed(telegram: FakeTelegram) -> None:
    api = Api(TOKEN, telegram.url)
    await api.call(GetMe())
    await api.close()
    with pytest.raises(TelegramError, match="closed") as error:
        await api.call(GetMe())
    assert not error.value.final  # the next start sends it
    assert not error.value.maybe_shown
    assert len(telegram.called("getMe")) == 1
