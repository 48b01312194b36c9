"""`kill -9` at every step from taking a question in to showing its answer: one answer, always."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.slack import FakeSlack, Fault, Message
from tests.fakes.slack.worker import TEXT, Doors


@pytest.fixture(scope="module")
def zygote() -> Iterator[Doors]:
    with Doors() as running:
        yield running


@pytest.fixture
async def doors(zygote: Doors, slack: FakeSlack) -> AsyncIterator[Doors]:
    """Doors that are shut before the workspace is."""
    yield zygote
    zygote.kill_all()
    await slack.until(lambda: not slack.delivery.connections)


async def one_answer(slack: FakeSlack, asked: Message, folder: Path) -> None:
    """The thread ends with exactly one whole answer, and nothing looks alive that is not."""

    def complete() -> bool:
        return any(one.metadata for one in slack.answers(asked.channel, asked.ts))

    try:
        await slack.until(complete, 40)
        await asyncio.sleep(0.3)
    except TimeoutError:
        log = (folder / "door.log").read_text()
        raise AssertionError(f"{slack.transcript()}\n{log}") from None
    answers = slack.answers(asked.channel, asked.ts)
    assert [one.shown for one in answers] == [TEXT], slack.transcript()
    assert {one.stream.state for one in answers if one.stream} <= {"stopped"}


@pytest.mark.parametrize("point", ["before-accept", "after-accept"])
async def test_killed_while_taking_a_question_in(
    slack: FakeSlack, tmp_path: Path, doors: Doors, point: str
) -> None:
    slack.delivery.ack_s, slack.delivery.retry_s = 1.0, (0.1,) * 60
    ann = slack.world.user("ann")
    first = doors.open(slack.url, tmp_path, point)
    await slack.connected()
    asked = slack.people.ask(ann, "Quick?")
    await slack.until(lambda: not doors.alive(first))
    doors.open(slack.url, tmp_path, "quick")
    await one_answer(slack, asked, tmp_path)
    await slack.delivery.settled()
    assert slack.delivery.handed[0].acked


STEPS = [
    ("Quick?", "assistant.threads.setStatus"),
    ("Quick?", "chat.postMessage"),
    ("Slow?", "chat.startStream"),
    ("Slow?", "chat.appendStream"),
    ("Slow?", "chat.stopStream"),
]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("question", "method"), STEPS, ids=[method for _, method in STEPS])
async def test_killed_while_showing_an_answer(
    slack: FakeSlack, tmp_path: Path, doors: Doors, question: str, method: str, moment: str
) -> None:
    ann = slack.world.user("ann")
    first = doors.open(slack.url, tmp_path)
    await slack.connected()
    slack.faults.append(Fault(method, moment, lambda: doors.kill(first)))
    asked = slack.people.ask(ann, question)
    await slack.until(lambda: not doors.alive(first), 30)
    doors.open(slack.url, tmp_path, "quick")
    await one_answer(slack, asked, tmp_path)


async def test_killed_again_and_again_while_many_ask(
    slack: FakeSlack, tmp_path: Path, doors: Doors
) -> None:
    slack.delivery.ack_s = 1.0
    slack.delivery.retry_s = (0.1,) * 60
    people = [slack.world.user(f"p{number}") for number in range(8)]
    asked: list[Message] = []
    for _ in range(2):
        door = doors.open(slack.url, tmp_path)
        await slack.connected()
        asked += [slack.people.ask(person, "Slow?") for person in people[len(asked) :][:4]]
        await asyncio.sleep(0.9)
        doors.kill(door)
        await slack.until(lambda: not slack.delivery.connections)
    doors.open(slack.url, tmp_path, "quick")
    for one in asked:
        await one_answer(slack, one, tmp_path)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("post", ["notice", "card", "person's words", "staff's words"])
async def test_killed_while_a_person_is_called_and_talked_to(
    slack: FakeSlack, tmp_path: Path, doors: Doors, post: str, moment: str
) -> None:
    slack.delivery.ack_s, slack.delivery.retry_s = 1.0, (0.1,) * 60
    ann, bob = slack.world.user("ann"), slack.world.user("bob")
    queue = slack.world.channel("queue", bob)
    first = doors.open(slack.url, tmp_path)
    await slack.connected()
    # Calls of the card's and of the person's side come in any order: the channel tells them apart.
    theirs = {"notice": ann, "staff's words": ann}.get(post)
    where = slack.world.dm(ann) if theirs else queue
    fault = Fault("chat.postMessage", moment, lambda: doors.kill(first), channel=where)
    fault.after = 0 if post in {"notice", "card"} else 1
    slack.faults.append(fault)
    asked = slack.people.ask(ann, "human")
    if post in {"person's words", "staff's words"}:
        await slack.until(lambda: slack.answers(queue) and slack.answers(asked.channel))
        card = slack.answers(queue)[0]
        if post == "person's words":
            slack.people.ask(ann, "Anybody?", asked.ts)
        else:
            slack.people.say(bob, queue, "Here I am", card.ts)
    await slack.until(lambda: not doors.alive(first), 30)
    doors.open(slack.url, tmp_path, "quick")
    await slack.until(lambda: slack.answers(queue) and slack.answers(asked.channel), 40)
    card = slack.answers(queue)[0]
    if post == "person's words":
        await slack.until(lambda: slack.answers(queue, card.ts), 40)
    if post == "staff's words":
        await slack.until(lambda: len(slack.answers(asked.channel)) == 2, 40)
    await slack.delivery.settled()
    await asyncio.sleep(0.3)
    assert len([one for one in slack.answers(queue) if not one.thread_ts]) == 1
    assert len(slack.answers(queue, card.ts)) == (post == "person's words")
    said = ["**bob:** Here I am"] if post == "staff's words" else []
    assert [one.shown for one in slack.answers(asked.channel)][1:] == said
