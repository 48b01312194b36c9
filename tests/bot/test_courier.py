"""A reply reaches the person once, whatever the platform does meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from bot.errors import DeliveryError
from bot.store import Store
from bot.tables import SendState
from bot.types import Outcome, Question, Reply, Sink
from tests.fakes.bench import QUICK, bench, failing, until
from tests.fakes.dialogue import event


class TestDelivery:
    @pytest.mark.parametrize("step", ["open", "status", "append"])
    async def test_a_channel_that_fails_while_showing_does_not_hurt_the_answer(
        self, store: Store, step: str
    ) -> None:
        async def talk(question: Question, sink: Sink) -> Reply:
            del question
            await sink.status("Searching…")
            await sink.append("a")
            await sink.append("b")
            return Reply("whole", Outcome.ANSWERED)

        async with bench(store) as it:
            it.answerer.script = talk
            it.channel.faults[step] = failing(OSError("reset"), times=1)
            await it.dispatcher.accept(event(1))
            await it.shown(1)
            assert [reply.text for reply in it.channel.replies("fake:1")] == ["whole"]

    async def test_a_channel_that_hangs_while_showing_does_not_hold_the_answer(
        self, store: Store
    ) -> None:
        async def talk(question: Question, sink: Sink) -> Reply:
            del question
            await sink.append("a")
            return Reply("whole", Outcome.ANSWERED)

        async def hang() -> None:
            await asyncio.Event().wait()

        async with bench(store) as it:
            it.answerer.script = talk
            it.channel.faults["append"] = hang
            await it.dispatcher.accept(event(1))
            await it.shown(1)

    async def test_waiting_for_the_platform_is_no_step_towards_giving_up(
        self, store: Store
    ) -> None:
        async with bench(store) as it:
            slow_down = failing(DeliveryError("429", retry_after=0.001), times=2 * QUICK.sends)
            it.channel.faults["finish"] = slow_down
            await it.dispatcher.accept(event(1))
            await it.sent(1)
            assert slow_down.calls == 2 * QUICK.sends + 1

    async def test_a_reply_that_only_fails_is_given_up_on(self, store: Store) -> None:
        async with bench(store) as it:
            it.channel.faults["finish"] = failing(DeliveryError("500"), times=1_000)
            await it.dispatcher.accept(event(1))
            await it.reached(SendState.DEAD, 1)

    async def test_what_was_surely_not_shown_is_sent_again(self, store: Store) -> None:
        async with bench(store) as it:
            it.channel.faults["finish"] = failing(DeliveryError("429", retry_after=0.02), times=3)
            await it.dispatcher.accept(event(1))
            await it.sent(1)
            assert len(it.channel.replies("fake:1")) == 1
            record = await store.answer(next(iter(it.channel.platform_ids)))
            assert record is not None
            assert not record.repeated

    @pytest.mark.parametrize(
        "error", [DeliveryError("reset", maybe_shown=True), ConnectionResetError()]
    )
    async def test_what_may_have_been_shown_is_looked_up_and_not_repeated(
        self, store: Store, error: Exception
    ) -> None:
        async with bench(store) as it:
            it.channel.faults["finished"] = failing(error, times=1)
            await it.dispatcher.accept(event(1))
            await it.sent(1)
            assert len(it.channel.replies("fake:1")) == 1

    async def test_a_channel_that_cannot_look_up_repeats_and_says_so(self, store: Store) -> None:
        async with bench(store) as it:
            it.channel.looks_up = False
            it.channel.faults["finished"] = failing(ConnectionResetError(), times=1)
            await it.dispatcher.accept(event(1))
            await it.sent(1)
            assert len(it.channel.replies("fake:1")) == 2
            record = await store.answer(next(iter(it.channel.platform_ids)))
            assert record is not None
            assert record.repeated

    async def test_looking_up_is_repeated_until_it_works(self, store: Store) -> None:
        async with bench(store) as it:
            it.channel.faults["finished"] = failing(ConnectionResetError(), times=1)
            it.channel.faults["delivered"] = failing(ConnectionResetError(), times=3)
            await it.dispatcher.accept(event(1))
            await it.sent(1)
            assert len(it.channel.replies("fake:1")) == 1

    async def test_a_reply_that_never_arrives_is_given_up_on_and_counted(
        self, store: Store
    ) -> None:
        async with bench(store) as it:
            it.channel.faults["finish"] = failing(DeliveryError("down"), times=10**6)
            await it.dispatcher.accept(event(1))
            await until(lambda: it.answerer.asked != [])
            await it.reached(SendState.DEAD, 1)
            del it.channel.faults["finish"]
            await it.dispatcher.accept(event(2))
            await it.sent(1)
            assert it.channel.replies("fake:1") == []

    async def test_a_person_who_blocked_the_bot_is_not_tried_again(self, store: Store) -> None:
        tries = failing(DeliveryError("blocked", final=True), times=10**6)
        async with bench(store) as it:
            it.channel.faults["finish"] = tries
            await it.dispatcher.accept(event(1))
            await it.reached(SendState.DEAD, 1)
            assert tries.calls == 1

    async def test_a_platform_that_makes_us_wait_does_not_hold_other_people(
        self, store: Store
    ) -> None:
        async with bench(store, workers=1) as it:
            fault = failing(DeliveryError("429", retry_after=3600), times=1)
            it.channel.faults["finish"] = fault
            await it.dispatcher.accept(event(1, conversation="a"))
            await until(lambda: fault.calls == 1)
            await it.dispatcher.accept(event(2, conversation="b"))
            assert await it.shown(1) == ["fake:2"]
