"""Whatever happens in whatever order: nothing acknowledged is lost, nothing is said twice.

Hypothesis plays people, platforms and crashes against the real dispatcher and a real database,
and looks for a sequence that breaks a promise.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, ClassVar, Literal, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bot.config import LimitSettings
from bot.dispatching.courier import Patience
from bot.dispatching.dispatch import Dispatcher
from bot.errors import Busy, DeliveryError
from bot.store import Exchange, Store
from bot.tables import SendState
from bot.types import Event, Outcome, Question, Reply, Sink, Vote
from tests.bot.conftest import Databases
from tests.fakes.dialogue import RecordingChannel, ScriptedAnswerer, event

T = TypeVar("T")

TALKS = ("a", "b", "c")
PICK = st.integers(0, 999)  # of what is there, which time decides and Hypothesis may not see
KINDS = ("quick", "slow", "slow", "raises")
LIMITS = LimitSettings(workers=2, waiting_per_actor=4, waiting=8, drain_s=2)
PATIENCE = Patience(longest_pause_s=0.002, sends=1000)


class Desk(RuleBasedStateMachine):
    """One database, one server at a time, three conversations."""

    databases: ClassVar[Databases]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.url = self.databases.fresh()
        self.channel = RecordingChannel()
        self.troubles: list[str] = []
        self.channel.faults = {"finish": self.before_showing, "finished": self.after_showing}
        self.events: list[Event] = []
        self.acked: set[str] = set()
        self.votes: dict[tuple[str, str], int] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def before_showing(self) -> None:
        if self.troubles and self.troubles[0] == "refused":
            self.troubles.pop(0)
            raise DeliveryError("429")

    async def after_showing(self) -> None:
        if self.troubles and self.troubles[0] == "cut":
            self.troubles.pop(0)
            raise ConnectionResetError

    async def answer(self, question: Question, sink: Sink) -> Reply:
        kind = question.text
        await sink.append("well, ")
        if kind == "slow":
            await asyncio.sleep(0.01)
        if kind == "raises":
            raise RuntimeError
        return Reply(f"re: {kind}", Outcome.ANSWERED)

    async def begin(self) -> None:
        self.store = Store.open(self.url, exclusive=True)
        answerer = ScriptedAnswerer(self.answer)
        channels = {"fake": self.channel}
        self.dispatcher = Dispatcher(self.store, answerer, channels, LIMITS, PATIENCE)
        await self.dispatcher.start()

    async def vanish(self) -> None:
        """As a killed process would: in the middle of everything."""
        mine = asyncio.current_task()
        for _ in range(2):  # what the closing store still commits may start a task or two
            others = [task for task in asyncio.all_tasks() if task is not mine]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self.store.close()

    @initialize()
    def start(self) -> None:
        self.run(self.begin())

    @rule(talk=st.sampled_from(TALKS), kind=st.sampled_from(KINDS), copies=st.integers(1, 3))
    def somebody_writes(self, talk: str, kind: str, copies: int) -> None:
        message = event(len(self.events), kind, conversation=talk, actor=f"actor-{talk}")

        async def write() -> None:
            calls = (self.dispatcher.accept(message) for _ in range(copies))
            results = await asyncio.gather(*calls, return_exceptions=True)
            taken = [one for one in results if not isinstance(one, BaseException)]
            assert all(isinstance(one, Busy) for one in results if isinstance(one, BaseException))
            assert sum(one.fresh for one in taken) == bool(taken)
            if taken:
                self.acked.add(message.id)

        self.events.append(message)
        self.run(write())

    @rule(pick=PICK)
    def the_platform_delivers_again(self, pick: int) -> None:
        if self.acked:
            known = [message for message in self.events if message.id in self.acked]
            again = self.run(self.dispatcher.accept(known[pick % len(known)]))
            assert not again.fresh

    @rule(talk=st.sampled_from(TALKS), hurry=st.integers(0, 3))
    def the_server_dies_while_somebody_writes(self, talk: str, hurry: int) -> None:
        message = event(len(self.events), "quick", conversation=talk, actor=f"actor-{talk}")

        async def write_and_die() -> None:
            call = asyncio.create_task(self.dispatcher.accept(message))
            for _ in range(hurry):
                await asyncio.sleep(0.001)
            if call.done() and call.exception() is None:
                self.acked.add(message.id)
            await self.vanish()
            await self.begin()

        self.events.append(message)
        self.run(write_and_die())

    @rule(pause=st.floats(0, 0.02))
    def time_passes(self, pause: float) -> None:
        self.run(asyncio.sleep(pause))

    @rule(trouble=st.sampled_from(["refused", "cut"]))
    def the_platform_has_trouble(self, trouble: str) -> None:
        self.troubles.append(trouble)

    @rule(talk=st.sampled_from(TALKS))
    def somebody_presses_stop(self, talk: str) -> None:
        self.run(self.dispatcher.cancel("fake", talk))

    @rule(value=st.sampled_from([-1, 0, 1]), voter=st.sampled_from(["x", "y"]), pick=PICK)
    def somebody_votes(self, value: Literal[-1, 0, 1], voter: str, pick: int) -> None:
        if self.channel.platform_ids:
            answers = list(self.channel.platform_ids)
            answer_id = answers[pick % len(answers)]
            self.run(self.store.vote(Vote(answer_id, voter, value)))
            self.votes[answer_id, voter] = value

    @rule()
    def the_server_is_restarted(self) -> None:
        async def restart() -> None:
            await self.dispatcher.drain()
            await self.store.close()
            await self.begin()

        self.run(restart())

    @invariant()
    def nothing_is_said_twice(self) -> None:
        replies = Counter(event_id for event_id, _ in self.channel.shown)
        assert set(replies.values()) <= {1}

    def teardown(self) -> None:
        self.troubles.clear()
        try:
            if hasattr(self, "store"):
                self.run(self.everything_ends_well())
        finally:
            self.loop.close()

    async def everything_ends_well(self) -> None:
        await self.vanish()
        await self.begin()
        async with asyncio.timeout(60):
            await self.everything_is_sent()
        shown = [event_id for event_id, _ in self.channel.shown]
        assert self.acked <= set(shown), "an acknowledged message was lost"
        self.nothing_is_said_twice()
        votes = {}
        for talk in TALKS:
            thread = await self.store.thread("fake", talk)
            own = [exchange.event_id for exchange in thread]
            assert [event_id for event_id in shown if event_id in set(own)] == own, "out of order"
            votes.update(self.standing(thread))
        assert votes == {key: value for key, value in self.votes.items() if value}
        await self.dispatcher.drain()
        await self.store.close()

    async def everything_is_sent(self) -> None:
        while True:
            counts = await self.store.counts()
            if counts.sends[SendState.SENT] == sum(counts.messages.values()):
                return
            await asyncio.sleep(0.005)

    @staticmethod
    def standing(thread: list[Exchange]) -> dict[tuple[str, str], int]:
        return {
            (vote.answer_id, voter): vote.value
            for exchange in thread
            for voter, vote in exchange.votes.items()
        }


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "examples", [12, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
def test_no_sequence_of_events_breaks_a_promise(databases: Databases, examples: int) -> None:
    class Here(Desk):
        pass

    Here.databases = databases
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
