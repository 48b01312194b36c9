"""Votes by button and by reaction: one per person and answer, changed, taken back, explained."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bot.types import Vote
from tests.fakes.scripted import Script, ScriptedAnswerer
from tests.fakes.slack import FakeSlack, Message
from tests.fakes.slack.desk import Desk, opened


def answerer() -> ScriptedAnswerer:
    return ScriptedAnswerer({"Why?": Script(("Because.",))})


async def answered(desk: Desk, user: str) -> Message:
    asked = desk.slack.people.ask(user, "Why?")
    (answer,) = await desk.answers(asked.channel, asked.ts)
    await recorded(desk, answer)
    return answer


async def recorded(desk: Desk, answer: Message) -> None:
    """Nobody reacts within the milliseconds between showing an answer and noting where."""
    async with asyncio.timeout(10):
        while not await desk.store.shown_as("slack", f"{answer.channel}:{answer.ts}"):  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.01)


async def votes(desk: Desk, answer: Message) -> list[Vote]:
    record = await desk.store.answer(answer.metadata["event_payload"]["answer_id"])
    (exchange,) = await desk.store.thread("slack", record.conversation)
    return list(exchange.votes.values())


async def test_a_thumb_down_is_kept_explained_and_thanked_for(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    async with opened(slack, tmp_path, answerer()) as desk:
        answer = await answered(desk, ann)
        await slack.people.click(ann, answer, "Not helpful").done.wait()
        (vote,) = await votes(desk, answer)
        assert (vote.voter, vote.value, vote.reason) == (f"slack:T0DESK001:{ann}", -1, "")
        (view,) = await slack.until(lambda: slack.world.views)
        (thanks,) = await slack.until(lambda: slack.world.ephemerals)
        assert thanks.ephemeral_for == ann
        values = {"reason": {"value": "old"}, "more": "since May", "right": "It is 14 days."}
        await slack.people.submit(ann, view, values).done.wait()
        (vote,) = await votes(desk, answer)
        assert (vote.value, vote.reason) == (-1, "It is out of date: since May")
        assert vote.correction == "It is 14 days."
        await slack.people.click(ann, answer, "Not helpful").done.wait()
        (vote,) = await votes(desk, answer)
        assert vote.correction == "It is 14 days."  # clicking again says the same again
    assert slack.refused() == []
    assert all(handed.acked for handed in slack.delivery.handed)


async def test_a_vote_can_be_changed_and_taken_back(slack: FakeSlack, tmp_path: Path) -> None:
    ann = slack.world.user("ann")
    async with opened(slack, tmp_path, answerer()) as desk:
        answer = await answered(desk, ann)
        await slack.people.click(ann, answer, "Not helpful").done.wait()
        await slack.people.click(ann, answer, "Helpful").done.wait()
        assert [vote.value for vote in await votes(desk, answer)] == [1]
        await slack.until(lambda: len(slack.world.ephemerals) == 2)
        await slack.people.click(ann, slack.world.ephemerals[-1], "Take it back").done.wait()
        assert await votes(desk, answer) == []


async def test_reactions_are_votes_and_a_button_wins(slack: FakeSlack, tmp_path: Path) -> None:
    ann = slack.world.user("ann")
    async with opened(slack, tmp_path, answerer()) as desk:
        answer = await answered(desk, ann)

        async def react(name: str, *, removed: bool = False) -> list[int]:
            slack.people.react(ann, answer, name, removed=removed)
            await slack.delivery.settled()
            return [vote.value for vote in await votes(desk, answer)]

        assert await react("thumbsup::skin-tone-3") == [1]
        assert await react("thumbsup::skin-tone-3", removed=True) == []
        assert await react("tada") == []
        assert await react("-1") == [-1]
        assert await react("+1") == [1]
        assert await react("-1", removed=True) == [1]
        await slack.people.click(ann, answer, "Not helpful").done.wait()
        assert await react("+1") == [-1]
        assert await react("+1", removed=True) == [-1]


async def test_people_vote_apart_and_only_on_answers(slack: FakeSlack, tmp_path: Path) -> None:
    ann, bob = slack.world.user("ann"), slack.world.user("bob")
    general = slack.world.channel("general", ann, bob)
    async with opened(slack, tmp_path, answerer()) as desk:
        asked = slack.people.mention(ann, general, "Why?")
        (answer,) = await desk.answers(general, asked.ts)
        await recorded(desk, answer)
        slack.people.react(bob, asked, "-1")
        slack.people.react(ann, answer, "+1")
        await slack.people.click(bob, answer, "Not helpful").done.wait()
        await slack.delivery.settled()
        assert sorted(vote.value for vote in await votes(desk, answer)) == [-1, 1]


async def test_a_modal_that_comes_too_late_costs_no_vote(slack: FakeSlack, tmp_path: Path) -> None:
    ann = slack.world.user("ann")
    async with opened(slack, tmp_path, answerer()) as desk:
        answer = await answered(desk, ann)
        handed = slack.people.click(ann, answer, "Not helpful")
        slack.world.clock.advance(4)
        await handed.done.wait()
        await slack.until(lambda: slack.called("views.open"))
        assert slack.called("views.open")[0].error == "expired_trigger_id"
        assert [vote.value for vote in await votes(desk, answer)] == [-1]


async def test_a_forged_vote_from_elsewhere_is_ignored(slack: FakeSlack, tmp_path: Path) -> None:
    ann = slack.world.user("ann")
    async with opened(slack, tmp_path, answerer()) as desk:
        answer = await answered(desk, ann)
        handed = slack.people.click(ann, answer, "Helpful")
        handed.payload["team"] = {"id": "T0OTHER01", "domain": "other"}
        await handed.done.wait()
        assert await votes(desk, answer) == []
