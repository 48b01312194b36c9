"""From a question in Slack to its answer in the thread, through the unmodified client."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.types import Citation, Outcome, Reply
from tests.fakes.scripted import Script, ScriptedAnswerer
from tests.fakes.slack import FakeSlack, Fault
from tests.fakes.slack.desk import opened

LONG = tuple(f"Sentence number {number} of a long answer. " for number in range(8))
SOURCE = Citation(1, "p1", "Returns <!here>", "returns.md", url="https://help.example.com/returns")


@pytest.mark.parametrize("app_token", ["xapp-desk-1", ""], ids=["socket", "http"])
async def test_a_mention_is_answered_once_in_its_thread(
    slack: FakeSlack, tmp_path: Path, app_token: str
) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    reply = Reply("Within **30 days** [1].", Outcome.ANSWERED, (SOURCE,))
    answerer = ScriptedAnswerer({"How long?": Script(reply=reply)})
    async with opened(slack, tmp_path, answerer, app_token=app_token) as desk:
        asked = slack.people.mention(ann, general, "How long?")
        (answer,) = await desk.answers(general, asked.ts)
        await slack.delivery.settled()
        assert answer.blocks[0]["text"] == "Within **30 days** [1]."
        assert answer.blocks[1]["elements"][0]["text"] == (
            "[1] <https://help.example.com/returns|Returns &lt;!here&gt;>"
        )
        assert not answer.unfurl
        assert [one.event_id for one in await desk.store.recent("slack", f"T0DESK001:{ann}")] == [
            f"slack:T0DESK001:{general}:{asked.ts}"
        ]
    assert all(handed.acked for handed in slack.delivery.handed)
    assert slack.refused() == []
    assert slack.world.live_mentions() == []
    assert len(answerer.asked) == 1


async def test_a_direct_message_gets_a_status_and_a_streamed_answer_with_buttons(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    script = Script(LONG, hold_at=4)
    async with opened(slack, tmp_path, ScriptedAnswerer({"Tell me": script})) as desk:
        asked = slack.people.ask(ann, "Tell me")
        place = asked.channel
        await slack.until(lambda: slack.world.statuses)
        (partial,) = await slack.until(lambda: slack.answers(place, asked.ts))
        assert partial.stream is not None
        assert partial.stream.state == "streaming"
        assert slack.world.sessions[place, asked.ts] == "processing"
        script.gate.set()
        (answer,) = await desk.answers(place, asked.ts)
        assert answer.stream.state == "stopped"
        assert answer.text == "".join(LONG).strip()
        assert [button["type"] for button in answer.buttons()] == ["feedback_buttons"]
        assert slack.world.sessions[place, asked.ts] == "active"
    async with opened(slack, tmp_path):
        assert len(slack.answers(place)) == 1
    assert slack.refused() == []


async def test_an_answer_whose_check_changed_it_replaces_what_was_streamed(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    script = Script(LONG, Reply("The checked text.", Outcome.ANSWERED), hold_at=8)
    async with opened(slack, tmp_path, ScriptedAnswerer({"Tell me": script})) as desk:
        asked = slack.people.ask(ann, "Tell me")
        await slack.until(lambda: slack.answers(asked.channel))
        script.gate.set()
        (answer,) = await desk.answers(asked.channel, asked.ts)
        assert answer.shown == "The checked text."
    assert slack.refused() == []


async def test_a_stream_that_slack_has_closed_is_completed_by_editing_it(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    script = Script(LONG, hold_at=8)
    async with opened(slack, tmp_path, ScriptedAnswerer({"Tell me": script})) as desk:
        asked = slack.people.ask(ann, "Tell me")
        await slack.until(lambda: slack.answers(asked.channel))
        slack.world.clock.advance(301)
        script.gate.set()
        (answer,) = await desk.answers(asked.channel, asked.ts)
        assert answer.shown == "".join(LONG).strip()
        assert answer.edits >= 1
    assert slack.refused() == []


async def test_without_streams_the_answer_is_posted_and_edited(
    slack: FakeSlack, tmp_path: Path
) -> None:
    slack.world.disabled |= {"chat.startStream", "agents.sessions.setStatus"}
    ann = slack.world.user("ann")
    script = Script(LONG, hold_at=8)
    async with opened(slack, tmp_path, ScriptedAnswerer({"Tell me": script})) as desk:
        asked = slack.people.ask(ann, "Tell me")
        (partial,) = await slack.until(lambda: slack.answers(asked.channel))
        assert partial.text.endswith("…")
        script.gate.set()
        (answer,) = await desk.answers(asked.channel, asked.ts)
        assert answer.ts == partial.ts
        assert answer.shown == "".join(LONG).strip()
        again = slack.people.ask(ann, "And now?")
        await desk.answers(asked.channel, again.ts)
        assert len(slack.called("chat.startStream")) == 1
        assert len(slack.called("agents.sessions.setStatus")) == 1


async def test_an_answer_is_posted_whole_when_streams_are_used_up(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    slack.faults.append(Fault("chat.startStream", "ratelimit", 30))
    script = Script(LONG, hold_at=8)
    async with opened(slack, tmp_path, ScriptedAnswerer({"Tell me": script})) as desk:
        asked = slack.people.ask(ann, "Tell me")
        await slack.until(lambda: slack.called("chat.startStream"))
        script.gate.set()
        (answer,) = await desk.answers(asked.channel, asked.ts)
        assert answer.stream is None
        assert len(slack.called("chat.startStream")) == 1


async def test_stop_ends_the_answer_and_keeps_what_was_said(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    script = Script(LONG, hold_at=4)
    async with opened(slack, tmp_path, ScriptedAnswerer({"Tell me": script})) as desk:
        asked = slack.people.mention(ann, general, "Tell me")
        await slack.until(lambda: slack.answers(general))
        slack.people.stop(ann, general, asked.ts)
        (answer,) = await desk.answers(general, asked.ts)
        assert answer.shown == "".join(LONG[:4]).strip()
        await slack.until(lambda: slack.world.sessions[general, asked.ts] == "active")
        record = await desk.store.answer(answer.metadata["event_payload"]["answer_id"])
        assert record.reply.outcome is Outcome.STOPPED


async def test_somebody_else_cannot_stop_an_answer(slack: FakeSlack, tmp_path: Path) -> None:
    ann, bob = slack.world.user("ann"), slack.world.user("bob")
    general = slack.world.channel("general", ann, bob)
    script = Script(LONG, hold_at=0)
    async with opened(slack, tmp_path, ScriptedAnswerer({"Tell me": script})) as desk:
        asked = slack.people.mention(ann, general, "Tell me")
        await slack.until(lambda: desk.answerer.asked)
        slack.people.stop(bob, general, asked.ts)
        await slack.delivery.settled()
        script.gate.set()
        (answer,) = await desk.answers(general, asked.ts)
        assert answer.shown == "".join(LONG).strip()


async def test_a_long_answer_comes_in_pieces_with_buttons_under_the_last(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    text = "\n\n".join(f"Paragraph {n}. " + "word " * 150 for n in range(40))
    script = Script(reply=Reply(text, Outcome.ANSWERED))
    async with opened(slack, tmp_path, ScriptedAnswerer({"Tell me": script})) as desk:
        asked = slack.people.ask(ann, "Tell me")
        answers = await desk.answers(asked.channel, asked.ts, 3)
        words = " ".join(one.shown for one in answers).split()
        assert words == text.split()
        assert [bool(one.buttons()) for one in answers] == [False, False, True]


async def test_a_private_channel_setting_shows_answers_to_the_asker_alone(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    channels = {general: {"private": True}}
    async with opened(slack, tmp_path, channels=channels):
        slack.people.mention(ann, general, "Tell me")
        (whisper,) = await slack.until(lambda: slack.world.ephemerals)
        assert whisper.ephemeral_for == ann
        assert slack.answers(general) == []
    assert slack.refused() == []
