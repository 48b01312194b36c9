"""The fake Slack itself: the unmodified client can talk to it, and cannot get away with much."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import APP_TOKEN, BOT_TOKEN, FakeSlack, Fault


@pytest.fixture
async def slack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSlack]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with FakeSlack() as fake:
        yield fake


@pytest.fixture
def client(slack: FakeSlack) -> AsyncWebClient:
    return AsyncWebClient(BOT_TOKEN, base_url=slack.url, retry_handlers=[])


async def error_of(call: object) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call  # type: ignore[misc] # a coroutine of the client
    return str(caught.value.response["error"])


async def test_a_bolt_app_hears_a_mention_and_answers_in_the_thread(slack: FakeSlack) -> None:
    app = AsyncApp(
        token=BOT_TOKEN, client=AsyncWebClient(BOT_TOKEN, base_url=slack.url), signing_secret="x"
    )

    @app.event("app_mention")
    async def answer(event: dict[str, str], client: AsyncWebClient) -> None:
        await client.chat_postMessage(channel=event["channel"], text="Hello", thread_ts=event["ts"])

    @app.event("message")
    async def ignore() -> None: ...

    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    handler = AsyncSocketModeHandler(app, APP_TOKEN)
    await handler.connect_async()
    try:
        await slack.connected()
        asked = slack.people.mention(ann, general, "hi")
        await slack.until(lambda: slack.answers(general, asked.ts))
        await slack.delivery.settled()
        assert all(handed.acked for handed in slack.delivery.handed)
    finally:
        await handler.close_async()


async def test_what_a_bolt_app_does_not_match_is_not_acknowledged_and_comes_again(
    slack: FakeSlack,
) -> None:
    app = AsyncApp(
        token=BOT_TOKEN, client=AsyncWebClient(BOT_TOKEN, base_url=slack.url), signing_secret="x"
    )
    slack.delivery.ack_s, slack.delivery.retry_s = 0.2, (0.01, 0.01, 0.01)
    ann = slack.world.user("ann")
    handler = AsyncSocketModeHandler(app, APP_TOKEN)
    await handler.connect_async()
    try:
        await slack.connected()
        slack.people.ask(ann, "hi")
        await slack.delivery.settled()
        assert [handed.attempts for handed in slack.delivery.handed] == [4]
        assert not slack.delivery.handed[0].acked
    finally:
        await handler.close_async()


async def test_wrong_calls_are_refused_by_name(slack: FakeSlack, client: AsyncWebClient) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    asked = slack.people.say(ann, general, "hi")
    post = client.chat_postMessage
    assert await error_of(post(channel="C0NOWHERE", text="x")) == "channel_not_found"
    assert await error_of(post(channel=general, text="x", shout=True)) == "invalid_arguments"
    assert await error_of(post(channel=general, text="x", thread_ts="1.1")) == "thread_not_found"
    both = {"text": "x", "markdown_text": "y"}
    assert await error_of(post(channel=general, **both)) == "markdown_text_conflict"
    long = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]
    assert await error_of(post(channel=general, text="x", blocks=long)) == "invalid_blocks"
    update = client.chat_update(channel=general, ts=asked.ts, text="mine now")
    assert await error_of(update) == "cant_update_message"
    slack.world.scopes.discard("chat:write")
    assert await error_of(post(channel=general, text="x")) == "missing_scope"
    other = AsyncWebClient(APP_TOKEN, base_url=slack.url)
    assert await error_of(other.auth_test()) == "not_allowed_token_type"


async def test_a_stream_goes_from_start_to_stop_and_nowhere_else(
    slack: FakeSlack, client: AsyncWebClient
) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    asked = slack.people.say(ann, general, "hi")
    where = {"channel": general, "thread_ts": asked.ts}
    start = client.chat_startStream
    assert await error_of(start(**where)) == "missing_recipient_team_id"
    recipient = {"recipient_user_id": ann, "recipient_team_id": "T0DESK001"}
    ts = (await start(**where, **recipient, markdown_text="a"))["ts"]
    await client.chat_appendStream(channel=general, ts=ts, markdown_text="b")
    update = client.chat_update(channel=general, ts=ts, text="x")
    assert await error_of(update) == "streaming_state_conflict"
    await client.chat_stopStream(channel=general, ts=ts, markdown_text="c")
    assert slack.answers(general)[0].shown == "abc"
    again = client.chat_stopStream(channel=general, ts=ts)
    assert await error_of(again) == "message_not_in_streaming_state"
    late = (await start(**where, **recipient))["ts"]
    slack.world.clock.advance(301)
    append = client.chat_appendStream(channel=general, ts=late, markdown_text="x")
    assert await error_of(append) == "message_not_in_streaming_state"
    stopped = (await start(**where, **recipient))["ts"]
    slack.people.stop(ann, general, asked.ts)
    append = client.chat_appendStream(channel=general, ts=stopped, markdown_text="x")
    assert await error_of(append) == "stopped_by_user"


async def test_tiers_run_out_and_refill_on_the_clock(
    slack: FakeSlack, client: AsyncWebClient
) -> None:
    ann = slack.world.user("ann")
    place = slack.world.dm(ann)
    asked = slack.people.ask(ann, "hi")
    for _ in range(20):
        await client.chat_startStream(channel=place, thread_ts=asked.ts)
    with pytest.raises(SlackApiError) as caught:
        await client.chat_startStream(channel=place, thread_ts=asked.ts)
    assert caught.value.response.status_code == 429
    assert int(caught.value.response.headers["Retry-After"]) == 3
    slack.world.clock.advance(3)
    await client.chat_startStream(channel=place, thread_ts=asked.ts)


async def test_a_dropped_response_was_committed(slack: FakeSlack, client: AsyncWebClient) -> None:
    ann = slack.world.user("ann")
    slack.faults.append(Fault("chat.postMessage", "drop"))
    with pytest.raises(Exception, match="disconnected"):
        await client.chat_postMessage(channel=slack.world.dm(ann), text="once")
    assert [one.text for one in slack.answers(slack.world.dm(ann))] == ["once"]
