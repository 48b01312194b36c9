"""What Slack's door costs: taking events in durably, first signs of life, calls per answer.

    python -m benchmarks.slack [--events 2000] [--rounds 5] [--answers 20]

Taking in: the same Events API payloads go through two Bolt apps with the same authorisation, in
one process and without a network: ours, which commits each event to SQLite (`synchronous=FULL`)
before it acknowledges, and a bare one whose listener does nothing, so that Bolt acknowledges at
once. 64 events are under way at any time. In new conversations our side also begins the work
that follows; in one thread events only queue, which is the price of taking in alone. Rounds are
interleaved, the ratio is the median of the rounds' ratios.

Signs of life: from a person's message to the status and to the first streamed text, on the fake
Slack over real sockets, with an answerer that begins to write at once. So this is our share; a
model's and Slack's own come on top.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.app import make_app
from adapters.slack.home import Home
from adapters.slack.intake import Intake, Parts
from adapters.slack.places import Identity, Members
from adapters.slack.votes import Votes
from adapters.slack.workspaces import Single, caller
from bot.config import LimitSettings, Settings, SlackSettings
from bot.dispatching.dispatch import Dispatcher
from bot.notes import Notes
from bot.store import Store
from tests.fakes.dialogue import RecordingChannel
from tests.fakes.dialogue import ScriptedAnswerer as HeldAnswerer
from tests.fakes.scripted import Script, ScriptedAnswerer
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.desk import opened

AT_ONCE = 64
TEXT = "I ordered a lamp last Tuesday and it has not arrived yet. Can you tell me where it is?"
LIMITS = LimitSettings(waiting=1_000_000, waiting_per_actor=1_000_000, drain_s=0.5, workers=1)
ME = Identity("T1", "U0BOT", "B0BOT")
NUMBERS = itertools.count(1)

Dispatch = Callable[[AsyncBoltRequest], Awaitable[Any]]


def payload(*, thread: str = "") -> dict[str, Any]:
    """A direct message: of somebody new, or the next one in a thread."""
    number = next(NUMBERS)
    where = {"channel": "D0", "user": "U0", "thread_ts": thread} if thread else {}
    return {
        "type": "event_callback",
        "team_id": "T1",
        "event_id": f"Ev{number}",
        "authorizations": [{"team_id": "T1", "user_id": "U0BOT", "is_bot": True}],
        "event": {
            "type": "message",
            "channel": f"D{number}",
            "channel_type": "im",
            "user": f"U{number}",
            "text": TEXT,
            "ts": f"1795460000.{number:06d}",
            **where,
        },
    }


@dataclass
class Pass:
    """One way to take events in, over all rounds."""

    speeds: list[float] = field(default_factory=list)  # events a second
    cpu: list[float] = field(default_factory=list)  # milliseconds of processor an event
    took: list[float] = field(default_factory=list)  # milliseconds until acknowledged


async def through(dispatch: Dispatch, events: int, kept: Pass, thread: str = "") -> None:
    """Send events through a Bolt app."""
    left = iter([payload(thread=thread) for _ in range(events)])

    async def worker() -> None:
        for body in left:
            began = time.perf_counter()
            answer = await dispatch(AsyncBoltRequest(mode="socket_mode", body=body))
            kept.took.append(1000 * (time.perf_counter() - began))
            if answer.status != 200:
                raise RuntimeError(f"an event was answered {answer.status}")

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    kept.speeds.append(events / (time.perf_counter() - began))
    kept.cpu.append(1000 * (time.process_time() - used) / events)


def bare() -> AsyncApp:
    """The smallest Bolt app that acknowledges messages."""

    async def authorize(**_: Any) -> AuthorizeResult:  # noqa: ANN401 - Bolt's keywords
        return AuthorizeResult(
            enterprise_id=None, team_id="T1", bot_user_id="U0BOT", bot_id="B0BOT"
        )

    app = AsyncApp(client=AsyncWebClient(), signing_secret="x", authorize=authorize, name="bare")

    @app.event("message")
    async def nothing() -> None: ...

    return app


async def durable(store: Store) -> tuple[AsyncApp, Dispatcher]:
    """Our app on a real database; answers are not made, so only taking in is measured."""
    never = asyncio.Event()

    async def hold(*_: Any) -> Any:  # noqa: ANN401 - whatever the answerer is given
        await never.wait()

    channel = RecordingChannel("slack")
    dispatcher = Dispatcher(store, HeldAnswerer(hold), {"slack": channel}, LIMITS)
    await dispatcher.start()
    spaces = Single(SlackSettings())
    spaces.know(ME)
    call = caller(spaces)
    settings = SlackSettings()
    notes = Notes(store.database, "slack")
    members = Members(settings, call)
    votes = Votes(store, notes, call)
    home = Home(call, store, none, "x")
    parts = Parts(spaces, members, store, notes, votes, home, dispatcher.handovers, None)
    app = make_app(
        client=AsyncWebClient(),
        signing_secret="x",
        intake=Intake(dispatcher.accept, channel, parts),  # type: ignore[arg-type] # nothing is stopped here
        votes=votes,
        members=members,
        call=call,
        command="/ask",
        desk=None,
    )
    return app, dispatcher


async def none(_: int) -> Sequence[str]:
    """No suggestions."""
    return ()


async def taking_in(events: int, rounds: int) -> None:
    """Print what durability costs at the door."""
    ways = {name: Pass() for name in ("durable, each a new conversation",
                                      "durable, all in one thread", "bare Bolt")}  # fmt: skip
    for _ in range(rounds):
        for (name, kept), thread in zip(ways.items(), ("", "1795460000.000000", ""), strict=True):
            if name == "bare Bolt":
                await through(bare().async_dispatch, events, kept)
                continue
            with tempfile.TemporaryDirectory() as folder:
                store = Store.open(Settings(home=Path(folder)).database_url, exclusive=True)
                app, dispatcher = await durable(store)
                await through(app.async_dispatch, events, kept, thread)
                await dispatcher.drain()
                await store.close()
    against = ways["bare Bolt"]
    print("| taking in | events/s | CPU ms/event | p50 ms | p99 ms | events/s against bare |")
    print("|---|---|---|---|---|---|")
    for name, kept in ways.items():
        ratios = [ours / bare for ours, bare in zip(kept.speeds, against.speeds, strict=True)]
        p99 = statistics.quantiles(kept.took, n=100)[98]
        print(
            f"| {name} | {statistics.median(kept.speeds):.0f} | {statistics.median(kept.cpu):.2f} "
            f"| {statistics.median(kept.took):.1f} | {p99:.1f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
        )


async def signs_of_life(answers: int) -> None:
    """Print how soon something is seen, and what it costs in calls."""
    pieces = tuple(f"Sentence number {number} of the answer. " for number in range(6))
    scripts = {"Long?": Script(pieces)}
    status, first, calls = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        async with (
            FakeSlack() as slack,
            opened(slack, Path(folder), ScriptedAnswerer(scripts)) as desk,
        ):
            for number in range(answers):
                user = slack.world.user(f"p{number}")
                before = len(slack.calls)
                general = slack.world.channel(f"c{number}", user)
                began = slack.world.clock.now()
                asked = slack.people.mention(user, general, "Long?")
                await desk.answers(general, asked.ts)
                await slack.until(
                    lambda at=(general, asked.ts): slack.world.sessions.get(at) == "active"
                )
                await asyncio.sleep(0.05)
                made = slack.calls[before:]
                calls.append(len(made))
                for method, kept in (
                    ("assistant.threads.setStatus", status),
                    ("chat.startStream", first),
                ):
                    moments = [call.at for call in made if call.method == method]
                    kept.extend(1000 * (moment - began) for moment in moments[:1])
    print("\n| from a mention to | p50 ms | worst ms | n |\n|---|---|---|---|")
    for name, kept in (("the status", status), ("the first streamed text", first)):
        print(f"| {name} | {statistics.median(kept):.0f} | {max(kept):.0f} | {len(kept)} |")
    print(f"\nAPI calls per answer: median {statistics.median(calls):.0f}, most {max(calls)}")


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--answers", type=int, default=15)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    asyncio.run(taking_in(args.events, args.rounds))
    asyncio.run(signs_of_life(args.answers))


if __name__ == "__main__":
    main()
