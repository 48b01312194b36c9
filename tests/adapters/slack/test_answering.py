"""From a question in Slack to its answer in the thread, through the unmodified client."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.types import Citation, Outcome, Reply
from tests.fakes.scripted import Script, ScriptedAnswerer
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.desk import Desk, opened

LONG = tuple(f"Sentence number {number} of a long answer. " for number in range(8))
SOURCE = Citation(1, "p1", "Returns <!here>", "returns.md", url="https://help.example.com/returns")


async def finished(desk: Desk, channel: str, thread: str, count: int = 1) -> list:
    """The complete answers of a thread, once there are `count`."""
    slack = desk.slack

    def complete() -> list:
        found = [one for one in slack.answers(channel, thread) if one.metadata]
        return found if len(found) >= count else []

    try:
        return await slack.until(complete)
    except TimeoutError:
        calls = [(call.method, call.error, call.args) for call in slack.calls[-8:]]
        raise AssertionError(f"{slack.transcript()}\n{calls}") from None


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
        (answer,) = await finished(desk, general, asked.ts)
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
        (answer,) = await finished(desk, place, asked.ts)
        assert answer.stream.state == "stopped"
        assert answer.text == "".join(LONG).strip()
        assert [button["type"] for button in answer.buttons()] == ["feedback_buttons"]
        assert slack.world.sessions[place, asked.ts] == "active"
    async with opened(slack, tmp_path):
        assert len(slack.answers(place)) == 1
    assert slack.refused() == []
