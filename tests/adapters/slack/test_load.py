"""Many conversations at the same time, and what one answer costs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fakes.scripted import ScriptedAnswerer
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.desk import opened


@pytest.mark.parametrize("people", [60, pytest.param(1000, marks=pytest.mark.slow)])
async def test_many_conversations_at_once_are_each_answered_once(
    slack: FakeSlack, tmp_path: Path, people: int
) -> None:
    slack.delivery.copies = 2
    users = [slack.world.user(f"p{number}") for number in range(people)]
    async with opened(slack, tmp_path) as desk:
        asked = []
        for user in users:  # a hundred a second, each delivered twice
            asked.append(slack.people.ask(user, f"Question of {user}?"))
            await asyncio.sleep(0.01)
        await slack.until(
            lambda: sum(bool(one.metadata) for one in slack.world.all_messages()) == people,
            60 + people / 4,
        )
        await slack.delivery.settled()
        for one in asked:
            (answer,) = slack.answers(one.channel, one.ts)
            assert answer.shown == f"You said: {one.text}"
        assert len(desk.answerer.asked) == people
    assert slack.refused() == []
    assert all(handed.acked for handed in slack.delivery.handed)


async def test_one_busy_channel_keeps_slacks_pace_and_every_answer(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    async with opened(slack, tmp_path, stream=False) as desk:
        asked = [slack.people.mention(ann, general, f"Question {n}?") for n in range(6)]
        for one in asked:
            await desk.answers(general, one.ts)
        await desk.quiet(6)
    assert len(slack.answers(general)) == 6
    assert [call for call in slack.calls if call.error == "ratelimited"] == []


async def test_a_quick_answer_takes_a_handful_of_calls(slack: FakeSlack, tmp_path: Path) -> None:
    ann = slack.world.user("ann")
    async with opened(slack, tmp_path, ScriptedAnswerer()) as desk:
        first = slack.people.ask(ann, "One?")
        await desk.answers(first.channel, first.ts)
        await slack.until(lambda: slack.world.sessions.get((first.channel, first.ts)) == "active")
        await asyncio.sleep(0.1)
    made = [call.method for call in slack.calls if not call.method.startswith(("auth", "apps"))]
    assert len(made) <= 5, made
