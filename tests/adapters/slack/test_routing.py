"""Which messages are for the bot, as whose questions they count, and when it keeps quiet."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.config import LimitSettings
from knowledge.types import Audience
from tests.fakes.scripted import Script, ScriptedAnswerer
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.desk import opened
from tests.fakes.slack.world import OTHER_TEAM


def asked(answerer: ScriptedAnswerer) -> list[str]:
    return [one.text for one in answerer.asked]


async def test_a_thread_goes_on_without_mentions_and_remembers(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    async with opened(slack, tmp_path) as desk:
        first = slack.people.mention(ann, general, "One?")
        await desk.answers(general, first.ts)
        slack.people.say(ann, general, "Two?", first.ts)
        await desk.answers(general, first.ts, 2)
        assert asked(desk.answerer) == ["One?", "Two?"]
        assert next(turn.content for turn in desk.answerer.asked[1].history) == "One?"
        slack.people.say(ann, general, "Not for the bot")
        other = slack.people.say(ann, general, "A thread of people")
        slack.people.say(ann, general, "Nor this", other.ts)
        await desk.quiet(2)


async def test_the_bot_steps_back_for_another_person_until_it_is_mentioned(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann, bob = slack.world.user("ann"), slack.world.user("bob")
    general = slack.world.channel("general", ann, bob)
    async with opened(slack, tmp_path) as desk:
        first = slack.people.mention(ann, general, "One?")
        await desk.answers(general, first.ts)
        slack.people.say(bob, general, "Let me help you, Ann", first.ts)
        await slack.delivery.settled()
        slack.people.say(ann, general, "Thanks Bob", first.ts)
        await desk.quiet(1)
    async with opened(slack, tmp_path) as desk:  # a restart does not forget it
        slack.people.say(ann, general, "Anybody?", first.ts)
        await desk.quiet(0)
        slack.people.mention(ann, general, "Two?", first.ts)
        await desk.answers(general, first.ts, 2)
        slack.people.say(ann, general, "Three?", first.ts)
        await desk.answers(general, first.ts, 3)


async def test_mute_is_understood_and_acknowledged(slack: FakeSlack, tmp_path: Path) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    async with opened(slack, tmp_path) as desk:
        first = slack.people.mention(ann, general, "One?")
        await desk.answers(general, first.ts)
        mute = slack.people.say(ann, general, "Mute", first.ts)
        await slack.until(lambda: mute.reactions)
        slack.people.say(ann, general, "Two?", first.ts)
        await desk.quiet(1)


async def test_bots_systems_and_the_bots_own_posts_are_ignored(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    async with opened(slack, tmp_path, channels={general: {"mode": "always"}}) as desk:
        slack.people.other_bot(general, "<@U0BOT0001> deploy finished")
        slack.people.say(ann, general, "joined", subtype="channel_join")
        slack.people.say("USLACK", general, "A notice")
        slack.people.event({"type": "member_joined_channel", "user": ann, "channel": general},
                           "member_joined_channel")  # fmt: skip
        seen = {"type": "slack#/types/channel_id", "value": general, "team_id": "T0DESK001"}
        for context in ({}, {"entities": [seen]}):  # what somebody looks at is no question
            changed = {"type": "app_context_changed", "context": context}
            slack.people.event(changed, "app_context_changed")
        await desk.quiet(0)
        question = slack.people.say(ann, general, "Is this for you?")
        await desk.answers(general, question.ts)
        await desk.quiet(1)
    assert all(handed.acked for handed in slack.delivery.handed)


async def test_every_event_four_times_is_answered_once(slack: FakeSlack, tmp_path: Path) -> None:
    slack.delivery.copies = 4
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    async with opened(slack, tmp_path) as desk:
        questions = [slack.people.mention(ann, general, f"Question {n}?") for n in range(10)]
        for question in questions:
            await desk.answers(general, question.ts)
        await desk.quiet(10)
    async with opened(slack, tmp_path) as desk:
        for handed in [*slack.delivery.handed]:  # and once more after a restart
            if handed.payload["event"]["type"] == "app_mention":
                slack.delivery.hand_over("events_api", handed.payload)
        await desk.quiet(0)
    assert len(slack.answers(general)) == 10


async def test_a_retry_that_is_the_only_delivery_is_answered(
    slack: FakeSlack, tmp_path: Path
) -> None:
    slack.delivery.ack_s = 0.2
    ann = slack.world.user("ann")
    place = slack.world.dm(ann)
    async with opened(slack, tmp_path) as desk:
        slack.delivery.silence()  # the first attempt goes nowhere
        first = slack.people.ask(ann, "Anybody there?")
        await slack.until(lambda: slack.delivery.handed[0].attempts == 2)
        await slack.delivery.cut()
        await desk.answers(place, first.ts)


async def test_what_people_write_is_read_without_slacks_syntax(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    text = "a &lt; b &amp; <https://x.example/a|x.example> <#C1|general> <@U9|eve> <!here>  *c*"
    async with opened(slack, tmp_path) as desk:
        slack.people.ask(ann, text)
        await desk.quiet(1)
        assert asked(desk.answerer) == ["a < b & https://x.example/a #general @eve @here  *c*"]


async def test_a_question_that_is_edited_while_it_is_answered_is_answered_as_it_is_now(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    held = Script(("Working on the wrong one. " * 3,), hold_at=1)
    async with opened(slack, tmp_path, ScriptedAnswerer({"Wrong?": held})) as desk:
        question = slack.people.ask(ann, "Wrong?")
        await slack.until(lambda: slack.answers(question.channel))
        slack.people.edit(question, "Right?")
        (answer,) = await desk.answers(question.channel, question.ts)
        assert answer.shown == "You said: Right?"
        assert asked(desk.answerer) == ["Wrong?", "Right?"]
        assert len(slack.answers(question.channel)) == 1
        slack.people.edit(question, "Right after all?")  # answered: only the record changes
        await desk.quiet(2)
        recent = await desk.store.recent("slack", f"T0DESK001:{ann}")
        assert "Right after all?" in {one.text for one in recent}


async def test_a_question_that_is_deleted_is_not_answered_and_not_kept(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    held = Script(("Some words of it. " * 3,), hold_at=1)
    async with opened(slack, tmp_path, ScriptedAnswerer({"Secret?": held})) as desk:
        question = slack.people.ask(ann, "Secret?")
        await slack.until(lambda: slack.answers(question.channel))
        slack.people.delete(question)
        await slack.until(lambda: not slack.answers(question.channel))
        await desk.quiet(1)
        (record,) = await desk.store.recent("slack", f"T0DESK001:{ann}")
        assert record.text == ""


async def test_a_slash_command_is_answered_in_private(slack: FakeSlack, tmp_path: Path) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    async with opened(slack, tmp_path) as desk:
        handed = slack.people.command(ann, general, "/ask", "How long?")
        await handed.done.wait()
        assert "direct message" in handed.answer["text"]
        (answer,) = await desk.answers(slack.world.dm(ann))
        assert answer.shown.startswith("> How long?\n\n")
        empty = slack.people.command(ann, general, "/ask", "  ")
        await empty.done.wait()
        assert "/ask How do I" in empty.answer["text"]
        assert asked(desk.answerer) == ["How long?"]
    assert slack.answers(general) == []
    assert slack.refused() == []


async def test_the_shortcut_answers_a_message_in_its_thread(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann, bob = slack.world.user("ann"), slack.world.user("bob")
    general = slack.world.channel("general", ann, bob)
    async with opened(slack, tmp_path) as desk:
        message = slack.people.say(bob, general, "How long do returns take?")
        handed = slack.people.shortcut(ann, message, "deskhand_ask")
        await handed.done.wait()
        assert handed.acked
        await desk.answers(general, message.ts)
        assert asked(desk.answerer) == ["How long do returns take?"]


async def test_tabs_show_suggestions_and_ones_own_questions(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    async with opened(slack, tmp_path) as desk:
        slack.people.open_tab(ann, "messages")
        await slack.until(lambda: slack.world.prompts)
        assert "thread_ts" not in slack.world.prompts[0]
        question = slack.people.ask(ann, "What about &lt;b&gt;?")
        await desk.answers(question.channel, question.ts)
        slack.people.open_tab(ann, "home")
        home = await slack.until(lambda: slack.world.homes.get(ann))
        assert "What about &lt;b&gt;?" in str(home)
    assert slack.refused() == []


@pytest.mark.parametrize(
    ("who", "where", "audience"),
    [
        ("member", "channel", Audience.INTERNAL),
        ("member", "im", Audience.INTERNAL),
        ("member", "shared", Audience.CUSTOMER),
        ("member", "public", Audience.CUSTOMER),
        ("guest", "channel", Audience.CUSTOMER),
        ("outsider", "shared", Audience.CUSTOMER),
        ("outsider", "channel", Audience.CUSTOMER),
    ],
)
async def test_only_members_in_closed_conversations_get_internal_answers(
    slack: FakeSlack, tmp_path: Path, who: str, where: str, audience: Audience
) -> None:
    team = {"team": OTHER_TEAM} if who == "outsider" else {}
    user = slack.world.user("somebody", guest=who == "guest", **team)
    place = slack.world.channel("place", user, shared=where == "shared")
    channels = {place: {"audience": "customer"}} if where == "public" else {}
    async with opened(slack, tmp_path, audience="internal", channels=channels) as desk:
        if where == "im":
            slack.people.ask(user, "What is the discount?")
        else:
            slack.people.mention(user, place, "What is the discount?")
        await desk.quiet(1)
        assert desk.answerer.asked[0].audience is audience


async def test_nobody_is_internal_while_slack_does_not_say_who_they_are(
    slack: FakeSlack, tmp_path: Path
) -> None:
    slack.world.scopes.discard("users:read")
    ann = slack.world.user("ann")
    async with opened(slack, tmp_path, audience="internal") as desk:
        slack.people.ask(ann, "What is the discount?")
        await desk.quiet(1)
        assert desk.answerer.asked[0].audience is Audience.CUSTOMER


async def test_who_is_refused_is_told_so_once(slack: FakeSlack, tmp_path: Path) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    async with opened(slack, tmp_path, limits=LimitSettings(message_chars=10)) as desk:
        slack.people.mention(ann, general, "A question that is longer than ten letters")
        (notice,) = await slack.until(lambda: slack.world.ephemerals)
        assert "can be read" in notice.text
        await desk.quiet(0)
        assert len(slack.world.ephemerals) == 1
    assert all(handed.acked for handed in slack.delivery.handed)
