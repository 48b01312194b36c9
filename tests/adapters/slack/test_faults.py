"""Slack at its worst: lost responses, storms of 429 and 5xx, dead connections, forged requests."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.slack.channel import check
from bot.config import SlackSettings
from bot.dispatching.courier import Patience
from bot.errors import ConfigError
from tests.fakes.scripted import Script, ScriptedAnswerer
from tests.fakes.slack import FakeSlack, Fault
from tests.fakes.slack.desk import opened

WORDS = tuple(f"Sentence number {number}. " for number in range(6))


def one_answer() -> ScriptedAnswerer:
    return ScriptedAnswerer({"Why?": Script(("Because.",))})


def streamed() -> ScriptedAnswerer:
    return ScriptedAnswerer({"Why?": Script(WORDS, hold_at=6)})


@pytest.mark.parametrize("kind", ["drop", "refuse", "late_http", "http"])
async def test_a_post_whose_response_is_lost_is_shown_once(
    slack: FakeSlack, tmp_path: Path, kind: str
) -> None:
    ann = slack.world.user("ann")
    slack.faults.append(Fault("chat.postMessage", kind, 502))
    async with opened(slack, tmp_path, one_answer(), stream=False) as desk:
        asked = slack.people.ask(ann, "Why?")
        await desk.answers(asked.channel, asked.ts)
        await slack.until(lambda: "active" in slack.world.sessions.values())
    assert [one.shown for one in slack.answers(asked.channel)] == ["Because."]


@pytest.mark.parametrize("method", ["chat.startStream", "chat.appendStream", "chat.stopStream"])
@pytest.mark.parametrize("kind", ["drop", "refuse", "late_http"])
async def test_a_stream_whose_response_is_lost_ends_as_one_whole_message(
    slack: FakeSlack, tmp_path: Path, method: str, kind: str
) -> None:
    ann = slack.world.user("ann")
    slack.faults.append(Fault(method, kind, 503))
    answerer = ScriptedAnswerer({"Why?": Script(WORDS, hold_at=3)})
    async with opened(slack, tmp_path, answerer) as desk:
        asked = slack.people.ask(ann, "Why?")
        await slack.until(lambda: slack.called("chat.startStream"))
        answerer.scripts["Why?"].gate.set()
        await desk.answers(asked.channel, asked.ts)
    (answer,) = slack.answers(asked.channel)
    assert answer.shown == "".join(WORDS).strip()
    assert answer.stream is None or answer.stream.state == "stopped"


async def test_a_429_is_waited_out_and_other_channels_are_not_kept(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann, bob = slack.world.user("ann"), slack.world.user("bob")
    slack.faults.append(Fault("chat.postMessage", "ratelimit", 2))
    async with opened(slack, tmp_path, one_answer(), stream=False) as desk:
        first = slack.people.ask(ann, "Why?")
        await slack.until(lambda: slack.called("chat.postMessage"))
        second = slack.people.ask(bob, "Why?")
        await desk.answers(second.channel, second.ts)
        assert slack.answers(first.channel) == []
        await desk.answers(first.channel, first.ts)
    posts = [
        call for call in slack.called("chat.postMessage") if call.args["channel"] == first.channel
    ]
    assert len(posts) == 2
    assert posts[1].at - posts[0].at >= 2


async def test_a_storm_of_errors_ends_in_one_post_each(slack: FakeSlack, tmp_path: Path) -> None:
    people = [slack.world.user(f"p{n}") for n in range(8)]
    patience = Patience(longest_pause_s=0.3)
    async with opened(slack, tmp_path, one_answer(), patience=patience) as desk:
        for status in (500, 502, 503, 504):
            slack.faults.append(Fault("*", "http", status, times=6))
            slack.faults.append(Fault("*", "late_http", status, times=3))
        asked = [slack.people.ask(person, "Why?") for person in people]
        for one in asked:
            await desk.answers(one.channel, one.ts)
    assert [len(slack.answers(one.channel)) for one in asked] == [1] * len(people)


async def test_blocks_that_slack_does_not_take_are_left_out(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    slack.faults.append(Fault("chat.postMessage", "error", "invalid_blocks"))
    async with opened(slack, tmp_path, one_answer(), stream=False) as desk:
        asked = slack.people.ask(ann, "Why?")
        (answer,) = await desk.answers(asked.channel, asked.ts)
        assert (answer.text, answer.blocks) == ("Because.", [])


async def test_an_archived_channel_is_given_up_on_at_once(slack: FakeSlack, tmp_path: Path) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    slack.faults.append(Fault("chat.postMessage", "error", "is_archived", times=99))
    async with opened(slack, tmp_path, one_answer(), stream=False) as desk:
        slack.people.mention(ann, general, "Why?")
        await desk.quiet(1)
        await slack.until(lambda: slack.called("chat.postMessage"))
        async with asyncio.timeout(10):
            while (await desk.store.counts()).sends["dead"] != 1:  # type: ignore[index]  # noqa: ASYNC110 - a database has no event
                await asyncio.sleep(0.02)
    assert len(slack.called("chat.postMessage")) == 1


async def test_a_database_that_is_locked_keeps_the_event_unacknowledged(
    slack: FakeSlack, tmp_path: Path
) -> None:
    slack.delivery.ack_s, slack.delivery.retry_s = 1.0, (0.1, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3)
    ann = slack.world.user("ann")
    answerer = one_answer()
    async with opened(slack, tmp_path, answerer) as desk:
        lock = sqlite3.connect(tmp_path / "deskhand.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        asked = slack.people.ask(ann, "Why?")
        await slack.until(lambda: slack.delivery.handed[0].attempts == 3)
        assert not slack.delivery.handed[0].acked
        assert answerer.asked == []
        lock.execute("ROLLBACK")
        lock.close()
        await desk.answers(asked.channel, asked.ts)
        await desk.quiet(1)


async def test_a_silent_connection_is_noticed_and_opened_again(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    async with opened(slack, tmp_path, one_answer(), silence_s=1.5) as desk:
        slack.delivery.silence()
        await slack.until(lambda: slack.delivery.opened >= 2, 20)
        slack.delivery.connections[:] = slack.delivery.connections[-1:]
        asked = slack.people.ask(ann, "Why?")
        await desk.answers(asked.channel, asked.ts)


async def test_a_client_whose_tasks_have_died_is_replaced(slack: FakeSlack, tmp_path: Path) -> None:
    ann = slack.world.user("ann")
    async with opened(slack, tmp_path, one_answer(), silence_s=1.5) as desk:
        for task in asyncio.all_tasks():
            if getattr(task.get_coro(), "__name__", "") in {
                "monitor_current_session",
                "receive_messages",
            }:
                task.cancel()
        await slack.until(lambda: slack.delivery.opened >= 2, 20)
        asked = slack.people.ask(ann, "Why?")
        await desk.answers(asked.channel, asked.ts)


async def test_a_connection_that_lives_is_left_alone(slack: FakeSlack, tmp_path: Path) -> None:
    async with opened(slack, tmp_path, silence_s=0.6):
        await asyncio.sleep(2)
        assert slack.delivery.opened == 1


@pytest.mark.parametrize("how", ["disconnect", "cut"])
async def test_no_event_is_lost_when_slack_changes_connections(
    slack: FakeSlack, tmp_path: Path, how: str
) -> None:
    slack.delivery.ack_s = 0.5
    ann = slack.world.user("ann")
    async with opened(slack, tmp_path, one_answer(), silence_s=3.0) as desk:
        asked = []
        for number in range(6):
            asked.append(slack.people.ask(ann, "Why?"))
            if number == 2:
                await getattr(slack.delivery, how)()
        for one in asked:
            await desk.answers(one.channel, one.ts)
        await desk.quiet(6)


async def test_slack_being_down_at_the_start_is_waited_out(
    slack: FakeSlack, tmp_path: Path
) -> None:
    slack.faults.append(Fault("auth.test", "http", 503, times=2))
    slack.faults.append(Fault("apps.connections.open", "http", 503, times=1))
    ann = slack.world.user("ann")
    async with opened(slack, tmp_path, one_answer(), silence_s=1.5) as desk:
        asked = slack.people.ask(ann, "Why?")
        await desk.answers(asked.channel, asked.ts)


# HTTP


async def post(url: str, body: str, headers: dict[str, str]) -> int:
    everything = {"Content-Type": "application/json", **headers}
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, data=io.BytesIO(body.encode()), headers=everything) as response,
    ):
        return response.status


async def test_only_what_slack_has_signed_just_now_is_taken_in(
    slack: FakeSlack, tmp_path: Path
) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "x"})
    sign = slack.delivery.signed
    good = sign(body)
    stamp, signature = "X-Slack-Request-Timestamp", "X-Slack-Signature"
    async with opened(slack, tmp_path, app_token="") as desk:
        assert await post(desk.http, body, good) == 200
        refused: list[dict[str, Any]] = [
            {},
            sign(body, at=time.time() - 301),
            sign(body, at=time.time() + 301),
            {**good, signature: "v0=" + "0" * 64},
            {**good, signature: "v0=ü"},
            {**good, signature: ""},
            {**good, stamp: "abc"},
            {**good, stamp: "١٢٣"},
            {**good, stamp: ""},
            sign(body + " "),
        ]
        for headers in refused:
            assert await post(desk.http, body, headers) == 401, headers
        huge = json.dumps({"type": "event_callback", "x": "y" * 1_100_000})
        assert await post(desk.http, huge, sign(huge)) == 400


async def test_events_over_http_that_cannot_be_kept_come_again(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    async with opened(slack, tmp_path, one_answer(), app_token="") as desk:
        await desk.dispatcher.drain()  # the server is stopping
        slack.people.ask(ann, "Why?")
        await slack.delivery.settled()
        assert [(one.attempts, one.acked) for one in slack.delivery.handed] == [(4, False)]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"bot_token": "xoxp-1", "app_token": "xapp-1"}, "bot_token"),
        ({"bot_token": "xoxb-1", "app_token": "xoxb-1"}, "app_token"),
        ({"bot_token": "xoxb-1"}, "no way to bring events"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(given: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        check(SlackSettings.model_validate(given))
    assert "xox" not in caught.value.message
