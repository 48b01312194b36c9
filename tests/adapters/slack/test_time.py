"""Answers that take long: signs of life do not lapse, and streams end before Slack ends them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapters.slack.channel import DAYS, KEPT
from bot.notes import Notes
from bot.types import Outcome, Question, Reply, Sink
from tests.fakes.scripted import Script, ScriptedAnswerer
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.desk import opened

FIRST, SECOND = "The first part of the answer. ", "And the second part of it. "


class InTwoParts:
    """Says one part, waits, says the other, waits, and is done."""

    def __init__(self) -> None:
        self.gates = (asyncio.Event(), asyncio.Event())

    async def answer(self, question: Question, sink: Sink) -> Reply:
        del question
        for part, gate in zip((FIRST, SECOND), self.gates, strict=True):
            await sink.append(part * 3)
            await gate.wait()
        return Reply(FIRST * 3 + SECOND * 3, Outcome.ANSWERED)


async def test_a_status_is_shown_again_before_it_vanishes(slack: FakeSlack, tmp_path: Path) -> None:
    ann, clock = slack.world.user("ann"), slack.world.clock
    script = Script(("Done.",), hold_at=0)
    answerer = ScriptedAnswerer({"Tell me": script})
    async with opened(slack, tmp_path, answerer, now=clock.now) as desk:
        asked = slack.people.ask(ann, "Tell me")
        await slack.until(lambda: [one for one in slack.world.statuses if "search" in one[2]])
        for _ in range(3):
            before = len(slack.world.statuses)
            clock.advance(91)  # a status lives for two minutes
            await slack.until(lambda before=before: len(slack.world.statuses) == before + 1)
        assert slack.world.statuses[-1][2] == "is searching…"
        script.gate.set()
        await desk.answers(asked.channel, asked.ts)
        settled = len(slack.world.statuses)
        clock.advance(91)
    assert len(slack.world.statuses) == settled


async def test_a_stream_is_ended_before_slack_ends_it_and_the_answer_goes_on(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann, clock = slack.world.user("ann"), slack.world.clock
    answerer = InTwoParts()
    async with opened(slack, tmp_path, answerer, now=clock.now) as desk:
        asked = slack.people.ask(ann, "Tell me")
        (shown,) = await slack.until(lambda: slack.answers(asked.channel, asked.ts))
        assert shown.stream is not None
        clock.advance(269)
        assert shown.stream.state == "streaming"
        clock.advance(2)
        await slack.until(lambda: shown.stream.state == "stopped")
        answerer.gates[0].set()
        await slack.until(lambda: SECOND.strip() in shown.shown)
        assert shown.shown.endswith("…")
        assert shown.metadata is None
        answerer.gates[1].set()
        (answer,) = await desk.answers(asked.channel, asked.ts)
        assert answer.ts == shown.ts
        assert answer.shown == (FIRST * 3 + SECOND * 3).strip()
        assert [one["type"] for one in answer.buttons()] == ["feedback_buttons"]
    assert slack.refused() == []


async def test_old_notes_are_forgotten_and_young_and_other_ones_are_not(
    slack: FakeSlack, tmp_path: Path
) -> None:
    async with opened(slack, tmp_path) as desk:
        notes = Notes(desk.store.database, "slack")
        for key in ("mute/T/C/1", "button/a/b", "draft/e"):
            await notes.put(key, {})
        old = datetime.now(UTC) + timedelta(seconds=1)
        assert await notes.prune(KEPT, old - timedelta(days=DAYS)) == 0
        assert await notes.prune(KEPT, old) == 2
        assert set(await notes.under("")) == {"draft/e"}
