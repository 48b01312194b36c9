"""Many updates after downtime, many chats at once, one busy group, and what an answer costs."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import defaultdict
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from bot import tables
from bot.config import LimitSettings, Settings
from bot.store import Store
from bot.types import Question, Reply, Sink
from tests.fakes.scripted import ScriptedAnswerer
from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.desk import opened

ROOMY = LimitSettings(waiting=20_000, waiting_per_actor=1000, drain_s=0.5, workers=2)


class NeverDone:
    """Takes questions and answers none: only taking in is looked at."""

    asked: tuple[Question, ...] = ()

    async def answer(self, question: Question, sink: Sink) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError


async def kept(store: Store) -> dict[str, list[str]]:
    """Every message in the database by who wrote it, in the order it was taken in."""
    columns = (tables.Message.actor_id, tables.Message.text)
    rows = await store.database.read(
        lambda session: session.execute(sa.select(*columns).order_by(sa.text("id"))).all()
    )
    found = defaultdict(list)
    for actor, text in rows:
        found[actor].append(text)
    return found


@pytest.mark.parametrize("updates", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_updates_that_waited_are_all_kept_in_order_before_they_are_confirmed(
    telegram: FakeTelegram, tmp_path: Path, updates: int
) -> None:
    people = [telegram.world.user(f"p{number}") for number in range(100)]
    texts = [f"Question {number}?" for number in range(updates // len(people))]
    for text in texts:
        for person in people:
            telegram.people.ask(person, text)
    database = make_url(Settings(home=tmp_path).database_url).database
    assert database is not None
    behind: list[int] = []  # confirmed without being in the database, at each confirmation

    def look() -> None:
        confirmed = sum(one.confirmed for one in telegram.updates.handed)
        with contextlib.closing(sqlite3.connect(database)) as reader:
            (stored,) = reader.execute("select count(*) from message").fetchone()
        behind.append(max(0, confirmed - stored))

    telegram.updates.when_confirmed = look
    async with opened(telegram, tmp_path, NeverDone(), limits=ROOMY) as desk:
        await telegram.settled(60 + updates / 100)
        assert [*(await kept(desk.store)).values()] == [texts] * len(people)
    assert behind == [0] * (updates // 100)
    assert {one.attempts for one in telegram.updates.handed} == {1}
    assert telegram.refused() == []


@pytest.mark.parametrize("people", [200, pytest.param(1000, marks=pytest.mark.slow)])
async def test_many_chats_at_once_are_each_answered_once(
    telegram: FakeTelegram, tmp_path: Path, people: int
) -> None:
    users = [telegram.world.user(f"p{number}") for number in range(people)]
    async with opened(telegram, tmp_path) as desk:
        for user in users:
            telegram.people.ask(user, f"Question of {user.name}?")
        chats = [telegram.world.chat(user) for user in users]
        await telegram.until(lambda: all(chat.by_bot for chat in chats), 60 + people / 4)
        await telegram.settled()
        await asyncio.sleep(0.1)
        assert len(desk.answerer.asked) == people
    shown = [[one.text for one in chat.by_bot] for chat in chats]
    assert shown == [[f"You said: Question of {user.name}?"] for user in users]
    assert telegram.refused() == []


async def test_one_busy_group_keeps_telegrams_pace_and_every_answer(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    group = telegram.world.group("team", ann)
    async with opened(telegram, tmp_path, stream="off") as desk:
        for number in range(4):
            telegram.people.mention(ann, group, f"Question {number}?")
        await telegram.until(lambda: len(group.by_bot) == 4, 40)
        await desk.quiet(4)
    assert [one.text for one in group.by_bot] == [f"You said: Question {n}?" for n in range(4)]
    assert [call for call in telegram.calls if call.status == 429] == []


async def test_a_quick_answer_takes_a_handful_of_calls(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    ann = telegram.world.user("ann")
    async with opened(telegram, tmp_path, ScriptedAnswerer()) as desk:
        await telegram.until(lambda: telegram.called("setChatMenuButton"))
        await asyncio.sleep(0.2)
        before = len(telegram.calls)
        telegram.people.ask(ann, "One?")
        await desk.said(ann)
        await asyncio.sleep(0.2)
    made = [call.method for call in telegram.calls[before:] if call.method != "getUpdates"]
    assert made.count("sendMessage") == 1
    assert len(made) <= 4, made  # two on a machine that has nothing else to do
