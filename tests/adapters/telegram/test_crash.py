"""`kill -9` at every step from fetching a question to showing its answer: nothing is lost.

Telegram cannot be asked whether a message was sent. So an answer comes twice if death falls into
the call that sends it, and only then; the database says so. In a group, where an answer is posted
early and edited, it is the beginning that stays behind, and the answer comes once.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.config import Settings
from tests.fakes.slack.worker import Doors
from tests.fakes.telegram import Chat, FakeTelegram, Fault
from tests.fakes.telegram.worker import PARTS, PIECES, TEXT

BEGINNING = "".join(PIECES[:2]) + "…"


@pytest.fixture(scope="module")
def zygote() -> Iterator[Doors]:
    with Doors("tests.fakes.telegram.worker") as running:
        yield running


@pytest.fixture
async def doors(zygote: Doors, telegram: FakeTelegram) -> AsyncIterator[Doors]:
    """Doors that are shut before Telegram is."""
    yield zygote
    zygote.kill_all()
    await telegram.until(lambda: not telegram.updates.polls)


def repeated(folder: Path) -> list[bool]:
    """What the database knows of each answer: whether it may have been shown twice."""
    file = Settings(home=folder).database_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(file)) as reader:
        return [bool(one) for (one,) in reader.execute("select repeated from outbox")]


async def until(telegram: FakeTelegram, folder: Path, true: Callable[[], Any]) -> None:
    """Wait; say what happened instead when it takes too long."""
    try:
        await telegram.until(true, 40)
    except TimeoutError:
        log = (folder / "door.log").read_text()
        calls = [one.method for one in telegram.calls]
        raise AssertionError(f"{telegram.transcript()}\n{calls}\n{log}") from None


async def answered(telegram: FakeTelegram, chat: Chat, folder: Path, count: int = 1) -> list[str]:
    """What stands in a chat once the last of it is a whole answer and nothing more follows."""

    def complete() -> bool:
        return len(chat.by_bot) >= count and chat.by_bot[-1].text == TEXT

    await until(telegram, folder, complete)
    await until(telegram, folder, lambda: not telegram.updates.pending())
    await asyncio.sleep(0.3)
    return [one.text for one in chat.by_bot]


@pytest.mark.parametrize("point", ["before-accept", "after-accept"])
async def test_killed_while_taking_a_question_in(
    telegram: FakeTelegram, tmp_path: Path, doors: Doors, point: str
) -> None:
    ann = telegram.world.user("ann")
    first = doors.open(telegram.url, tmp_path, point)
    await telegram.connected()
    telegram.people.ask(ann, "Quick?")
    await telegram.until(lambda: not doors.alive(first))
    doors.open(telegram.url, tmp_path, "quick")
    assert await answered(telegram, telegram.world.chat(ann), tmp_path) == [TEXT]
    assert telegram.updates.handed[0].attempts == 2
    assert repeated(tmp_path) == [False]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_killed_while_confirming_a_question(
    telegram: FakeTelegram, tmp_path: Path, doors: Doors, moment: str
) -> None:
    ann, ben = telegram.world.user("ann"), telegram.world.user("ben")
    first = doors.open(telegram.url, tmp_path)
    await telegram.connected()
    telegram.faults.append(Fault("getUpdates", moment, lambda: doors.kill(first)))
    telegram.people.ask(ann, "Slow?")
    if moment == "after":  # the call that confirms the one brings the other, to nobody
        await telegram.until(lambda: telegram.updates.handed[0].confirmed)
        telegram.people.ask(ben, "Quick?")
    await telegram.until(lambda: not doors.alive(first))
    doors.open(telegram.url, tmp_path, "quick")
    assert await answered(telegram, telegram.world.chat(ann), tmp_path) == [TEXT]
    if moment == "after":
        assert await answered(telegram, telegram.world.chat(ben), tmp_path) == [TEXT]
    assert not any(repeated(tmp_path))


STEPS = [
    ("private", "Quick?", "sendChatAction"),
    ("private", "Slow?", "sendMessageDraft"),
    ("private", "Quick?", "sendMessage"),
    ("group", "Slow?", "sendMessage"),
    ("group", "Slow?", "editMessageText"),
]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("kind", "question", "method"), STEPS, ids=lambda one: one)
async def test_killed_while_showing_an_answer(
    telegram: FakeTelegram,
    tmp_path: Path,
    doors: Doors,
    kind: str,
    question: str,
    method: str,
    moment: str,
) -> None:
    ann = telegram.world.user("ann")
    private = kind == "private"
    chat = telegram.world.chat(ann) if private else telegram.world.group("team", ann)
    first = doors.open(telegram.url, tmp_path)
    await telegram.connected()
    telegram.faults.append(Fault(method, moment, lambda: doors.kill(first)))
    if private:
        telegram.people.ask(ann, question)
    else:
        telegram.people.mention(ann, chat, question)
    if method == "editMessageText":
        await until(telegram, tmp_path, lambda: chat.by_bot)
        (tmp_path / "go").touch()
    await until(telegram, tmp_path, lambda: not doors.alive(first))
    doors.open(telegram.url, tmp_path, "quick")
    in_the_send = moment == "after" and method == "sendMessage"
    texts = await answered(telegram, chat, tmp_path, 1 + in_the_send)
    if in_the_send:
        assert texts == [TEXT if private else BEGINNING, TEXT]
        assert repeated(tmp_path) == [private]
    else:
        assert texts == [TEXT]


async def test_killed_between_the_parts_of_a_long_answer(
    telegram: FakeTelegram, tmp_path: Path, doors: Doors
) -> None:
    ann = telegram.world.user("ann")
    chat = telegram.world.chat(ann)
    first = doors.open(telegram.url, tmp_path)
    await telegram.connected()
    telegram.faults.append(Fault("sendMessage", "before", lambda: doors.kill(first), after=1))
    telegram.people.ask(ann, "Long?")
    await telegram.until(lambda: not doors.alive(first))
    doors.open(telegram.url, tmp_path, "quick")
    await telegram.until(lambda: len(chat.by_bot) > 1, 40)
    await asyncio.sleep(0.4)
    assert [one.text for one in chat.by_bot] == [part.strip() for part in PARTS]


async def test_killed_again_and_again_while_many_ask(
    telegram: FakeTelegram, tmp_path: Path, doors: Doors
) -> None:
    people = [telegram.world.user(f"p{number}") for number in range(8)]
    for start in (0, 4):
        door = doors.open(telegram.url, tmp_path)
        await telegram.connected()
        for person in people[start : start + 4]:
            telegram.people.ask(person, "Slow?")
        shown = [telegram.world.chat(person) for person in people[start : start + 4]]
        await until(telegram, tmp_path, lambda: any(chat.drafts for chat in shown))  # noqa: B023 - awaited here
        doors.kill(door)
        await telegram.until(lambda: not telegram.updates.polls)
    doors.open(telegram.url, tmp_path, "quick")
    for person in people:
        assert await answered(telegram, telegram.world.chat(person), tmp_path) == [TEXT]
    assert not any(repeated(tmp_path))
