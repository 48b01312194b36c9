"""A person wants a person: the card in the queue channel, and words both ways through it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.dispatching import notices
from bot.dispatching.courier import Patience
from bot.handover import HandoverState
from bot.handover.rows import unsent
from bot.types import Outcome, Reply
from tests.fakes.scripted import Script, ScriptedAnswerer
from tests.fakes.slack import FakeSlack, Fault, Message
from tests.fakes.slack.desk import Desk, opened

UNKNOWN = Reply("That is not in what I know.", Outcome.ABSTAINED)


@asynccontextmanager
async def staffed(
    slack: FakeSlack, folder: Path, answerer: Any = None, **more: Any
) -> AsyncIterator[tuple[Desk, str]]:
    """A workspace with a queue channel in which Bob and Eve sit."""
    queue = slack.world.channel("queue", slack.world.user("bob"), slack.world.user("eve"))
    async with opened(slack, folder, answerer, queue=queue, **more) as desk:
        yield desk, queue


async def card_of(slack: FakeSlack, queue: str) -> Message:
    def cards() -> list[Message]:
        return [one for one in slack.answers(queue) if not one.thread_ts]

    found: list[Message] = await slack.until(cards)
    (card,) = found
    return card


async def called(slack: FakeSlack, general: str, user: str) -> Message:
    """Somebody asks for a person in a channel, and is told so."""
    asked = slack.people.mention(user, general, "I want to talk to a human")
    await slack.until(lambda: slack.answers(general, asked.ts))
    return asked


def said(slack: FakeSlack, channel: str, thread: str) -> list[str]:
    return [one.shown for one in slack.answers(channel, thread)]


async def all_told(desk: Desk) -> None:
    """Nothing of any handover is on its way any more."""
    async with asyncio.timeout(20):
        while await desk.store.database.read(lambda session: unsent(session.connection())):  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.02)


async def test_a_wish_puts_a_card_up_with_what_was_said_and_where(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    async with staffed(slack, tmp_path) as (desk, queue):
        first = slack.people.mention(ann, general, "Can I return a <!here> lamp?")
        await desk.answers(general, first.ts)
        slack.people.say(ann, general, "human please", first.ts)
        card = await card_of(slack, queue)
        assert "ann asks for a person" in card.shown
        assert "Can I return a @here lamp?" in card.shown
        assert f"slack.example/{general}/{first.ts}" in card.shown
        assert "Nobody has it yet" in card.shown
        assert [one["text"]["text"] for one in card.buttons()] == ["Claim", "Resolve"]
        await slack.until(lambda: len(slack.answers(general, first.ts)) == 2)
        assert "A person will answer you here" in said(slack, general, first.ts)[1]
        await slack.until(lambda: slack.world.sessions.get((general, first.ts)) == "suspended")
    assert slack.refused() == []
    assert slack.world.live_mentions() == []


async def test_words_go_both_ways_and_the_bot_is_silent_until_it_is_resolved(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    async with staffed(slack, tmp_path) as (desk, queue):
        bob = "U0BOBXXXX"
        asked = await called(slack, general, ann)
        card = await card_of(slack, queue)
        slack.people.say(ann, general, "It is &lt;broken&gt;", asked.ts)
        await slack.until(lambda: len(slack.answers(queue, card.ts)) == 1)
        assert said(slack, queue, card.ts)[0].endswith("*ann*\n> It is &lt;broken&gt;")
        answer = slack.people.say(bob, queue, "See <https://help.example.com/x>", card.ts)
        await slack.until(lambda: len(slack.answers(general, asked.ts)) == 2)
        assert said(slack, general, asked.ts)[1] == "**bob:** See https://help.example.com/x"
        await slack.until(lambda: answer.reactions)
        await slack.until(lambda: "bob has it" in card.shown)
        slack.people.say(bob, queue, "// is she angry?", card.ts)
        slack.people.say("U0EVEXXXX", queue, "An unrelated word in the channel")
        await slack.delivery.settled()
        slack.people.click(bob, card, "Resolve")
        await slack.until(lambda: len(slack.answers(general, asked.ts)) == 3)
        assert said(slack, general, asked.ts)[2] == notices.RESOLVED
        await slack.until(lambda: not card.buttons())
        assert "bob had it" in card.shown
        slack.people.say(ann, general, "Thanks. When do you open?", asked.ts)
        await desk.answers(general, asked.ts, 4)
        assert [one.text for one in desk.answerer.asked] == ["Thanks. When do you open?"]
        (suggestion,) = await desk.dispatcher.handovers.suggestions()
        assert suggestion.text == "See https://help.example.com/x"
        assert suggestion.question == "It is <broken>"
        assert suggestion.author.endswith(bob)
    assert slack.refused() == []
    assert all(handed.acked for handed in slack.delivery.handed)


async def test_the_button_under_what_is_not_known_calls_a_person_once(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    answerer = ScriptedAnswerer({"Why?": Script(reply=UNKNOWN)})
    async with staffed(slack, tmp_path, answerer) as (desk, queue):
        asked = slack.people.ask(ann, "Why?")
        (answer,) = await desk.answers(asked.channel, asked.ts)
        for _ in range(3):
            await slack.people.click(ann, answer, "Talk to a person").done.wait()
        card = await card_of(slack, queue)
        assert "Why?" in card.shown
        await desk.answers(asked.channel, asked.ts, 2)
        assert len(await desk.dispatcher.handovers.pending()) == 1
        assert len(slack.answers(asked.channel)) == 2


async def test_a_thumb_down_offers_a_person(slack: FakeSlack, tmp_path: Path) -> None:
    ann = slack.world.user("ann")
    async with staffed(slack, tmp_path) as (desk, queue):
        asked = slack.people.ask(ann, "Why?")
        (answer,) = await desk.answers(asked.channel, asked.ts)
        slack.people.click(ann, answer, "Not helpful")
        (thanks,) = await slack.until(lambda: slack.world.ephemerals)
        slack.people.click(ann, thanks, "Talk to a person")
        card = await card_of(slack, queue)
        assert "You said: Why?" in card.shown


async def test_without_a_queue_there_is_no_button(slack: FakeSlack, tmp_path: Path) -> None:
    ann = slack.world.user("ann")
    answerer = ScriptedAnswerer({"Why?": Script(reply=UNKNOWN)})
    async with opened(slack, tmp_path, answerer) as desk:
        asked = slack.people.ask(ann, "Why?")
        (answer,) = await desk.answers(asked.channel, asked.ts)
        assert [one["type"] for one in answer.buttons()] == ["feedback_buttons"]


async def test_who_claims_second_is_told_who_has_it_and_may_take_it_over(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    async with staffed(slack, tmp_path) as (_, queue):
        bob, eve = "U0BOBXXXX", "U0EVEXXXX"
        await called(slack, general, ann)
        card = await card_of(slack, queue)
        unclaimed = Message(card.channel, card.ts, card.user, card.text, blocks=[*card.blocks])
        slack.people.click(bob, unclaimed, "Claim")
        await slack.until(lambda: "bob has it" in card.shown)
        slack.people.click(eve, unclaimed, "Claim")
        (whisper,) = await slack.until(lambda: slack.world.ephemerals)
        assert (whisper.ephemeral_for, "bob has this" in whisper.text) == (eve, True)
        slack.people.click(eve, card, "Take over")
        await slack.until(lambda: "eve has it" in card.shown)


async def test_a_card_s_buttons_work_in_the_queue_channel_alone(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    async with staffed(slack, tmp_path) as (desk, queue):
        await called(slack, general, ann)
        card = await card_of(slack, queue)
        forged = Message(general, card.ts, card.user, card.text, blocks=card.blocks)
        await slack.people.click(ann, forged, "Resolve").done.wait()
        (found,) = await desk.dispatcher.handovers.pending()
        assert found.state is HandoverState.OPEN


async def test_an_answer_after_the_end_is_not_passed_on_and_its_author_is_told(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    async with staffed(slack, tmp_path) as (_, queue):
        asked = await called(slack, general, ann)
        card = await card_of(slack, queue)
        await slack.people.click("U0BOBXXXX", card, "Resolve").done.wait()
        slack.people.say("U0BOBXXXX", queue, "One more thing", card.ts)
        (whisper,) = await slack.until(lambda: slack.world.ephemerals)
        assert "the bot's again" in whisper.text
        assert all("One more" not in one for one in said(slack, general, asked.ts))


@pytest.mark.parametrize("kind", ["drop", "late_http", "refuse"])
async def test_what_slack_may_have_shown_is_looked_up_on_both_sides(
    slack: FakeSlack, tmp_path: Path, kind: str
) -> None:
    ann = slack.world.user("ann")
    async with staffed(slack, tmp_path, patience=Patience(longest_pause_s=0.2)) as (desk, queue):
        slack.faults.append(Fault("chat.postMessage", kind, 503, times=2, after=1))
        asked = slack.people.ask(ann, "human")
        card = await card_of(slack, queue)
        await slack.until(lambda: said(slack, asked.channel, asked.ts))
        slack.faults.append(Fault("chat.postMessage", kind, 503, times=2))
        slack.people.ask(ann, "Hello?", asked.ts)
        slack.people.say("U0BOBXXXX", queue, "Hello Ann", card.ts)
        await slack.until(lambda: len(slack.answers(queue, card.ts)) == 1)
        await slack.until(lambda: len(said(slack, asked.channel, asked.ts)) == 2)
        await all_told(desk)
    assert len([one for one in slack.answers(queue) if not one.thread_ts]) == 1
    assert len(slack.answers(queue, card.ts)) == 1
    assert said(slack, asked.channel, asked.ts)[1] == "**bob:** Hello Ann"


async def test_a_handover_goes_on_after_a_restart(slack: FakeSlack, tmp_path: Path) -> None:
    ann = slack.world.user("ann")
    async with staffed(slack, tmp_path) as (_, queue):
        asked = slack.people.ask(ann, "human")
        card = await card_of(slack, queue)
    async with opened(slack, tmp_path, queue=queue) as desk:
        slack.people.ask(ann, "Still there?", asked.ts)
        await slack.until(lambda: len(slack.answers(queue, card.ts)) == 1)
        slack.people.say("U0BOBXXXX", queue, "Yes", card.ts)
        await slack.until(lambda: "**bob:** Yes" in said(slack, asked.channel, asked.ts))
        assert desk.answerer.asked == []


async def test_staff_in_the_persons_own_thread_keep_the_bot_silent(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    async with staffed(slack, tmp_path) as (desk, queue):
        bob = "U0BOBXXXX"
        general = slack.world.channel("general", ann, bob)
        asked = await called(slack, general, ann)
        card = await card_of(slack, queue)
        slack.people.say(bob, general, "I come over here", asked.ts)
        await slack.delivery.settled()
        slack.people.say(ann, general, "Great", asked.ts)
        await slack.until(lambda: len(slack.answers(queue, card.ts)) == 1)
        await slack.delivery.settled()
        assert desk.answerer.asked == []
        assert said(slack, queue, card.ts)[0].endswith("> Great")
