"""Stopping and starting: what is begun is finished, what is left is taken up, once."""

from __future__ import annotations

import asyncio

import pytest

from bot.dispatching import dispatch
from bot.dispatching.journal import Journal
from bot.errors import Busy, DeliveryError
from bot.store import Store
from bot.tables import MessageState, SendState
from bot.types import Outcome, Reply
from tests.fakes.bench import QUICK, Bench, bench, failing, until
from tests.fakes.dialogue import RecordingChannel, event


class TestDrain:
    async def test_what_is_begun_is_finished_and_the_rest_waits_for_the_next_start(
        self, store: Store
    ) -> None:
        async with bench(store, workers=2, waiting_per_actor=100) as it:
            it.answerer.script = it.held
            for number in range(6):
                await it.dispatcher.accept(event(number, conversation=f"c{number % 3}"))
            await until(lambda: it.answerer.running == 2)
            draining = asyncio.create_task(it.dispatcher.drain())
            await asyncio.sleep(0.02)
            with pytest.raises(Busy, match="restarting"):
                await it.dispatcher.accept(event("late"))
            it.gate.set()
            await draining
            assert len(it.channel.shown) == 2
            left = await Journal(store.database).unfinished()
            assert [(one.event_id, one.attempts) for one in left] == [
                (f"fake:{number}", 0) for number in (2, 3, 4, 5)
            ]
            await it.another().start()
            await it.sent(6)
            assert sorted(await it.shown(6)) == [f"fake:{number}" for number in range(6)]

    async def test_what_takes_too_long_is_handed_back(self, store: Store) -> None:
        async with bench(store, drain_s=0.2) as it:
            it.answerer.script = it.held
            await it.dispatcher.accept(event(1))
            await until(lambda: it.answerer.running == 1)
            await it.dispatcher.drain()
            assert it.answerer.running == 0
            (left,) = await Journal(store.database).unfinished()
            assert (left.event_id, left.attempts) == ("fake:1", 0)
            it.gate.set()
            await it.another().start()
            await it.sent(1)
            assert it.channel.shown[0][1].outcome is Outcome.ANSWERED

    async def test_a_reply_that_waits_for_its_platform_does_not_hold_the_drain(
        self, store: Store
    ) -> None:
        async with bench(store) as it:
            fault = failing(DeliveryError("429", retry_after=3600), times=1)
            it.channel.faults["finish"] = fault
            await it.dispatcher.accept(event(1))
            await until(lambda: fault.calls == 1)
            async with asyncio.timeout(5):
                await it.dispatcher.drain()
            await it.another().start()
            await it.sent(1)
            assert len(it.channel.shown) == 1


class TestRestart:
    """What an earlier process left at each boundary is finished, once."""

    async def left_at(self, store: Store, step: str, channel: RecordingChannel) -> str:
        journal = Journal(store.database)
        taken = await journal.take_in(event(1, "How?"))
        if step == "accepted":
            return ""
        await journal.claim(taken.message_id)
        if step == "working":
            return ""
        answer_id = await journal.settle(taken.message_id, Reply("kept", Outcome.ANSWERED))
        if step == "ready":
            return answer_id
        await journal.begin_send(answer_id)
        if step == "sending":
            return answer_id
        delivery = await channel.open(event(1).address, "fake:1")
        await delivery.finish(Reply("kept", Outcome.ANSWERED), answer_id)
        if step == "unknown":
            await journal.unsent(answer_id, SendState.UNKNOWN, "reset")
        if step == "sent":
            await journal.sent(answer_id, "p1")
        return answer_id

    @pytest.mark.parametrize(
        "step", ["accepted", "working", "ready", "sending", "shown", "unknown", "sent"]
    )
    async def test_every_boundary_ends_in_one_reply(self, store: Store, step: str) -> None:
        it = Bench(store)
        await self.left_at(store, step, it.channel)
        await it.dispatcher.start()
        await it.sent(1)
        await it.dispatcher.drain()
        replies = it.channel.replies("fake:1")
        expected = "re: How?" if step in {"accepted", "working"} else "kept"
        assert [reply.text for reply in replies] == [expected]

    @pytest.mark.parametrize(("step", "replies"), [("ready", 1), ("sending", 1), ("shown", 2)])
    async def test_without_look_up_only_death_inside_the_send_repeats(
        self, store: Store, step: str, replies: int
    ) -> None:
        it = Bench(store)
        it.channel.looks_up = False
        answer_id = await self.left_at(store, step, it.channel)
        await it.dispatcher.start()
        await it.sent(1)
        await it.dispatcher.drain()
        assert len(it.channel.replies("fake:1")) == replies
        record = await store.answer(answer_id)
        assert record is not None
        assert record.repeated == (step != "ready")

    async def test_a_restart_keeps_the_order_of_a_conversation(self, store: Store) -> None:
        it = Bench(store)
        journal = Journal(store.database)
        taken = [await journal.take_in(event(number)) for number in range(4)]
        await journal.settle(taken[0].message_id, Reply("kept", Outcome.ANSWERED))
        await journal.claim(taken[1].message_id)
        await it.dispatcher.start()
        await it.dispatcher.accept(event(4))
        assert await it.shown(5) == [f"fake:{number}" for number in range(5)]
        await it.dispatcher.drain()

    async def test_messages_of_a_channel_that_was_removed_wait(self, store: Store) -> None:
        it = Bench(store)
        await Journal(store.database).take_in(event(1, channel="gone"))
        await it.dispatcher.start()
        await it.dispatcher.drain()
        assert (await store.counts()).messages[MessageState.ACCEPTED] == 1

    async def test_a_message_that_keeps_killing_the_process_gets_an_apology(
        self, store: Store
    ) -> None:
        it = Bench(store)
        journal = Journal(store.database)
        poison = await journal.take_in(event("poison", conversation="a"))
        for _ in range(dispatch.MOST_ATTEMPTS):
            await journal.claim(poison.message_id)
        await journal.take_in(event("good", conversation="b"))
        await it.dispatcher.start()
        await it.sent(2)
        await it.dispatcher.drain()
        assert it.channel.replies("fake:poison")[0].outcome is Outcome.FAILED
        assert it.channel.replies("fake:good")[0].outcome is Outcome.ANSWERED
        assert [asked.event_id for asked in it.answerer.asked] == ["fake:good"]

    async def test_a_reply_that_keeps_killing_the_process_is_given_up_on(
        self, store: Store
    ) -> None:
        it = Bench(store)
        it.channel.looks_up = False
        answer_id = await self.left_at(store, "ready", it.channel)
        for _ in range(QUICK.sends):
            await Journal(store.database).begin_send(answer_id)
        await it.dispatcher.start()
        await it.reached(SendState.DEAD, 1)
        await it.dispatcher.drain()
        assert it.channel.shown == []

    async def test_suspects_run_one_at_a_time_beside_the_others(self, store: Store) -> None:
        it = Bench(store)
        journal = Journal(store.database)
        for number in range(4):
            taken = await journal.take_in(event(f"suspect{number}", conversation=f"s{number}"))
            for _ in range(dispatch.MOST_ATTEMPTS - 1):
                await journal.claim(taken.message_id)
        for number in range(4):
            await journal.take_in(event(number, conversation=f"c{number}"))
        it.answerer.script = it.held
        await it.dispatcher.start()
        await until(lambda: it.answerer.running == 5)
        await asyncio.sleep(0.05)
        running = [asked.event_id for asked in it.answerer.asked]
        assert len([one for one in running if "suspect" in one]) == 1
        it.gate.set()
        await it.sent(8)
        await it.dispatcher.drain()
